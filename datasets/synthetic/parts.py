"""Things put together of shapes in a frame of their own: a person, a mug, a pen."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from datasets.synthetic.shapes import CORNERS, TUBE, Shape


class Parts:
    """Collects shapes, back to front. Places and lengths are in the thing's own units: `scale` of the image's, turned
    by `turn` about `origin` (2,)."""

    def __init__(self, origin: Array, scale: ArrayLike, turn: ArrayLike):
        self._origin, self._scale, self._turn = origin, scale, jnp.asarray(turn)
        self._kinds: list[int] = []
        self._colors: list[Array] = []
        self._numbers: list[tuple[ArrayLike, ...]] = []

    def add(
        self,
        kind: int,
        place: tuple[ArrayLike, ArrayLike],
        half: tuple[ArrayLike, ArrayLike],
        color: Array,
        *,
        turn: ArrayLike = 0.0,
        round_: ArrayLike = 0.0,
        texture: float = 0.06,
        opacity: ArrayLike = 1.0,
        taper: ArrayLike = 0.0,
        fade: ArrayLike = 0.8,
    ) -> None:
        """`fade`: the colour at the other end of v over the colour at this one."""
        self._kinds.append(kind)
        self._colors.append(color)
        self._numbers.append((*place, *half, turn, round_, texture, opacity, taper, fade))

    def limb(self, start: Array, end: Array, half_width: ArrayLike, color: Array, **look: ArrayLike) -> None:
        """A tube from one place to another."""
        along = end - start
        length = jnp.sqrt((along**2).sum() + 1e-9)
        middle = 0.5 * (start + end)
        turn = jnp.arctan2(along[1], along[0])
        self.add(TUBE, (middle[0], middle[1]), (0.5 * length, half_width), color, turn=turn, **look)  # pyright: ignore[reportArgumentType]

    def shapes(self, soft: ArrayLike, present: ArrayLike, shadow: float = 0.25) -> Shape:
        """All parts, for `shapes.paint`; without `present` none of them shows."""
        count = len(self._kinds)
        right, down, long, wide, turn, round_, texture, opacity, taper, fade = _columns(self._numbers)
        cosine, sine = jnp.cos(self._turn), jnp.sin(self._turn)
        moved = jnp.stack([cosine * right - sine * down, sine * right + cosine * down], axis=-1)
        color = jnp.stack(self._colors)
        return Shape(
            center=self._origin[None] + self._scale * moved,
            turn=turn + self._turn,
            half=jnp.asarray(self._scale) * jnp.stack([long, wide], axis=-1),
            angles=jnp.zeros((count, CORNERS)),
            reach=jnp.ones((count, CORNERS)),
            kind=jnp.array(self._kinds, jnp.int32),
            taper=taper,
            soft=jnp.full(count, soft),
            opacity=opacity * jnp.asarray(present, jnp.float32),
            color=color,
            far_color=fade[:, None] * color,
            round=round_,
            texture=texture,
            shadow=jnp.full(count, shadow),
        )


def _columns(rows: list[tuple[ArrayLike, ...]]) -> Array:
    """Rows of numbers, some known now and some only when run -> (columns, rows)."""
    flat = [value for row in rows for value in row]
    known = np.array([0.0 if isinstance(value, Array) else value for value in flat], np.float32)
    places = np.array([place for place, value in enumerate(flat) if isinstance(value, Array)], np.int32)
    if len(places):
        drawn = jnp.stack([jnp.asarray(flat[place], jnp.float32) for place in places])
        return jnp.asarray(known).at[places].set(drawn).reshape(len(rows), -1).T
    return jnp.asarray(known).reshape(len(rows), -1).T
