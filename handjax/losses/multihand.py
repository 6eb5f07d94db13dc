"""The multi-hand network (Ren, Zhu and Zhang, CVIU 2023, arXiv 2204.08154), eq. 1: L = L_loc + L_rec + L_con.

    L_loc = lambda_cp L_cp + lambda_lr L_lr + lambda_kp L_kp              eq. 2
    L_rec = lambda_rep L_rep + lambda_pho L_pho + lambda_reg L_reg        eq. 7

One picture a call, N slots for its hands: valid (N,) or (N, 21) says which are hands, and what stands in the others
counts for nothing (the released code lets them count). The ranges of the pose are in `losses.pose_range`, L_con in
`losses.consistency`; both are here as well.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from handjax.losses import image, terms
from handjax.losses.consistency import consistency, keypoints_of_hands
from handjax.losses.image import photometric_sums as photometric
from handjax.losses.pose_range import RIGHT_RANGES_DEG, pose_range, pose_range_raw
from handjax.losses.sums import CountedSum, PixelSum

__all__ = [
    "FULL_SUPERVISION",
    "PAPER",
    "RELEASED",
    "RELEASED_2022",
    "RIGHT_RANGES_DEG",
    "MultiHandWeights",
    "bone_direction",
    "bone_direction_squares",
    "center",
    "consistency",
    "joint_3d",
    "keypoint_maps",
    "keypoints_of_hands",
    "photometric",
    "pose_range",
    "pose_range_raw",
    "reprojection",
    "reprojection_squares",
    "segmentation",
    "shape",
    "side",
    "vertex_3d",
]

SCORE_MARGIN = 1e-4
"""Keypoint maps are taken to lie in [1e-4, 1 - 1e-4], as published."""

FIRST_SECTION = (9, 10)
"""Ends of the middle finger's first bone, whose length in the picture is the unit of the re-projection error."""

LEAST_SECTION = 0.1
"""Of the longer side of the hand's keypoints: a bone that points at the camera is no unit."""

ASSUMED_SECTION = 0.25
"""Of the same, where an end of that bone is not known."""

EDGE_GUARD = 1e-4
"""Square pixels, added to a bone's squared length before its square root, as released."""


class MultiHandWeights(NamedTuple):
    """Of the terms' means; 3D in metres. The paper publishes none: the defaults are the code's of May 2023 for the
    paper's terms. Where the form of a term is the paper's and not the code's (re-projection and bone direction by
    distances, consistency), ours, which weigh an error of 8 px or 0.2 about as the code does."""

    center: float = 100.0
    side: float = 100.0
    keypoint_maps: float = 10.0 / (21 * 16)
    reprojection: float = 20.0
    reprojection_squares: float = 0.0
    bone_direction: float = 20.0
    bone_direction_squares: float = 0.0
    pose_range: float = 1000.0
    shape: float = 100.0
    joint_3d: float = 0.0
    vertex_3d: float = 0.0
    photometric: float = 100.0
    segmentation: float = 20.0
    consistency: float = 0.5


PAPER = MultiHandWeights()
FULL_SUPERVISION = MultiHandWeights(joint_3d=1e4, vertex_3d=1e4)
"""The paper's models trained on 3D labels; 10 for errors in millimetres, as released."""

RELEASED = FULL_SUPERVISION._replace(
    reprojection=0.0,
    reprojection_squares=0.1,
    bone_direction=0.0,
    bone_direction_squares=100.0,
    consistency=0.0,
)
"""The code of May 2023 on pictures of several hands, with `pose_range_raw`. Its mask of `segmentation` had no
gradient."""

RELEASED_2022 = MultiHandWeights(
    center=20.0,
    side=0.0,
    reprojection=0.0,
    reprojection_squares=0.2,
    bone_direction=0.0,
    bone_direction_squares=50.0,
    pose_range=100.0,
    shape=10.0,
    joint_3d=5e4,
    vertex_3d=5e4,
    photometric=1.0,
    segmentation=20.0,
    consistency=0.0,
)
"""Default options of the code of August 2022, whose losses were never published; the forms are those of 2023."""


def center(logits: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_cp, eq. 3, the focal loss with both of its halves (the paper prints the first):

        -sum_n (1 - p_n)^2 log p_n where y_n = 1,   (1 - y_n)^4 p_n^2 log(1 - p_n) elsewhere

    Counts the cells with y = 1, and 1 for a picture without any. logits (H, W, C), p their sigmoid; target (H, W, C) in
    [0, 1], exactly 1 in each hand's cell; valid (). Raises ValueError for shapes that do not go together, as all terms
    here.
    """
    logits = terms.floats("logits", logits, ("H", "W", "C"))
    return _focal(jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits), target, valid)


def side(logits: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_lr, eq. 2: as `center`, of two channels, 0 left and 1 right."""
    return center(terms.floats("logits", logits, ("H", "W", 2)), target, valid)


def keypoint_maps(maps: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_kp, eq. 2: as `center`, of (H, W, 21) maps in [0, 1], after the sigmoid; counts keypoints' cells."""
    maps = terms.floats("maps", maps, ("H", "W", terms.KEYPOINTS))
    maps = jnp.clip(maps, SCORE_MARGIN, 1 - SCORE_MARGIN)
    return _focal(jnp.log(maps), jnp.log1p(-maps), target, valid)


def reprojection(pixels: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """First part of L_rep, eq. 8: sum |phi - phi*| / (length of the middle finger's first bone); counts keypoints.

    pixels, target (N, 21, 2); valid (N, 21). The length is that between the labels, at least a tenth of the hand in the
    picture.
    """
    pixels, target, valid = _keypoints("pixels", pixels, target, valid, 2)
    distances = terms.length(terms.difference(pixels, target, valid))
    return CountedSum((valid * distances / _first_section(target, valid)[:, None]).sum(), valid.sum())


def reprojection_squares(pixels: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """Re-projection as released: squares of both coordinates' errors, square pixels; counts coordinates."""
    pixels, target, valid = _keypoints("pixels", pixels, target, valid, 2)
    squares = (terms.difference(pixels, target, valid) ** 2).sum(-1)
    return CountedSum((valid * squares).sum(), 2 * valid.sum())


def bone_direction(pixels: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """Second part of L_rep, eq. 8: sum |e - e*| of unit vectors along the bones in the picture; counts bones.

    pixels, target (N, 21, 2) pixels; valid (N, 21): a bone counts if both its ends do.
    """
    differences, valid = _edge_differences(pixels, target, valid)
    return CountedSum((valid * terms.length(differences)).sum(), valid.sum())


def bone_direction_squares(pixels: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """The same as released: sum |e - e*|^2; counts bones."""
    differences, valid = _edge_differences(pixels, target, valid)
    return CountedSum((valid * (differences**2).sum(-1)).sum(), valid.sum())


def shape(betas: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """Second part of L_reg, eq. 10, squared as released: beta^2; counts coefficients. betas (N, S); valid (N,)."""
    betas = terms.floats("betas", betas, ("N", "S"))
    valid = terms.flags(valid, betas.shape[:1])
    squares = terms.difference(betas, jnp.zeros_like(betas), valid) ** 2
    return CountedSum((valid * squares.sum(-1)).sum(), valid.sum() * betas.shape[1])


def joint_3d(joints: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """Full supervision as released: L1 between hands about their middle finger's base, metres; counts coordinates.

    joints, target (N, 21, 3), both not turned (global_orient 0: the picture settles that); valid (N, 21). The
    prediction is scaled to the target's reference bone; hands in which that is not valid count for nothing.
    """
    joints, target, valid = _keypoints("joints", joints, target, valid, 3)
    valid = valid * (valid[:, terms.WRIST] * valid[:, terms.KNUCKLE])[:, None]
    return _scaled_l1(joints, target, joints, target, valid)


def vertex_3d(
    vertices: ArrayLike,
    target: ArrayLike,
    joints: ArrayLike,
    target_joints: ArrayLike,
    valid: ArrayLike | None = None,
) -> CountedSum:
    """As `joint_3d`, of vertices and target (N, V, 3) in hands with joints and target_joints (N, 21, 3); valid (N,)."""
    vertices = terms.floats("vertices", vertices, ("N", "V", 3))
    target = terms.floats("target", target, vertices.shape)
    joints = terms.floats("joints", joints, (len(vertices), terms.KEYPOINTS, 3))
    target_joints = terms.floats("target_joints", target_joints, joints.shape)
    valid = terms.flags(valid, vertices.shape[:1])
    every = jnp.broadcast_to(valid[:, None], vertices.shape[:2])
    return _scaled_l1(vertices, target, joints, target_joints, every)


def segmentation(mask: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None) -> PixelSum:
    """sum |M - M*| over pixels; counts all of them. Arguments of `losses.silhouette_l1`, of all hands together.

    mask (H, W): `render.silhouette` or `render.draw_maps` of the hands' meshes, whose outline has a gradient. The
    released code takes its mask without one, so its term changes nothing.
    """
    mean, pixels = image.silhouette_l1(mask, target, weight), float(np.prod(np.shape(mask)))
    return PixelSum(mean * pixels, jnp.asarray(pixels))


def _focal(log_score: Array, log_rest: Array, target: ArrayLike, valid: ArrayLike | None) -> CountedSum:
    """log p and log(1 - p)."""
    target = terms.floats("target", target, log_score.shape)
    valid = terms.flags(valid, ())
    target = jnp.where(valid > 0, target, 0.0)
    positive = target == 1
    found = jnp.exp(2 * log_rest) * log_score
    background = (1 - target) ** 4 * jnp.exp(2 * log_score) * log_rest
    count = jnp.maximum(positive.sum(), 1).astype(log_score.dtype)
    return CountedSum(-valid * jnp.where(positive, found, background).sum(), valid * count)


def _keypoints(
    name: str, points: ArrayLike, target: ArrayLike, valid: ArrayLike | None, axes: int
) -> tuple[Array, Array, Array]:
    points = terms.floats(name, points, ("N", terms.KEYPOINTS, axes))
    return points, terms.floats("target", target, points.shape), terms.flags(valid, points.shape[:2])


def _first_section(target: Array, valid: Array) -> Array:
    """(N, 21, 2), (N, 21) -> (N,) pixels, positive."""
    known = jnp.broadcast_to(valid[..., None] > 0, target.shape)
    lowest, highest = jnp.where(known, target, jnp.inf).min(1), jnp.where(known, target, -jnp.inf).max(1)
    longer = jnp.where(valid.sum(1) > 0, (highest - lowest).max(-1), 0.0)
    first, second = FIRST_SECTION
    both = valid[:, first] * valid[:, second]
    section = terms.length(terms.difference(target[:, second], target[:, first], both))
    # A hand of no size gets a pixel.
    return jnp.maximum(jnp.where(both > 0, jnp.maximum(section, LEAST_SECTION * longer), ASSUMED_SECTION * longer), 1.0)


def _edge_differences(pixels: ArrayLike, target: ArrayLike, valid: ArrayLike | None) -> tuple[Array, Array]:
    """-> e - e* (N, 20, 2), and which bones are valid (N, 20)."""
    pixels, target, valid = _keypoints("pixels", pixels, target, valid, 2)
    known = terms.valid_bones(valid)
    edges = [terms.difference(terms.bones(points), jnp.zeros(()), known) for points in (pixels, target)]
    found, labelled = (edge / jnp.sqrt((edge * edge).sum(-1, keepdims=True) + EDGE_GUARD) for edge in edges)
    return found - labelled, known


def _scaled_l1(points: Array, target: Array, joints: Array, target_joints: Array, valid: Array) -> CountedSum:
    unit = terms.reference_length(target_joints)
    found, labelled = terms.aligned_entries(points, joints), terms.aligned_entries(target, target_joints)
    hands = valid.max(1) > 0
    distances = jnp.abs(terms.difference(found, labelled, valid)).sum(-1) * jnp.where(hands, unit, 0.0)[:, None]
    return CountedSum((valid * distances).sum(), 3 * valid.sum())
