"""BiHand (Yang et al. 2020, "BiHand: Recovering Hand Mesh with Multi-stage Bisected Hourglass Networks").

    L_2D = lambda_H L_H + lambda_S L_S                                    SeedNet, eq. 1
    L_3D = lambda_J L_J + lambda_D L_D                                    LiftNet, eq. 3
    L_IK = lambda_Q L_Q + lambda_beta L_beta + lambda_J L_J               SIKNet, eq. 5

Terms of SeedNet and LiftNet are summed over their stacks (S) before anything is averaged, as published.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from handjax.losses import terms
from handjax.losses.sums import CountedSum
from handjax.losses.terms import quaternion_cosine, quaternion_l2, quaternion_norm

__all__ = [
    "PAPER",
    "RELEASED",
    "RELEASED_FINE_TUNING",
    "RELEASED_IK",
    "BiHandWeights",
    "betas",
    "bone_length",
    "depth",
    "heatmap",
    "joint",
    "quaternion_cosine",
    "quaternion_l2",
    "quaternion_norm",
    "silhouette",
]


class BiHandWeights(NamedTuple):
    """Of the terms' means; the defaults are the paper's (section 4.2), whose lambda_Q and lambda_beta hold for every
    part of their terms. A stage uses the terms of its network."""

    heatmap: float = 100.0
    silhouette: float = 1.0
    joint: float = 1000.0
    depth: float = 1.0
    quaternion_cosine: float = 1.0
    quaternion_l2: float = 1.0
    quaternion_norm: float = 1.0
    bone_length: float = 1.0
    betas: float = 1.0


PAPER = BiHandWeights()

RELEASED = BiHandWeights(
    # Half the squares, summed over the 21 keypoints instead of averaged.
    heatmap=100.0 * 0.5 * 21,
    # Of coordinates in millimetres, averaged over the 63 instead of summed.
    joint=1e6 / 63,
    quaternion_norm=100.0,
    bone_length=0.0,
    betas=0.0,
)
"""The code's SeedNet and LiftNet."""

RELEASED_IK = RELEASED._replace(joint=0.0)
"""SIKNet on synthetic hands: rotations only."""

RELEASED_FINE_TUNING = RELEASED._replace(quaternion_cosine=0.0, quaternion_l2=0.0, bone_length=1 / 20, betas=1.0)
"""SIKNet on data without rotations, of which the norm stays; bones are averaged instead of summed."""


def heatmap(heatmaps: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_H, section 3.2: sum over stacks of the pixel-wise squares (H - H*)^2; counts pixels and valid keypoints.

    heatmaps (S, H, W, K); target (H, W, K), Gaussians with a peak of 1; valid (K,). Raises ValueError for shapes that
    do not go together, as all terms here.
    """
    return terms.heatmap_squares(heatmaps, target, valid)


def silhouette(logits: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_S, section 3.2: sum over stacks of the cross-entropy of sigmoid(logits) and the mask; counts pixels.

    logits (S, H, W); target (H, W) in [0, 1]; valid (): whether the picture has a mask.
    """
    logits = terms.floats("logits", logits, ("S", "H", "W"))
    target = terms.floats("target", target, logits.shape[1:])
    valid = terms.flags(valid, ())
    target = jnp.broadcast_to(jnp.where(valid > 0, target, 0.0), logits.shape)
    entropy = -target * jax.nn.log_sigmoid(logits) - (1 - target) * jax.nn.log_sigmoid(-logits)
    return CountedSum(valid * entropy.sum(), valid * target[0].size)


def joint(joints: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_J, section 3.3: sum over stacks and keypoints of |X_j - X*_j|^2, square metres; counts hands.

    joints (S, 21, 3) of LiftNet, or with S = 1 of SIKNet's mesh; target (21, 3); valid (21,), a hand with 20 of them
    counting as 20/21.
    """
    joints = terms.floats("joints", joints, ("S", terms.KEYPOINTS, 3))
    target = terms.floats("target", target, joints.shape[1:])
    valid = terms.flags(valid, (terms.KEYPOINTS,))
    both = jax.vmap(terms.point_squares, (0, None, None))(joints, target, valid)
    return CountedSum(both.total.sum(), valid.sum() / terms.KEYPOINTS)


def depth(depths: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_D, section 3.3: sum over stacks of smooth L1, d^2 / 2 up to 1 and |d| - 1/2 beyond; counts pixels.

    depths (S, H, W) and target (H, W), normalised to [0, 1] as published: near 1, far and background 0; valid ().
    """
    depths = terms.floats("depths", depths, ("S", "H", "W"))
    target = terms.floats("target", target, depths.shape[1:])
    valid = terms.flags(valid, ())
    distance = jnp.abs(terms.difference(depths, jnp.broadcast_to(target, depths.shape), valid))
    values = jnp.where(distance < 1, 0.5 * distance**2, distance - 0.5)
    return CountedSum(valid * values.sum(), valid * target.size)


def bone_length(joints: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """First part of L_beta, eq. 6: sum_b (L_b - L*_b)^2, lengths in the hand's own reference bones; counts hands.

    joints, target (21, 3) in any unit; valid (21,), its reference bone at least, or the hand counts for nothing.
    """
    joints = terms.floats("joints", joints, (terms.KEYPOINTS, 3))
    target = terms.floats("target", target, joints.shape)
    valid = terms.flags(valid, (terms.KEYPOINTS,))
    valid = terms.valid_bones(valid) * valid[terms.WRIST] * valid[terms.KNUCKLE]
    squares = terms.difference(_scale_free_lengths(joints), _scale_free_lengths(target), valid) ** 2
    return CountedSum((valid * squares).sum(), valid.sum() / len(valid))


def betas(betas: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """Second part of L_beta, eq. 6: |beta|^2 of (S,); counts hands."""
    return terms.squared_norm(betas, valid, "betas")


def _scale_free_lengths(joints: Array) -> Array:
    return terms.length(terms.bones(joints)) / terms.reference_length(joints)
