"""MediaPipe's hand landmarker as a detector (extra `mediapipe`): finds hands and their 21 keypoints in photos.

Zhang et al., "MediaPipe Hands: On-device Real-time Hand Tracking", 2020. The network is read from the user's own
`hand_landmarker.task`; nothing is downloaded.
"""

import os
import weakref
from pathlib import Path

import cv2
import numpy as np

from handjax.checks import check_shape
from handjax.detect import LEFT, RIGHT, Detection, Detector, keypoint_distance, without_duplicates
from handjax.keypoint_entries import make_detection

# Borders tried in turn, as parts of the longer side. A hand that fills the frame is missed without one.
BORDERS = (0.0, 1 / 3, 1.0)
# Below this score of the side, the mirror image is asked too. Of 68 left hands seen from above, 55 are called left
# without it and 64 with it; of 57 hands in mixed photos, 54 and 56.
SURE_SIDE = 0.95
SAME_HAND = 0.3
MIRROR = np.array([-1, 1], np.float32)
MIRROR_SHIFT = np.array([1, 0], np.float32)
MODEL_PAGE = "https://ai.google.dev/edge/mediapipe/solutions/vision/hand_landmarker"


def mediapipe_detector(model_path: str | os.PathLike, max_hands: int = 10, min_confidence: float = 0.5) -> Detector:
    """A detector of at most `max_hands` hands, each with 2D keypoints in pixels and rough 3D keypoints in metres.

    An image in which nothing is found is tried again with a border of replicated edge pixels of a third of the
    longer side, then of the whole. Sides are those of an unmirrored photo. MediaPipe gives no confidence per
    keypoint, so these are ones; the score is that of the side, averaged with the mirror image's where it is unsure.

    Raises ImportError if the package is missing, FileNotFoundError or ValueError for the model file.
    """
    if max_hands < 1:
        raise ValueError(f"max_hands must be at least 1, got {max_hands}")
    if not 0 <= min_confidence <= 1:
        raise ValueError(f"min_confidence must lie in [0, 1], got {min_confidence}")
    model_path = Path(model_path)
    if not model_path.is_file():
        raise FileNotFoundError(
            f"{model_path}: no such file; the hand landmarker model, hand_landmarker.task, is at {MODEL_PAGE}"
        )
    mediapipe, vision = _import_mediapipe()
    options = vision.HandLandmarkerOptions(
        base_options=mediapipe.tasks.BaseOptions(model_asset_buffer=model_path.read_bytes()),
        num_hands=max_hands,
        min_hand_detection_confidence=min_confidence,
        min_hand_presence_confidence=min_confidence,
    )
    try:
        landmarker = vision.HandLandmarker.create_from_options(options)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{model_path}: not a hand landmarker model that MediaPipe can read: {error}") from error

    def find(image: np.ndarray, padding: int) -> list[Detection]:
        padded = cv2.copyMakeBorder(image, padding, padding, padding, padding, cv2.BORDER_REPLICATE)
        result = landmarker.detect(mediapipe.Image(mediapipe.ImageFormat.SRGB, padded))
        return _detections(result, padded.shape, padding)

    def detect(image: np.ndarray) -> list[Detection]:
        check_shape("image", image, ("H", "W", 3))
        if image.dtype != np.uint8:
            raise TypeError(f"image must be uint8, got {image.dtype}")
        for border in BORDERS:
            padding = round(border * max(image.shape[:2]))
            hands = find(image, padding)
            if any(hand.score < SURE_SIDE for hand in hands):
                mirrored = find(np.ascontiguousarray(image[:, ::-1]), padding)
                hands = [_with_second_opinion(hand, mirrored, image.shape[1]) for hand in hands]
            if hands:
                return without_duplicates(hands)
        return []

    weakref.finalize(detect, _close, landmarker)
    return detect


def _close(landmarker) -> None:
    try:
        landmarker.close()
    except RuntimeError:
        # At interpreter exit MediaPipe's threads are gone and closing fails, which its own __del__ would then report.
        landmarker.close = lambda: None


def _with_second_opinion(hand: Detection, mirrored: list[Detection], width: int) -> Detection:
    """The hand with its side averaged over two runs, the second on the mirror image, where sides change places."""
    flipped = [other._replace(keypoints_2d=other.keypoints_2d * MIRROR + MIRROR_SHIFT * width) for other in mirrored]
    same = min(flipped, key=lambda other: keypoint_distance(hand, other), default=None)
    if same is None or keypoint_distance(hand, same) > SAME_HAND:
        return hand
    right = 0.5 * (_probability_of(hand, RIGHT) + _probability_of(same, LEFT))
    return hand._replace(side=RIGHT, score=right) if right > 0.5 else hand._replace(side=LEFT, score=1 - right)


def _probability_of(hand: Detection, side: int) -> float:
    return hand.score if hand.side == side else 1 - hand.score


def _detections(result, padded_shape: tuple[int, ...], padding: int) -> list[Detection]:
    height, width = padded_shape[:2]
    detections = []
    for image_points, world_points, sides in zip(
        result.hand_landmarks, result.hand_world_landmarks, result.handedness, strict=True
    ):
        keypoints_2d = np.array([[point.x * width, point.y * height] for point in image_points], np.float32)
        # World points: x right, y down, z away from the camera, origin near the middle of the hand.
        keypoints_3d = np.array([[point.x, point.y, point.z] for point in world_points], np.float32)
        side = LEFT if sides[0].category_name == "Left" else RIGHT
        score = min(max(float(sides[0].score), 0.0), 1.0)
        detections.append(make_detection(keypoints_2d - np.float32(padding), keypoints_3d, side, score, None))
    return detections


def _import_mediapipe():
    try:
        import mediapipe  # pyright: ignore[reportMissingImports]  an extra
        from mediapipe.tasks.python import vision  # pyright: ignore[reportMissingImports]  an extra
    except ImportError as error:
        raise ImportError(
            'the MediaPipe detector needs the package mediapipe: pip install "handjax[mediapipe]"'
        ) from error
    return mediapipe, vision
