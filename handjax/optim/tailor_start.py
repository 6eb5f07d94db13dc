"""The tailor's first step: where the root is and how large the hand, in closed form from the 2D keypoints."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from handjax.camera import MIN_DEPTH, Camera, WeakCamera
from handjax.mano.landmarks import FingertipModel
from handjax.mano.types import HandModel, HandParams
from handjax.optim.tailor_energy import KNUCKLE, TailorTarget, TailorVariables, keypoints_in_bones
from handjax.optim.tailor_settings import TailorSettings

TINY = 1e-12


def target(
    model: HandModel,
    tips: FingertipModel,
    start: HandParams,
    keypoints_2d: ArrayLike,
    camera: Camera | None,
    root: ArrayLike | None,
    bone_length: ArrayLike | None,
    settings: TailorSettings,
) -> TailorTarget:
    """What the loop fits, hands in the last axis, from arguments that have none or one leading axis of hands."""
    # Reversing all axes turns (hands, joints, components) into (components, joints, hands), with hands or without.
    pixels = jnp.asarray(keypoints_2d, jnp.float32).T
    finite = jnp.isfinite(pixels).all(0)
    pixels, seen = jnp.where(finite[None], pixels, 0.0), finite.astype(jnp.float32)
    pose = jnp.concatenate([start.global_orient, start.hand_pose], -1)
    pose = pose.reshape(*pose.shape[:-1], model.num_joints, 3).T
    betas = start.betas.T
    in_bones, knuckle, bone = keypoints_in_bones(model, tips, pose, betas)
    bone = bone if bone_length is None else jnp.asarray(bone_length, jnp.float32)
    if camera is None:
        variables = TailorVariables(pose, betas, bone)
        return TailorTarget(variables, jnp.zeros_like(knuckle), pixels, seen, weak_camera(in_bones, pixels, seen))
    camera = Camera(jnp.asarray(camera.focal, jnp.float32).T, jnp.asarray(camera.center, jnp.float32).T)
    root = knuckle + start.transl.T if root is None else jnp.asarray(root, jnp.float32).T
    root = root_through_keypoint(root, pixels, seen, camera)
    factor = scale_factor(bone[None, None] * in_bones, root, pixels, seen, camera, settings)
    return TailorTarget(TailorVariables(pose, betas, bone * factor), root, pixels, seen, camera)


def root_through_keypoint(root: Array, pixels: Array, seen: Array, camera: Camera) -> Array:
    """The root (3, ...) at its depth on the ray of the knuckle's keypoint; unmoved where that was not seen."""
    depth = root[2:]
    through = (pixels[:, KNUCKLE] - camera.center) / camera.focal * depth
    return jnp.concatenate([jnp.where(seen[KNUCKLE][None] > 0, through, root[:2]), depth])


def scale_factor(
    points: Array, root: Array, pixels: Array, seen: Array, camera: Camera, settings: TailorSettings
) -> Array:
    """By what to multiply the hand (3, 21, ...), metres about its root, to minimise eq. 8; at least `scale_factor_min`.

    Eq. 8 has no closed minimum, as depths change with the scale. "root_depth" is the paper's eq. 12: every joint as
    deep as the root. "fixed_depths" is the released code: every joint stays as deep as it was, which is the nearer.
    """
    if settings.scale_step == "keep":
        return jnp.ones(points.shape[2:])
    if settings.scale_step == "root_depth":
        arm = camera.focal[:, None] * points[:2] / _floored(root[None, 2:])
        offset = pixels - pixels[:, KNUCKLE, None]
    else:
        depth = _floored(points[2:] + root[2:, None])
        arm = points[:2] / depth
        offset = (pixels - camera.center[:, None]) / camera.focal[:, None] - root[:2, None] / depth
    factor = _least_squares(arm, offset, seen)
    return jnp.maximum(factor, settings.scale_factor_min)


def weak_camera(in_bones: Array, pixels: Array, seen: Array) -> WeakCamera:
    """Scale (...) in pixels per bone and translation (2, ...) of eq. 17, about the knuckle's keypoint.

    Where that was not seen, about the mean of those that were.
    """
    count = jnp.maximum(seen.sum(0), 1.0)
    middle = (seen[None] * in_bones[:2]).sum(1) / count[None]
    middle_px = (seen[None] * pixels).sum(1) / count[None]
    has_knuckle = seen[KNUCKLE][None] > 0
    about = jnp.where(has_knuckle, 0.0, middle)
    about_px = jnp.where(has_knuckle, pixels[:, KNUCKLE], middle_px)
    scale = _least_squares(in_bones[:2] - about[:, None], pixels - about_px[:, None], seen)
    return WeakCamera(scale, about_px - scale[None] * about)


def _least_squares(arm: Array, offset: Array, seen: Array) -> Array:
    """The s (...) that brings s * arm nearest to offset, both (2, 21, ...); 1 where nothing seen tells."""
    squares = (seen[None] * arm * arm).sum((0, 1))
    known = squares > TINY
    return jnp.where(known, (seen[None] * arm * offset).sum((0, 1)) / jnp.where(known, squares, 1.0), 1.0)


def _floored(depth: Array) -> Array:
    return jnp.maximum(depth, MIN_DEPTH)
