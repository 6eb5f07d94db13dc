"""Two hands that touch or are near, and do not sink into each other."""

import jax
import jax.numpy as jnp
from jax import Array

from datasets.synthetic.draws import Draws
from datasets.synthetic.settings import Settings
from handjax.mano.capsules import segment_distance

FAR_M = 0.6
STEPS = 24
"""Of the approach: each goes as far as is surely free, which is all of it but for glancing touches."""
TRIES = 3
PRESSED_M = 0.001
"""How deep the capsules of touching hands may overlap: skin gives way as much."""


def second_place(draws: Draws, first: tuple, second: tuple, settings: Settings) -> Array:
    """Capsules (starts, ends, radii) of two hands about the origin -> the offset (3,) of the second.

    It comes from a random side, aimed at a random part of the first, until it touches; by the capsules' smallest
    distance a step can not pass through (conservative advancement). Of `TRIES` such ways the one that ends nearest is
    taken: forearms are often in the way of hands.
    """
    hand_bones = len(first[0]) - 1
    radii = first[2][:, None] + second[2][None]

    def way(numbers: Array) -> tuple[Array, Array]:
        height, angle = 1.1 * numbers[0] - 0.55, 2.0 * jnp.pi * numbers[1]
        # Mostly from the side: from in front or behind, one hand would hide the other.
        flat = jnp.sqrt(1.0 - height**2)
        direction = jnp.stack([flat * jnp.cos(angle), flat * jnp.sin(angle), height])
        # The last capsules are the forearms.
        bones = (numbers[2:4] * hand_bones).astype(jnp.int32)
        aim = 0.5 * (first[0] + first[1])[bones[0]] - 0.5 * (second[0] + second[1])[bones[1]]

        def gap(distance: Array) -> Array:
            offset = (aim + distance * direction)[None]
            starts, ends = second[0] + offset, second[1] + offset
            apart = segment_distance(first[0][:, None], first[1][:, None], starts[None], ends[None])
            return (apart - radii).min()

        def approach(_, distance: Array) -> Array:
            return distance - (gap(distance) + PRESSED_M)

        reached = jax.lax.fori_loop(0, STEPS, approach, jnp.array(FAR_M))
        # A hand that passes by the other without touching stops level with it.
        return aim + jnp.maximum(reached, 0.0) * direction, direction

    offsets, directions = jax.vmap(way)(draws.uniform(TRIES, 4))
    nearest = jnp.argmin(jnp.linalg.norm(offsets, axis=-1))
    apart = jnp.where(draws.chance(settings.touching), 0.0, settings.apart_m * draws.uniform())
    return offsets[nearest] + apart * directions[nearest]
