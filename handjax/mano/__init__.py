"""A differentiable MANO layer: models, poses, meshes, keypoints and their inverse, as pure functions."""

from handjax.mano.build import build
from handjax.mano.default import default
from handjax.mano.hand import forward, forward_batch, forward_rotations
from handjax.mano.inverse.joints import JointsFit, fit_joints, fit_joints_batch
from handjax.mano.inverse.vertices import VerticesFit, fit_vertices, fit_vertices_batch
from handjax.mano.io import HandFileError, load, save
from handjax.mano.landmarks import centred, keypoints, keypoints_of, keypoints_rotations
from handjax.mano.pose import hand_params, pca_from_pose, pose_from_pca
from handjax.mano.sides import mirror, mirror_params, mirror_points
from handjax.mano.types import (
    FINGERTIP_SETS,
    MANO_KEYPOINT_IDS,
    MANO_PARENTS,
    HandModel,
    HandOutput,
    HandParams,
    zero_params,
)

__all__ = [
    "FINGERTIP_SETS",
    "MANO_KEYPOINT_IDS",
    "MANO_PARENTS",
    "HandFileError",
    "HandModel",
    "HandOutput",
    "HandParams",
    "JointsFit",
    "VerticesFit",
    "build",
    "centred",
    "default",
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
    "mirror",
    "mirror_params",
    "mirror_points",
    "pca_from_pose",
    "pose_from_pca",
    "save",
    "zero_params",
]
