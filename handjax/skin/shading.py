"""How skin looks in a light: soft where it turns away, red where light comes through, glossy on top."""

import jax.numpy as jnp
from jax import Array, lax

from handjax.skin.color import SkinSurface
from handjax.skin.light import SkinLight, harmonics, irradiance

WRAP = (0.30, 0.13, 0.08)
"""How far each colour reaches past the terminator: red light travels furthest under the skin."""
SMOOTH = (0.55, 0.25, 0.15)
"""How much of the detail's slope each colour forgets, for the same reason."""
THROUGH_MM = (3.6, 1.1, 0.7)
"""Depth of flesh that lets a third of each colour through."""
SPREAD = (1.10, 0.98, 0.92)
"""Of light from all around: what red travels under the skin also warms the shade."""
PENUMBRA = (0.72, 1.05, 1.15)
"""Exponents that turn the rim of a shadow red."""


def shade_skin(
    surface: SkinSurface,
    smooth_normal: list[Array],
    normal: list[Array],
    to_eye: list[Array],
    occlusion: Array,
    lit: Array,
    flesh_mm: Array,
    light: SkinLight,
) -> list[Array]:
    """-> display red, green, blue in [0, 1]. Vectors are lists of x, y, z; `normal` carries the detail.

    lit: share of the first lamp that arrives; flesh_mm: what its light has passed through where it does not.
    """
    facing = jnp.maximum(_dot(normal, to_eye), 0.04)
    matt = 1.0 - surface.metal
    alpha = surface.roughness * surface.roughness
    diffuse = [jnp.zeros_like(occlusion) for _ in range(3)]
    gloss = [jnp.zeros_like(occlusion) for _ in range(3)]
    bent = [[n + SMOOTH[c] * (s - n) for s, n in zip(smooth_normal, normal, strict=True)] for c in range(3)]
    lamp_count = len(light.colors)
    for lamp in range(lamp_count):
        toward = light.directions[lamp] / jnp.linalg.norm(light.directions[lamp])
        arrives = lit if lamp == 0 else 0.35 + 0.65 * occlusion
        for channel in range(3):
            wrap = WRAP[channel]
            cosine = _dot(bent[channel], toward)
            # Wrapped and squared: the same energy as a cosine, and no edge where it ends.
            soft = jnp.maximum(cosine + wrap, 0.0) / (1.0 + wrap)
            share = jnp.where(cosine > 0.0, (cosine + wrap * soft * soft) / (1.0 + wrap), wrap * soft * soft)
            share = jnp.maximum(share, 0.0)
            diffuse[channel] += light.colors[lamp][channel] * share * arrives ** PENUMBRA[channel]
            if lamp == 0:
                behind = jnp.maximum(0.1 - _dot(smooth_normal, toward), 0.0) * (1.0 - lit)
                diffuse[channel] += (
                    0.5 * light.colors[lamp][channel] * behind * jnp.exp(-flesh_mm / THROUGH_MM[channel])
                )
        half = [t + e for t, e in zip(toward, to_eye, strict=True)]
        shrink = lax.rsqrt(_dot(half, half) + 1e-9)
        half = [value * shrink for value in half]
        cosine = jnp.maximum(_dot(normal, toward), 0.0)
        grazing = jnp.maximum(_dot(half, to_eye), 0.1)
        spread = jnp.maximum(_dot(normal, half), 0.0) ** 2 * (alpha * alpha - 1.0) + 1.0
        # GGX with Karis' fit of visibility times the Fresnel slope.
        lobe = alpha * alpha / (4.0 * jnp.pi * spread * spread * grazing * grazing * (surface.roughness + 0.5))
        for channel in range(3):
            gloss[channel] += light.colors[lamp][channel] * lobe * cosine * arrives * occlusion
    reflected = [2.0 * facing * n - e for n, e in zip(normal, to_eye, strict=True)]
    even, mirror = irradiance(light.around), light.around
    basis, mirror_basis = harmonics(*smooth_normal), harmonics(*reflected)
    # Rough skin sees a blurred mirror: half way between the radiance and the irradiance.
    sharp = jnp.clip(1.0 - 1.4 * surface.roughness, 0.0, 1.0)
    fresnel = surface.reflectance + 0.45 * (1.0 - surface.roughness) * (1.0 - facing) ** 5
    out = []
    for channel in range(3):
        albedo = surface.albedo[channel]
        # Light that bounces between fingers takes their colour (Jimenez et al. 2016, eq. 10, simplified).
        open_ = occlusion / (1.0 - 0.85 * albedo * (1.0 - occlusion))
        fill = jnp.maximum(sum(even[k, channel] * basis[k] for k in range(9)), 0.0) * open_ * SPREAD[channel]
        seen = sum(
            (even[k, channel] + sharp * (mirror[k, channel] - even[k, channel])) * mirror_basis[k] for k in range(9)
        )
        seen = jnp.maximum(seen, 0.0) * occlusion
        tint = 1.0 + surface.metal * (albedo / 0.04 - 1.0)
        total = matt * albedo * (diffuse[channel] + fill) + tint * (surface.reflectance * gloss[channel] * jnp.pi)
        total += seen * (fresnel + surface.metal * albedo)
        out.append(to_display(total * light.exposure))
    return out


def to_display(linear: Array) -> Array:
    """Linear light -> [0, 1] as displays and files have it; above 0.7 it bends, as cameras do, and never clips."""
    over = jnp.maximum(linear - 0.7, 0.0)
    return as_srgb(jnp.minimum(linear, 0.7) + 0.3 * (1.0 - jnp.exp(-over / 0.3)))


def as_srgb(linear: Array) -> Array:
    """The curve of sRGB (IEC 61966-2-1) for [0, 1]."""
    linear = jnp.clip(linear, 0.0, 1.0)
    return jnp.where(linear < 0.0031308, 12.92 * linear, 1.055 * jnp.maximum(linear, 1e-4) ** (1.0 / 2.4) - 0.055)


def _dot(first, second) -> Array:
    return first[0] * second[0] + first[1] * second[1] + first[2] * second[2]
