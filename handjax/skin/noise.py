"""Random patterns as functions of a place: smooth value noise, and scattered spots and strokes. No state, no key."""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike


def value_noise(points: Array, size: ArrayLike, seed: ArrayLike) -> Array:
    """(N, D) of any unit -> (N,) in [-1, 1], smooth, with blobs of about `size`."""
    scaled = points / size
    corner = jnp.floor(scaled)
    share = scaled - corner
    share = share * share * share * (share * (share * 6.0 - 15.0) + 10.0)
    cell = corner.astype(jnp.int32)

    def add(total: Array, offset: Array) -> tuple[Array, None]:
        weight = jnp.where(offset[None] == 1, share, 1.0 - share).prod(axis=-1)
        return total + weight * random_of(cell + offset[None], seed), None

    # Loops instead of copies of the code, here and below: unrolled, all layers took a minute to compile.
    total, _ = lax.scan(add, jnp.zeros(points.shape[0]), _offsets(*[2] * points.shape[-1]))
    return 2.0 * total - 1.0


def octaves(points: Array, size: float, seed: ArrayLike, count: int = 3) -> Array:
    """(N,) about [-1, 1]: `count` noises, each half as wide and 0.55 times as strong as the one before."""
    octave = np.arange(count, dtype=np.int32)
    strengths = (0.55**octave / (0.55**octave).sum()).astype(np.float32)

    def add(total: Array, of: tuple[Array, ...]) -> tuple[Array, None]:
        strength, number = of
        return total + strength * value_noise(
            points + 17.3 * number, size * 0.5**number, jnp.asarray(seed) + number
        ), None

    return lax.scan(add, jnp.zeros(points.shape[0]), (jnp.asarray(strengths), jnp.asarray(octave)))[0]


def spots(points: Array, size: float, seed: ArrayLike, radius: float, share: float = 1.0) -> tuple[Array, Array]:
    """(N, 3) -> (N,) closeness to the middle of the nearest spot in [0, 1], and that spot's own random number.

    One spot a cell of side `size` with probability `share`; radii vary between half of `radius` and all of it.
    """
    base, seed = jnp.floor(points / size - 0.5).astype(jnp.int32), jnp.asarray(seed)

    def nearest(state: tuple[Array, Array], offset: Array) -> tuple[tuple[Array, Array], None]:
        best, rank = state
        cell = base + offset[None]
        # Kept off the cell's border, so that no spot reaches beyond the eight cells around.
        centre = jnp.stack([0.25 + 0.5 * random_of(cell, seed + k) for k in range(3)], axis=-1)
        distance = jnp.linalg.norm((cell + centre) * size - points, axis=-1)
        own_radius = radius * (0.5 + 0.5 * random_of(cell, seed + 3))
        close = jnp.clip(1.0 - distance / own_radius, 0.0, 1.0) * (random_of(cell, seed + 4) < share)
        return (jnp.maximum(best, close), jnp.where(close > best, random_of(cell, seed + 5), rank)), None

    nothing = jnp.zeros(points.shape[0])
    return lax.scan(nearest, (nothing, nothing), _offsets(2, 2, 2))[0]


def strokes(points: Array, cell_size: float, length: float, width: float, seed: ArrayLike) -> tuple[Array, Array]:
    """(N, 2) -> (N,) darkness of the nearest short stroke along y (each leans its own way), and its random number."""
    base, seed = jnp.floor(points / cell_size).astype(jnp.int32), jnp.asarray(seed)
    reach = int(np.ceil(length / cell_size))

    def nearest(state: tuple[Array, Array], offset: Array) -> tuple[tuple[Array, Array], None]:
        best, rank = state
        cell = base + offset[None]
        root = (cell + jnp.stack([random_of(cell, seed), random_of(cell, seed + 1)], axis=-1)) * cell_size
        lean = 0.5 * (random_of(cell, seed + 2) - 0.2)
        across, along = points[:, 0] - root[:, 0], points[:, 1] - root[:, 1]
        share = along / (length * (0.55 + 0.45 * random_of(cell, seed + 3)))
        thin = width * (1.1 - jnp.clip(share, 0.0, 1.0))
        bent = across - lean * along * (1.0 + 0.4 * share)
        dark = jnp.exp(-((bent / thin) ** 2)) * (share > 0.0) * (share < 1.0)
        return (jnp.maximum(best, dark), jnp.where(dark > best, random_of(cell, seed + 4), rank)), None

    nothing = jnp.zeros(points.shape[0])
    around = _offsets(3, reach + 2) - jnp.array([[1, reach]], jnp.int32)
    return lax.scan(nearest, (nothing, nothing), around)[0]


def _offsets(*counts: int) -> Array:
    return jnp.array(list(np.ndindex(*counts)), jnp.int32)


def random_of(cell: Array, seed: ArrayLike) -> Array:
    """(N, D) int32 -> (N,) in [0, 1): a hash that looks random (the multiply-xorshift of PCG)."""
    primes = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F], np.uint32)
    start = (jnp.asarray(seed).astype(jnp.uint32) + 1) * np.uint32(0x165667B1)
    state = jnp.full(cell.shape[:-1], start)
    for axis in range(cell.shape[-1]):
        state = (state ^ (cell[..., axis].astype(jnp.uint32) * primes[axis])) * np.uint32(0x2C1B3C6D)
        state ^= state >> 15
    state = (state ^ (state >> 12)) * np.uint32(0x297A2D39)
    return ((state ^ (state >> 15)) >> 8).astype(jnp.float32) * np.float32(2.0**-24)
