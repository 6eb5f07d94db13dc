"""Networks in tests without the minutes that XLA takes to compile their initialisation and to optimise their code."""

import jax
import numpy as np
from flax import traverse_util

from handjax.torch_weights import template
from handjax.torch_weights.names import COUNTER, leaves

QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


shapes = template
"""The shapes of a network's variables for arguments (arrays or shapes), of which none is made."""


def published_shapes(variables):
    """PyTorch's name and shape of each tensor of variables or their shapes, save for counters."""
    return {name: leaf.torch_shape() for name, leaf in leaves(variables).items()}


def listed_shapes(fixture):
    """The same of a file of published outputs."""
    return {name: tuple(shape) for name, shape in fixture["parameters"] if not name.endswith(COUNTER)}


def filled(variables, seed=0):
    """Variables of such shapes, drawn as networks usually are: He et al. 2015, plain norms, no biases."""
    random, drawn = np.random.default_rng(seed), {}
    for path, leaf in sorted(traverse_util.flatten_dict(variables).items()):
        if path[-1] in ("kernel", "transposed_kernel"):
            value = random.normal(size=leaf.shape) * np.sqrt(2 / np.prod(leaf.shape[:-1]))
        else:
            value = np.full(leaf.shape, 1.0 if path[-1] in ("scale", "var") else 0.0)
        drawn[path] = jax.numpy.asarray(value, leaf.dtype)
    return traverse_util.unflatten_dict(drawn)


def compiled(function, *arguments):
    """`function` for arguments of these shapes, compiled in a fraction of the time and somewhat slow."""
    return jax.jit(function).lower(*arguments).compile(QUICKLY)


def initialised(network, select, *arguments, seed=0):
    """What `select` picks of the network's initial parameters; only that is computed."""
    return jax.jit(lambda key: select(network.init(key, *arguments)["params"]))(jax.random.key(seed, impl="unsafe_rbg"))
