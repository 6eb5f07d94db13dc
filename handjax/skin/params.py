"""What makes one person's skin differ from another's: a few numbers, drawn at random or set by hand."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Number = Array | np.ndarray | float
Vector = Array | np.ndarray


class SkinParams(NamedTuple):
    """Numbers without shape unless said; 1 is "as on a usual adult" for all strengths, 0 is "none".

    melanin: about 0.05 (very light) to 3.2 (very dark), with the pigment of the palms following from it. blood: about
    0.15 (pale) to 0.5 (flushed); carotene: 0.0 to 0.5, yellowness. redness, mottle, crease, freckles, moles, veins,
    hair: strengths of those layers. hair_color (3,), linear. oil in [0, 1]: from dry to shiny. detail: of the height
    map; relief: of veins and tendons. nail_tip in [0, 1]: how white the nails' ends are. polish (4,): linear colour and
    opacity of nail polish. tattoo (4,): the same of the drawing. rings (5,): opacity by finger, thumb first.
    metal (3,): colour of rings and bracelet. bracelet in [0, 1]. dirt in [0, 1].
    """

    melanin: Number = 0.7
    blood: Number = 0.34
    carotene: Number = 0.2
    redness: Number = 1.0
    mottle: Number = 1.0
    crease: Number = 1.0
    freckles: Number = 0.0
    moles: Number = 0.0
    veins: Number = 0.6
    hair: Number = 0.3
    hair_color: Vector = np.array([0.035, 0.02, 0.012], np.float32)
    oil: Number = 0.35
    detail: Number = 1.0
    relief: Number = 0.8
    nail_tip: Number = 0.5
    polish: Vector = np.zeros(4, np.float32)
    tattoo: Vector = np.zeros(4, np.float32)
    rings: Vector = np.zeros(5, np.float32)
    metal: Vector = np.array([0.95, 0.70, 0.36], np.float32)
    bracelet: Number = 0.0
    dirt: Number = 0.0


TONES = {"very light": 0.07, "light": 0.3, "medium": 0.75, "tan": 1.2, "brown": 1.9, "dark": 2.7}
"""`melanin` of six tones that people tell apart."""


POLISH = np.array(
    [
        [0.45, 0.01, 0.02],
        [0.65, 0.12, 0.18],
        [0.75, 0.42, 0.36],
        [0.10, 0.01, 0.02],
        [0.02, 0.02, 0.03],
        [0.05, 0.08, 0.30],
    ],
    np.float32,
)
"""Red, pink, nude, dark red, black, blue: linear."""


DRAWS = 40


def sample_skin(key: Array) -> SkinParams:
    """Somebody: any tone, most without tattoos, rings or polish. For many: `jax.vmap(sample_skin)`."""
    # One draw for all: twenty of them took seconds to compile.
    draws = iter(jax.random.uniform(key, (DRAWS,)))

    def between(low: float, high: float) -> Array:
        return low + next(draws) * (high - low)

    def now_and_then(chance: float) -> Array:
        return jnp.where(next(draws) < chance, 1.0, 0.0)

    melanin = 0.05 + 3.1 * between(0.0, 1.0) ** 1.5
    light = jnp.exp(-1.2 * melanin)
    hair_tone = between(0.0, 1.0) * light
    dark_hair, fair_hair = jnp.array([0.02, 0.012, 0.008]), jnp.array([0.35, 0.22, 0.10])
    shade = jnp.floor(between(0.0, len(POLISH) - 0.01)).astype(jnp.int32)
    polish = jnp.append(jnp.asarray(POLISH)[shade] * between(0.6, 1.2), now_and_then(0.12))
    ink = jnp.array([0.02, 0.03, 0.05])
    gold, silver = jnp.array([0.95, 0.70, 0.36]), jnp.array([0.85, 0.84, 0.82])
    return SkinParams(
        melanin=melanin,
        blood=between(0.22, 0.5),
        carotene=between(0.05, 0.45),
        redness=between(0.4, 1.5),
        mottle=between(0.4, 1.6),
        crease=between(0.6, 1.3),
        freckles=now_and_then(0.15) * between(0.2, 1.0) * light,
        moles=now_and_then(0.4) * between(0.3, 1.0),
        veins=between(0.0, 1.2) ** 1.5,
        hair=now_and_then(0.5) * between(0.2, 1.0),
        hair_color=dark_hair + hair_tone * (fair_hair - dark_hair),
        oil=between(0.05, 0.8),
        detail=between(0.6, 1.3),
        relief=between(0.2, 1.5),
        nail_tip=between(0.0, 1.0),
        polish=polish,
        tattoo=jnp.append(ink, now_and_then(0.05) * between(0.5, 0.9)),
        rings=jnp.stack([now_and_then(0.05) for _ in range(5)]),
        metal=jnp.where(now_and_then(0.5) > 0.0, gold, silver),
        bracelet=now_and_then(0.05),
        dirt=now_and_then(0.05) * between(0.2, 0.8),
    )
