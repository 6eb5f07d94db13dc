"""Joint limits, named poses, and a sampler of plausible poses.

A joint's pose is three angles about its flexion, abduction and twist axes; its axis-angle vector is their sum.
Positive flexion bends to the palm (the thumb: to its pulp); positive abduction moves the tip to the thumb's side
(the thumb: away from the index finger, in the plane of its nail); positive twist turns right-handed about the bone,
base to tip, so that the thumb's pulp comes to face the fingers by negative twist.
"""

import numpy as np

from launch.freehand.anatomy import FINGERS, INDEX, LITTLE, MIDDLE, RING, THUMB

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

DIP_PER_PIP = 0.67  # the two distal joints share a tendon


def axis_angles(degrees: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """(5, 3, 3) degrees by finger, joint and axis, (15, 3, 3) axes -> (15, 3) axis-angle, radians."""
    return np.einsum("jk,jkx->jx", np.deg2rad(degrees).reshape(15, 3), axes)


def sample_pose(rng: np.random.Generator) -> np.ndarray:
    """(5, 3, 3) degrees inside the limits: one closure for the hand, each finger and joint varied about it."""
    degrees = rng.normal(0.0, 1.5, (5, 3, 3))
    closure, spread = rng.beta(1.1, 1.9), rng.normal(0.0, 0.8)
    for finger in (INDEX, MIDDLE, LITTLE, RING):
        own = closure + rng.normal(0.0, 0.21)
        degrees[finger] += finger_angles(rng, finger, own, spread)
    degrees[THUMB] += thumb_angles(rng, closure)
    return np.clip(degrees, LIMITS[..., 0], LIMITS[..., 1])


def finger_angles(rng: np.random.Generator, finger: int, closure: float, spread: float) -> np.ndarray:
    """(3, 3) degrees. Knuckle and middle joint share the closure; spreading shrinks by 70 % in a fist."""
    angles = np.zeros((3, 3))
    angles[0, 0] = -12.0 + 95.0 * np.clip(closure + rng.normal(0.0, 0.23), 0.0, 1.0)
    angles[1, 0] = 4.0 + 98.0 * np.clip(closure + rng.normal(0.0, 0.25), 0.0, 1.0)
    angles[2, 0] = DIP_PER_PIP * angles[1, 0] + rng.normal(0.0, 12.0)
    lower, upper = LIMITS[finger, 0, 1]
    outward = {INDEX: 0.55 * upper, MIDDLE: 0.15 * upper, RING: 0.35 * lower, LITTLE: 0.55 * lower}[finger]
    sideways = spread * outward + rng.normal(0.0, 0.26) * (upper - lower)
    angles[0, 1] = sideways * (1.0 - 0.7 * np.clip(angles[0, 0], 0.0, 90.0) / 90.0)
    return angles


def thumb_angles(rng: np.random.Generator, closure: float) -> np.ndarray:
    """(3, 3) degrees. Opposition couples flexion and inward twist of the base; it grows with the grasp."""
    opposition = np.clip(0.2 + 0.5 * closure + rng.normal(0.0, 0.28), 0.0, 1.0)
    bend = np.clip(0.1 + 0.5 * closure + rng.normal(0.0, 0.25), 0.0, 1.0)
    angles = np.zeros((3, 3))
    angles[0] = [
        -12.0 + 58.0 * opposition + rng.normal(0.0, 6.0),
        -6.0 + 14.0 * bend + rng.normal(0.0, 9.0),
        6.0 - 44.0 * opposition + rng.normal(0.0, 6.0),
    ]
    angles[1, 0] = -4.0 + 50.0 * bend + rng.normal(0.0, 9.0)
    angles[2, 0] = -6.0 + 62.0 * bend + rng.normal(0.0, 14.0)
    return angles


def pose_space(axes: np.ndarray, seed: int, count: int = 8000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (45,), orthonormal components (45, 45) as rows, and the std of their coefficients (45,)."""
    rng = np.random.default_rng(seed)
    samples = np.array([axis_angles(sample_pose(rng), axes).ravel() for _ in range(count)])
    mean = samples.mean(axis=0)
    _, singular, components = np.linalg.svd(samples - mean, full_matrices=False)
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    return mean, components * np.sign(largest), singular / np.sqrt(count - 1)


def bent(**fingers) -> np.ndarray:
    """(5, 3, 3) degrees from flexions by finger name; a joint may be (flexion, abduction, twist)."""
    degrees = np.zeros((5, 3, 3))
    for name, joints in fingers.items():
        for joint, angles in enumerate(joints):
            degrees[FINGERS.index(name), joint, : np.size(angles)] = angles
    return degrees


CURLED = [86.0, 99.0, 70.0]
CROSSED_THUMB = [(12.0, 29.0, -30.0), 58.0, 55.0]
NAMED_POSES = {
    "flat": bent(),
    "together": bent(
        index=[(0.0, -6.0), 2.0, 1.0],
        ring=[(0.0, 6.0), 2.0, 1.0],
        little=[(0.0, 13.0), 3.0, 2.0],
        thumb=[(8.0, -28.0, 5.0), 0.0, 0.0],
    ),
    "spread": bent(
        index=[(-6.0, 14.0), 0.0, 0.0],
        middle=[-6.0, 0.0, 0.0],
        ring=[(-6.0, -10.0), 0.0, 0.0],
        little=[(-6.0, -17.0), 0.0, 0.0],
        thumb=[(-10.0, 10.0), -4.0, -8.0],
    ),
    "relaxed": bent(
        index=[20.0, 32.0, 20.0],
        middle=[26.0, 36.0, 22.0],
        ring=[30.0, 38.0, 24.0],
        little=[32.0, 36.0, 24.0],
        thumb=[(12.0, -4.0, -14.0), 12.0, 18.0],
    ),
    "fist": bent(index=CURLED, middle=CURLED, ring=CURLED, little=CURLED, thumb=CROSSED_THUMB),
    "point": bent(index=[5.0, 4.0, 2.0], middle=CURLED, ring=CURLED, little=CURLED, thumb=CROSSED_THUMB),
    "victory": bent(
        index=[(2.0, 13.0), 3.0, 2.0],
        middle=[(2.0, -9.0), 3.0, 2.0],
        ring=CURLED,
        little=CURLED,
        thumb=[(20.0, 22.0, -36.0), 58.0, 50.0],
    ),
    "thumbs_up": bent(index=CURLED, middle=CURLED, ring=CURLED, little=CURLED, thumb=[(-18.0, 8.0, 8.0), -5.0, -12.0]),
    "pinch": bent(
        index=[(45.0, -14.0), 44.0, 9.0],
        middle=[20.0, 25.0, 12.0],
        ring=[12.0, 20.0, 10.0],
        little=[5.0, 18.0, 8.0],
        thumb=[(52.0, 8.0, -44.0), (-3.0, 5.0, -11.0), -14.0],
    ),
    "okay": bent(
        index=[(40.0, -14.0), 50.0, 12.0],
        middle=[8.0, 14.0, 8.0],
        ring=[(0.0, -3.0), 10.0, 6.0],
        little=[(-6.0, -8.0), 6.0, 4.0],
        thumb=[(52.0, 5.0, -44.0), (-5.0, 4.0, -10.0), -14.0],
    ),
    "claw": bent(
        index=[(-5.0, 6.0), 60.0, 42.0],
        middle=[-2.0, 62.0, 43.0],
        ring=[(-2.0, -4.0), 62.0, 43.0],
        little=[(-5.0, -9.0), 60.0, 42.0],
        thumb=[(15.0, 5.0, -15.0), 15.0, 45.0],
    ),
    "hook": bent(
        index=[5.0, 95.0, 65.0],
        middle=[5.0, 97.0, 66.0],
        ring=[5.0, 97.0, 66.0],
        little=[5.0, 95.0, 65.0],
        thumb=[(10.0, -22.0), 5.0, 5.0],
    ),
}
"""Poses that people know, (5, 3, 3) degrees each."""
