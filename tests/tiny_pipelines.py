"""The smallest networks of the pipelines with drawn weights, and the toy hand that they pose."""

import jax
import jax.numpy as jnp

from handjax.models import handtailor, liftnet, seednet, siknet
from handjax.pipelines import BiHand
from handjax.torch_weights import template
from tests import cheap, toy

SIZE = 16
RAW = toy.arrays(seed=1, vertices=60, faces=100)
"""Of the fixture `small_model`."""

BIHAND = BiHand(
    seednet.PRESETS["tiny"].clone(stacks=1, features=8, depth=1),
    liftnet.PRESETS["tiny"].clone(volume_depths=(4,), features=8, depth=1),
    siknet.PRESETS["tiny"],
)
HANDTAILOR = handtailor.PRESETS["tiny"].clone(stacks_2d=0, features=8, depth=1, pooled_features=8)


def floats(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def bihand_variables():
    return {
        "seednet": cheap.filled(template(BIHAND.seednet, floats(1, SIZE, SIZE, 3)), 1),
        "liftnet": cheap.filled(template(BIHAND.liftnet, floats(1, 4, 4, 21), floats(1, 4, 4), floats(1, 4, 4, 8)), 2),
        "siknet": cheap.filled(template(BIHAND.siknet, floats(1, 21, 3)), 3),
    }


def handtailor_variables():
    return cheap.filled(template(HANDTAILOR, floats(1, SIZE, SIZE, 3), None), 4)
