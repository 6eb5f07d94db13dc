"""HandTailor's tailor (Lv et al. 2021, section 3.4): a network's hand drawn onto its own 2D keypoints in 20 Adam steps.

No image and no mesh enters the loop, only the 21 keypoints, so any network that gives hand parameters and 2D keypoints
can end in this.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from handjax.camera import Camera, WeakCamera
from handjax.checks import check_shape
from handjax.mano import hand, landmarks
from handjax.mano.types import HandModel, HandParams
from handjax.optim import tailor_start
from handjax.optim.tailor_energy import (
    TailorTarget,
    TailorVariables,
    energy,
    keypoints_in_bones,
    project_bones,
)
from handjax.optim.tailor_settings import DEFAULT, TailorSettings


class TailorResult(NamedTuple):
    """A tailored hand in the camera frame; `tailor_batch` puts a leading B on every array.

    A hand model has only the sizes that betas give it; HandTailor scales it as a whole. So camera space is
    scale * (the model posed by `params`, not moved) + params.transl: `tailored_mesh`.

    params: HandParams, transl (3,) in metres of the camera frame.
    scale: () metres of the hand per metre of the model.
    camera: the one that `reprojected` is seen by; without a given one a WeakCamera for the hand's middle knuckle at 0.
    keypoints: (21, 3) metres, camera frame. reprojected: (21, 2) pixels.
    error_px: (21,) distance of each from the observed one, pixels; NaN where none was observed.
    energy: () eq. 13 of the last variables of the loop.
    """

    params: HandParams
    scale: Array
    camera: Camera | WeakCamera
    keypoints: Array
    reprojected: Array
    error_px: Array
    energy: Array


def tailor(
    model: HandModel,
    start: HandParams,
    keypoints_2d: ArrayLike,
    camera: Camera | None,
    *,
    root: ArrayLike | None = None,
    bone_length: ArrayLike | None = None,
    settings: TailorSettings = DEFAULT,
) -> TailorResult:
    """Fits one hand to 2D keypoints: root and scale at once (eqs. 8, 12, 17), then pose and shape (eqs. 9-13).

    Args:
      model: with 21 keypoints. start: a network's guess; what the identity term (eq. 11) holds on to.
      keypoints_2d: (21, 2) pixels. Those that are not finite are left out of every term.
      camera: its intrinsics, in the same pixels. None: weak perspective (section 3.5), whose scale and translation
        come from the keypoints.
      root: (3,) metres, where the middle finger's base is. Its depth is kept; x and y come from the keypoint, if it is
        seen. Default: where `start` has it. Only with a camera.
      bone_length: () metres from the wrist to there. Default: the model's own. HandTailor's network gives both.
      settings: static. `RELEASED` and `PAPER` are the published variants.

    Raises ValueError for a wrong shape, a model without 21 keypoints, or a root without a camera.
    """
    _check_use(model, root, camera)
    hand.check_params(model, start)
    check_shape("keypoints_2d", keypoints_2d, (21, 2))
    if root is not None:
        check_shape("root", root, (3,))
    if bone_length is not None:
        check_shape("bone_length", bone_length, ())
    if camera is not None:
        check_shape("camera.focal", camera.focal, (2,))
        check_shape("camera.center", camera.center, (2,))
    return _tailor(model, start, keypoints_2d, camera, root, bone_length, settings)


def tailor_batch(
    model: HandModel,
    start: HandParams,
    keypoints_2d: ArrayLike,
    camera: Camera | None,
    *,
    root: ArrayLike | None = None,
    bone_length: ArrayLike | None = None,
    settings: TailorSettings = DEFAULT,
) -> TailorResult:
    """`tailor` of B hands, somewhat faster than under `jax.vmap`: every array has a leading B.

    The camera may be one for all hands or have a leading B as well.
    """
    _check_use(model, root, camera)
    jax.vmap(lambda one: hand.check_params(model, one))(start)
    batch = start.betas.shape[0]
    check_shape("keypoints_2d", keypoints_2d, (batch, 21, 2))
    if root is not None:
        check_shape("root", root, (batch, 3))
    if bone_length is not None:
        check_shape("bone_length", bone_length, (batch,))
    if camera is not None:
        focal, center = jnp.asarray(camera.focal), jnp.asarray(camera.center)
        check_shape("camera.focal", focal, (batch, 2) if focal.ndim > 1 else (2,))
        check_shape("camera.center", center, (batch, 2) if center.ndim > 1 else (2,))
        camera = Camera(jnp.broadcast_to(focal, (batch, 2)), jnp.broadcast_to(center, (batch, 2)))
    return _tailor(model, start, keypoints_2d, camera, root, bone_length, settings)


@jax.jit
def tailored_mesh(model: HandModel, result: TailorResult) -> Array:
    """(V, 3) metres in the camera frame, or (B, V, 3) of a result of `tailor_batch`."""
    unmoved = result.params._replace(transl=jnp.zeros_like(result.params.transl))
    posed = hand.forward_batch(model, unmoved) if result.scale.ndim else hand.forward(model, unmoved)
    return result.scale[..., None, None] * posed.vertices + result.params.transl[..., None, :]


@partial(jax.jit, static_argnames="settings")
def _tailor(
    model: HandModel,
    start: HandParams,
    keypoints_2d: ArrayLike,
    camera: Camera | None,
    root: ArrayLike | None,
    bone_length: ArrayLike | None,
    settings: TailorSettings,
) -> TailorResult:
    tips = landmarks.fingertip_model(model)
    target = tailor_start.target(model, tips, start, keypoints_2d, camera, root, bone_length, settings)
    variables = minimise(model, tips, target, settings)
    return _result(model, tips, variables, target, settings)


def minimise(
    model: HandModel, tips: landmarks.FingertipModel, target: TailorTarget, settings: TailorSettings
) -> TailorVariables:
    """Adam on eq. 13 from `target.start`, a fixed number of steps."""
    # The length is the last variable: either it is free with the others or stays as it is.
    free = 3 if settings.optimise_scale and isinstance(target.camera, Camera) else 2
    fixed = target.start[free:]

    def total_energy(variables: tuple[Array, ...]) -> Array:
        current = TailorVariables(*variables, *fixed)
        in_bones, _, _ = keypoints_in_bones(model, tips, current.pose, current.betas)
        return energy(in_bones, current, target, settings).sum()

    adam = optax.adam(settings.learning_rate, settings.b1, settings.b2, settings.eps)
    first = tuple(target.start[:free])
    state = optax.tree_utils.tree_set(adam.init(first), count=jnp.int32(settings.correction_offset))

    def step(_, carry):
        variables, state = carry
        updates, state = adam.update(jax.grad(total_energy)(variables), state)
        return optax.apply_updates(variables, updates), state

    variables, _ = jax.lax.fori_loop(0, settings.steps, step, (first, state))
    return TailorVariables(*variables, *fixed)


def _result(
    model: HandModel,
    tips: landmarks.FingertipModel,
    variables: TailorVariables,
    target: TailorTarget,
    settings: TailorSettings,
) -> TailorResult:
    in_bones, knuckle, bone = keypoints_in_bones(model, tips, variables.pose, variables.betas)
    last_energy = energy(in_bones, variables, target, settings)
    if settings.discard_optimised_scale:
        variables = variables._replace(bone_length=target.start.bone_length)
    pixels = project_bones(in_bones, variables.bone_length, target.root, target.camera)
    distance = jnp.sqrt(((pixels - target.pixels) ** 2).sum(0))
    scale = variables.bone_length / bone
    pose = variables.pose.T.reshape(*variables.betas.shape[1:], -1)
    params = HandParams(variables.betas.T, pose[..., :3], pose[..., 3:], (target.root - scale[None] * knuckle).T)
    camera = target.camera
    if isinstance(camera, WeakCamera):
        camera = WeakCamera(camera.scale / variables.bone_length, camera.translation.T)
    else:
        camera = Camera(camera.focal.T, camera.center.T)
    return TailorResult(
        params=params,
        scale=scale,
        camera=camera,
        keypoints=(variables.bone_length[None, None] * in_bones + target.root[:, None]).T,
        reprojected=pixels.T,
        error_px=jnp.where(target.seen > 0, distance, jnp.nan).T,
        energy=last_energy,
    )


def _check_use(model: HandModel, root, camera) -> None:
    if len(model.keypoint_ids) != 21:
        raise ValueError(f"model must have 21 keypoints, got {len(model.keypoint_ids)}")
    if camera is None and root is not None:
        raise ValueError("root must be None without a camera: weak perspective has no depth")
    if isinstance(camera, WeakCamera):
        raise ValueError("camera must be a Camera or None, got a WeakCamera: tailor finds its own from the keypoints")
