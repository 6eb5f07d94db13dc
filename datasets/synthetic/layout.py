"""Where many hands go in a picture: laid out one after the other, or strewn about."""

import jax
import jax.numpy as jnp
from jax import Array

from datasets.synthetic.draws import Draws
from datasets.synthetic.settings import Settings

MARGIN, GAP, REACH = 50 / 512, 20 / 512, 40 / 512
"""Shares of the picture: kept free at first, by which boxes may overlap, and within which they are shifted."""
FIRST_TOP = 0.75
TRIES = 6
"""Of so many random places the one that hides least of the others."""
INSIDE = 0.06
"""Centres keep this share of the picture from its border."""


def laid_out(key: Array, shapes: Array, wanted: Array, settings: Settings) -> tuple[Array, Array, Array]:
    """shapes (N, 2): width and height of the hands' boxes in any unit; wanted () hands
    -> centres (N, 2), longer sides (N,), which found room (N,).

    From the lower right to the upper left in two rows, each as large as the room allows (multi-hand synthesis of
    Han et al.). A hand that finds the lower row full begins the upper one; their code drops it.
    """
    height, width = settings.size
    smallest, largest = settings.hand_px

    def place(state, one):
        left, top, full = state
        key, shape, index = one
        draws = Draws.of(key, 3)
        begins = ~full & (left <= smallest)
        full = full | begins
        left = jnp.where(begins, width - GAP * width, left)
        room = jnp.where(full, jnp.minimum(left, top), left)
        fits = (index < wanted) & (room > smallest)
        room = jnp.clip(room, smallest, largest)
        side = smallest * (room / smallest) ** draws.uniform()
        box = side * shape / shape.max()
        edge = jnp.minimum(left + GAP * width, width)
        right = draws.between(jnp.minimum(jnp.maximum(edge - REACH * width, box[0]), edge), edge)
        lowest = jnp.where(full, jnp.maximum(box[1], top), height)
        highest = jnp.where(full, box[1], jnp.minimum(height - 1.0, 0.5 * height + 1.5 * box[1]))
        bottom = draws.between(jnp.minimum(highest, lowest), lowest)
        new_left = jnp.minimum(right - box[0] - GAP * width, left)
        new_top = jnp.where(full, top, jnp.minimum(bottom - box[1] - GAP * height, top))
        centre = jnp.stack([right, bottom]) - 0.5 * box
        return (jnp.where(fits, new_left, left), jnp.where(fits, new_top, top), full), (centre, side, fits)

    start = (jnp.array(width * (1.0 - MARGIN)), jnp.array(FIRST_TOP * height), jnp.array(False))
    keys = jax.random.split(key, len(shapes))
    _, (centres, sides, found) = jax.lax.scan(place, start, (keys, shapes, jnp.arange(len(shapes))))
    return centres, sides, found


def strewn(key: Array, shapes: Array, wanted: Array, settings: Settings) -> tuple[Array, Array, Array]:
    """The same anywhere in the picture, cut by its border at times, where little of the earlier ones is hidden."""
    height, width = settings.size
    picture = jnp.array([width, height], jnp.float32)
    count = len(shapes)

    def place(boxes, one):
        key, shape, index = one
        draws = Draws.of(key, 1 + 2 * TRIES)
        side = draws.spread(*settings.hand_px)
        half = 0.5 * side * shape / shape.max()
        centres = picture[None] * (INSIDE + (1.0 - 2.0 * INSIDE) * draws.uniform(TRIES, 2))
        low, high = centres - half[None], centres + half[None]
        across = jnp.minimum(high[:, None], boxes[None, :, 2:]) - jnp.maximum(low[:, None], boxes[None, :, :2])
        hidden = jnp.maximum(across, 0.0).prod(axis=-1).sum(axis=-1)
        best = jnp.argmin(hidden)
        present = index < wanted
        box = jnp.where(present, jnp.concatenate([low[best], high[best]]), 0.0)
        return boxes.at[index].set(box), (centres[best], side, present)

    keys = jax.random.split(key, count)
    _, found = jax.lax.scan(place, jnp.zeros((count, 4)), (keys, shapes, jnp.arange(count)))
    return found
