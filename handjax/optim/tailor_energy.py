"""HandTailor's energy (Lv et al. 2021, section 3.4) on 21 keypoints, without the mesh.

Components lead and hands trail, (3, 21, ...), as in the kernels of `handjax.mano`: one hand and a batch are the same
code. Its unit is the reference bone, from the wrist to the middle knuckle, which is the origin.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import rotations
from handjax.camera import MIN_DEPTH, Camera, WeakCamera
from handjax.mano import landmarks, lbs
from handjax.mano.types import HandModel
from handjax.optim.tailor_settings import TailorSettings

WRIST, KNUCKLE = 0, 9
"""Ends of the reference bone; the second, the middle finger's base, is HandTailor's root."""


class TailorVariables(NamedTuple):
    """What the loop changes: pose (3, J, ...) axis-angle, root first; betas (S, ...); bone_length (...) metres."""

    pose: Array
    betas: Array
    bone_length: Array


class TailorTarget(NamedTuple):
    """What stays: start; root (3, ...) metres; pixels (2, 21, ...), finite; seen (21, ...) 1 or 0; and the camera.

    The camera's components lead as well: focal and center (2, ...). A weak one's scale (...) is in pixels per bone.
    """

    start: TailorVariables
    root: Array
    pixels: Array
    seen: Array
    camera: Camera | WeakCamera


def keypoints_in_bones(
    model: HandModel, tips: landmarks.FingertipModel, pose: Array, betas: Array
) -> tuple[Array, Array, Array]:
    """-> keypoints (3, 21, ...) in bones about the knuckle; the knuckle (3, ...) and the bone (...) in model units."""
    local = lbs.in_model_axes(model, rotations.planes_from_axis_angle(pose))
    joints, transforms = lbs.joint_transforms(model, betas, local, jnp.zeros((3, *betas.shape[1:])))
    fingertips = landmarks.fingertips(tips, lbs.blend_weights(betas, local), transforms)
    points = jnp.concatenate([joints, fingertips], 1)[:, np.array(model.keypoint_ids)]
    knuckle = points[:, KNUCKLE]
    points = points - knuckle[:, None]
    bone = jnp.sqrt((points[:, WRIST] ** 2).sum(0))
    return points / bone[None, None], knuckle, bone


def project_bones(in_bones: Array, bone_length: Array, root: Array, camera: Camera | WeakCamera) -> Array:
    """Keypoints (3, 21, ...) in bones -> pixels (2, 21, ...). A weak camera (eq. 16) needs no length and no root."""
    if isinstance(camera, WeakCamera):
        return camera.scale[None, None] * in_bones[:2] + camera.translation[:, None]
    points = bone_length[None, None] * in_bones + root[:, None]
    depth = jnp.maximum(points[2:], MIN_DEPTH)
    return camera.focal[:, None] * (points[:2] / depth) + camera.center[:, None]


def energy(in_bones: Array, variables: TailorVariables, target: TailorTarget, settings: TailorSettings) -> Array:
    """Eq. 13, (...): weighted joint location, unnatural twist and identity, of the keypoints that `variables` give."""
    pixels = project_bones(in_bones, variables.bone_length, target.root, target.camera)
    twisted = in_bones
    if not settings.twist_in_bones and isinstance(target.camera, Camera):
        twisted = in_bones * variables.bone_length[None, None]
    plane, bend = twist_terms(twisted, settings.mean_terms, settings.clip_each_finger)
    pose_change, shape_change = variables.pose - target.start.pose, variables.betas - target.start.betas
    return (
        settings.joint_weight * joint_term(pixels, target.pixels, target.seen, settings.mean_terms)
        + settings.twist_weight * (settings.plane_weight * plane + settings.bend_weight * bend)
        + settings.pose_weight * identity_term(pose_change, (0, 1), settings.mean_terms)
        + settings.shape_weight * identity_term(shape_change, (0,), settings.mean_terms)
    )


def joint_term(pixels: Array, observed: Array, seen: Array, mean: bool) -> Array:
    """E_J of eq. 9, (...) square pixels: the sum over seen keypoints and both axes, or the mean over those entries."""
    squares = (seen[None] * (pixels - observed) ** 2).sum((0, 1))
    return squares / jnp.maximum(2 * seen.sum(0), 1.0) if mean else squares


def twist_terms(points: Array, mean: bool, clip_each_finger: bool) -> tuple[Array, Array]:
    """The two parts of E_g, eq. 10, (...) each, of keypoints (3, 21, ...): out of one plane, and bent both ways.

    The first is a volume, |(V_ab x V_bc) . V_cd|, summed over fingers or their mean; the second the negative part of
    (V_ab x V_bc) . (V_bc x V_cd). The paper orders a, b, c, d from tip to palm, the code from palm to tip: either way
    gives the same two numbers.
    """
    chains = points[:, 1:].reshape(3, 5, 4, *points.shape[2:])
    segments = chains[:, :, :-1] - chains[:, :, 1:]
    first, middle, last = segments[:, :, 0], segments[:, :, 1], segments[:, :, 2]
    normal, next_normal = _cross(first, middle), _cross(middle, last)
    volumes = jnp.abs((normal * last).sum(0))
    plane = volumes.mean(0) if mean else volumes.sum(0)
    bends = (normal * next_normal).sum(0)
    bend = -jnp.minimum(bends, 0.0).sum(0) if clip_each_finger else -jnp.minimum(bends.sum(0), 0.0)
    return plane, bend


def identity_term(change: Array, axes: tuple[int, ...], mean: bool) -> Array:
    """One part of E_id, eq. 11, (...): squared change since the start, over the axes that are not hands."""
    return (change**2).mean(axes) if mean else (change**2).sum(axes)


def _cross(a: Array, b: Array) -> Array:
    return jnp.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
