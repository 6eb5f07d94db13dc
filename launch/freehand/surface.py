"""The implicit skin of a hand: fingers, palm, and their union."""

import functools

import numpy as np

from launch.freehand.anatomy import ACROSS, FINGERS, INDEX, LITTLE, MIDDLE, RING, THUMB
from launch.freehand.implicit import ellipsoid, elliptic_cone, first_order_distance, smooth_max, smooth_min
from launch.freehand.skeleton import Hand, bone_frame, normalise

UPRIGHT = np.eye(3)
DORSAL = np.array([0.0, 0.0, 1.0])
# Wrist ends of the finger metacarpals: fraction of breadth, of length, mm.
CARPUS = {
    INDEX: (-0.15, 0.05, -1.0),
    MIDDLE: (0.0, 0.045, 0.0),
    RING: (0.13, 0.045, -1.0),
    LITTLE: (0.245, 0.06, -3.5),
}
KNUCKLE_HEIGHT = {INDEX: 0.8, MIDDLE: 1.0, RING: 0.75, LITTLE: 0.75}
SQUARENESS = 2.3  # exponent of a finger's section: 2 is an ellipse
WEB_REACH = 0.53  # where the skin between two fingers ends, as a fraction of the proximal phalanx
WEB_OFFSET = np.array([0.0, -11.0, -2.5])  # mm of the bar's middle from there, in the finger's frame
WEB_SIZE = np.array([22.0, 14.0])  # mm along and through the hand


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
        field = smooth_min(field, web(points, hand, first, second), 5.0)
    # Joined among themselves first: with the palm's wide fillet neighbours would grow together along their length.
    across = [finger_field(points, hand, finger, bones[finger]) for finger in ACROSS if finger in bones]
    if across:
        field = smooth_min(field, functools.reduce(functools.partial(smooth_min, radius=1.2), across), 7.0)
    if THUMB in bones:
        field = smooth_min(field, finger_field(points, hand, THUMB, bones[THUMB]), 5.0)
    return field


def finger_field(points: np.ndarray, hand: Hand, finger: int, bones: int) -> np.ndarray:
    """The swept sections of a finger's first `bones` bones; with the last one comes its pulp and nail."""
    first = 1 if finger == THUMB else 0
    field = phalanx(points, hand, finger, first)
    for bone in range(first + 1, bones):
        field = smooth_min(field, phalanx(points, hand, finger, bone), 0.6)
    if bones < 3:
        return field
    tip = hand.skeleton.joints[finger, 3]
    side, distal, dorsal = frame = hand.skeleton.frames[finger, 2]
    breadth, depth = hand.size.sections[finger, 3]
    pulp_centre = tip - 0.78 * breadth * distal - 0.14 * depth * dorsal
    field = smooth_min(
        field, ellipsoid(points, pulp_centre, frame, [0.50 * breadth, 0.72 * breadth, 0.44 * depth]), 2.5
    )
    nail_centre = tip - 0.62 * breadth * distal + 0.30 * depth * dorsal
    nail_axes = np.stack([side, distal, normalise(dorsal + 0.08 * distal)])
    return smooth_min(
        field, ellipsoid(points, nail_centre, nail_axes, [0.41 * breadth, 0.58 * breadth, 0.185 * depth]), 0.7
    )


def phalanx(points: np.ndarray, hand: Hand, finger: int, bone: int) -> np.ndarray:
    """A super-ellipse swept along one bone, thicker at its joints, its pad bulging between them."""
    start, end = hand.skeleton.joints[finger, bone : bone + 2]
    frame = hand.skeleton.frames[finger, bone]
    sections = hand.size.sections[finger]
    last = bone == 2
    tip_length = 0.50 * sections[3, 0]
    length = np.linalg.norm(end - start) - tip_length * last
    local = (points - start) @ frame.T
    along = np.clip(local[:, 1] / length, 0.0, 1.0)
    half = (sections[bone] + (sections[bone + 1] - sections[bone]) * (along**2 * (3.0 - 2.0 * along))[:, None]) / 2.0
    swell = np.cos(2.0 * np.pi * along) * (0.3 if last else 1.0)  # +1 at the joints, -1 between
    breadth = half[:, 0] * (1.0 + 0.022 * swell)
    pad = 0.05 * swell * (2.0 if last else 1.0)
    depth = half[:, 1] * np.where(local[:, 2] > 0.0, 1.0 + 0.035 * swell, 1.0 - pad)
    beyond = local[:, 1] - np.clip(local[:, 1], 0.0, length)
    cap = np.where((beyond > 0.0) & last, tip_length, half.mean(axis=1))
    local[:, 1] = beyond
    return first_order_distance(local, np.stack([breadth, cap, depth], axis=1), SQUARENESS)


def web(points: np.ndarray, hand: Hand, first: int, second: int) -> np.ndarray:
    """The fold of skin between two fingers, a bar from one to the other that follows both."""
    start, end = web_ends(hand, first, second)
    size = hand.size.scale * WEB_SIZE
    return elliptic_cone(points, start, end, bone_frame(start, end, DORSAL), size, size)


def web_ends(hand: Hand, first: int, second: int) -> np.ndarray:
    """(2, 3) mm: where the bar starts and ends, inside the fingers and to the palm's side of them."""
    joints = hand.skeleton.joints[[first, second]]
    bases = hand.skeleton.frames[[first, second], 0]
    reach = joints[:, 0] + WEB_REACH * (joints[:, 1] - joints[:, 0])
    return reach + hand.size.scale * np.einsum("b,fbx->fx", WEB_OFFSET, bases)


def palm_field(points: np.ndarray, hand: Hand) -> np.ndarray:
    """Metacarpals, knuckles, the balls of thumb and little finger, first web, hollow and wrist."""
    field = smooth_min(metacarpals(points, hand), distal_pad(points, hand), 6.0)
    for finger in ACROSS:
        field = smooth_min(field, knuckle(points, hand, finger), 6.0)
    field = smooth_min(field, thenar(points, hand), 14.0)
    field = smooth_min(field, hypothenar(points, hand), 11.0)
    field = smooth_min(field, first_web(points, hand), 15.0)
    field = smooth_max(field, -hollow(points, hand), 12.0)
    return smooth_min(field, wrist(points, hand), 16.0)


def palm_scale(hand: Hand) -> np.ndarray:
    """(3,) mm of the tabulated palm to mm of this one."""
    return hand.size.scale * np.array([1.0, hand.size.length / hand.size.breadth / 2.25, hand.size.depth])


def metacarpals(points: np.ndarray, hand: Hand) -> np.ndarray:
    start_size = np.array([28.0, 31.0]) * palm_scale(hand)[[0, 2]] * hand.size.wrist
    cones = []
    for finger in ACROSS:
        start = np.array(CARPUS[finger]) * [hand.size.breadth, hand.size.length * hand.size.palm, 1.0]
        end = hand.skeleton.joints[finger, 0] + [0.0, -2.0, -0.3]
        end_size = hand.size.sections[finger, 0] * [1.12, 1.10]
        cones.append(elliptic_cone(points, start, end, bone_frame(start, end, DORSAL), start_size, end_size))
    return functools.reduce(functools.partial(smooth_min, radius=10.0), cones)


def distal_pad(points: np.ndarray, hand: Hand) -> np.ndarray:
    scale = palm_scale(hand)
    centre = [0.07 * hand.size.breadth, 0.375 * hand.size.length * hand.size.palm, -7.0 * scale[2]]
    axes = np.stack([normalise([1.0, -0.13, 0.0]), normalise([0.13, 1.0, 0.0]), DORSAL])
    return ellipsoid(points, centre, axes, [34.0, 12.0, 8.0] * scale)


def knuckle(points: np.ndarray, hand: Hand, finger: int) -> np.ndarray:
    scale = palm_scale(hand)
    top = 0.40 * hand.size.sections[finger, 0, 1]
    centre = hand.skeleton.joints[finger, 0] + [0.0, -6.0, top]
    return ellipsoid(points, centre, UPRIGHT, [6.5, 14.0, 3.6 * KNUCKLE_HEIGHT[finger]] * scale)


def thenar(points: np.ndarray, hand: Hand) -> np.ndarray:
    """The thumb's metacarpal and the muscle on it; it moves with the thumb."""
    scale = palm_scale(hand)
    start, end = hand.skeleton.joints[THUMB, :2]
    frame = hand.skeleton.frames[THUMB, 0]
    bone = elliptic_cone(
        points, start - 4.0 * frame[1], end, frame, [29.0, 31.0] * scale[[0, 2]], hand.size.sections[THUMB, 0]
    )
    centre = start + 0.47 * (end - start) + ([-1.0, -2.0, -8.0] * scale) @ frame
    muscle = ellipsoid(points, centre, frame, [15.5, 29.0, 14.0] * scale)
    return smooth_min(bone, muscle, 8.0)


def hypothenar(points: np.ndarray, hand: Hand) -> np.ndarray:
    scale = palm_scale(hand)
    centre = [0.315 * hand.size.breadth, 0.175 * hand.size.length * hand.size.palm, -8.0 * scale[2]]
    axes = np.stack([normalise([1.0, -0.16, 0.0]), normalise([0.16, 1.0, 0.0]), DORSAL])
    return ellipsoid(points, centre, axes, [14.5, 37.0, 14.0] * scale)


def first_web(points: np.ndarray, hand: Hand) -> np.ndarray:
    """The skin between thumb and index finger."""
    joints, scale = hand.skeleton.joints, palm_scale(hand)
    start = 0.35 * joints[THUMB, 0] + 0.65 * joints[THUMB, 1]
    palm_side = np.array([-0.115 * hand.size.breadth, 0.05 * hand.size.length, -3.0])
    end = 0.62 * joints[INDEX, 0] + 0.38 * palm_side
    size = [12.0, 13.0] * scale[[0, 2]]
    return elliptic_cone(points, start, end, bone_frame(start, end, np.array([0.1, 0.1, 1.0])), size, size)


def hollow(points: np.ndarray, hand: Hand) -> np.ndarray:
    scale = palm_scale(hand)
    centre = [0.035 * hand.size.breadth, 0.24 * hand.size.length * hand.size.palm, -50.0 * scale[2]]
    stretched = (points - centre) / np.array([0.80, 1.3, 1.0])
    return np.linalg.norm(stretched, axis=1) - 36.0 * scale[2]


def wrist(points: np.ndarray, hand: Hand) -> np.ndarray:
    girth = hand.size.scale * hand.size.wrist
    start, end = np.array([1.0, -60.0, -2.0]), np.array([0.0, 0.03 * hand.size.length, -1.0])
    frame = bone_frame(start, end, DORSAL)
    return elliptic_cone(points, start, end, frame, np.array([54.0, 39.0]) * girth, np.array([56.0, 37.0]) * girth)
