"""What is not a network lowers for a TPU too: the hand, its renderer, its fits. Lowered only: no TPU is needed."""

import jax
import jax.numpy as jnp
import pytest
from jax import export

from handjax import mano, optim, render
from handjax.camera import Camera

CAMERA = Camera(jnp.full(2, 100.0), jnp.full(2, 16.0))
SIZE = (32, 32)


def _mask_loss(model, params):
    mesh = render.topology(model.faces)
    vertices = mano.forward(model, params).vertices
    return (render.silhouette(CAMERA, vertices, mesh, size=SIZE).mask ** 2).sum()


def _picture_loss(model, params):
    mesh = render.topology(model.faces)
    vertices = mano.forward(model, params).vertices
    maps = render.draw_maps(CAMERA, vertices, mesh, harmonics=jnp.full(27, 0.5), size=SIZE)
    return (maps.image**2).sum() + maps.depth.sum()


def _tailor(model, params):
    batch = jax.tree.map(lambda field: jnp.tile(field, (2, 1)), params)
    return optim.tailor_batch(model, batch, jnp.full((2, 21, 2), 16.0), CAMERA).params


def _refine(model, params):
    batch = jax.tree.map(lambda field: jnp.tile(field, (2, 1)), params)
    return optim.refine_batch(model, batch, jnp.full((2, 21, 2), 16.0), CAMERA).params


FUNCTIONS = {
    "hand": lambda model, params: mano.forward(model, params).vertices,
    "mask and its gradient": lambda model, params: jax.grad(lambda one: _mask_loss(model, one))(params),
    "picture and its gradient": lambda model, params: jax.grad(lambda one: _picture_loss(model, one))(params),
    "published tailor": _tailor,
    "second-order tailor": _refine,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_lowers_for_a_tpu(name):
    model = mano.default()
    function = FUNCTIONS[name]
    made = export.export(jax.jit(lambda params: function(model, params)), platforms=["tpu"])(mano.zero_params(model))
    assert made.platforms == ("tpu",) and len(made.mlir_module_serialized) > 1000
