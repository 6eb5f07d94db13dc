"""A hand as nineteen capsules, and how deep its fingers sink into each other: a hundredth of a mesh's work.

A capsule is a bone with a radius: the fifteen finger bones in the order of their joints, then the metacarpals of
index, middle, little and ring finger. Flesh that touches on the flat hand (neighbours at their webs) may overlap as
much in every pose.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import rotations
from handjax.checks import check_shape
from handjax.mano import kinematics
from handjax.mano.types import MANO_PARENTS, HandModel

CHAINS = ("index", "middle", "little", "ring", "thumb")
"""The fingers in the order of the joints."""

TIP_KEYPOINTS = (1, 2, 4, 3, 0)
"""The fingertips (thumb, index, middle, ring, little) in the order of the joints."""

CARPUS = 0.35
"""Share of the way from wrist to knuckle at which the metacarpals begin: before it lies the wrist."""

BONE_MIDDLE = (0.2, 0.8)
"""Part of a bone whose skin gives its radius; at the joints it is thicker."""


FLESH = 0.92
"""Radius over the mean distance of skin from bone: fingers are broader than deep, and give way."""


def _pairs() -> np.ndarray:
    """(P, 2): bones of different fingers; and of the palm against all that can reach it."""
    thumb = CHAINS.index("thumb")
    between = [(a, b) for a in range(15) for b in range(a + 1, 15) if a // 3 != b // 3]
    reaching = [bone for bone in range(15) if bone % 3 > 0]
    palm = [(bone, 15 + metacarpal) for bone in reaching for metacarpal in range(4)]
    # The ball of the thumb lies in the palm, and its skin spans to the index finger.
    return np.array([pair for pair in between + palm if 3 * thumb not in pair])


PAIRS = _pairs()


class Capsules(NamedTuple):
    """joints (16, 3) and tips (5, 3) of the rest pose, metres, tips in the joints' order; radii (19,).

    overlap (P,): by how much the capsules of each of `PAIRS` overlap on the flat hand.
    """

    joints: Array
    tips: Array
    radii: Array
    overlap: Array


def capsules_of(model: HandModel) -> Capsules:
    """The capsules of a hand model of mean shape. Raises ValueError unless it has MANO's 16 joints."""
    check_mano_joints(model)
    tips = model.v_template[np.array(model.fingertip_ids)[np.array(TIP_KEYPOINTS)]]
    return measured_capsules(model.joint_template, tips, model.v_template, model.lbs_weights)


def check_mano_joints(model: HandModel) -> None:
    if tuple(model.parents) != MANO_PARENTS:
        raise ValueError(f"model must have MANO's 16 joints, got {model.num_joints} with parents {model.parents}")


def measured_capsules(joints: Array, tips: Array, vertices: Array, weights: Array) -> Capsules:
    """Rest joints (16, 3), tips (5, 3) in the joints' order, vertices (V, 3), weights (V, 16) -> capsules."""
    bare = Capsules(joints, tips, jnp.zeros(19), jnp.zeros(len(PAIRS)))
    start, end = _segments(bare, jnp.zeros(45))
    along = end - start
    share = jnp.einsum("vbx,bx->vb", vertices[:, None] - start[None], along, precision="highest")
    share = share / jnp.maximum((along * along).sum(-1), 1e-12)[None]
    nearest = start[None] + jnp.clip(share, 0.0, 1.0)[..., None] * along[None]
    distance = jnp.sqrt(((vertices[:, None] - nearest) ** 2).sum(-1) + 1e-12)
    owner = jnp.argmax(weights, -1)
    # The palm's skin is shared out to the nearest metacarpal.
    owner = jnp.where(owner == 0, 15 + jnp.argmin(distance[:, 15:], -1), owner - 1)
    counted = (owner[:, None] == jnp.arange(19)[None]) & (share > BONE_MIDDLE[0]) & (share < BONE_MIDDLE[1])
    radii = FLESH * (distance * counted).sum(0) / jnp.maximum(counted.sum(0), 1)
    measured = bare._replace(radii=radii)
    return measured._replace(overlap=jnp.maximum(-_gaps(measured, jnp.zeros(45)), 0.0))


def penetration(capsules: Capsules, hand_pose: Array) -> Array:
    """(45,) axis-angle -> (P,) metres by which each of `PAIRS` overlaps more than on the flat hand, 0 if apart."""
    check_shape("hand_pose", hand_pose, (45,))
    return jnp.maximum(-_gaps(capsules, hand_pose) - capsules.overlap, 0.0)


def segments(capsules: Capsules, hand_pose: Array) -> tuple[Array, Array]:
    """(45,) axis-angle -> the ends (19, 3) and (19, 3) of the capsules' axes, the wrist where it is at rest."""
    check_shape("hand_pose", hand_pose, (45,))
    return _segments(capsules, hand_pose)


def _segments(capsules: Capsules, hand_pose: Array) -> tuple[Array, Array]:
    vectors = jnp.concatenate([jnp.zeros((1, 3)), hand_pose.reshape(15, 3)])
    turned, joints = kinematics.chain(rotations.planes_from_axis_angle(vectors.T), capsules.joints.T, MANO_PARENTS)
    turned, joints = turned.transpose(2, 0, 1), joints.T
    last = np.arange(3, 16, 3)
    reach = capsules.tips - capsules.joints[last]
    # The capsule's round end, not its axis, reaches the fingertip.
    length = jnp.sqrt((reach * reach).sum(-1, keepdims=True) + 1e-12)
    reach = reach * jnp.maximum(1.0 - capsules.radii[last - 1][:, None] / length, 0.1)
    tips = joints[last] + jnp.einsum("fxy,fy->fx", turned[last], reach, precision="highest")
    knuckles = joints[np.array([1, 4, 7, 10])]
    ends = jnp.stack([joints[last - 1], joints[last], tips], 1).reshape(15, 3)
    metacarpals = joints[:1] + CARPUS * (knuckles - joints[:1])
    return jnp.concatenate([joints[1:], metacarpals]), jnp.concatenate([ends, knuckles])


def _gaps(capsules: Capsules, hand_pose: Array) -> Array:
    """(P,) distance of the capsules' surfaces, negative where they overlap."""
    start, end = _segments(capsules, hand_pose)
    first, second = PAIRS.T
    distance = segment_distance(start[first], end[first], start[second], end[second])
    return distance - capsules.radii[first] - capsules.radii[second]


def segment_distance(a0: Array, a1: Array, b0: Array, b1: Array) -> Array:
    """Four times (..., 3) -> (...,): distance of segments a, b (Ericson 2005, Real-Time Collision Detection, 5.1.9)."""
    a, b, between = a1 - a0, b1 - b0, a0 - b0
    aa, bb, ab = (a * a).sum(-1), (b * b).sum(-1), (a * b).sum(-1)
    ar, br = (a * between).sum(-1), (b * between).sum(-1)
    across = aa * bb - ab * ab
    # Parallel segments: any point of the first will do.
    parallel = across < 1e-6 * aa * bb + 1e-20
    on_a = jnp.where(parallel, 0.0, jnp.clip((ab * br - ar * bb) / jnp.where(parallel, 1.0, across), 0.0, 1.0))
    on_b = jnp.clip((ab * on_a + br) / jnp.maximum(bb, 1e-12), 0.0, 1.0)
    on_a = jnp.clip((ab * on_b - ar) / jnp.maximum(aa, 1e-12), 0.0, 1.0)
    gap = between + on_a[..., None] * a - on_b[..., None] * b
    return jnp.sqrt((gap * gap).sum(-1) + 1e-16)
