"""A closed-form first guess from 21 points in space: align the palm, then swing each bone onto its direction."""

import jax.numpy as jnp
from jax import Array

from handjax import rotations
from handjax.mano import kinematics
from handjax.mano.inverse.jacobian import FINGERS, SEGMENTS, HandState, keypoint_order
from handjax.mano.types import HandModel


def rigid_alignment(source: Array, target: Array, weights: Array) -> tuple[Array, Array]:
    """Points (n, 3) and (B, n, 3), weights (B, n) -> rotations (B, 3, 3), translations (B, 3).

    Least squares, never a reflection (Kabsch 1976).
    """
    total = weights.sum(-1)[:, None] + 1e-12
    source_mean = jnp.einsum("bn,nc->bc", weights, source, precision="highest") / total
    target_mean = jnp.einsum("bn,bnc->bc", weights, target, precision="highest") / total
    centred = source[None] - source_mean[:, None]
    covariance = jnp.einsum("bn,bni,bnj->bij", weights, target - target_mean[:, None], centred, precision="highest")
    left, _, right = jnp.linalg.svd(covariance)
    sign = jnp.where(jnp.linalg.det(jnp.matmul(left, right, precision="highest")) < 0, -1.0, 1.0)
    left = left.at[:, :, 2].multiply(sign[:, None])
    rotation = jnp.matmul(left, right, precision="highest")
    turned_mean = (rotation * source_mean[:, None]).sum(-1)
    return rotation, target_mean - turned_mean


def swing(source: Array, target: Array) -> Array:
    """Directions (3, ...), any length -> (3, ...) axis-angle of the shortest turn from source to target."""
    axis = jnp.stack(
        [
            source[1] * target[2] - source[2] * target[1],
            source[2] * target[0] - source[0] * target[2],
            source[0] * target[1] - source[1] * target[0],
        ]
    )
    sine = jnp.sqrt((axis * axis).sum(0) + 1e-20)
    angle = jnp.arctan2(sine, (source * target).sum(0))
    return axis * (angle / sine)[None]


def from_points(model: HandModel, points: Array, confidence: Array) -> HandState:
    """Points (B, 21, 3) metres, confidence (B, 21) -> state. Twists stay zero: points do not show them.

    A bone of which an end is not finite stays straight.
    """
    known = jnp.isfinite(points).all(-1)
    points, confidence = jnp.where(known[..., None], points, 0.0), jnp.where(known, confidence, 0.0)
    wrist, order = keypoint_order(model)
    rest = jnp.concatenate([model.joint_template, model.v_template[jnp.array(model.fingertip_ids)]])
    rest = rest[jnp.array(model.keypoint_ids)]
    palm = jnp.concatenate([wrist[None], order[0, : FINGERS - 1], order[0, FINGERS - 1 :]])
    # The base of the thumb moves against the palm: it counts less than the finger bases.
    weights = confidence[:, palm] * jnp.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.3])[None]
    rotation, shift = rigid_alignment(rest[palm], points[:, palm], weights + 1e-6)
    root = rotation.transpose(1, 2, 0)
    base = model.joint_template[0]
    transl = shift.T + (root * base[None, :, None]).sum(1) - base[:, None]

    seen = points[:, order].transpose(3, 1, 2, 0)  # (3, 4, 5, B)
    known = known[:, order].transpose(1, 2, 0)
    bones = rest[order].transpose(2, 0, 1)  # (3, 4, 5)
    parent = jnp.broadcast_to(root[:, :, None], (3, 3, FINGERS, points.shape[0]))
    turns = []
    for segment in range(SEGMENTS):
        wanted = seen[:, segment + 1] - seen[:, segment]
        local = kinematics.rotate(parent.swapaxes(0, 1), wanted)
        bone = jnp.broadcast_to((bones[:, segment + 1] - bones[:, segment])[..., None], local.shape)
        turn = jnp.where((known[segment] & known[segment + 1])[None], swing(bone, local), 0.0)
        turns.append(turn)
        part = rotations.planes_from_axis_angle(turn)
        parent = kinematics.multiply(parent, part)
    fingers = jnp.concatenate(turns)
    return HandState(root, fingers, jnp.zeros((model.num_betas, points.shape[0])), transl)
