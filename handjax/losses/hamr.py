"""HAMR (Zhang et al. 2019, "End-to-end Hand Mesh Recovery from a Monocular RGB Image"), section 3.3, eq. 8:

    L = lambda_3D L_3D + lambda_2D L_2D + lambda_geo L_geo + lambda_cam L_cam + lambda_ht L_ht + lambda_seg L_seg

The authors' code has no losses; where the paper leaves a form open, what is done here says so. Keypoints in 3D are
metres, in 2D crop coordinates in [-1, 1], as `models.hamr` projects them.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from handjax.losses import image, terms
from handjax.losses.sums import CountedSum, PixelSum

FINGERS = np.arange(5, 21).reshape(4, 4)[:, ::-1]
"""Keypoints of index, middle, ring and little finger, tip to palm: a, b, c, d of eq. 6."""


class HamrWeights(NamedTuple):
    """Of the terms' means. The defaults are the paper's (section 4.1), and a prior on the shape which it has not:
    without one nothing holds the mesh between the joints."""

    joint_3d: float = 1000.0
    joint_2d: float = 1.0
    geometric: float = 1.0
    camera: float = 0.1
    heatmap: float = 100.0
    silhouette: float = 10.0
    betas: float = 1e-3


PAPER = HamrWeights(betas=0.0)
RELEASED = HamrWeights(geometric=0.0, camera=5e-4, heatmap=1000.0, silhouette=0.0, betas=0.0)
"""The default flags of the code."""


def joint_3d(joints: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_3D: sum_k |J_k - J*_k|^2, square metres, both from their wrist; counts keypoints.

    joints, target (21, 3); valid (21,): without its wrist a hand counts for nothing. Raises ValueError for shapes that
    do not go together, as all terms here.
    """
    joints = terms.floats("joints", joints, (terms.KEYPOINTS, 3))
    target = terms.floats("target", target, joints.shape)
    valid = terms.flags(valid, (terms.KEYPOINTS,))
    return terms.point_squares(from_wrist(joints), from_wrist(target), valid * valid[terms.WRIST])


def joint_2d(pixels: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_2D: sum_k |u_k - u*_k|^2 in crop coordinates; counts keypoints. pixels, target (21, 2); valid (21,)."""
    return terms.point_squares(terms.floats("pixels", pixels, (terms.KEYPOINTS, 2)), target, valid)


def geometric(joints: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_geo, eqs. 6 and 7 as regularisers: |(V_ab x V_bc) . V_cd| - min(0, (V_ab x V_bc) . (V_bc x V_cd)).

    Summed over the four fingers without the thumb, which are counted: each lies in a plane and bends one way. The form
    is that of HandTailor, eq. 10, which takes it from here; V are of unit length, since in metres the term would be
    nothing. joints (21, 3); valid ().
    """
    joints = terms.floats("joints", joints, (terms.KEYPOINTS, 3))
    valid = terms.flags(valid, ())
    steps = terms.unit(joints[FINGERS[:, :-1]] - joints[FINGERS[:, 1:]])
    normal, next_normal = jnp.cross(steps[:, 0], steps[:, 1]), jnp.cross(steps[:, 1], steps[:, 2])
    volumes = jnp.abs((normal * steps[:, 2]).sum(-1))
    bends = (normal * next_normal).sum(-1)
    return CountedSum(valid * (volumes - jnp.minimum(bends, 0.0)).sum(), valid * len(FINGERS))


def ground_truth_camera(joints: ArrayLike, pixels: ArrayLike, valid: ArrayLike | None = None) -> tuple[Array, Array]:
    """Section 3.3: -> (3,) (s, t_x, t_y), and () 1, or 0 where no bone can be seen and the camera is 0.

        s = mean 2D bone length / mean 3D bone length,    t = mean_k (u_k / s - x_k)

    joints (21, 3) metres, of which the wrist becomes the origin; pixels (21, 2) crop coordinates; valid (21,): only
    these, and bones between two of these, enter the means.
    """
    joints = terms.floats("joints", joints, (terms.KEYPOINTS, 3))
    pixels = terms.floats("pixels", pixels, (terms.KEYPOINTS, 2))
    valid = terms.flags(valid, (terms.KEYPOINTS,))
    valid = valid * valid[terms.WRIST]
    joints = terms.difference(from_wrist(joints), jnp.zeros_like(joints), valid)
    pixels = terms.difference(pixels, jnp.zeros_like(pixels), valid)
    seen = terms.valid_bones(valid)
    in_space = (seen * terms.length(terms.bones(joints))).sum()
    in_picture = (seen * terms.length(terms.bones(pixels))).sum()
    known = (in_space > 0) & (in_picture > 0)
    scale = jnp.where(known, in_picture, 1.0) / jnp.where(known, in_space, 1.0)
    shifts = valid[:, None] * (pixels / scale - joints[:, :2])
    shift = shifts.sum(0) / jnp.maximum(valid.sum(), 1.0)
    found = jnp.concatenate([scale[None], shift])
    return jnp.where(known, found, 0.0), known.astype(found.dtype)


def camera(camera: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_cam: |(s, t) - (s*, t*)|^2; counts hands. camera, target (3,); valid ().

    s as in eq. 5, uv = s (xy + t): the network's first number times its `camera_scale`. Targets and `valid` are what
    `ground_truth_camera` returns.
    """
    camera = terms.floats("camera", camera, (3,))
    target = terms.floats("target", target, (3,))
    valid = terms.flags(valid, ())
    return CountedSum(valid * (terms.difference(camera, target, valid) ** 2).sum(), valid)


def heatmap(heatmaps: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_ht: sum over stacks of the squares (H - H*)^2; counts pixels and valid keypoints.

    heatmaps (S, H, W, M), of which the first 21 are the keypoints'; target (H, W, 21), Gaussians of variance 2.5 px^2
    with a peak of 1; valid (21,).
    """
    heatmaps = terms.floats("heatmaps", heatmaps, ("S", "H", "W", "M"))
    return terms.heatmap_squares(heatmaps[..., : terms.KEYPOINTS], target, valid)


def silhouette(mask: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None) -> PixelSum:
    """L_seg: sum |M - M*| over pixels; counts all of them. Arguments of `losses.silhouette_l1`.

    mask (H, W): `render.silhouette` of the mesh, whose gradient reaches the vertices through the outline; it stands in
    for the Neural 3D Mesh Renderer.
    """
    mean, pixels = image.silhouette_l1(mask, target, weight), float(np.prod(np.shape(mask)))
    return PixelSum(mean * pixels, jnp.asarray(pixels))


def betas(betas: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """|beta|^2 of (S,); counts hands. Not in the paper."""
    return terms.squared_norm(betas, valid, "betas")


def from_wrist(joints: Array) -> Array:
    """(21, d) -> (21, d)."""
    return joints - joints[terms.WRIST][None]
