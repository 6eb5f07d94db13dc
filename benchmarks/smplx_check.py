"""smplx's MANO and handjax's on one random model: `python -m benchmarks.smplx_check [--write]`.

Prints the largest differences in metres, and fails above 1e-6. `--write` renews tests/golden/smplx_mano.npz, which the
tests read, as smplx (not a dependency) computes it in float64.
"""

import argparse
import sys
from pathlib import Path

import jax
import numpy as np

from handjax import conventions, mano
from tests import toy

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden" / "smplx_mano.npz"
TOLERANCE_M = 1e-6
HANDS = 6
STORED_VERTICES = np.concatenate([np.arange(0, 778, 20), mano.FINGERTIP_SETS["smplx"]])
MODES = {
    # smplx's defaults first. With all 45 components it reads axis-angle whatever `use_pca` says.
    "pca_mean": {"use_pca": True, "num_pca_comps": 6, "flat_hand_mean": False},
    "pca_flat": {"use_pca": True, "num_pca_comps": 12, "flat_hand_mean": True},
    "angle_mean": {"use_pca": False, "num_pca_comps": 6, "flat_hand_mean": False},
    "angle_flat": {"use_pca": False, "num_pca_comps": 6, "flat_hand_mean": True},
    "all_components": {"use_pca": True, "num_pca_comps": 45, "flat_hand_mean": False},
}


def arrays() -> dict[str, np.ndarray]:
    """The random model, by `handjax.mano.build`'s names, with the fingertips that smplx names."""
    return {**toy.arrays(seed=20), "fingertip_ids": np.array(mano.FINGERTIP_SETS["smplx"])}


def inputs(mode: dict) -> dict[str, np.ndarray]:
    """A batch of smplx's arguments for one of MODES."""
    betas, global_orient, hand_pose, transl = toy.params(21, HANDS)
    width = mode["num_pca_comps"] if mode["use_pca"] else 45
    return {"betas": betas, "global_orient": global_orient, "hand_pose": hand_pose[:, :width], "transl": transl}


def fingerprint(raw: dict[str, np.ndarray]) -> np.ndarray:
    """One number an array, to tell a changed random model from a changed result."""
    return np.array([np.sum(np.cos(array.astype(np.float64))) for array in raw.values()])


def smplx_model(mode: dict):
    import smplx
    import torch
    from smplx.utils import Struct

    raw = arrays()
    kintree = np.stack([raw["parents"] % 2**32, np.arange(16)])
    data = Struct(
        v_template=raw["v_template"],
        shapedirs=raw["shapedirs"],
        posedirs=raw["posedirs"],
        J_regressor=raw["J_regressor"],
        weights=raw["lbs_weights"],
        kintree_table=kintree,
        f=raw["faces"],
        hands_components=raw["hands_components"],
        hands_mean=raw["hands_mean"],
    )
    return smplx.MANO(model_path="", data_struct=data, is_rhand=True, batch_size=HANDS, dtype=torch.float64, **mode)


def smplx_output(mode: dict) -> tuple[np.ndarray, np.ndarray]:
    """-> vertices (HANDS, 778, 3) and its 16 joints, float64."""
    import torch

    given = {name: torch.from_numpy(array.astype(np.float64)) for name, array in inputs(mode).items()}
    with torch.no_grad():
        output = smplx_model(mode)(**given)
    return output.vertices.numpy(), output.joints.numpy()


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares handjax with smplx on a random model.")
    parser.add_argument("--write", action="store_true", help="renew the stored values that the tests read")
    write = parser.parse_args().write
    import smplx.vertex_ids

    tips = tuple(smplx.vertex_ids.vertex_ids["mano"].values())
    if tips != mano.FINGERTIP_SETS["smplx"]:
        raise SystemExit(f"smplx's fingertips are {tips}, not {mano.FINGERTIP_SETS['smplx']}")
    model = mano.build(**arrays())
    forward = jax.jit(mano.forward_batch)
    stored, worst = {"fingerprint": fingerprint(arrays()), "vertex_ids": STORED_VERTICES}, 0.0
    for name, mode in MODES.items():
        vertices, joints = smplx_output(mode)
        ours = forward(model, conventions.from_smplx(model, inputs(mode), **mode))
        of_vertices, of_joints = np.abs(ours.vertices - vertices).max(), np.abs(ours.joints - joints).max()
        print(f"{name:15s} vertices {of_vertices:.1e} m   joints {of_joints:.1e} m")
        worst = max(worst, of_vertices, of_joints)
        stored[f"{name}_vertices"], stored[f"{name}_joints"] = vertices[:, STORED_VERTICES], joints
    if write:
        GOLDEN.parent.mkdir(exist_ok=True)
        np.savez_compressed(GOLDEN, **stored)
        print(f"wrote {GOLDEN.name}, {GOLDEN.stat().st_size / 1000:.0f} kB")
    return int(not worst <= TOLERANCE_M)


if __name__ == "__main__":
    sys.exit(main())
