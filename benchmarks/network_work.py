"""What a function costs: how often it multiplies, and its memory; and a matrix product to hold its speed against."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike


def multiply_adds(function: Callable, *arguments) -> int:
    """Those of all matrix products and convolutions, which is all that counts in a network; padding counts as well.

    Of branches that the backend chooses between, which compute the same, the first.
    """
    return _of_jaxpr(jax.make_jaxpr(function)(*arguments).jaxpr)


def _of_jaxpr(jaxpr) -> int:
    return sum(_of_equation(equation) for equation in jaxpr.eqns)


def _of_equation(equation) -> int:
    name, parameters = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = parameters["dimension_numbers"]
        left = equation.invars[0].aval.shape
        return math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        features = kernel[parameters["dimension_numbers"].rhs_spec[0]]
        return math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) // features
    if name == "cond":
        return _of_jaxpr(parameters["branches"][0].jaxpr)
    times = parameters["length"] if name == "scan" else 1
    inner = (getattr(value, "jaxpr", value) for value in parameters.values())
    return times * sum(_of_jaxpr(value) for value in inner if hasattr(value, "eqns"))


def planned_bytes(compiled: jax.stages.Compiled) -> int:
    """Of a compiled function's temporary arrays, at the peak. Raises ValueError where the backend does not tell."""
    memory = compiled.memory_analysis()
    if memory is None:
        raise ValueError("the backend must tell what memory a compiled function takes, got None")
    return memory.temp_size_in_bytes


def matrix_product(dtype: DTypeLike = jnp.float32) -> tuple[Callable[[], Array], int]:
    """A product of two large square matrices, compiled, and its multiplications and additions."""
    size = 2048 if jax.default_backend() == "cpu" else 8192
    a = jax.random.normal(jax.random.key(0), (size, size)).astype(dtype)
    return partial(jax.jit(jnp.matmul).lower(a, a).compile(), a, a), 2 * size**3
