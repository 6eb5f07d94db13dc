"""How well hands fit real photographs: `python -m benchmarks.photographs PHOTOS LANDMARKS [--cutouts=DIR]`.

PHOTOS is a folder of images, LANDMARKS a folder of keypoint files that mark hands as good, minor or bad. Reported over
hands marked good: reprojection error, and the error of five fingertips or joints (one a finger, drawn at random) that
the fit did not see, both over the longer side of the keypoints' box. CUTOUTS is a folder with RGBA images, whose alpha
is the hand, and `--cutout_landmarks` an npz with their keypoints (name, keypoints_px, keypoints_world_m, right):
reported is the overlap of the hand drawn with the hand seen.
"""

import argparse
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from handjax.camera import Camera
from handjax.detect import LEFT, RIGHT, Detection, box_side
from handjax.images import read_image
from handjax.keypoint_entries import make_detection
from handjax.keypoint_files import hands_of_image, read_keypoints
from handjax.predict import Hands, predict_image
from handjax.render import render

CANVAS = 512
FINGERS = np.arange(1, 21).reshape(5, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("landmarks", type=Path)
    parser.add_argument("--cutouts", type=Path)
    parser.add_argument("--cutout_landmarks", type=Path)
    parser.add_argument("--most", type=int, default=100, help="cut-outs to draw")
    arguments = parser.parse_args()
    report_keypoints(arguments.photos, arguments.landmarks)
    if arguments.cutouts:
        report_cutouts(arguments.cutouts, arguments.cutout_landmarks, arguments.most)


def report_keypoints(photos: Path, landmarks: Path) -> None:
    """Prints the errors over hands marked good, seen whole and with one point a finger hidden."""
    rng = np.random.default_rng(0)
    stored = read_keypoints(landmarks)
    fitted, hidden = [], []
    images = [path for path in sorted(photos.iterdir()) if path.suffix.lower() in (".jpg", ".png")]
    for path in images:
        image = read_image(path)
        entry = hands_of_image(stored, path, image.shape[1], image.shape[0])
        good = [] if entry is None else [d for d, c in zip(entry.detections, entry.checks, strict=True) if c == "good"]
        if not good:
            continue
        sides = np.array([box_side(detection.box) for detection in good])
        fitted.extend((np.nanmean(predict_image(image, good).error_px, -1) / sides).tolist())
        left_out = FINGERS[np.arange(5), rng.integers(0, 4, (len(good), 5))]
        partly = [_without(detection, points) for detection, points in zip(good, left_out, strict=True)]
        reprojected = predict_image(image, partly).reprojected
        for hand, detection, points, side in zip(reprojected, good, left_out, sides, strict=True):
            distance = np.linalg.norm(hand[points] - np.asarray(detection.keypoints_2d)[points], axis=-1)
            hidden.extend((distance / side).tolist())
    print(f"{len(images)} photographs, {len(fitted)} hands marked good")
    _print("reprojection error, mean of a hand, share of the box", np.array(fitted))
    _print("points left out, share of the box", np.array(hidden))


def report_cutouts(folder: Path, landmarks: Path, most: int) -> None:
    """Prints intersection over union of drawn and seen hands."""
    with np.load(landmarks, allow_pickle=False) as stored:
        names, pixels, space, right = (stored[key] for key in ("name", "keypoints_px", "keypoints_world_m", "right"))
    overlaps = []
    for index in np.linspace(0, len(names) - 1, min(most, len(names))).astype(int):
        path = next(parent / names[index] for parent in [folder, *folder.parents] if (parent / names[index]).exists())
        alpha = _alpha(path)
        side = RIGHT if right[index] else LEFT
        detection = make_detection(pixels[index, :, :2], space[index], side, 1.0, np.ones(21))
        hands = predict_image(alpha[..., None], [detection])
        overlaps.append(_overlap(hands, alpha > 127))
    print(f"{len(overlaps)} cut-outs")
    _print("intersection over union", np.array(overlaps))


def _without(detection: Detection, points: np.ndarray) -> Detection:
    """The detection with some keypoints unseen, in the picture and in space."""
    confidence = np.array(detection.confidence)
    confidence[points] = 0.0
    return detection._replace(confidence=confidence)


def _alpha(path: Path) -> np.ndarray:
    import cv2

    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3 or pixels.shape[2] != 4:
        raise ValueError(f"{path} must be an image with an alpha channel")
    return pixels[..., 3]


def _overlap(hands: Hands, seen: np.ndarray) -> float:
    height, width = seen.shape
    # One canvas for all sizes, so that the renderer is compiled once.
    canvas = -(-height // CANVAS) * CANVAS, -(-width // CANVAS) * CANVAS
    camera = Camera(jnp.asarray(hands.camera[:2]), jnp.asarray(hands.camera[2:]))
    drawn = render(camera, jnp.asarray(hands.vertices[0]), jnp.asarray(hands.faces[0]), size=canvas)
    mask = np.asarray(drawn.mask)[:height, :width] > 0.5
    return float((mask & seen).sum() / max((mask | seen).sum(), 1))


def _print(name: str, values: np.ndarray) -> None:
    print(f"  {name}: median {np.median(values):.4f}, 90th percentile {np.percentile(values, 90):.4f}")


if __name__ == "__main__":
    main()
