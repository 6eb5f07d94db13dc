"""What computing in bfloat16 changes: of the networks whose own tests do not say it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax.camera import Camera
from handjax.models import handtailor, iknet, liftnet, seednet, siknet
from handjax.models.layers import Compute
from handjax.torch_weights import template
from tests import cheap

CAMERA = Camera(jnp.array([100.0, 100.0]), jnp.array([32.0, 32.0]))
CASES = {
    "seednet": (seednet.PRESETS["tiny"].clone(depth=1), [(2, 32, 32, 3)], []),
    "liftnet": (liftnet.PRESETS["tiny"].clone(depth=1), [(2, 8, 8, 21), (2, 8, 8), (2, 8, 8, 16)], []),
    "siknet": (siknet.PRESETS["tiny"], [(2, 21, 3)], []),
    "iknet": (iknet.IKNet(layers=2, features=32), [(2, 21, 3), (2, 21, 3)], []),
    "handtailor": (handtailor.PRESETS["tiny"], [(2, 32, 32, 3)], [CAMERA]),
}
BOUND = 0.03
"""Of an output's largest value: 8 bits round by 0.002 to 0.004, many layers add up to 0.013."""


@pytest.mark.parametrize("name", CASES)
def test_outputs_in_bfloat16_are_float32_and_little_else(name):
    network, shapes, shared = CASES[name]
    random = np.random.default_rng(0)
    given = [jnp.asarray(random.uniform(-0.5, 0.5, shape), jnp.float32) for shape in shapes]
    variables = cheap.filled(template(network, *given, *shared))
    # Half of the kernels' usual size: without running statistics of their own, maps end at the sigmoid's flat ends.
    variables["params"] = jax.tree.map(lambda leaf: leaf / 2 if leaf.ndim > 1 else leaf, variables["params"])

    def both(variables, *given):
        return [network.clone(compute=Compute(dtype)).apply(variables, *given) for dtype in (jnp.float32, jnp.bfloat16)]

    exact, short = cheap.compiled(both, variables, *given, *shared)(variables, *given, *shared)
    assert exact.keys() == short.keys()
    for output, value in short.items():
        assert value.dtype == jnp.float32
        largest = float(jnp.abs(exact[output]).max())
        np.testing.assert_allclose(value, exact[output], rtol=0, atol=BOUND * largest, err_msg=output)
