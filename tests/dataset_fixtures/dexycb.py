"""Writes a tiny data set in the layout of DexYCB.

Tree, yml keys, order of subjects and cameras: dex_ycb_toolkit/dex_ycb.py of NVlabs/dex-ycb-toolkit. Arrays of the npz
and what stands for an absent hand: its README.
"""

from pathlib import Path

import cv2
import numpy as np

from tests.dataset_fixtures import named_hand

HEIGHT, WIDTH = 48, 64
SUBJECTS = [
    *("20200709-subject-01", "20200813-subject-02", "20200820-subject-03", "20200903-subject-04"),
    *("20200908-subject-05", "20200918-subject-06", "20200928-subject-07", "20201002-subject-08"),
    *("20201015-subject-09", "20201022-subject-10"),
]
SERIALS = [
    *("836212060125", "839512060362", "840412060917", "841412060263"),
    *("932122060857", "932122060861", "932122061900", "932122062010"),
]
FX, FY, PPX, PPY = 615.0, 614.0, 312.0, 238.0
BETAS = [0.5, -0.25, 0.125, 0, 0, 0, 0, 0, 0, 1]
RICH = "20200709_141004"
"""The one sequence with two frames, of a left hand: the first subject's fifth, held out in s0."""


def joints() -> np.ndarray:
    """(21, 3) metres in the camera's frame: wrist at (0.1, -0.05, 0.8)."""
    return named_hand.in_order(named_hand.joints((0.1, -0.05, 0.8)), named_hand.BASE_TO_TIP)


def pose() -> np.ndarray:
    """(51,): root, 45 PCA coefficients, translation in metres."""
    values = np.random.default_rng(5).uniform(-0.5, 0.5, 51)
    values[:3], values[48:] = (0.3, -0.2, 0.1), (0.12, -0.04, 0.75)
    return values


def write(root: Path) -> None:
    """One sequence a subject, but five of the first and third, so that s0 holds one of each out."""
    for serial in SERIALS:
        _write(
            root / "calibration" / "intrinsics" / f"{serial}_640x480.yml",
            f"color:\n  fx: {FX}\n  fy: {FY}\n  ppx: {PPX}\n  ppy: {PPY}\ndepth:\n  fx: 1.0\n",
        )
    for number, subject in enumerate(SUBJECTS):
        betas = "".join(f"- {value}\n" for value in BETAS)
        _write(root / "calibration" / f"mano_{subject}_right" / "mano.yml", f"betas:\n{betas}")
        for time in range(5 if number in (0, 2) else 1):
            name = f"{subject[:8]}_1410{time:02d}"
            sequence = root / subject / name
            frames = 2 if name == RICH else 1
            side = "left" if name == RICH else "right"
            _write(
                sequence / "meta.yml",
                f"num_frames: {frames}\nycb_ids:\n- 2\n- 5\nycb_grasp_ind: 0\n"
                f"mano_sides:\n- {side}\nmano_calib:\n- {subject}_right\n",
            )
            for serial in SERIALS:
                for frame in range(frames):
                    write_frame(sequence / serial, frame, present=frame == 0)


def write_frame(folder: Path, frame: int, *, present: bool) -> None:
    """Without the hand: joints of -1 and a pose of zeros."""
    named_hand.write_color(folder / f"color_{frame:06d}.jpg", HEIGHT, WIDTH, shade=50 * frame + 20)
    depth = np.zeros((HEIGHT, WIDTH), np.uint16)
    depth[3, 5] = 1234
    assert cv2.imwrite(str(folder / f"aligned_depth_to_color_{frame:06d}.png"), depth)
    seg = np.zeros((HEIGHT, WIDTH), np.uint8)
    seg[:4], seg[10:12, 20:23] = 2, 255 if present else 21
    joint_3d = joints() if present else -np.ones((21, 3))
    joint_2d = named_hand.pinhole(joint_3d, FX, FY, PPX, PPY) if present else -np.ones((21, 2))
    np.savez_compressed(
        folder / f"labels_{frame:06d}.npz",
        seg=seg,
        pose_y=np.zeros((2, 3, 4), np.float32),
        pose_m=(pose() if present else np.zeros(51))[None].astype(np.float32),
        joint_3d=joint_3d[None].astype(np.float32),
        joint_2d=joint_2d[None].astype(np.float32),
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
