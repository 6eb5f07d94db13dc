"""Layers and a person -> what the skin does to light: colour, gloss, metal. Elementwise, so cheap anywhere."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from handjax.skin.layers import SkinLayers
from handjax.skin.params import SkinParams

# Skin seen through no pigment, and how much of linear red, green and blue one unit of each pigment takes away
# (as an exponent). Fitted by eye to photographs: a spectrum seen through three broad channels follows no simple law.
DERMIS = (0.94, 0.78, 0.64)
BLOOD = (0.10, 0.78, 0.60)
CAROTENE = (0.01, 0.10, 0.75)

RING_ALONG, RING_WIDTH = 0.70, 0.11
"""Of the proximal bone, in units of `SkinLayers.reach` times 8."""
BRACELET_MM, BRACELET_HALF_MM = -6.0, 3.5


class SkinSurface(NamedTuple):
    """albedo: three arrays, linear; roughness in (0, 1]; reflectance at normal incidence; metal in [0, 1]."""

    albedo: tuple[Array, Array, Array]
    roughness: Array
    reflectance: Array
    metal: Array


def skin_color(layers: SkinLayers, params: SkinParams) -> SkinSurface:
    """Layers of any common shape, one person -> arrays of that shape."""
    params = jax.tree.map(lambda value: jnp.asarray(value, jnp.float32), params)
    plate = layers.nail
    crease = jnp.clip(layers.crease * params.crease, 0.0, 1.0)
    uneven = params.mottle * (layers.mottle - 0.5)
    melanin = params.melanin * (1.0 + 0.34 * layers.pigment + 0.18 * uneven)
    melanin += params.freckles * 0.9 * jnp.clip(2.5 * layers.freckle, 0.0, 1.0)
    # The palm has little pigment whatever the tone; on dark hands it gathers in the lines.
    bare = 0.04 + 0.22 * params.melanin * (1.0 + uneven) + 0.22 * params.melanin * crease
    melanin += layers.palmar * (bare - melanin)
    melanin += plate * (0.04 + 0.30 * params.melanin - melanin)
    melanin += params.moles * 1.8 * jnp.clip(4.0 * layers.mole, 0.0, 1.0)
    blood = params.blood * (0.5 + 1.2 * params.redness * layers.redness + 0.55 * uneven) + 0.10 * layers.palmar
    blood += 0.28 * crease * (1.0 - plate) + plate * (0.12 - 0.2 * layers.lunula)
    carotene = params.carotene * (0.4 + 0.6 * jnp.minimum(params.melanin, 1.0)) + 0.10 * layers.palmar
    take_melanin = (0.68 + 0.04 * melanin, jnp.ones_like(melanin), 1.18 - 0.04 * melanin)
    shade = (1.0 - 0.16 * crease) * (1.0 + 0.10 * params.mottle * (layers.grain - 0.5))
    vein = params.veins * layers.vein * jnp.exp(-0.5 * melanin)
    albedo = [
        shade * dermis * jnp.exp(-melanin * take - blood * by_blood - carotene * by_carotene) * (1.0 - vein * by_vein)
        for dermis, take, by_blood, by_carotene, by_vein in zip(
            DERMIS, take_melanin, BLOOD, CAROTENE, (0.20, 0.10, 0.03), strict=True
        )
    ]
    roughness = jnp.full_like(plate, 0.60) - 0.20 * params.oil + 0.04 * layers.palmar + 0.22 * (layers.grain - 0.5)
    reflectance = jnp.full_like(roughness, 0.028)

    def paint(amount: ArrayLike, color: Sequence[float] | Array, coat: tuple[float, float] | None = None) -> None:
        nonlocal roughness, reflectance
        amount = jnp.asarray(amount)
        for channel in range(3):
            albedo[channel] += amount * (color[channel] - albedo[channel])
        if coat is not None:
            roughness += amount * (coat[0] - roughness)
            reflectance += amount * (coat[1] - reflectance)

    paint(params.hair * layers.hair * 0.6, jnp.asarray(params.hair_color))
    paint(0.55 * layers.lunula, (0.80, 0.68, 0.62))
    paint(layers.free_edge * params.nail_tip * 0.75, (0.72, 0.67, 0.58))
    roughness += plate * (0.30 - roughness)
    reflectance += plate * (0.045 - reflectance)
    paint(params.tattoo[3] * layers.motif * (0.8 + 0.4 * (layers.grain - 0.5)), jnp.asarray(params.tattoo))
    soil = jnp.clip(1.6 * (layers.mottle - 0.35) + crease + 0.6 * layers.free_edge, 0.0, 1.0)
    paint(0.7 * params.dirt * soil, (0.06, 0.045, 0.03), (0.75, 0.02))
    paint(params.polish[3] * plate, jnp.asarray(params.polish), (0.16, 0.05))
    band, beside = _jewellery(layers, params)
    paint(0.6 * beside, (0.02, 0.01, 0.01))
    paint(band, jnp.asarray(params.metal), (0.22, 0.04))
    return SkinSurface((albedo[0], albedo[1], albedo[2]), roughness, reflectance, band)


def _jewellery(layers: SkinLayers, params: SkinParams) -> tuple[Array, Array]:
    """-> where metal is, and the skin that it shades and presses beside its rims."""
    along = (layers.reach - 0.5) * 8.0
    finger = layers.digit * 8.0 - 1.0
    worn = jnp.zeros_like(finger)
    for k in range(5):
        worn += params.rings[k] * (jnp.abs(finger - k) < 0.3)
    # The thumb's chain begins one bone earlier, in the palm.
    from_ring = jnp.abs(along - RING_ALONG - (jnp.abs(finger) < 0.3)) - RING_WIDTH / 2.0
    from_bracelet = jnp.abs(layers.reach * 300.0 - 45.0 - BRACELET_MM) - BRACELET_HALF_MM
    metal = jnp.maximum(worn * _inside(25.0 * from_ring), params.bracelet * _inside(from_bracelet))
    wider = jnp.maximum(worn * _inside(25.0 * from_ring - 0.8), params.bracelet * _inside(0.7 * from_bracelet - 0.8))
    return metal, wider - metal


def _inside(distance: Array) -> Array:
    return jnp.clip(0.5 - distance, 0.0, 1.0)
