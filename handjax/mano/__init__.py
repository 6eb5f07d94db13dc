"""A differentiable MANO layer: models, poses, meshes, keypoints and their inverse, as pure functions."""

from handjax.mano.build import build
from handjax.mano.default import default
from handjax.mano.detailed import DETAILED_ANGLES, DETAILED_JOINTS, PUBLISHED_JOINTS, detailed, detailed_rotations
from handjax.mano.hand import forward, forward_batch, forward_rotations
from handjax.mano.inverse.joints import JointsFit, fit_joints, fit_joints_batch
from handjax.mano.inverse.vertices import VerticesFit, fit_vertices, fit_vertices_batch
from handjax.mano.io import HandFileError, load, save
from handjax.mano.landmarks import centred, keypoints, keypoints_of, keypoints_rotations
from handjax.mano.measure_tape import HandTape, cut_tape
from handjax.mano.measured_betas import MeasuredBetas, betas_for, betas_from_measures
from handjax.mano.measures import HandMeasures, measure
from handjax.mano.population import Population, percentiles, population, sample_betas
from handjax.mano.pose import hand_params, pca_from_pose, pose_from_pca
from handjax.mano.pose_library import POSE_GROUPS, POSE_NAMES, angles_from_pose, named_pose, pose_from_angles
from handjax.mano.pose_sampler import sample_pose
from handjax.mano.sides import mirror, mirror_params, mirror_points
from handjax.mano.types import (
    FINGERTIP_SETS,
    KEYPOINT_PARENTS,
    MANO_KEYPOINT_IDS,
    MANO_PARENTS,
    HandModel,
    HandOutput,
    HandParams,
    zero_params,
)
from handjax.mano.wrist import STUB_LENGTH, Wrist, closed_faces, stub_faces, stub_vertices, wrist

__all__ = [
    "DETAILED_ANGLES",
    "DETAILED_JOINTS",
    "FINGERTIP_SETS",
    "KEYPOINT_PARENTS",
    "MANO_KEYPOINT_IDS",
    "MANO_PARENTS",
    "POSE_GROUPS",
    "POSE_NAMES",
    "HandFileError",
    "HandMeasures",
    "HandModel",
    "HandOutput",
    "HandParams",
    "HandTape",
    "JointsFit",
    "MeasuredBetas",
    "PUBLISHED_JOINTS",
    "Population",
    "STUB_LENGTH",
    "VerticesFit",
    "Wrist",
    "angles_from_pose",
    "betas_for",
    "betas_from_measures",
    "build",
    "centred",
    "closed_faces",
    "cut_tape",
    "default",
    "detailed",
    "detailed_rotations",
    "fit_joints",
    "fit_joints_batch",
    "fit_vertices",
    "fit_vertices_batch",
    "forward",
    "forward_batch",
    "forward_rotations",
    "hand_params",
    "keypoints",
    "keypoints_of",
    "keypoints_rotations",
    "load",
    "measure",
    "mirror",
    "mirror_params",
    "mirror_points",
    "named_pose",
    "pca_from_pose",
    "percentiles",
    "population",
    "pose_from_angles",
    "pose_from_pca",
    "sample_betas",
    "sample_pose",
    "save",
    "stub_faces",
    "stub_vertices",
    "wrist",
    "zero_params",
]
