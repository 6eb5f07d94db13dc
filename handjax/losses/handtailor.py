"""HandTailor's hand module (Lv et al. 2021), section 3.3; the tailor's energies are in `handjax.optim`.

    L_theta = lambda_2D L_2D + lambda_3D L_3D + lambda_d L_d              eq. 6
    L = lambda_theta L_theta + lambda_beta L_beta + lambda_mano L_mano    eq. 7

The authors published no training code, so there are no other weights. Keypoints are in reference bones from the root,
the middle finger's base (`models.siknet.relative_joints`), and so is the root's depth: metres over the label's bone.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike

from handjax.losses import image, terms
from handjax.losses.sums import CountedSum, PixelSum


class HandTailorWeights(NamedTuple):
    """Of the terms' means: section 4.1, lambda_theta being 1. The inverse kinematics' is 1 as in Zhou et al. 2020; the
    shape branch's depth and silhouette are an ablation (section 4.4) which the paper drops and gives no weight."""

    heatmap: float = 100.0
    joint_3d: float = 1.0
    root: float = 0.1
    betas: float = 1.0
    mano: float = 0.1
    ik: float = 1.0
    shape_depth: float = 0.0
    shape_silhouette: float = 0.0


PAPER = HandTailorWeights()


def heatmap(heatmaps: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_kpl2D: sum over stacks of the pixel-wise squares (H - H*)^2; counts pixels and valid keypoints.

    heatmaps (S, H, W, 21), `heatmaps_2d` and `heatmaps` of the network; target (H, W, 21); valid (21,). Raises
    ValueError for shapes that do not go together, as all terms here.
    """
    return terms.heatmap_squares(heatmaps, target, valid)


def joint_3d(joints: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_kpl3D: squares of the coordinates' differences, square bones; counts coordinates. (21, 3), valid (21,)."""
    squares = terms.point_squares(terms.floats("joints", joints, (terms.KEYPOINTS, 3)), target, valid)
    return CountedSum(squares.total, 3 * squares.number)


def root(root_depth: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_d: (d_root - d*_root)^2 of (), in reference bones; counts hands."""
    root_depth, target = terms.floats("root_depth", root_depth, ()), terms.floats("target", target, ())
    valid = terms.flags(valid, ())
    return CountedSum(valid * terms.difference(root_depth, target, valid) ** 2, valid)


def betas(betas: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_beta: |beta|^2 of (S,); counts hands."""
    return terms.squared_norm(betas, valid, "betas")


def mano(joints: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_mano: as `joint_3d`, of the keypoints of the mesh that the network's rotations and shape give."""
    return joint_3d(joints, target, valid)


def ik(quaternions: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_ik, as in Zhou et al. 2020, section 3.2.2: cosine, L2 and norm term of each joint's quaternion; counts joints.

        sum_j |1 - Re(q*_j q_j^-1)| + |q_j / |q_j| - q*_j|^2 + (|q_j| - 1)^2

    quaternions (16, 4) of any length; target (16, 4) of unit length, all with w >= 0; valid (). Their fourth part, the
    keypoints that the rotations give, is `mano`.
    """
    cosine = terms.quaternion_cosine(quaternions, target, valid)
    distance = terms.quaternion_l2(quaternions, target, valid).total
    norm = terms.quaternion_norm(quaternions, valid).total
    return CountedSum(cosine.total + distance + norm, cosine.number)


def shape_depth(depth: ArrayLike, target: ArrayLike) -> PixelSum:
    """L_betaD, section 4.4: squares of the differences, square metres; counts pixels that have a depth in both.

    depth (H, W): `render.depth_map` of the mesh; target (H, W); 0 where there is none.
    """
    depth = terms.floats("depth", depth, ("H", "W"))
    target = terms.floats("target", target, depth.shape)
    common = (image.has_depth(depth) & image.has_depth(target)).astype(depth.dtype)
    squares = (jnp.where(common > 0, depth, 0.0) - jnp.where(common > 0, target, 0.0)) ** 2
    return PixelSum(squares.sum(), common.sum())


def shape_silhouette(mask: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> PixelSum:
    """L_betaS, section 4.4: squares (M - M*)^2; counts pixels. mask (H, W): `render.silhouette`; target; valid ()."""
    mask = terms.floats("mask", mask, ("H", "W"))
    target = terms.floats("target", target, mask.shape)
    valid = terms.flags(valid, ())
    return PixelSum(valid * (terms.difference(mask, target, valid) ** 2).sum(), valid * mask.size)
