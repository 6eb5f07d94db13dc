"""Light from all around as nine spherical harmonics a colour: 27 coefficients."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from handjax.checks import check_last_axes, check_shape
from handjax.render.view import as_float

BANDS = 9

# Ramamoorthi and Hanrahan 2001: the clamped cosine in bands 0, 1, 2, and the normalisation of each basis function.
_COSINE = np.array([np.pi, 2 * np.pi / np.sqrt(3), 2 * np.pi / np.sqrt(8)])
_NORM = np.array([1 / np.sqrt(4 * np.pi), np.sqrt(3) / np.sqrt(4 * np.pi), 3 * np.sqrt(5) / np.sqrt(12 * np.pi)])
_FLAT, _SLOPE, _CURVE = (float(value) for value in _COSINE * _NORM)


def harmonic_basis(normals: ArrayLike) -> Array:
    """(..., 3) unit normals in the camera frame -> (..., 9): 1, -y, z, -x, xy, -yz, 3 z^2 - 1, -xz, x^2 - y^2, scaled.

    The scales are a_b c_b of band b with a = (pi, 2 pi / sqrt 3, 2 pi / sqrt 8) and c = (1 / sqrt(4 pi), sqrt 3 /
    sqrt(4 pi), 3 sqrt 5 / sqrt(12 pi)); the last three of band 2 have the factors 0.5 / sqrt 3, 1 and 1/2.
    """
    check_last_axes("normals", normals, (3,))
    return jnp.stack(_basis_channels(list(jnp.moveaxis(as_float(normals), -1, 0))), axis=-1)


def lit_by_harmonics(albedo: ArrayLike, normals: ArrayLike, coefficients: ArrayLike) -> Array:
    """albedo (..., 3) times the light (27,) on surfaces with unit normals (..., 3); not clipped.

    coefficients: nine for red, nine for green, nine for blue, each in the order of `harmonic_basis`. White light from
    everywhere that leaves albedos as they are is 1 / 0.886 in numbers 0, 9 and 18 and 0 elsewhere; a network's output
    has 0.8 added to these three (Ren, Zhu and Zhang, "End-to-end weakly-supervised multiple 3D hand mesh
    reconstruction from single image"; the recipe of Deng et al. 2019 for faces).
    """
    check_last_axes("albedo", albedo, (3,))
    check_shape("coefficients", coefficients, (3 * BANDS,))
    color, normal = (list(jnp.moveaxis(as_float(vectors), -1, 0)) for vectors in (albedo, normals))
    return jnp.stack(lit_channels(color, normal, as_float(coefficients)), axis=-1)


def lit_channels(albedo: list[Array], normal: list[Array], coefficients: Array) -> list[Array]:
    """`lit_by_harmonics` with one array a channel, r, g, b and x, y, z: stacked, the backward pass is far slower."""
    basis, light = _basis_channels(normal), coefficients.reshape(3, BANDS)
    # A matmul would be rounded to bfloat16 on a TPU and to TF32 on a GPU.
    irradiance = [sum(light[color, band] * basis[band] for band in range(BANDS)) for color in range(3)]
    return [color * strength for color, strength in zip(albedo, irradiance, strict=True)]


def _basis_channels(normal: list[Array]) -> list[Array]:
    x, y, z = normal
    return [
        jnp.full_like(x, _FLAT),
        *(-_SLOPE * y, _SLOPE * z, -_SLOPE * x),
        *(_CURVE * x * y, -_CURVE * y * z, _CURVE * 0.5 / float(np.sqrt(3.0)) * (3.0 * z * z - 1.0)),
        *(-_CURVE * x * z, 0.5 * _CURVE * (x * x - y * y)),
    ]
