"""`python -m launch.render_gallery --out=gallery`: contact sheets of what `datasets.synthetic` draws, to be looked at.

Scenes, labels, sides, and for each randomisation the same pictures without it (upper row) and with it (lower row).
"""

import argparse
import dataclasses
import math
from pathlib import Path

import cv2
import jax
import numpy as np

from datasets import synthetic
from datasets.synthetic import Occluders, Settings
from handjax.compilation_cache import use_compilation_cache
from handjax.predict.files import write_png
from handjax.skeleton import draw_keypoints

OFF = {
    "shapes": {"betas_spread": 0.0},
    "poses": {"poses": False},
    "views": {"views": False},
    "places": {"off_axis": 0.0, "off_centre": 0.0, "hand_fill": (0.75, 0.75), "distance_m": (0.6, 0.6)},
    "skin": {"skin": False},
    "lights": {"lights": False},
    "forearms": {"forearms": False},
    "backgrounds": {"backgrounds": None},
    "ground_shadows": {"ground_shadows": 0.0},
    "occluders": {"occluders": None},
    "degrade": {"degrade": None},
}
"""Each randomisation with what switches it off."""

ALWAYS = {"ground_shadows": {"ground_shadows": 1.0}, "occluders": {"occluders": Occluders(chance=1.0)}}
"""Those that only some pictures have are shown on all."""

MASK_COLORS = np.array([[0, 0, 0], [235, 70, 80], [20, 170, 200], [250, 150, 40], [90, 190, 70], [165, 90, 220]])
GAP_PX = 4


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m launch.render_gallery", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder for the sheets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--px", type=int, default=256, help="side of a crop around one hand")
    parser.add_argument("--resolution", default="low", help="of the hand that ships: low, medium or high")
    parser.add_argument("--texture", type=int, default=512, help="texels along a side of a skin")
    parser.add_argument("--only", nargs="*", help="names of sheets; all without it")
    arguments = parser.parse_args()
    use_compilation_cache()
    sheets = {
        "single": lambda: pictures(synthetic.single(arguments.px), 24, 6),
        "two": lambda: pictures(synthetic.two(arguments.px), 12, 4),
        "many": lambda: pictures(synthetic.many(), 4, 2),
        "frame": lambda: pictures(synthetic.frame(), 6, 3),
        "labels_single": lambda: labels(synthetic.single(arguments.px), 4),
        "labels_two": lambda: labels(synthetic.two(arguments.px), 4),
        "labels_many": lambda: labels(synthetic.many(), 2),
        "sides": lambda: compared({"sides": "left"}, {"sides": "right"}),
    }
    sheets |= {name: lambda name=name: compared(OFF[name], ALWAYS.get(name, {})) for name in OFF}
    if unknown := set(arguments.only or ()) - sheets.keys():
        parser.error(f"--only must name some of {', '.join(sheets)}; got {', '.join(sorted(unknown))}")
    assets = synthetic.assets(arguments.resolution, arguments.texture)
    key = jax.random.key(arguments.seed)

    def drawn(settings: Settings, count: int) -> dict[str, np.ndarray]:
        return jax.tree.map(np.asarray, synthetic.batch(key, count, settings, assets))

    def pictures(settings: Settings, count: int, columns: int) -> np.ndarray:
        return grid(list(drawn(settings, count)["image"]), columns)

    def labels(settings: Settings, count: int) -> np.ndarray:
        examples = drawn(settings, count)
        each = [jax.tree.map(lambda field, k=k: field[k], examples) for k in range(count)]
        return grid([cell for example in each for cell in label_pictures(example)], 4)

    def compared(without: dict, with_it: dict) -> np.ndarray:
        whole = synthetic.single(arguments.px)
        rows = [drawn(dataclasses.replace(whole, **changes), 6)["image"] for changes in (without, with_it)]
        return grid([*rows[0], *rows[1]], 6)

    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.only or sheets:
        path = arguments.out / f"{name}.png"
        write_png(path, sheets[name]())
        print(path, flush=True)


def label_pictures(example: dict[str, np.ndarray]) -> list[np.ndarray]:
    """One example -> picture with boxes and visible keypoints, picture, mask and depth; (H, W, 3) uint8."""
    marked = example["image"].copy()
    for slot in np.flatnonzero(example["valid"]).tolist():
        draw_keypoints(marked, example["keypoints_2d"][slot], example["keypoints_visible"][slot])
        low, high = np.round(example["box"][slot]).astype(int).reshape(2, 2)
        cv2.rectangle(marked, low.tolist(), high.tolist(), (255, 255, 255), 1)
    mask = MASK_COLORS[np.where(example["mask"] > 0, 1 + (example["mask"] - 1) % 5, 0)].astype(np.uint8)
    return [example["image"], marked, mask, depth_picture(example["depth"])]


def depth_picture(depth: np.ndarray) -> np.ndarray:
    """(H, W) metres -> (H, W, 3) uint8, near things bright."""
    seen = depth[depth > 0]
    if not seen.size:
        return np.zeros((*depth.shape, 3), np.uint8)
    near, far = seen.min(), seen.max()
    share = np.where(depth > 0, 1.0 - 0.8 * (depth - near) / max(far - near, 1e-6), 0.0)
    return np.repeat((255 * share[..., None]).astype(np.uint8), 3, axis=-1)


def grid(cells: list[np.ndarray], columns: int) -> np.ndarray:
    """Pictures of one size beside and under each other, on white."""
    height, width = cells[0].shape[:2]
    rows = math.ceil(len(cells) / columns)
    sheet = np.full((rows * (height + GAP_PX) - GAP_PX, columns * (width + GAP_PX) - GAP_PX, 3), 255, np.uint8)
    for place, cell in enumerate(cells):
        y, x = (place // columns) * (height + GAP_PX), (place % columns) * (width + GAP_PX)
        sheet[y : y + height, x : x + width] = cell
    return sheet


if __name__ == "__main__":
    main()
