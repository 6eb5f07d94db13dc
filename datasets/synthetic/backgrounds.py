"""What lies behind a hand: walls, tables, shelves, cloth, leaves, other people, sharp or blurred; or photographs."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from datasets.synthetic.checks import check_chances, check_size
from datasets.synthetic.draws import Draws
from datasets.synthetic.fields import OCTAVES, pixel_grid, smooth_noise
from datasets.synthetic.once import once
from datasets.synthetic.patterns import palette, striped, tiled
from datasets.synthetic.people import people_shapes
from datasets.synthetic.photographs import photograph
from datasets.synthetic.shapes import Shape, paint, turned

SHAPES = 12
COLORS = 6
BENDING = np.array([[1.0, 0.45, 0.2]], np.float32)
"""Strengths of the octaves of the field that bends lines."""


@dataclass(frozen=True)
class Backgrounds:
    """How often each ingredient is there, in [0, 1]; 0 leaves it out of the compiled code where that is possible.

    ramp: a change of colour across the image; noise: marble, plaster, foliage; tiles: anything in rows; stripes: also
    cloth and wood; shapes: things that hide each other; indoor: of those, how often they stand upright on a floor or
    table; blur: out of focus; light: brighter to one side; skin_like: share of the colours, and how often the whole
    ground has the colour of skin; photograph: where a bank is given, how often it is taken.
    people: largest number of persons to draw before all that (they have no hands).
    """

    ramp: float = 0.7
    noise: float = 0.75
    tiles: float = 0.3
    stripes: float = 0.3
    shapes: float = 0.65
    indoor: float = 0.55
    blur: float = 0.6
    light: float = 0.6
    skin_like: float = 0.15
    photograph: float = 0.5
    people: int = 0

    def __post_init__(self) -> None:
        check_chances(self, but=("people",))
        if self.people < 0:
            raise ValueError(f"people must be at least 0, got {self.people}")


def background(
    key: Array, size: tuple[int, int], settings: Backgrounds = Backgrounds(), photos: Array | None = None
) -> Array:
    """-> (H, W, 3) displayed colour in [0, 1]. For many: jax.vmap or lax.map over keys.

    photos: (P, h, w, 3) uint8, see `photographs.read_photos`, of which a random part is cut out.
    Raises ValueError for a size that is not two positive numbers or photos of another shape.
    """
    check_size(size)
    chosen, drawn = jax.random.split(key)
    if photos is None or settings.photograph == 0.0:
        return procedural(drawn, size, settings)
    return lax.cond(
        jax.random.uniform(chosen) < settings.photograph,
        lambda one: photograph(one, size, photos),
        lambda one: procedural(one, size, settings),
        drawn,
    )


def procedural(key: Array, size: tuple[int, int], settings: Backgrounds) -> Array:
    """(H, W, 3), drawn from nothing but random numbers."""
    numbers, color_key, noise_key, warp_key, shape_key, people_key = jax.random.split(key, 6)
    draws = Draws.of(numbers, 140)
    x, y = pixel_grid(size)
    pixel = 1.0 / max(size)
    colors = once(color_key, partial(_colors, settings.skin_like), color_key)
    blurred = draws.chance(settings.blur)
    blur = draws.spread(0.004, 0.05)
    soft = jnp.where(blurred, 2.0 * blur, 1.0 * pixel) + 0.6 * pixel
    spectrum = _spectrum(draws, jnp.where(blurred, blur, 0.0))
    texture = smooth_noise(noise_key, size, spectrum[None])[0]
    warp = smooth_noise(warp_key, size, jnp.tile(BENDING, (2, 1)))
    canvas = _ramp(x, y, draws, colors[:2], settings.ramp)
    if settings.noise > 0.0:
        canvas = _noisy(canvas, texture, draws, colors[2], settings.noise)
    canvas = tiled(canvas, x, y, warp, draws, colors[3:5], soft, draws.chance(settings.tiles))
    canvas = striped(canvas, x, y, warp, draws, colors[5], soft, draws.chance(settings.stripes))
    if settings.shapes > 0.0:
        canvas = paint(canvas, x, y, texture, _things(shape_key, size, soft, settings))
    if settings.people > 0:
        canvas = paint(canvas, x, y, texture, people_shapes(people_key, size, settings.people, soft))
    canvas = _lit(canvas, x, y, draws, settings.light)
    return jnp.clip(canvas, 0.0, 1.0).transpose(1, 2, 0)


def _colors(skin_like: float, key: Array) -> Array:
    draws = Draws.of(key, 60)
    colors, ground = palette(draws, COLORS, skin_like), palette(draws, 1, 1.0)
    return jnp.where(draws.chance(0.5 * skin_like), ground + 0.25 * (colors - 0.5), colors)


def _spectrum(draws: Draws, blur: Array) -> Array:
    """(octaves,): from clouds to grain; what blur takes away is missing."""
    octave = jnp.arange(OCTAVES, dtype=jnp.float32)
    strengths = draws.between(0.45, 1.05) ** octave
    # A Gaussian blur of sigma over cells of width 1 / (3 2^k).
    kept = jnp.exp(-0.5 * (2.2 * blur * 3.0 * 2.0**octave) ** 2)
    return strengths / jnp.sqrt((strengths**2).sum()) * kept


def _ramp(x: Array, y: Array, draws: Draws, colors: Array, chance: float) -> Array:
    u, _ = turned(x - 0.5, y - 0.5, 2.0 * jnp.pi * draws.uniform())
    share = jnp.clip(0.5 + draws.between(0.3, 1.5) * u, 0.0, 1.0)
    # Mostly one material that is lit unevenly, seldom two colours.
    towards = jnp.where(draws.chance(0.25), 1.0, draws.between(0.05, 0.4)) * draws.chance(chance)
    return colors[0][:, None, None] + (towards * (colors[1] - colors[0]))[:, None, None] * share[None]


def _noisy(canvas: Array, texture: Array, draws: Draws, color: Array, chance: float) -> Array:
    """Lighter and darker places, and patches of a second colour with soft or hard borders."""
    wanted = draws.chance(chance)
    canvas = canvas * (1.0 + wanted * draws.between(0.0, 0.25) * texture)[None]
    hard, level = draws.spread(0.3, 6.0), draws.between(-1.0, 1.5)
    patch = jnp.clip(0.5 + hard * (texture - level), 0.0, 1.0)
    strength = wanted * draws.chance(0.55) * draws.between(0.1, 0.9)
    return canvas + (strength * patch)[None] * (color[:, None, None] - canvas)


def _lit(canvas: Array, x: Array, y: Array, draws: Draws, chance: float) -> Array:
    """A window or a lamp beside the scene."""
    where, reach = draws.between(-0.4, 1.4, 2), draws.spread(0.3, 1.5)
    square = (x - where[0]) ** 2 + (y - where[1]) ** 2
    strength = draws.chance(chance) * draws.between(-0.5, 0.7)
    return canvas * (1.0 + strength * (1.0 / (1.0 + square / reach**2) - 0.5))[None]


def _things(key: Array, size: tuple[int, int], soft: Array, settings: Backgrounds) -> Shape:
    """Large behind small, as the leaves of a "dead leaves" picture, whose edges lie as those of photographs do
    (Lee, Mumford, Huang 2001); indoors, upright boxes over a floor or a table."""
    draws = Draws.of(key, 60 * SHAPES)
    indoor = draws.chance(settings.indoor)
    present = draws.chance(settings.shapes) & (draws.uniform(SHAPES) < draws.uniform())
    across = np.array(size[::-1], np.float32) / max(size)
    center = draws.between(-0.1, 1.1, SHAPES, 2) * across[None]
    rank = (np.arange(SHAPES) + draws.uniform(SHAPES)) / SHAPES
    radius = 0.5 * (0.045 / 0.5) ** rank
    slim = draws.spread(0.15, 1.0, SHAPES)
    half = radius[:, None] * jnp.stack([slim, 1.0 / jnp.maximum(slim, 0.4)], axis=-1)
    free_kind = (draws.uniform(SHAPES) * 4.0).astype(jnp.int32)
    kind = jnp.where(indoor & (draws.uniform(SHAPES) < 0.8), 1, free_kind)
    tilt = draws.between(-0.08, 0.08)
    free_turn = 2.0 * jnp.pi * draws.uniform(SHAPES)
    turn = jnp.where(indoor & (kind == 1), tilt, free_turn)
    # A tube's half width is its second half axis.
    half = jnp.where((kind == 3)[:, None], radius[:, None] * jnp.array([[1.6, 0.25]]) * slim[:, None], half)
    # The first thing indoors is the floor or the table: from some height to below the picture.
    floor = indoor & draws.chance(0.7)
    edge = draws.between(0.3, 0.9) * across[1]
    center = center.at[0].set(jnp.where(floor, jnp.stack([0.5 * across[0], edge + 1.0]), center[0]))
    half = half.at[0].set(jnp.where(floor, jnp.array([3.0, 1.0]), half[0]))
    kind, turn = kind.at[0].set(jnp.where(floor, 1, kind[0])), turn.at[0].set(jnp.where(floor, tilt, turn[0]))
    colors = palette(draws, SHAPES, settings.skin_like)
    far = jnp.where(
        draws.chance(0.15, SHAPES, 1),
        palette(draws, SHAPES, settings.skin_like),
        colors * draws.between(0.6, 1.25, SHAPES, 1),
    )
    share = draws.uniform(SHAPES, 5)
    return Shape(
        center=center,
        turn=turn,
        half=half,
        angles=2.0 * jnp.pi * (jnp.arange(5)[None] + 0.7 * share) / 5.0,
        reach=0.6 + 0.6 * draws.uniform(SHAPES, 5),
        kind=kind,
        taper=draws.between(-0.3, 0.3, SHAPES),
        soft=soft * draws.spread(0.7, 2.0, SHAPES),
        opacity=jnp.where(present.at[0].set(present[0] | floor), draws.between(0.75, 1.0, SHAPES), 0.0),
        color=colors,
        far_color=far,
        round=jnp.where(draws.chance(0.3, SHAPES), draws.between(0.1, 0.7, SHAPES), 0.0),
        texture=jnp.where(draws.chance(0.5, SHAPES), draws.between(0.0, 0.3, SHAPES), 0.02),
        shadow=jnp.where(draws.chance(0.5, SHAPES), draws.between(0.0, 0.8, SHAPES), 0.0),
    )
