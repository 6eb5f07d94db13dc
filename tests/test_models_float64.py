"""SeedNet and LiftNet in float64 compute what their twins in PyTorch do, to the rounding of float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import bihand
from handjax.models import liftnet, seednet
from handjax.models.layers import Compute
from handjax.torch_weights import template, to_variables
from tests import cheap

torch = pytest.importorskip("torch", reason="needs PyTorch as the second implementation")
FEATURES, DEPTH = 8, 1
LAYERS = (3, 5)
NETWORKS = {
    "seednet": seednet.SeedNet(features=FEATURES, depth=DEPTH, compute=Compute(jnp.float64)),
    "liftnet": liftnet.LiftNet(LAYERS, FEATURES, DEPTH, compute=Compute(jnp.float64)),
}


def upstream(variables, image):
    found = NETWORKS["seednet"].apply(variables["seednet"], image)
    maps = found["heatmaps"][:, -1], found["mask"][:, -1], found["encoding"]
    lifted = NETWORKS["liftnet"].apply(variables["liftnet"], *maps)
    return *maps, lifted["uvd"], lifted["depth"]


def double(shape):
    return jax.ShapeDtypeStruct(shape, jnp.float64)


def test_seednet_and_liftnet_in_float64_are_the_pytorch_ones():
    twin = bihand.torch_network(features=FEATURES, depth=DEPTH, layers=LAYERS).double()
    image = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 32, 48, 3))
    with torch.inference_mode():
        heatmaps, mask, encoding = twin.seednet(torch.from_numpy(image).movedim(-1, 1))
        wanted = [heatmaps.movedim(1, -1), mask[:, 0], encoding.movedim(1, -1), *twin.liftnet(heatmaps, mask, encoding)]
    inputs = {"seednet": [(2, 32, 48, 3)], "liftnet": [(2, 8, 12, 21), (2, 8, 12), (2, 8, 12, 8)]}
    with jax.enable_x64(True):
        variables = {}
        for name, module in twin.named_children():
            shapes = template(NETWORKS[name], *map(double, inputs[name]))
            weights = {key: value.numpy() for key, value in module.state_dict().items()}
            variables[name] = to_variables(weights, jax.tree.map(lambda leaf: double(leaf.shape), shapes))
        outputs = cheap.compiled(upstream, variables, image)(variables, image)
    for got, want in zip(outputs, wanted, strict=True):
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, want.numpy(), rtol=0, atol=1e-9 * float(want.abs().max()))
