"""The implicit skin of a finger: three swept phalanges, the ball of the tip, joints, pads and nail."""

import numpy as np
from scipy.interpolate import PchipInterpolator

from launch.freehand.anatomy import THUMB
from launch.freehand.implicit import ellipsoid, first_order_distance, nearby, smooth_min
from launch.freehand.nails import fold_relief, nail_plate
from launch.freehand.skeleton import Hand, normalise

SQUARENESS = 2.3  # exponent of a finger's section: 2 is an ellipse
JOINT_FILLET, REACH = 0.3, 9.0  # mm; no fillet with the palm is wider than the reach
NAIL_FILLET = 0.35  # mm
TIP_LENGTH = 0.55  # of the tip's breadth, from the end of the sweep to the end of the finger

# From joint to joint: where (0 to 1), half breadth over the section's half, and height of the back and depth of the
# pad over the section's depth. Backs are straight with a low saddle between the joints; pads swell between creases.
PROFILES = (
    (
        [0.0, 0.06, 0.30, 0.55, 0.80, 0.95, 1.0],
        [0.91, 0.91, 0.955, 0.962, 0.985, 1.0, 1.0],
        [0.365, 0.368, 0.415, 0.428, 0.450, 0.467, 0.467],
        [0.49, 0.495, 0.545, 0.555, 0.540, 0.508, 0.508],
    ),
    (
        [0.0, 0.06, 0.25, 0.50, 0.80, 0.95, 1.0],
        [1.0, 1.0, 0.985, 0.965, 0.980, 1.0, 1.0],
        [0.467, 0.467, 0.445, 0.425, 0.440, 0.455, 0.455],
        [0.508, 0.508, 0.540, 0.562, 0.545, 0.508, 0.508],
    ),
    (
        [0.0, 0.07, 0.18, 0.40, 0.60, 0.90, 1.0],
        [1.0, 1.0, 0.990, 0.975, 0.985, 0.985, 0.985],
        [0.455, 0.455, 0.440, 0.420, 0.415, 0.412, 0.412],
        [0.508, 0.508, 0.530, 0.570, 0.585, 0.550, 0.550],
    ),
)
FINE = np.linspace(0.0, 1.0, 129)
TABLES = [np.stack([PchipInterpolator(where, values)(FINE) for values in rows]) for where, *rows in PROFILES]


def finger_field(points: np.ndarray, hand: Hand, finger: int, bones: int) -> np.ndarray:
    """The first `bones` bones of a finger, (N, 3) mm -> (N,); with the last one comes its pulp and nail."""
    first = 1 if finger == THUMB else 0
    joints, breadth = hand.skeleton.joints[finger], hand.size.sections[finger, 0].max()
    field = None
    for bone in range(first, bones):
        start, end = joints[bone : bone + 2]
        solid = tip if bone == 2 else phalanx
        radius = 0.5 * float(np.linalg.norm(end - start)) + 0.6 * breadth
        one = nearby(points, (start + end) / 2.0, radius, lambda near, s=solid, b=bone: s(near, hand, finger, b), REACH)
        field = one if field is None else smooth_min(field, one, JOINT_FILLET)
    assert field is not None
    return field


def phalanx(points: np.ndarray, hand: Hand, finger: int, bone: int) -> np.ndarray:
    """A super-ellipse swept along one bone, round at both ends."""
    start, end = hand.skeleton.joints[finger, bone : bone + 2]
    sections = hand.size.sections[finger]
    last = bone == 2
    tip_length = TIP_LENGTH * sections[3, 0]
    length = np.linalg.norm(end - start) - tip_length * last
    local = (points - start) @ hand.skeleton.frames[finger, bone].T
    along = np.clip(local[:, 1] / length, 0.0, 1.0)
    share = (along * along * (3.0 - 2.0 * along))[:, None]
    section = sections[bone] + (sections[bone + 1] - sections[bone]) * share
    side, back, pad = (np.interp(along, FINE, row) for row in TABLES[bone])
    depth = section[:, 1] * np.where(local[:, 2] > 0.0, back, pad)
    beyond = local[:, 1] - np.clip(local[:, 1], 0.0, length)
    cap = np.where((beyond > 0.0) & last, tip_length, section.mean(axis=1) / 2.0)
    local[:, 1] = beyond
    return first_order_distance(local, np.stack([0.5 * section[:, 0] * side, cap, depth], axis=1), SQUARENESS)


def tip(points: np.ndarray, hand: Hand, finger: int, bone: int) -> np.ndarray:
    """The last phalanx with the ball of the fingertip and the nail."""
    end = hand.skeleton.joints[finger, 3]
    side, distal, dorsal = frame = hand.skeleton.frames[finger, 2]
    breadth, depth = hand.size.sections[finger, 3]
    field = phalanx(points, hand, finger, bone)
    pulp = end - 0.64 * breadth * distal - 0.16 * depth * dorsal
    field = smooth_min(field, ellipsoid(points, pulp, frame, [0.46 * breadth, 0.62 * breadth, 0.43 * depth]), 4.0)
    bed = end - 0.58 * breadth * distal + 0.26 * depth * dorsal
    axes = np.stack([side, distal, normalise(dorsal + 0.06 * distal)])
    field = smooth_min(field, ellipsoid(points, bed, axes, [0.42 * breadth, 0.55 * breadth, 0.19 * depth]), 1.2)
    local = (points - end) @ frame.T
    return smooth_min(field, nail_plate(local, breadth, depth), NAIL_FILLET) - fold_relief(local, breadth, depth)
