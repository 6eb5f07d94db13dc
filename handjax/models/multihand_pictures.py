"""The pictures that the multi-hand network's hands make, and the terms that compare them (Ren et al. 2023, eq. 9)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import render, targets
from handjax.camera import Camera
from handjax.losses import CountedSum, PixelSum
from handjax.losses import multihand as losses
from handjax.mano import HandModel
from handjax.models.objective import Batch

LEFT = 0
BEHIND_M = -1.0
"""Where hands stand that are not to be drawn: behind the camera."""


class DrawnHands(NamedTuple):
    """Of B pictures: image (B, s, s, 3), black where no hand is; mask (B, s, s) covered shares; complete (B,): 1 where
    all hands found room in the rasteriser."""

    image: Array
    mask: Array
    complete: Array


def draw_hands(
    model: HandModel,
    camera: Camera,
    vertices: Array,
    sides: Array,
    valid: Array,
    albedo: Array | None,
    light: Array | None,
    *,
    picture: int,
    size: int,
) -> DrawnHands:
    """vertices (B, N, V, 3) before the camera of square pictures of `picture` px, drawn with `size` px, those of one
    picture behind and in front of each other; sides and valid (B, N).

    albedo (B, N, V, 3) and light (B, N, 27), as published lit at the vertices; without them hands are grey.
    """
    count = vertices.shape[1]
    faces = np.asarray(model.faces)
    topology = render.topology(np.concatenate([faces + n * len(model.v_template) for n in range(count)]))
    small = Camera(camera.focal * (size / picture), camera.center * (size / picture))
    far = vertices.at[..., 2].set(BEHIND_M)
    kept = jnp.where(valid[..., None, None] > 0, vertices, far)
    grey = jnp.full(vertices.shape, 0.5)

    def draw(hands: tuple[Array, Array]) -> render.Maps:
        merged, colours = (part.reshape(-1, 3) for part in hands)
        return render.draw_maps(small, merged, topology, colours, size=(size, size))

    lit = grey if albedo is None else _lit(model, vertices, sides, albedo, light)
    # One after the other is twice as fast on a CPU.
    together = None if jax.default_backend() == "cpu" else len(vertices)
    drawn = jax.lax.map(draw, (kept, lit), batch_size=together)
    return DrawnHands(drawn.image, drawn.mask, 1.0 - drawn.overflow)


def picture_terms(drawn: DrawnHands, batch: Batch, *, colours: bool) -> dict[str, CountedSum | PixelSum]:
    """Segmentation, and with `colours` the photometric term, of pictures whose mask is known."""
    size = drawn.mask.shape[1]
    labels, known = masks_of(batch, size)
    known = known * drawn.complete
    terms: dict[str, CountedSum | PixelSum] = {
        "segmentation": _of_known(jax.vmap(losses.segmentation)(drawn.mask, labels), known)
    }
    if colours:
        seen = jax.vmap(shrunk, (0, None))(batch["image"], size)
        sums = jax.vmap(losses.photometric)(drawn.image, seen, drawn.mask * labels)
        terms["photometric"] = _of_known(sums, known)
    return terms


def masks_of(batch: Batch, size: int) -> tuple[Array, Array]:
    """-> (B, size, size) shares that any hand covers, and (B,), 1 where known."""

    def one(mask: Array, valid: Array) -> tuple[Array, Array]:
        return targets.silhouette(mask, size, valid.astype(jnp.float32))

    return jax.vmap(one)(batch["mask"], batch["mask_valid"])


def shrunk(image: Array, size: int) -> Array:
    """(S, S, 3) uint8 -> (size, size, 3) in [0, 1]."""
    return jax.vmap(targets.shrink, (2, None), 2)(image, size) / 255


def _lit(model: HandModel, vertices: Array, sides: Array, albedo: Array, light: Array | None) -> Array:
    """Colours (B, N, V, 3). Faces of a mirrored hand are wound the other way, so its normals are turned back."""
    if light is None:
        return albedo
    faces = jnp.asarray(model.faces)

    def one(vertices: Array, side: Array, albedo: Array, light: Array) -> Array:
        outward = jnp.where(side == LEFT, -1.0, 1.0)
        return render.lit_by_harmonics(albedo, outward * render.vertex_normals(vertices, faces), light)

    return jax.vmap(jax.vmap(one))(vertices, sides, albedo, light)


def _of_known(sums: PixelSum, known: Array) -> PixelSum:
    return PixelSum(jnp.where(known > 0, sums.total, 0.0) * known, sums.pixels * known)
