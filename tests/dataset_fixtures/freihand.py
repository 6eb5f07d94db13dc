"""Writes a tiny data set in the layout of FreiHAND_pub_v2 with FreiHAND_pub_v2_eval merged into it.

Names of the lists and pictures, and 130,240 = 4 * 32,560: utils/fh_utils.py of lmb-freiburg/freihand. The 61 numbers:
its view_samples.py and utils/model.py. Neither archive has a folder of its own.
"""

import json
from pathlib import Path

import cv2
import numpy as np

from tests.dataset_fixtures import named_hand

SIZE = 224
SAMPLES = 2
K = [[480.0, 0.0, 112.0], [0.0, 480.0, 112.0], [0.0, 0.0, 1.0]]
ROOT_PIXEL_AND_SCALE = [120.0, 100.0, 700.0]


def xyz(sample: int) -> np.ndarray:
    """(21, 3) metres, OpenCV camera, wrist first, then thumb to little finger, base to tip."""
    return named_hand.in_order(named_hand.joints((0.02 + 0.01 * sample, 0.03, 0.6)), named_hand.BASE_TO_TIP)


def verts(sample: int) -> np.ndarray:
    """(778, 3) metres."""
    return np.random.default_rng(sample).uniform(-0.1, 0.1, (778, 3)) + [0, 0, 0.6]


def mano(sample: int) -> list[list[float]]:
    """A list that holds one list: 48 angles, 10 betas, root pixel, scale."""
    draw = np.random.default_rng(100 + sample)
    pose, betas = draw.uniform(-0.4, 0.4, 48), draw.uniform(-1, 1, 10)
    pose[:3], pose[3:6] = (0.1, -0.2, 0.3), (0.25, 0.5, -0.75)
    return [[*pose, *betas, *ROOT_PIXEL_AND_SCALE]]


def write(root: Path, *, evaluation_labels: bool = True) -> None:
    """Two training samples, so pictures 0 to 7, and one evaluation picture."""
    root.mkdir(parents=True, exist_ok=True)
    lists = {"K": lambda i: K, "xyz": lambda i: xyz(i).tolist(), "verts": lambda i: verts(i).tolist(), "mano": mano}
    lists["scale"] = lambda i: float(np.linalg.norm(xyz(i)[9] - xyz(i)[10]))
    for name, item in lists.items():
        (root / f"training_{name}.json").write_text(json.dumps([item(i) for i in range(SAMPLES)]))
        if evaluation_labels or name in ("K", "scale"):
            (root / f"evaluation_{name}.json").write_text(json.dumps([item(10)]))
    # Picture index = sample + samples * version, in the order green screen, homogenised, sample, auto.
    for index in range(4 * SAMPLES):
        named_hand.write_color(root / "training" / "rgb" / f"{index:08d}.jpg", SIZE, SIZE, shade=20 * index)
    named_hand.write_color(root / "evaluation" / "rgb" / "00000000.jpg", SIZE, SIZE, shade=180)
    for sample in range(SAMPLES):
        # Masks exist for the first version alone. JPEG, so not exactly 0 and 255.
        mask = np.zeros((SIZE, SIZE), np.uint8)
        mask[32:64, 96 + 32 * sample : 160] = 255
        path = root / "training" / "mask" / f"{sample:08d}.jpg"
        path.parent.mkdir(exist_ok=True)
        assert cv2.imwrite(str(path), np.repeat(mask[..., None], 3, 2))
