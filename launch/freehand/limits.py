"""How far each joint turns, and about which axes.

A joint's pose is three angles about its flexion, abduction and twist axes; its axis-angle vector is their sum.
Positive flexion bends to the palm (the thumb: to its pulp); positive abduction moves the tip to the thumb's side
(the thumb: away from the index finger, in the plane of its nail); positive twist turns right-handed about the bone,
base to tip, so that the thumb's pulp comes to face the fingers by negative twist.
"""

import numpy as np

# Degrees, (lower, upper) of flexion, abduction, twist for base, middle and distal joint. AAOS, e-hand, MyoSim and
# Sancho-Bru's model agree within the spread; small ranges stand for the play of hinge joints.
PLAY = (-5.0, 5.0)
FINGER_TAIL = [[(0.0, 100.0), PLAY, PLAY], [(-5.0, 75.0), PLAY, PLAY]]
LIMITS = np.array(
    [
        [[(-20.0, 90.0), (-15.0, 18.0), PLAY], *FINGER_TAIL],
        [[(-20.0, 90.0), (-10.0, 10.0), PLAY], *FINGER_TAIL],
        [[(-20.0, 90.0), (-20.0, 15.0), (-8.0, 8.0)], [(0.0, 105.0), PLAY, PLAY], FINGER_TAIL[1]],
        [[(-20.0, 90.0), (-12.0, 10.0), PLAY], [(0.0, 105.0), PLAY, PLAY], FINGER_TAIL[1]],
        [
            [(-25.0, 55.0), (-35.0, 30.0), (-45.0, 15.0)],
            [(-10.0, 60.0), (-10.0, 10.0), (-12.0, 8.0)],
            [(-15.0, 80.0), PLAY, PLAY],
        ],
    ]
)


def axis_angles(degrees: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """(5, 3, 3) degrees by finger, joint and axis, (15, 3, 3) axes -> (15, 3) axis-angle, radians."""
    return np.einsum("jk,jkx->jx", np.deg2rad(degrees).reshape(15, 3), axes)
