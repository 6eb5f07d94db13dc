"""A differentiable MANO layer: models, poses, meshes, keypoints and their inverse, as pure functions."""

from handjax.mano.build import build
from handjax.mano.default import default
from handjax.mano.detailed import DETAILED_ANGLES, DETAILED_JOINTS, PUBLISHED_JOINTS, detailed, detailed_rotations
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
from handjax.mano.wrist import STUB_LENGTH, Wrist, closed_faces, stub_faces, stub_vertices, wrist

__all__ = [
    "DETAILED_ANGLES",
    "DETAILED_JOINTS",
    "FINGERTIP_SETS",
    "MANO_KEYPOINT_IDS",
    "MANO_PARENTS",
    "HandFileError",
    "HandModel",
    "HandOutput",
    "HandParams",
    "JointsFit",
    "PUBLISHED_JOINTS",
    "STUB_LENGTH",
    "VerticesFit",
    "Wrist",
    "build",
    "centred",
    "closed_faces",
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
    "mirror",
    "mirror_params",
    "mirror_points",
    "pca_from_pose",
    "pose_from_pca",
    "save",
    "stub_faces",
    "stub_vertices",
    "wrist",
    "zero_params",
]
