"""The implicit skin of a hand: fingers, palm, and their union."""

import functools

import numpy as np

from launch.freehand.anatomy import ACROSS, FINGERS, THUMB
from launch.freehand.digits import finger_field
from launch.freehand.implicit import elliptic_cone, nearby, smooth_min
from launch.freehand.palm import DORSAL, WEB_OFFSET, WEB_REACH, WEB_SIZE, palm_field
from launch.freehand.skeleton import Hand, bone_frame

FINGER_FILLET, THUMB_FILLET, WEB_FILLET = 5.0, 4.5, 5.0  # mm where they leave the palm


def hand_field(points: np.ndarray, hand: Hand) -> np.ndarray:
    """The whole hand, (N, 3) mm -> (N,)."""
    return join_fingers(points, hand, {finger: 3 for finger in range(len(FINGERS))})


def part_field(points: np.ndarray, hand: Hand, part: int) -> np.ndarray:
    """The surface that the skin of one part (a joint's number, 0 the palm) belongs to.

    A posed hand touches itself; projecting on the union would glue a fingertip to the palm it rests on.
    """
    if part == 0 or part == 1 + 3 * THUMB:
        return join_fingers(points, hand, {finger: 1 + (finger == THUMB) for finger in range(len(FINGERS))})
    finger, bone = divmod(part - 1, 3)
    if bone == (finger == THUMB):
        return join_fingers(points, hand, {finger: 3})
    return finger_field(points, hand, finger, bones=3)


def join_fingers(points: np.ndarray, hand: Hand, bones: dict[int, int]) -> np.ndarray:
    """The palm with some fingers, each as far as its first `bones` bones."""
    field = palm_field(points, hand)
    for first, second in zip(ACROSS[:-1], ACROSS[1:], strict=True):
        field = smooth_min(field, web(points, hand, first, second), WEB_FILLET)
    # Joined among themselves first: with the palm's wide fillet neighbours would grow together along their length.
    across = [finger_field(points, hand, finger, bones[finger]) for finger in ACROSS if finger in bones]
    if across:
        field = smooth_min(field, functools.reduce(functools.partial(smooth_min, radius=1.2), across), FINGER_FILLET)
    if THUMB in bones:
        field = smooth_min(field, finger_field(points, hand, THUMB, bones[THUMB]), THUMB_FILLET)
    return field


def web(points: np.ndarray, hand: Hand, first: int, second: int) -> np.ndarray:
    """The fold of skin between two fingers, a bar from one to the other that follows both."""
    start, end = web_ends(hand, first, second)
    size = hand.size.scale * WEB_SIZE
    radius = 0.5 * float(np.linalg.norm(end - start) + size.max())

    def bar(near):
        return elliptic_cone(near, start, end, bone_frame(start, end, DORSAL), size, size)

    return nearby(points, (start + end) / 2.0, radius, bar, 9.0)


def web_ends(hand: Hand, first: int, second: int) -> np.ndarray:
    """(2, 3) mm: where the bar starts and ends, inside the fingers and to the palm's side of them."""
    joints = hand.skeleton.joints[[first, second]]
    bases = hand.skeleton.frames[[first, second], 0]
    reach = joints[:, 0] + WEB_REACH * (joints[:, 1] - joints[:, 0])
    return reach + hand.size.scale * np.einsum("b,fbx->fx", WEB_OFFSET, bases)
