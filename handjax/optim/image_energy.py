"""How far a drawn hand is from a mask, a depth map and keypoints, as a function of what moves it."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from handjax import losses, rotations
from handjax.camera import project
from handjax.mano import hand, landmarks
from handjax.mano.pose_library import angles_from_pose, pose_from_angles
from handjax.mano.types import HandModel, HandOutput, HandParams
from handjax.optim.image_evidence import ImageEvidence
from handjax.optim.image_settings import ImageSettings
from handjax.render import DepthMap, Topology, depth_map

JOINT_TERM_SIDE = 256.0
"""Pixels of the crop in which the tailor's joint term is measured, whatever the size that is drawn."""

CROSSINGS = 32
"""Room for crossings per line of the crop: twice the renderer's own, since a small crop of a hand seen along its palm
has more folds in a line than that is made for."""


class ImageVariables(NamedTuple):
    """Changes since the start: turn (3,) of the whole hand, an axis-angle in the camera frame about the middle of its
    keypoints; shift (3,) metres of that middle; angles (J - 1, 3) radians about each joint's axes; betas (S,)."""

    turn: Array
    shift: Array
    angles: Array
    betas: Array


class ImageStart(NamedTuple):
    """The hand that fits begin with: params; orientation (3, 3); angles (J - 1, 3); wrist (3,) metres; and from there
    to the middle of its keypoints (3,)."""

    params: HandParams
    orientation: Array
    angles: Array
    wrist: Array
    to_middle: Array


def image_start(model: HandModel, params: HandParams) -> ImageStart:
    points = landmarks.keypoints(model, params)
    orientation = rotations.matrix_from_axis_angle(params.global_orient)
    return ImageStart(
        params, orientation, angles_from_pose(model, params.hand_pose), points[0], points.mean(0) - points[0]
    )


def unchanged(model: HandModel) -> ImageVariables:
    return ImageVariables(jnp.zeros(3), jnp.zeros(3), jnp.zeros((model.num_joints - 1, 3)), jnp.zeros(model.num_betas))


def changed_params(model: HandModel, start: ImageStart, variables: ImageVariables) -> HandParams:
    """The start with its changes."""
    turn = rotations.matrix_from_axis_angle(variables.turn)
    betas = start.params.betas + variables.betas
    # The model turns about its wrist; turning about the hand's middle keeps the turn apart from the shift.
    swing = start.to_middle - jnp.matmul(turn, start.to_middle, precision="highest")
    rest = model.joint_template[0] + jnp.matmul(model.joint_shapedirs[0], betas, precision="highest")
    return HandParams(
        betas=betas,
        global_orient=rotations.axis_angle_from_matrix(jnp.matmul(turn, start.orientation, precision="highest")),
        hand_pose=pose_from_angles(model, start.angles + variables.angles),
        transl=start.wrist + variables.shift + swing - rest,
    )


def drawn(
    model: HandModel, topology: Topology, params: HandParams, evidence: ImageEvidence, size: int
) -> tuple[DepthMap, HandOutput]:
    """The crop of the hand, and the hand."""
    output = hand.forward(model, params)
    seen = depth_map(evidence.camera, output.vertices, topology, size=(size, size), crossings=CROSSINGS * size)
    return seen, output


def image_energy(
    model: HandModel,
    topology: Topology,
    start: ImageStart,
    evidence: ImageEvidence,
    settings: ImageSettings,
    variables: ImageVariables,
) -> Array:
    """(): E_J, E_id, E_s and E_d of Lv et al. 2021, section 4.4, with joint limits in place of E_g.

    The paper says of E_s and E_d that they measure the distance between what is rendered and what is given. Here that
    is the pyramid loss, which tells the way to an outline that is not touched yet, and the smooth-L1 loss.
    """
    params = changed_params(model, start, variables)
    seen, output = drawn(model, topology, params, evidence, settings.size)
    angles = start.angles + variables.angles
    lower, upper = jnp.moveaxis(model.joint_limits, -1, 0)
    past = jnp.maximum(lower - angles, 0.0) + jnp.maximum(angles - upper, 0.0)
    known = settings.pose * (variables.angles**2).mean() + settings.shape * (params.betas**2).mean()
    known += settings.limit * (past**2).sum()
    return known + observed_energy(model, seen, output, evidence, settings)


def observed_energy(
    model: HandModel, seen: DepthMap, output: HandOutput, evidence: ImageEvidence, settings: ImageSettings
) -> Array:
    """(): the terms of what was observed."""
    total = jnp.zeros(())
    if evidence.mask is not None:
        total += settings.silhouette * losses.silhouette_pyramid(seen.mask, evidence.mask, evidence.weight)
    if evidence.depth is not None:
        total += settings.depth * losses.depth_smooth_l1(seen.depth, evidence.depth, step=settings.depth_step)
    if evidence.keypoints is not None and evidence.confidence is not None:
        pixels = project(evidence.camera, landmarks.keypoints_of(model, output))
        squares = ((pixels - evidence.keypoints) ** 2).sum(-1) * (JOINT_TERM_SIDE / settings.size) ** 2
        weight = evidence.confidence
        total += settings.joint * 0.5 * (weight * squares).sum() / jnp.maximum(weight.sum(), 1e-6)
    return total
