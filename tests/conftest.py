"""Settings for all tests: four CPU devices, and shapes that only fit by broadcasting are errors."""

import os

# Read by jax when it is first imported.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hypothesis
import jax
import jax.numpy as jnp
import pytest

from handjax import mano
from tests import toy

jax.config.update("jax_numpy_rank_promotion", "raise")
# Tests compile far longer than they compute. One that computes long asks for more by `jax.jit`'s `compiler_options`.
jax.config.update("jax_disable_most_optimizations", True)
# The first call of a jitted function compiles, which no deadline allows for.
hypothesis.settings.register_profile("handjax", deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.load_profile("handjax")


@pytest.fixture(scope="session")
def toy_model() -> mano.HandModel:
    """A random hand of MANO's sizes."""
    return jax.tree.map(jnp.asarray, mano.build(**toy.arrays()))


@pytest.fixture(scope="session")
def small_model() -> mano.HandModel:
    """A random hand of 60 vertices with MANO's tree, for what takes many evaluations or much compilation."""
    return jax.tree.map(jnp.asarray, mano.build(**toy.arrays(seed=1, vertices=60, faces=100)))
