"""What handjax-bench measures: ways from a test picture, and for some its true boxes or keypoints, to hands."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import mano, weights
from handjax.camera import assumed_camera
from handjax.detect import RIGHT, Detection, keypoint_box, largest_side
from handjax.detector.candidates import Candidate
from handjax.detector.crops import hands_at
from handjax.detector.default import CROP_SIZE, default_detector, mean_bone, read_crops
from handjax.keypoint_entries import make_detection
from handjax.mano import HandModel, HandParams
from handjax.mano.inverse.jacobian import params_from_state
from handjax.mano.inverse.start import from_points
from handjax.models import crop_hand, hand_finder
from handjax.optim.placement import place
from handjax.predict.batches import Observation, batch_of, in_parts
from handjax.predict.fit import fit_images, right_hand
from handjax.predict.image_camera import intrinsics_of
from handjax.predict.solve import Batch
from launch.bench_pictures import EDITION, Picture

NOISE_PX, NOISE_M = 2.0, 0.01
"""Standard deviations of what is added to each coordinate of true keypoints."""
UPRIGHT = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], np.float32)
"""Fingers up, palm to the camera: the model's x, y, z (wrist, back of the hand, thumb) become y, z, x."""
MIRROR = np.array([-1.0, 1.0, 1.0], np.float32)


class Found(NamedTuple):
    """h hands found in a picture: side (h,), score (h,), keypoints_2d (h, 21, 2) px, joints (h, 21, 3) and vertices
    (h, V, 3) metres in the camera frame."""

    side: np.ndarray
    score: np.ndarray
    keypoints_2d: np.ndarray
    joints: np.ndarray
    vertices: np.ndarray


Method = Callable[[Sequence[Picture]], list[Found]]
"""Pictures -> what is found in each."""
Look = Callable[[Picture], list[Detection]]


def fits(model: HandModel, observations: Sequence[Observation]) -> list[Found]:
    """As `handjax predict` fits them; 2D keypoints are those of the fitted hands."""
    return [
        Found(hands.side, hands.score, hands.reprojected, hands.joints, hands.vertices)
        for hands in fit_images(model, observations)
    ]


def own_answers(model: HandModel, observations: Sequence[Observation]) -> list[Found]:
    """A network's joints where its 2D keypoints put them, and the closed-form hand through them for a mesh.

    Raises ValueError for detections without points in space.
    """
    hands = [hand for observation in observations for hand in observation.detections]
    if not hands:
        return [_found([], np.zeros((0, 21, 3)), np.zeros((0, model.num_vertices, 3))) for _ in observations]
    if any(hand.keypoints_3d is None for hand in hands):
        raise ValueError("detections must have keypoints_3d to stand without a fit, got None")
    batch, _ = batch_of(observations)
    place_batch: Any = partial(placed, model)
    answers: Any = in_parts(place_batch, batch)
    joints, vertices = answers
    ends = np.cumsum([len(observation.detections) for observation in observations])[:-1]
    parts = zip(observations, np.split(joints, ends), np.split(vertices, ends), strict=True)
    return [_found(observation.detections, *points) for observation, *points in parts]


@jax.jit
def placed(model: HandModel, batch: Batch) -> tuple[Array, Array]:
    """-> joints (B, 21, 3) and vertices (B, V, 3), metres in the camera frame, of hands of both sides."""
    points, camera = batch.keypoints_3d, batch.camera
    assert points is not None
    sign = jnp.where(batch.left[:, None, None], MIRROR[None, None], 1.0)
    transl = place(points, batch.keypoints_2d, batch.confidence, camera[:, :2], camera[:, 2:])[:, None]
    params = params_from_state(from_points(model, points * sign, batch.confidence))
    return points + transl, mano.forward_batch(model, params).vertices * sign + transl


def mean_hands(model: HandModel, observations: Sequence[Observation]) -> list[Found]:
    """A right hand of mean shape and pose, palm to the camera and as large as the box says."""
    joints, vertices = upright_mean(model)
    found = []
    for detections, camera, _ in observations:
        shifts = [_into_box(joints, detection.box, camera) for detection in detections]
        shift = np.reshape(shifts, (-1, 1, 3))
        one = _found(detections, joints[None] + shift, vertices[None] + shift)
        found.append(one._replace(keypoints_2d=_pixels(camera, one.joints)))
    return found


def upright_mean(model: HandModel) -> tuple[np.ndarray, np.ndarray]:
    """(21, 3) and (V, 3), about the middle of the joints."""
    zeros = jnp.zeros(3)
    output = jax.jit(mano.forward)(model, HandParams(jnp.zeros(model.num_betas), zeros, model.hands_mean, zeros))
    joints, vertices = (
        np.asarray(points) @ UPRIGHT.T for points in (mano.keypoints_of(model, output), output.vertices)
    )
    middle = 0.5 * (joints.min(0) + joints.max(0))
    return joints - middle, vertices - middle


def noisy(picture: Picture, deep: bool = False) -> list[Detection]:
    """True hands with noise, the same each time; deep: with points in space too, else without."""
    rng = np.random.default_rng([EDITION, *picture.part.encode(), picture.number])
    found = []
    for hand, side in enumerate(picture.side):
        pixels = picture.keypoints_2d[hand] + rng.normal(scale=NOISE_PX, size=(21, 2))
        points = picture.keypoints_3d[hand] - picture.keypoints_3d[hand, :1] + rng.normal(scale=NOISE_M, size=(21, 3))
        space = points.astype(np.float32) if deep else None
        found.append(make_detection(pixels.astype(np.float32), space, int(side), 1.0, None))
    return found


def boxes_only(picture: Picture) -> list[Detection]:
    """Detections of which the box alone means something."""
    nothing, none = np.zeros((21, 2), np.float32), np.zeros(21, np.float32)
    return [Detection(keypoint_box(hand), RIGHT, 1.0, nothing, None, none) for hand in picture.keypoints_2d]


def hands_in_boxes(picture: Picture, read: Callable) -> list[Detection]:
    """The crop network in each true box. The side is not told: it is asked as a right hand, then as a left one."""
    boxes = picture.boxes
    middles, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(-1)
    found = [Candidate(1.0, middle, float(side), 0.5) for middle, side in zip(middles, sides, strict=True)]
    return hands_at(picture.image, found, read, CROP_SIZE, mean_bone())


def remembered(look: Look) -> Look:
    """The same, once for each picture: two methods begin with it."""
    seen: dict[tuple[str, int], list[Detection]] = {}

    def once(picture: Picture) -> list[Detection]:
        name = picture.part, picture.number
        if name not in seen:
            seen[name] = look(picture)
        return seen[name]

    return once


def _through(look: Look, end: Callable, assumed: bool, pictures: Sequence[Picture]) -> list[Found]:
    observations = []
    for picture in pictures:
        detections = look(picture)
        height, width = picture.image.shape[:2]
        camera = picture.camera
        if assumed:
            camera = intrinsics_of(assumed_camera(height, width, hand_px=largest_side(detections)))
        observations.append(Observation(detections, camera, width))
    return end(observations)


def _found(detections: Sequence[Detection], joints: np.ndarray, vertices: np.ndarray) -> Found:
    return Found(
        side=np.array([hand.side for hand in detections], int),
        score=np.array([hand.score for hand in detections], float),
        keypoints_2d=np.reshape([hand.keypoints_2d for hand in detections], (-1, 21, 2)),
        joints=joints,
        vertices=vertices,
    )


def _into_box(joints: np.ndarray, box: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """(3,): where points about the origin go, so that their box' middle and longer side are about the box'."""
    middle, sides = (box[:2] + box[2:]) / 2, np.maximum(box[2:] - box[:2], 1.0)
    extents = camera[:2] * np.ptp(joints[:, :2], axis=0)
    depth = extents.max() / sides.max()
    return np.append((middle - camera[2:]) / camera[:2] * depth, depth)


def _pixels(camera: np.ndarray, points: np.ndarray) -> np.ndarray:
    return camera[:2] * points[..., :2] / np.maximum(points[..., 2:], 1e-4) + camera[2:]


def _finder(model: str) -> tuple[hand_finder.HandFinder, Mapping[str, Any]] | None:
    return None if model == "default" else (hand_finder.PRESETS["small"], _read(model, "hand_finder"))


def _crop(model: str) -> tuple[crop_hand.CropHand, Mapping[str, Any]]:
    return weights.crop_hand() if model == "default" else (crop_hand.PRESETS["small"], _read(model, "crop_hand"))


def _read(folder: str, name: str) -> dict[str, Any]:
    variables, _ = weights.read_weights(Path(folder) / f"{name}.npz")
    return variables


class Way(NamedTuple):
    """look: whose detections; end: hand model and observations -> what is found in each; about: both in words."""

    look: str
    end: Callable[[HandModel, Sequence[Observation]], list[Found]]
    about: str


NOISE = f"{NOISE_PX:g} px and {1000 * NOISE_M:g} mm"
METHODS = {
    "detected": Way("detector", fits, "whole picture, the detector, then the fit: what `handjax predict` does"),
    "detected_untailored": Way("detector", own_answers, "whole picture, the detector's own joints without the fit"),
    "boxed": Way("crops", fits, "true boxes without sides, the crop network, then the fit"),
    "boxed_untailored": Way(
        "crops", own_answers, "true boxes without sides, the crop network's joints without the fit"
    ),
    "oracle_3d": Way("points", fits, f"true sides and keypoints with {NOISE} of noise, then the fit"),
    "oracle_2d": Way("pixels", fits, f"true sides and 2D keypoints with {NOISE_PX:g} px of noise, then the fit"),
    "mean_hand": Way("boxes", mean_hands, "true boxes, a mean right hand upright in each: does not look"),
}
LEARNT = ("detector", "crops")
"""Looks that need trained networks."""


def methods(names: Sequence[str], model: str = "default", assumed: bool = False) -> dict[str, Method]:
    """The chosen ones of `METHODS`.

    model: whose networks: "default", or a folder with hand_finder.npz and crop_hand.npz of `launch.pack_weights`.
    assumed: the camera is guessed from the picture's size; else the true one is given. Raises ValueError for files that
    hold no weights, FileNotFoundError where there are none.
    """
    hand = right_hand()
    ways = {name: METHODS[name] for name in names}
    looks: dict[str, Look] = {"points": partial(noisy, deep=True), "pixels": noisy, "boxes": boxes_only}
    if any(way.look == "detector" for way in ways.values()):
        detector = default_detector(_finder(model), _crop(model))
        looks["detector"] = remembered(lambda picture: detector(picture.image))
    if any(way.look == "crops" for way in ways.values()):
        network, variables = _crop(model)
        read = partial(read_crops, network, jax.device_put(dict(variables)))
        looks["crops"] = remembered(lambda picture: hands_in_boxes(picture, read))
    return {name: partial(_through, looks[way.look], partial(way.end, hand), assumed) for name, way in ways.items()}
