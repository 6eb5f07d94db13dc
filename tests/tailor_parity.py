"""Holds the released-code preset against a file of what HandTailor's own tailor computed.

    python -m tests.tailor_parity FILE.npz

The file holds the hand model (`model_*`: MANO's fields, right hand, flat mean), `intrinsics` (fx, fy, cx, cy) and N
cases: so3 (N, 48), beta, bone, root, kp2d (N, 21, 2) in; root_reinit, bone_reinit, joints_init, energy, grad_so3,
grad_beta, grad_bone, so3_20, beta_20, bone_20, joints_20, verts_20_every20 out.

Exits with 1 if one of them is too far.
"""

import dataclasses
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from handjax import mano, optim
from handjax.camera import Camera
from handjax.mano import landmarks
from handjax.optim import tailor_energy, tailor_start

MODEL = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
INPUTS = ("intrinsics", "so3", "beta", "bone", "root", "kp2d")
OUTPUTS = ("root_reinit", "bone_reinit", "joints_init", "energy", "grad_so3", "grad_beta", "grad_bone")
OUTPUTS += ("so3_20", "beta_20", "bone_20", "joints_20", "verts_20_every20")


# As released, but for the size that the loop ends with, which the file has too.
KEEPING_SCALE = dataclasses.replace(optim.RELEASED, discard_optimised_scale=False)


class Row(NamedTuple):
    """One line of the report: NaN fails."""

    name: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.error <= self.tolerance


def read(path) -> tuple[dict[str, np.ndarray], mano.HandModel]:
    """Raises ValueError naming what the file lacks."""
    # Opened here: of a broken archive numpy leaves its own file open.
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
        data = {name: stored[name] for name in stored.files}
    missing = [name for name in (*(f"model_{field}" for field in MODEL), *INPUTS, *OUTPUTS) if name not in data]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    parents = data["model_kintree_table"][0].astype(np.int64)
    parents[0] = -1
    model = mano.build(
        **{name: data[f"model_{name}"] for name in MODEL[:4]},
        lbs_weights=data["model_weights"],
        faces=data["model_f"],
        parents=tuple(parents.tolist()),
        fingertip_ids=mano.FINGERTIP_SETS["manopth"],
    )
    return data, jax.tree.map(jnp.asarray, model)


def compare(path) -> list[Row]:
    """Every stored output against ours."""
    data, model = read(path)
    data = {name: array if name.startswith("model_") else array.astype(np.float32) for name, array in data.items()}
    count, focal, center = len(data["so3"]), data["intrinsics"][:2], data["intrinsics"][2:]
    start, last = _params(data["so3"], data["beta"]), _params(data["so3_20"], data["beta_20"])
    given = (start, data["kp2d"], Camera(*(jnp.broadcast_to(f, (count, 2)) for f in (focal, center))))
    first, slope = _first(model, *given, data["root"], data["bone"])
    result = optim.tailor_batch(
        model,
        start,
        data["kp2d"],
        Camera(jnp.asarray(focal), jnp.asarray(center)),
        root=data["root"],
        bone_length=data["bone"],
        settings=KEEPING_SCALE,
    )
    last_bone = np.linalg.norm(result.keypoints[:, 0] - result.keypoints[:, 9], axis=-1)
    fitted = np.concatenate([result.params.global_orient, result.params.hand_pose], 1)
    vertices, joints = _decode(model, result.params, data["bone_reinit"], data["root_reinit"])
    stored_vertices, stored_joints = _decode(model, last, data["bone_reinit"], data["root_reinit"])
    largest = [np.abs(data[f"grad_{name}"]).reshape(count, -1).max(1) for name in ("so3", "beta", "bone")]
    rows = [
        Row("root_reinit, m", _worst(first["root"], data["root_reinit"]), 1e-6),
        Row("bone_reinit, m", _worst(first["bone"], data["bone_reinit"]), 1e-6),
        Row("joints_init, bones", _worst(first["joints"], data["joints_init"]), 1e-6),
        Row("energy, relative", _worst(first["energy"] / data["energy"], 1.0), 1e-5),
    ]
    for name, ours in slope.items():
        error = (np.asarray(ours) - data[name]).reshape(count, -1) / np.max(largest, 0)[:, None]
        rows.append(Row(f"{name}, of the largest", _worst(error, 0.0), 1e-4))
    return rows + [
        Row("so3_20, rad", _worst(fitted, data["so3_20"]), 5e-4),
        Row("beta_20", _worst(result.params.betas, data["beta_20"]), 5e-4),
        Row("bone_20, m", _worst(last_bone, data["bone_20"]), 5e-4),
        Row("joints_20, bones", _worst(joints, data["joints_20"]), 5e-4),
        Row("joints_20 of so3_20, beta_20, bones", _worst(stored_joints, data["joints_20"]), 1e-6),
        # 5e-4 rad at the wrist move a fingertip by 1e-4 m.
        Row("verts_20, m", _worst(vertices[:, ::20], data["verts_20_every20"]), 1e-4),
        Row("verts_20 of so3_20, beta_20, m", _worst(stored_vertices[:, ::20], data["verts_20_every20"]), 1e-6),
    ]


@jax.jit
def _first(model: mano.HandModel, start, keypoints_2d, camera, root, bone) -> tuple[dict, dict]:
    """What the first step and the first gradient give."""
    tips = landmarks.fingertip_model(model)
    target = tailor_start.target(model, tips, start, keypoints_2d, camera, root, bone, optim.RELEASED)

    def total(variables):
        in_bones, _, _ = tailor_energy.keypoints_in_bones(model, tips, variables.pose, variables.betas)
        energy = tailor_energy.energy(in_bones, variables, target, optim.RELEASED)
        return energy.sum(), (energy, in_bones)

    (_, (energy, in_bones)), slope = jax.value_and_grad(total, has_aux=True)(target.start)
    pose_slope = slope.pose.T.reshape(len(energy), -1)
    return (
        {"root": target.root.T, "bone": target.start.bone_length, "joints": in_bones.T, "energy": energy},
        {"grad_so3": pose_slope, "grad_beta": slope.betas.T, "grad_bone": slope.bone_length},
    )


@jax.jit
def _decode(model: mano.HandModel, params: mano.HandParams, bone, root) -> tuple[jax.Array, jax.Array]:
    """Vertices (N, V, 3) in the camera frame, metres, and keypoints (N, 21, 3) about the ninth, in bones."""
    output = mano.forward_batch(model, params)
    points = mano.keypoints_of(model, output)
    about = points[:, 9:10]
    length = jnp.linalg.norm(points[:, :1] - about, axis=-1, keepdims=True)
    return bone[:, None, None] * (output.vertices - about) / length + root[:, None], (points - about) / length


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__)
        return 1
    try:
        rows = compare(Path(arguments[0]))
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        print(error)
        return 1
    print(f"{'':<38}{'error':>10}{'tolerance':>12}")
    for row in rows:
        print(f"{row.name:<38}{row.error:>10.1e}{row.tolerance:>12.0e}  {'ok' if row.passed else 'FAILED'}")
    return 0 if all(row.passed for row in rows) else 1


def _params(so3: np.ndarray, betas: np.ndarray) -> mano.HandParams:
    return mano.HandParams(*map(jnp.asarray, (betas, so3[:, :3], so3[:, 3:], np.zeros_like(so3[:, :3]))))


def _worst(ours, theirs) -> float:
    return float(np.abs(np.asarray(ours) - np.asarray(theirs)).max())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
