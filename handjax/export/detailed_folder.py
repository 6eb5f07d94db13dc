"""The 22-joint hand as the folder of text files that DeepHandMesh's code reads."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from handjax.checks import check_shape
from handjax.export.files import write_bytes
from handjax.mano import DETAILED_JOINTS, PUBLISHED_JOINTS, HandModel, detailed

PREFIX = {"right": "b_r_", "left": "b_l_"}
MM, CM = 1000.0, 100.0


def write_detailed_folder(
    folder: str | os.PathLike,
    model: HandModel,
    betas: ArrayLike | None = None,
    uv: ArrayLike | None = None,
    uv_faces: ArrayLike | None = None,
) -> None:
    """Writes `hand.obj`, `skeleton.txt`, `skinning_weight.txt` and the rest poses of the joints (Moon et al. 2020).

    Args:
      folder: made if missing; its parent must exist. Each file is written whole or not at all.
      model: any hand with MANO's joints, see `handjax.mano.detailed`. Pose correctives and shape components have no
        place in these files; the mesh stands flat, its wrist open if the model's is.
      betas: (S,) the person's shape; the mean without it.
      uv, uv_faces: (T, 2) in [0, 1] from the upper left, and (F, 3) their rows at each corner of the faces; without
        them every vertex has the texture coordinate 0, 0, as the format wants some.

    hand.obj is in centimetres; `local_pose.txt` (relative to the parent), `global_pose.txt` and `global_pose_inv.txt`
    hold a joint's name and 4 x 4 numbers, row by row, in millimetres. Names are the published ones with `b_r_` or
    `b_l_` before them, in the published order.

    Raises ValueError for a model without MANO's joints, wrong shapes or corners beyond `uv`; OSError.
    """
    hand = detailed(model)
    betas = np.zeros(model.num_betas) if betas is None else np.asarray(betas, np.float64)
    check_shape("betas", betas, (model.num_betas,))
    faces = np.asarray(model.faces)
    uv = np.zeros((1, 2)) if uv is None else np.asarray(uv, np.float64)
    check_shape("uv", uv, ("T", 2))
    uv_faces = np.zeros_like(faces) if uv_faces is None else np.asarray(uv_faces)
    check_shape("uv_faces", uv_faces, faces.shape)
    if uv_faces.min() < 0 or uv_faces.max() >= len(uv):
        raise ValueError(f"uv_faces must lie in [0, {len(uv)}), got {uv_faces.min()} to {uv_faces.max()}")

    vertices = np.asarray(hand.v_template, np.float64) + np.asarray(hand.shapedirs, np.float64) @ betas
    order = [DETAILED_JOINTS.index(name) for name in PUBLISHED_JOINTS]
    place = {joint: number for number, joint in enumerate(order)}
    names = [PREFIX[model.side] + name for name in PUBLISHED_JOINTS]
    parents = [place.get(hand.parents[joint], -1) for joint in order]
    poses = _rest_poses(hand, vertices)[order]
    inverses = np.linalg.inv(poses)
    local = np.stack([pose if up < 0 else inverses[up] @ pose for pose, up in zip(poses, parents, strict=True)])
    weights = np.asarray(hand.lbs_weights, np.float64)[:, order]

    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    rows = [f"{name} {number} {parent}" for number, (name, parent) in enumerate(zip(names, parents, strict=True))]
    texts = {
        "hand.obj": _obj(vertices * CM, faces, uv, uv_faces),
        "skeleton.txt": "\n".join(["# name id parent_id", *rows]),
        "skinning_weight.txt": "\n".join(_weights(weights, names)),
        "local_pose.txt": _poses(names, local),
        "global_pose.txt": _poses(names, poses),
        "global_pose_inv.txt": _poses(names, inverses),
    }
    for name, text in texts.items():
        write_bytes(folder / name, f"{text}\n".encode())


def _rest_poses(hand: HandModel, vertices: np.ndarray) -> np.ndarray:
    """(22, 4, 4) from a joint's frame to the model's, millimetres."""
    poses = np.tile(np.eye(4), (hand.num_joints, 1, 1))
    poses[:, :3, :3] = np.asarray(hand.joint_frames)
    poses[:, :3, 3] = MM * np.asarray(hand.J_regressor, np.float64) @ vertices
    return poses


def _obj(vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray, uv_faces: np.ndarray) -> str:
    corners = np.stack([faces, uv_faces], -1) + 1
    lines = ["# centimetres"]
    lines += [f"v {x:.7g} {y:.7g} {z:.7g}" for x, y, z in vertices.tolist()]
    # OBJ counts v from below.
    lines += [f"vt {u:.6g} {1.0 - v:.6g}" for u, v in uv.tolist()]
    lines += ["f " + " ".join(f"{vertex}/{texel}" for vertex, texel in face) for face in corners.tolist()]
    return "\n".join(lines)


def _weights(weights: np.ndarray, names: list[str]) -> list[str]:
    """A vertex a line, its number and its joints with their weights, and a blank at the end as in the original."""
    return [
        f"{vertex} " + "".join(f"{names[joint]} {row[joint]:.8g} " for joint in np.flatnonzero(row))
        for vertex, row in enumerate(weights)
    ]


def _poses(names: list[str], poses: np.ndarray) -> str:
    rows = zip(names, poses.reshape(len(poses), 16).tolist(), strict=True)
    return "\n".join(f"{name} " + " ".join(f"{value:.9g}" for value in pose) for name, pose in rows)
