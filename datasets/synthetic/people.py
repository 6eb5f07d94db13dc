"""People behind the hands of uncropped images: heads, bodies and arms without hands, so that skin alone is no hand."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from datasets.synthetic.draws import Draws
from datasets.synthetic.parts import Parts
from datasets.synthetic.patterns import palette
from datasets.synthetic.shapes import BOX, ELLIPSE, TUBE, Shape


def people_shapes(key: Array, size: tuple[int, int], count: int, soft: Array) -> Shape:
    """Up to `count` persons as 11 shapes each, the farthest first, for `shapes.paint`.

    Lengths of a standing person in units of the shoulders' width. Arms end in cuffs, or behind a box.
    """
    persons = jax.vmap(lambda one: _person(one, size, soft))(jax.random.split(key, count))
    order = jnp.argsort(persons.half[:, 0, 0])
    return jax.tree.map(lambda leaf: leaf[order].reshape(-1, *leaf.shape[2:]), persons)


def _person(key: Array, size: tuple[int, int], soft: Array) -> Shape:
    draws = Draws.of(key, 120)
    across = np.array(size[::-1], np.float32) / max(size)
    shoulders = draws.spread(0.12, 0.5)
    neck = jnp.stack([draws.between(0.05, 0.95), draws.between(0.15, 0.75)]) * across
    lean = draws.between(-0.12, 0.12)
    skin, hair = palette(draws, 1, 1.0)[0], palette(draws, 1, 0.0)[0] * draws.between(0.1, 0.6)
    cloth, trousers, thing = palette(draws, 3, 0.0)
    bare = draws.chance(0.5)

    elbows, wrists = [], []
    for side in (-1.0, 1.0):
        raised, bent = draws.between(0.0, 1.0) ** 2 * 2.4, draws.between(-0.4, 2.4)
        elbow = jnp.stack([side * (0.42 + 0.62 * jnp.sin(raised)), 0.22 + 0.62 * jnp.cos(raised)])
        fore = raised - bent
        wrist = elbow + 0.5 * jnp.stack([side * jnp.sin(fore), jnp.cos(fore)])
        elbows.append(elbow)
        wrists.append(wrist)
    body = Parts(neck, shoulders, lean)
    body.add(BOX, (0.0, 0.72), (0.42, 0.68), cloth, round_=0.35, texture=0.25)
    body.add(TUBE, (0.0, 1.9), (0.7, 0.3), trousers, turn=0.5 * np.pi, round_=0.5, texture=0.2)
    body.add(TUBE, (0.0, -0.02), (0.13, 0.15), 0.85 * skin, turn=0.5 * np.pi, round_=0.5)
    body.add(ELLIPSE, (0.0, -0.46), (0.27, 0.34), hair, round_=0.4)
    # A face turned aside shows less of itself beside the hair.
    aside, seen = draws.between(-0.12, 0.12), jnp.where(draws.chance(0.15), 0.0, 1.0)
    body.add(ELLIPSE, (aside, -0.38), (0.22, 0.29), skin, round_=0.45, opacity=seen)
    body.add(ELLIPSE, (1.2 * aside, -0.43), (0.15, 0.035), 0.35 * skin, opacity=seen * draws.between(0.25, 0.7))
    for side, elbow, wrist in zip((-1.0, 1.0), elbows, wrists, strict=True):
        body.limb(jnp.array([0.40 * side, 0.2]), elbow, 0.13, cloth, round_=0.55, texture=0.12, taper=-0.2)
        body.limb(elbow, wrist, 0.085, jnp.where(bare, skin, cloth), round_=0.55, taper=-0.2)
    held = jnp.where(draws.chance(0.5), wrists[0], wrists[1])
    body.add(BOX, (held[0], held[1]), (0.2, 0.14), thing, turn=draws.between(-0.5, 0.5), round_=0.2)
    return body.shapes(soft * draws.spread(0.8, 2.5), draws.chance(0.75))
