"""Things that repeat: tiles, bricks, books, stripes, tartan, weave and wood; as colours over an image."""

import jax.numpy as jnp
from jax import Array, lax

from datasets.synthetic.draws import Draws
from datasets.synthetic.shapes import turned
from handjax.skin.noise import random_of


def palette(draws: Draws, count: int, skin_like: float) -> Array:
    """(count, 3) displayed colours: half of them nearly grey, some like skin, the others of any hue."""
    which, value, hue = draws.uniform(count), draws.uniform(count), draws.uniform(count)
    strength, tint = draws.uniform(count), draws.between(-1.0, 1.0, count, 3)
    grey = 0.05 + 0.9 * value[:, None] + jnp.array([[0.05, 0.02, -0.04]]) * (strength[:, None] - 0.3) + 0.03 * tint
    # From pale to dark brown skin as a camera shows it.
    light, dark = jnp.array([[0.90, 0.72, 0.62]]), jnp.array([[0.24, 0.14, 0.10]])
    skin = dark + (light - dark) * value[:, None] ** 0.7 * (0.7 + 0.3 * hue[:, None]) + 0.04 * tint
    wheel = 0.5 + 0.5 * jnp.cos(2.0 * jnp.pi * (hue[:, None] - jnp.arange(3)[None] / 3.0))
    bright = 0.1 + 0.85 * value[:, None]
    vivid = bright * (1.0 - (0.85 * strength[:, None] ** 1.3) * (1.0 - wheel))
    chosen = jnp.where(which[:, None] < skin_like, skin, jnp.where(which[:, None] < 0.5 + 0.5 * skin_like, grey, vivid))
    return jnp.clip(chosen, 0.0, 1.0)


def tiled(canvas: Array, x: Array, y: Array, warp: Array, draws: Draws, colors: Array, soft: Array, wanted) -> Array:
    """Tiles, bricks, book spines, keys, checks, tartan or patches of leaves; canvas (3, H, W), warp (2, H, W).

    colors (2, 3): of the tiles and of the gaps between them.
    """
    numbers = draws.uniform(16)
    strength, spread, depth = jnp.where(wanted, 0.5 + 0.5 * numbers[0], 0.0), 0.05 + 0.85 * numbers[1], numbers[2]
    colored = jnp.where(numbers[3] < 0.4, 0.1 + 0.6 * numbers[4], 0.0)
    region = strength * _region(x, y, draws, soft)
    value, gap = lax.cond(wanted, _tiles, _no_tiles, x, y, warp, numbers[5:], soft)
    other = jnp.abs(8.0 * value) - jnp.floor(jnp.abs(8.0 * value)) - 0.5
    hue = colored * jnp.stack([other, 2.0 * value * other, -other])
    shown = colors[0][:, None, None] * (1.0 + spread * value)[None] + hue
    shown += ((0.2 + 0.8 * depth) * gap)[None] * (colors[1][:, None, None] - shown)
    return canvas + region[None] * (shown - canvas)


def _tiles(x: Array, y: Array, warp: Array, numbers: Array, soft: Array) -> tuple[Array, Array]:
    """(H, W) each tile's own number in [-0.5, 0.5], and how much of a pixel is the gap between tiles."""
    draws = Draws(numbers)
    u, v = turned(x, y, jnp.where(draws.chance(0.6), 0.06, 1.57) * draws.between(-1.0, 1.0))
    irregular = jnp.where(draws.chance(0.3), draws.between(0.01, 0.06), 0.0)
    wide, tall = draws.spread(0.03, 0.5), draws.spread(0.03, 0.8)
    start = 20.0 * draws.uniform()
    u, v = (u + irregular * warp[0]) * (1.0 / wide) + start, (v + irregular * warp[1]) * (1.0 / tall) + 1.7 * start
    row = jnp.floor(v)
    u += jnp.where(draws.chance(0.3), 0.5, 0.0) * (row - 2.0 * jnp.floor(0.5 * row))
    column = jnp.floor(u)
    seed = (start * 65536.0).astype(jnp.int32)
    ids = jnp.stack([column, row], axis=-1).astype(jnp.int32)
    # One number a tile, or the mean of its row's and its column's as in woven cloth.
    woven = 0.5 * (random_of(ids[..., :1], seed + 1) + random_of(ids[..., 1:], seed + 2))
    value = jnp.where(draws.chance(0.25), woven, random_of(ids, seed)) - 0.5
    edge = jnp.minimum((0.5 - jnp.abs(u - column - 0.5)) * wide, (0.5 - jnp.abs(v - row - 0.5)) * tall)
    gap = jnp.clip((draws.between(0.0, 0.012) + soft - edge) * (1.0 / (soft + 0.003)), 0.0, 1.0)
    return value, gap


def _no_tiles(x: Array, y: Array, warp: Array, numbers: Array, soft: Array) -> tuple[Array, Array]:
    return jnp.zeros_like(warp[0]), jnp.zeros_like(warp[0])


def striped(canvas: Array, x: Array, y: Array, warp: Array, draws: Draws, color: Array, soft: Array, wanted) -> Array:
    """Stripes from broad to as fine as thread, straight, woven crosswise or bent like the grain of wood."""
    cycles, numbers = draws.spread(3.0, 45.0), draws.uniform(8)
    # Lines finer than the edges are soft are seen as an even tone.
    visible = jnp.clip(0.6 / (cycles * soft), 0.0, 1.0) ** 2
    strength = visible * draws.between(0.08, 0.8) * jnp.where(cycles > 20.0, 0.6, 1.0)
    region = strength * _region(x, y, draws, soft)
    share = lax.cond(wanted, _stripes, _no_stripes, x, y, warp, numbers, cycles)
    return canvas + (share * region)[None] * (color[:, None, None] - canvas)


def _stripes(x: Array, y: Array, warp: Array, numbers: Array, cycles: Array) -> Array:
    draws = Draws(numbers)
    u, v = turned(x, y, jnp.where(draws.chance(0.5), 0.1, 3.2) * draws.between(-1.0, 1.0))
    # Grain runs along v: its bends are long there and its lines differ in width.
    wood = draws.chance(0.4)
    phase = cycles * (u + jnp.where(wood, draws.between(0.03, 0.12), 0.004) * (warp[0] + _wave(0.5 * v + warp[1])))
    cross = jnp.where(draws.chance(0.4), _wave(cycles * v * draws.between(0.7, 1.3)), 1.0)
    wave = jnp.where(wood, 0.6 * _wave(phase) + 0.4 * _wave(2.7 * phase + 0.13 * warp[1]), _wave(phase) * cross)
    hard = jnp.where(wood, 1.0, draws.spread(0.8, 6.0))
    return 0.5 + 0.5 * jnp.clip(hard * wave, -1.0, 1.0)


def _no_stripes(x: Array, y: Array, warp: Array, numbers: Array, cycles: Array) -> Array:
    return jnp.zeros_like(warp[0])


def _wave(cycles: Array) -> Array:
    """A sine of period 1 in parabolas: five times as fast."""
    place = 2.0 * (cycles - jnp.floor(cycles)) - 1.0
    return 4.0 * place * (jnp.abs(place) - 1.0)


def _region(x: Array, y: Array, draws: Draws, soft: Array) -> Array:
    """(H, W): everything, or half the time only what lies to one side of a line."""
    u, _ = turned(x - draws.uniform(), y - draws.uniform(), 2.0 * jnp.pi * draws.uniform())
    part = jnp.clip(0.5 + u * (1.0 / (soft + 0.004)), 0.0, 1.0)
    return jnp.where(draws.chance(0.5), part, 1.0)
