"""The implicit skin of the palm and wrist: metacarpals, muscles, webs, knuckles, tendons and the hollow."""

import functools

import numpy as np

from launch.freehand.anatomy import ACROSS, INDEX, LITTLE, MIDDLE, RING, THUMB
from launch.freehand.implicit import bump, ellipsoid, elliptic_cone, nearby, ridge, smooth_min, triangle_sheet
from launch.freehand.skeleton import Hand, bone_frame, normalise

UPRIGHT = np.eye(3)
DORSAL = np.array([0.0, 0.0, 1.0])
# Wrist ends of the finger metacarpals: fraction of breadth, of length, mm.
CARPUS = {
    INDEX: (-0.14, 0.095, -1.0),
    MIDDLE: (0.0, 0.09, 0.0),
    RING: (0.12, 0.09, -1.0),
    LITTLE: (0.225, 0.10, -3.5),
}
KNUCKLE_HEIGHT = {INDEX: 1.1, MIDDLE: 1.5, RING: 1.1, LITTLE: 1.2}  # mm
VALLEY_DEPTH, TENDON_HEIGHT = 1.6, 0.55  # mm
WEB_REACH = 0.585  # where the skin between two fingers ends, as a fraction of the proximal phalanx
WEB_OFFSET = np.array([0.0, -14.0, -3.4])  # mm of the bar's middle from there, in the finger's frame
WEB_SIZE = np.array([28.0, 17.0])  # mm along and through the hand
# Where the extensor tendons come out of the wrist: fractions of breadth and palm length.
TENDON_ROOT = {INDEX: (-0.07, 0.08), MIDDLE: (-0.02, 0.06), RING: (0.05, 0.08), LITTLE: (0.12, 0.11)}
FLEXOR_TENDONS = (-0.11, -0.02)  # at the wrist, fractions of breadth
WIDEST_FILLET = 17.0  # mm


def palm_field(points: np.ndarray, hand: Hand) -> np.ndarray:
    """Everything but fingers and webs, (N, 3) mm -> (N,)."""
    length, scale = hand.size.length, palm_scale(hand)
    centre = np.array([0.0, 0.17 * length, -5.0])
    radius = 0.36 * length * max(1.0, hand.size.palm) + 12.0 * scale[0]
    return nearby(points, centre, radius, lambda near: palm_solid(near, hand), WIDEST_FILLET)


def palm_solid(points: np.ndarray, hand: Hand) -> np.ndarray:
    field = smooth_min(metacarpals(points, hand), distal_pad(points, hand), 12.0)
    field = smooth_min(field, thenar(points, hand), 13.0)
    field = smooth_min(field, hypothenar(points, hand), 12.0)
    field = smooth_min(field, first_web(points, hand), 9.0)
    field = smooth_min(field, wrist(points, hand), WIDEST_FILLET)
    return field - palm_relief(points, hand)


def palm_scale(hand: Hand) -> np.ndarray:
    """(3,) mm of the tabulated palm to mm of this one."""
    return hand.size.scale * np.array([1.0, hand.size.length / hand.size.breadth / 2.25, hand.size.depth])


def palm_place(hand: Hand, across: float, along: float, height: float) -> np.ndarray:
    """(3,) mm from fractions of breadth and palm length and a height on the tabulated palm."""
    return np.array(
        [
            across * hand.size.breadth,
            along * hand.size.length * hand.size.palm,
            height * palm_scale(hand)[2],
        ]
    )


def metacarpals(points: np.ndarray, hand: Hand) -> np.ndarray:
    start_size = np.array([26.0, 27.5]) * palm_scale(hand)[[0, 2]] * hand.size.wrist
    cones = []
    for finger in ACROSS:
        start = np.array(CARPUS[finger]) * [hand.size.breadth, hand.size.length * hand.size.palm, 1.0]
        end = hand.skeleton.joints[finger, 0] + [0.0, -2.0, -0.6]
        end_size = hand.size.sections[finger, 0] * [0.92, 0.88]
        cones.append(elliptic_cone(points, start, end, bone_frame(start, end, DORSAL), start_size, end_size))
    return functools.reduce(functools.partial(smooth_min, radius=10.0), cones)


def distal_pad(points: np.ndarray, hand: Hand) -> np.ndarray:
    """The cushion of the palm behind the knuckles; in front of them it belongs to the fingers, which bend."""
    axes = np.stack([normalise([1.0, -0.16, -0.06]), normalise([0.16, 1.0, 0.0]), DORSAL])
    centre = palm_place(hand, 0.08, 0.372, -8.5)
    return ellipsoid(points, centre, axes, [35.0, 14.0, 6.5] * palm_scale(hand))


def thenar(points: np.ndarray, hand: Hand) -> np.ndarray:
    """The thumb's metacarpal and the muscle on it; it moves with the thumb."""
    scale = palm_scale(hand)
    start, end = hand.skeleton.joints[THUMB, :2]
    frame = hand.skeleton.frames[THUMB, 0]
    bone = elliptic_cone(
        points, start + 2.0 * frame[1], end, frame, [26.0, 27.0] * scale[[0, 2]], hand.size.sections[THUMB, 0] * 0.82
    )
    centre = start + 0.45 * (end - start) + ([-1.0, -2.0, -8.0] * scale) @ frame
    muscle = ellipsoid(points, centre, frame, [15.5, 29.0, 14.0] * scale)
    return smooth_min(bone, muscle, 8.0)


def hypothenar(points: np.ndarray, hand: Hand) -> np.ndarray:
    centre = palm_place(hand, 0.315, 0.17, -8.0)
    axes = np.stack([normalise([1.0, -0.16, 0.0]), normalise([0.16, 1.0, 0.0]), DORSAL])
    return ellipsoid(points, centre, axes, [14.5, 36.0, 14.0] * palm_scale(hand))


def first_web(points: np.ndarray, hand: Hand) -> np.ndarray:
    """The sheet of skin and muscle between thumb and index finger, thin at its free edge."""
    return triangle_sheet(points, first_web_corners(hand), np.array([11.0, 5.5, 5.5]) * palm_scale(hand)[0])


def first_web_corners(hand: Hand) -> np.ndarray:
    """(3, 3) mm: at the wrist, and the ends of the free edge at thumb and index finger."""
    joints = hand.skeleton.joints
    carpus = np.array(CARPUS[INDEX]) * [hand.size.breadth, hand.size.length * hand.size.palm, 1.0]
    return np.stack(
        [
            0.80 * carpus + 0.20 * joints[THUMB, 1],
            joints[THUMB, 0] + 0.80 * (joints[THUMB, 1] - joints[THUMB, 0]),
            carpus + 0.80 * (joints[INDEX, 0] - carpus) - [0.0, 0.0, 4.0 * palm_scale(hand)[2]],
        ]
    )


def wrist(points: np.ndarray, hand: Hand) -> np.ndarray:
    girth = hand.size.scale * hand.size.wrist
    start, end = np.array([1.0, -60.0, -2.0]), np.array([0.0, 0.05 * hand.size.length, -0.5])
    frame = bone_frame(start, end, DORSAL)
    return elliptic_cone(points, start, end, frame, np.array([55.0, 39.0]) * girth, np.array([53.0, 33.0]) * girth)


def palm_relief(points: np.ndarray, hand: Hand) -> np.ndarray:
    """(N,) mm to add to the skin: what lies under it without an outline of its own."""
    return dorsal_relief(points, hand) + palmar_relief(points, hand)


def dorsal_relief(points: np.ndarray, hand: Hand) -> np.ndarray:
    """Knuckles with valleys between them, the extensor tendons, and the head of the ulna."""
    scale, bases = palm_scale(hand), hand.skeleton.joints[:, 0]
    tops = bases + 0.5 * hand.size.sections[:, 0, 1, None] * DORSAL
    axes = np.stack([[1.0, -0.13, 0.0], [0.13, 1.0, 0.0], [0.0, 0.0, 1.0]])
    relief = np.zeros(len(points))
    for finger in ACROSS:
        height = KNUCKLE_HEIGHT[finger] * scale[2]
        relief += height * bump(points, tops[finger] - [0.0, 1.0, 0.0], axes, [5.8, 8.5, 9.0] * scale)
        path = np.stack([tops[finger] - [0.0, 3.0, 0.0], palm_place(hand, *TENDON_ROOT[finger], 0.0)])
        relief += TENDON_HEIGHT * scale[2] * flat_ridge(points, path, 2.5 * scale[0], 18.0 * scale[1])
    for first, second in zip(ACROSS[:-1], ACROSS[1:], strict=True):
        between = 0.5 * (tops[first] + tops[second]) + [0.0, 2.0, 0.0]
        relief -= VALLEY_DEPTH * scale[2] * bump(points, between, axes, [3.6, 9.0, 8.0] * scale)
    ulna = [0.235 * hand.size.breadth, -15.0 * scale[1], 15.0 * scale[2] * hand.size.wrist]
    return relief + 2.4 * scale[2] * bump(points, ulna, UPRIGHT, [7.0, 8.5, 8.0] * scale)


def flat_ridge(points: np.ndarray, path: np.ndarray, width: float, ends: float) -> np.ndarray:
    """A ridge seen from the back of the hand: it lies on the skin whatever the skin's height, there only."""
    seen = points * [1.0, 1.0, 0.0]
    return np.where(points[:, 2] > 0.0, ridge(seen, path * [1.0, 1.0, 0.0], width, ends), 0.0)


def palmar_relief(points: np.ndarray, hand: Hand) -> np.ndarray:
    """The hollow, the furrow that bounds the ball of the thumb, and the flexor tendons at the wrist."""
    scale = palm_scale(hand)
    axes = np.stack([normalise([1.0, 0.10, 0.0]), normalise([-0.10, 1.0, 0.0]), DORSAL])
    hollow = bump(points, palm_place(hand, 0.07, 0.24, -19.0), axes, [14.0, 24.0, 14.0] * scale)
    relief = -3.0 * scale[2] * hollow
    for across in FLEXOR_TENDONS:
        path = np.stack([palm_place(hand, across, 0.0, 0.0) - [0.0, 40.0, 0.0], palm_place(hand, across, 0.03, 0.0)])
        seen = ridge(points * [1.0, 1.0, 0.0], path, 2.2 * scale[0], 14.0)
        relief += np.where(points[:, 2] < 0.0, 0.7 * scale[2] * seen, 0.0)
    return relief
