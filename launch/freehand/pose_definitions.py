"""What each named pose asks for: how fingers bend, what touches what, what is held. Angles come from the solver.

A finger is (knuckle, middle joint[, end joint[, sideways]]) in degrees; the end joint follows the middle one if None.
A thumb is ((flexion, abduction, twist) of its base, middle joint, end joint).
"""

from typing import Any

import numpy as np

from launch.freehand.anatomy import FINGERS, THUMB
from launch.freehand.pose_solver import Request, Round

Fingers = dict[str, Any]

DIP_PER_PIP = 0.67
"""The two end joints of a finger share a tendon."""

STRAIGHT = (0.0, 3.0)
CURLED = (84.0, 99.0, 62.0)
OUT, ASIDE = ((-12.0, 12.0, 0.0), -4.0, -8.0), ((8.0, -28.0, 5.0), 0.0, 0.0)
UP, LOOSE = ((-18.0, 8.0, 8.0), -5.0, -12.0), ((12.0, -4.0, -14.0), 12.0, 18.0)
WRAPPED, OVER = ((32.0, 29.0, -44.0), 35.0, 34.0), ((27.0, 20.0, -38.0), 36.0, 28.0)
ACROSS, OPPOSED = ((14.0, 26.0, -32.0), 52.0, 50.0), ((48.0, 6.0, -42.0), 4.0, 10.0)
IN_PALM = ((36.0, -8.0, -34.0), 40.0, 35.0)

POINTED_AT = ("index", "middle", "ring", "little")
TIPS = tuple(f"{finger}.pulp" for finger in POINTED_AT)
FULL_GRIP = tuple(f"{finger}.{place}" for finger in POINTED_AT for place in ("middle.palmar", "pulp"))


def ask(
    *touching, held: Round | None = None, loose: tuple[str, ...] = (), firm: tuple[str, ...] = (), **fingers: Any
) -> Request:
    """A request; fingers left out are straight, the thumb aside. What touches or holds may move, the rest hardly.

    loose: more fingers that may move; firm: fingers that keep their place though they are touched.
    """
    unknown = set(fingers) - set(FINGERS)
    if unknown:
        raise ValueError(f"fingers must be among {FINGERS}, got {sorted(unknown)}")
    points = [point for first, second, _ in touching for point in (first, second)] + list(held.points if held else ())
    moving = ({point.split(".")[0] for point in points} | set(loose)) - set(firm)
    degrees, slack = np.zeros((5, 3, 3)), np.zeros((5, 3, 3))
    for number, name in enumerate(FINGERS):
        if number == THUMB:
            degrees[number], slack[number] = asked_thumb(*fingers.get(name, ASIDE), moving=name in moving)
        else:
            degrees[number], slack[number] = asked_finger(*fingers.get(name, STRAIGHT), moving=name in moving)
    return Request(degrees, slack, tuple(touching), held)


def asked_finger(knuckle, middle, end=None, sideways=0.0, *, moving: bool) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) degrees and how far to go from them."""
    degrees, slack = np.zeros((3, 3)), np.full((3, 3), 0.5)
    degrees[:, 0] = knuckle, middle, DIP_PER_PIP * middle if end is None else end
    degrees[0, 1] = sideways
    slack[:, 0] = (11.0, 11.0, 7.0) if moving else 3.0
    slack[0, 1:] = (5.0 if moving else 4.0), 1.5
    return degrees, slack


def asked_thumb(base, middle, end, *, moving: bool) -> tuple[np.ndarray, np.ndarray]:
    degrees, slack = np.zeros((3, 3)), np.full((3, 3), 0.5)
    degrees[0], degrees[1:, 0] = base, (middle, end)
    slack[0] = (18.0, 18.0, 16.0) if moving else (4.0, 4.0, 3.0)
    slack[1:, 0] = 18.0 if moving else 4.0
    slack[1, 1:] = 5.0
    return degrees, slack


def all_fingers(*angles) -> Fingers:
    return dict.fromkeys(POINTED_AT, angles)


def curled(*names: str) -> Fingers:
    return dict.fromkeys(names, CURLED)


def touch(first: str, second: str, gap: float = 0.0) -> tuple[str, str, float]:
    return first, second, gap


SPREAD: Fingers = {"index": (-4.0, 2.0, 1.0, 13.0), "middle": (-4.0, 2.0, 1.0, 1.0), "ring": (-4.0, 2.0, 1.0, -9.0)}
SPREAD["little"] = (-4.0, 2.0, 1.0, -16.0)
TOGETHER: Fingers = {"index": (0.0, 2.0, 1.0, -6.0), "middle": (0.0, 2.0, 1.0), "ring": (0.0, 2.0, 1.0, 6.0)}
TOGETHER["little"] = (0.0, 3.0, 2.0, 13.0)
V_FINGERS: Fingers = {"index": (2.0, 3.0, 2.0, 13.0), "middle": (2.0, 3.0, 2.0, -9.0)}
U_FINGERS: Fingers = {"index": (2.0, 3.0, 2.0, -5.0), "middle": (2.0, 3.0, 2.0, 1.0)}
W_FINGERS: Fingers = {"index": (0.0, 3.0, 2.0, 12.0), "middle": (0.0, 3.0, 2.0, 1.0), "ring": (2.0, 3.0, 2.0, -9.0)}
FIST: Fingers = {**curled(*POINTED_AT), "index": (80.0, 94.0, 58.0, 3.0), "firm": POINTED_AT}
FIST_THUMB = touch("thumb.pulp", "middle.middle.dorsal", 4.0)
ON_INDEX = touch("thumb.pulp", "index.middle.dorsal")
ON_RING = touch("thumb.pulp", "ring.middle.dorsal")
CROSSED: Fingers = {"index": (14.0, 10.0, 6.0, -14.0), "middle": (2.0, 22.0, 12.0, 10.0)}
CROSSING = (touch("middle.pulp", "index.distal.dorsal"),)

REST = {
    "flat": Request(np.zeros((5, 3, 3)), np.full((5, 3, 3), 0.01)),
    "together": ask(**TOGETHER, thumb=ASIDE),
    "spread": ask(**SPREAD, thumb=OUT),
    "relaxed": ask(index=(20, 32), middle=(26, 36), ring=(30, 38), little=(32, 36), thumb=LOOSE),
    "half_open": ask(index=(10, 18), middle=(13, 20), ring=(15, 22), little=(14, 22), thumb=((4, 0, -8), 6, 8)),
    "loose_fist": ask(index=(58, 72), middle=(64, 78), ring=(68, 80), little=(70, 76), thumb=((20, 4, -22), 25, 30)),
    "drooping": ask(index=(34, 22), middle=(40, 24), ring=(44, 24), little=(44, 24), thumb=((16, -14, -10), 8, 10)),
    "intrinsic_plus": ask(**all_fingers(70, 4, 2), thumb=((30, 0, -22), 8, 8)),
    "on_table": ask(
        index=(12, 26, 10, 3), middle=(14, 28, 10), ring=(14, 28, 10, -3), little=(12, 26, 10, -8), thumb=LOOSE
    ),
    "cupped": ask(
        index=(28, 26, 12, -6),
        middle=(30, 27, 12),
        ring=(30, 27, 12, 5),
        little=(28, 26, 12, 10),
        thumb=((14, -26, -2), 10, 6),
    ),
}

COUNTING = {
    "european_one": ask(**curled(*POINTED_AT), thumb=UP),
    "european_two": ask(index=(0, 3, 2, 6), middle=(77, 93, 63), **curled("ring", "little"), thumb=OUT),
    "european_three": ask(**V_FINGERS, **curled("ring", "little"), thumb=OUT),
    "european_four": ask(**W_FINGERS, little=(70, 92, 55), thumb=OUT),
    "european_five": ask(**SPREAD, thumb=((-14, 14, 2), -4, -10)),
    "american_one": ask(FIST_THUMB, index=STRAIGHT, **curled("middle", "ring", "little"), firm=POINTED_AT, thumb=OVER),
    "american_two": ask(ON_RING, **V_FINGERS, **curled("ring", "little"), thumb=ACROSS),
    "american_three": ask(
        touch("thumb.pulp", "little.middle.dorsal", 1.0), **W_FINGERS, little=(70, 95, 60), thumb=OPPOSED
    ),
    "american_four": ask(touch("thumb.pulp", "palm.radial", 6.0), **SPREAD, thumb=IN_PALM),
    "american_five": ask(**SPREAD, thumb=((-6, 18, -4), 0, -4)),
    "chinese_six": ask(**curled("index", "middle", "ring"), little=(-2, 3, 2, -14), thumb=OUT),
    "chinese_seven": ask(
        touch("thumb.pulp", "index.pulp", 12.0),
        touch("thumb.pulp", "middle.pulp", 12.0),
        index=(62, 30, 15, -6),
        middle=(62, 32, 15, 2),
        **curled("ring", "little"),
        thumb=OPPOSED,
    ),
    "chinese_eight": ask(index=(0, 3, 2, 8), **curled("middle", "ring", "little"), thumb=((-16, 16, 0), -5, -12)),
    "chinese_nine": ask(
        FIST_THUMB, index=(8, 82, 52), **curled("middle", "ring", "little"), firm=POINTED_AT, thumb=OVER
    ),
    "chinese_ten": ask(*CROSSING, ON_RING, **CROSSED, **curled("ring", "little"), thumb=ACROSS),
    "asl_six": ask(
        touch("thumb.pulp", "little.pulp", 6.0),
        index=(0, 3, 2, 10),
        middle=(0, 3, 2, 1),
        ring=(6, 6, 4, -4),
        little=(52, 62, 32),
        thumb=OPPOSED,
    ),
    "asl_seven": ask(
        touch("thumb.pulp", "ring.pulp", 6.0),
        index=(0, 3, 2, 10),
        middle=(0, 4, 2),
        little=(2, 8, 4, -14),
        ring=(54, 62, 32),
        thumb=OPPOSED,
    ),
    "asl_eight": ask(
        touch("thumb.pulp", "middle.pulp", 5.0),
        index=(0, 3, 2, 12),
        ring=(2, 8, 4, -8),
        little=(0, 5, 3, -15),
        middle=(52, 58, 30),
        thumb=OPPOSED,
    ),
    "asl_nine": ask(
        touch("thumb.pulp", "index.pulp", 3.0),
        index=(48, 52, 26),
        middle=(0, 5, 3, 1),
        ring=(0, 5, 3, -8),
        little=(-2, 4, 2, -15),
        thumb=OPPOSED,
    ),
}

ONE_UP: Fingers = curled("middle", "ring", "little")
LETTERS = {
    "a": ask(touch("thumb.pulp", "index.middle.radial", 1.0), **curled(*POINTED_AT), thumb=((0, -14, 4), 4, 4)),
    "b": ask(touch("thumb.pulp", "palm.radial", 3.0), **TOGETHER, thumb=IN_PALM),
    "c": ask(
        index=(20, 40, 26, -4),
        middle=(22, 42, 26),
        ring=(22, 42, 26, 4),
        little=(20, 40, 24, 9),
        thumb=((55, 24, -42), -8, 0),
    ),
    "d": ask(
        touch("thumb.pulp", "middle.pulp", 5.0),
        index=STRAIGHT,
        middle=(56, 62, 30),
        ring=(60, 66, 34, 2),
        little=(62, 70, 36),
        thumb=OPPOSED,
    ),
    "e": ask(
        touch("middle.tip", "thumb.distal.radial", 2.0),
        touch("thumb.pulp", "palm.radial", 8.0),
        index=(42, 100, 65),
        middle=(42, 102, 68),
        ring=(44, 103, 68),
        little=(44, 102, 66),
        thumb=IN_PALM,
    ),
    "f": ask(
        touch("thumb.pulp", "index.pulp", 3.0),
        index=(52, 50, 24),
        middle=(0, 4, 2, 2),
        ring=(0, 4, 2, -6),
        little=(0, 4, 2, -14),
        thumb=OPPOSED,
    ),
    "g": ask(
        touch("thumb.pulp", "index.proximal.palmar", 22.0), index=(28, 4, 2), **ONE_UP, thumb=((10, -6, -10), 4, 2)
    ),
    "h": ask(ON_RING, index=(12, 3, 2, -5), middle=(12, 3, 2, 1), **curled("ring", "little"), thumb=ACROSS),
    "i": ask(FIST_THUMB, **curled("index", "middle", "ring"), little=(-2, 3, 2, -4), firm=POINTED_AT, thumb=OVER),
    "k": ask(
        touch("thumb.tip", "middle.proximal.radial", 10.0),
        index=(0, 3, 2, 6),
        middle=(44, 4, 2, -2),
        **curled("ring", "little"),
        thumb=((22, -6, -20), 4, 0),
    ),
    "l": ask(index=(0, 2, 1, 2), **ONE_UP, thumb=((-14, 20, 0), -4, -8)),
    "m": ask(
        touch("thumb.distal.dorsal", "ring.middle.palmar", 1.0),
        index=(74, 72, 40),
        middle=(76, 74, 40),
        ring=(74, 72, 40),
        little=CURLED,
        thumb=IN_PALM,
    ),
    "n": ask(
        touch("thumb.distal.dorsal", "index.middle.palmar", 2.0),
        touch("thumb.distal.radial", "middle.middle.palmar", 5.0),
        index=(74, 74, 40),
        middle=(76, 78, 44),
        **curled("ring", "little"),
        thumb=((20, -4, -28), 26, 10),
    ),
    "o": ask(
        touch("thumb.pulp", "index.pulp", 11.0),
        touch("thumb.pulp", "middle.pulp", 8.0),
        index=(46, 56, 28, -4),
        middle=(50, 56, 28),
        ring=(52, 58, 30, 4),
        little=(52, 58, 30, 8),
        thumb=OPPOSED,
    ),
    "p": ask(
        touch("thumb.tip", "middle.proximal.radial", 10.0),
        index=(4, 3, 2, 4),
        middle=(66, 4, 2),
        **curled("ring", "little"),
        thumb=((28, -6, -24), 6, 0),
    ),
    "q": ask(touch("thumb.pulp", "index.pulp", 26.0), index=(46, 8, 4), **ONE_UP, thumb=((26, -6, -18), 2, 2)),
    "r": ask(*CROSSING, ON_RING, **CROSSED, **curled("ring", "little"), thumb=((30, 16, -40), 50, 45)),
    "s": ask(FIST_THUMB, **FIST, thumb=WRAPPED),
    "t": ask(
        touch("thumb.distal.dorsal", "index.middle.palmar", 1.0),
        index=(66, 78, 40),
        middle=CURLED,
        **curled("ring", "little"),
        thumb=((18, -4, -22), 20, 14),
    ),
    "u": ask(ON_RING, **U_FINGERS, **curled("ring", "little"), thumb=ACROSS),
    "v": ask(ON_RING, **V_FINGERS, **curled("ring", "little"), thumb=ACROSS),
    "w": ask(touch("thumb.pulp", "little.distal.dorsal", 0.0), **W_FINGERS, little=(66, 80, 50), thumb=OPPOSED),
    "x": ask(FIST_THUMB, index=(14, 88, 56), **ONE_UP, firm=POINTED_AT, thumb=OVER),
    "y": ask(**curled("index", "middle", "ring"), little=(-6, 3, 2, -18), thumb=((-16, 22, 4), -5, -12)),
}
LETTERS = {f"asl_{letter}": request for letter, request in LETTERS.items()}

ROD = (1.0, 0.15, 0.0)
PEN = (-0.25, -0.75, 0.6)
GRASPS = {
    "large_diameter": ask(
        touch("thumb.pulp", "middle.pulp", 45.0),
        held=Round(38, (*FULL_GRIP, "thumb.pulp", "palm.radial"), (0, 12, -50), ROD),
        **all_fingers(34, 42, 24),
        thumb=OPPOSED,
    ),
    "small_diameter": ask(
        touch("thumb.pulp", "index.distal.dorsal", 3.0),
        held=Round(14, (*FULL_GRIP, "palm.radial"), (0, 4, -26), ROD),
        **all_fingers(68, 78, 42),
        thumb=((30, 16, -36), 36, 36),
        loose=("thumb",),
    ),
    "medium_wrap": ask(
        held=Round(23, (*FULL_GRIP, "thumb.pulp", "palm.radial"), (0, 6, -36), ROD),
        **all_fingers(52, 62, 34),
        thumb=OPPOSED,
    ),
    "adducted_thumb": ask(
        held=Round(13, FULL_GRIP, (0, 4, -26), ROD),
        **all_fingers(66, 76, 42),
        thumb=((8, -18, -6), 4, 2),
    ),
    "light_tool": ask(
        held=Round(7, (*TIPS, "thumb.pulp"), (0, 0, -24), (1.0, 0.4, 0.0)),
        **all_fingers(70, 88, 50),
        thumb=((14, -12, -12), 10, 8),
    ),
    "prismatic_4_finger": ask(
        held=Round(5, (*TIPS, "thumb.pulp"), (0, 30, -60), ROD), **all_fingers(52, 38, 16), thumb=OPPOSED
    ),
    "prismatic_3_finger": ask(
        held=Round(5, (*TIPS[:3], "thumb.pulp"), (0, 30, -60), ROD),
        index=(52, 38, 16),
        middle=(54, 38, 16),
        ring=(54, 40, 16),
        little=(40, 38, 20),
        thumb=OPPOSED,
    ),
    "prismatic_2_finger": ask(
        held=Round(5, (*TIPS[:2], "thumb.pulp"), (0, 30, -60), ROD),
        index=(50, 40, 16),
        middle=(54, 40, 16),
        ring=(44, 44, 24),
        little=(40, 44, 24),
        thumb=OPPOSED,
    ),
    "palmar_pinch": ask(
        touch("thumb.pulp", "index.pulp", 3.0),
        index=(50, 36, 12),
        middle=(44, 44, 22),
        ring=(44, 48, 26),
        little=(40, 48, 26),
        thumb=((48, 4, -42), 2, 2),
    ),
    "power_disk": ask(
        held=Round(46, (*TIPS, "thumb.pulp"), (0, 8, -44)),
        index=(22, 42, 24, 10),
        middle=(24, 46, 28, 1),
        ring=(24, 44, 26, -7),
        little=(22, 40, 24, -14),
        thumb=((20, 8, -20), 10, 20),
    ),
    "power_sphere": ask(
        held=Round(38, (*FULL_GRIP, "thumb.pulp", "palm.radial"), (2, 6, -50)),
        index=(34, 42, 24, 10),
        middle=(34, 44, 26),
        ring=(36, 44, 26, -7),
        little=(36, 44, 26, -14),
        thumb=((36, 8, -30), 10, 24),
    ),
    "precision_disk": ask(
        held=Round(42, (*TIPS, "thumb.pulp"), (0, 44, -40)),
        index=(26, 30, 16, 12),
        middle=(26, 32, 18, 1),
        ring=(26, 32, 18, -8),
        little=(26, 30, 16, -16),
        thumb=((26, 14, -24), 6, 16),
    ),
    "precision_sphere": ask(
        held=Round(30, (*TIPS, "thumb.pulp"), (4, 36, -52)),
        index=(42, 36, 18, 8),
        middle=(44, 36, 18, 1),
        ring=(44, 38, 20, -6),
        little=(44, 36, 18, -12),
        thumb=((42, 8, -38), 6, 14),
    ),
    "tripod": ask(
        held=Round(13, ("index.pulp", "middle.pulp", "thumb.pulp"), (8, 36, -56)),
        index=(50, 38, 16, 4),
        middle=(52, 38, 16, -2),
        ring=(62, 62, 34),
        little=(64, 66, 36),
        thumb=OPPOSED,
    ),
    "fixed_hook": ask(
        held=Round(12, tuple(f"{f}.{b}" for f in POINTED_AT for b in ("proximal.palmar", "pulp")), (0, 26, -22), ROD),
        **all_fingers(26, 92, 56),
        thumb=((6, -20, -2), 4, 4),
    ),
    "lateral": ask(
        touch("thumb.pulp", "index.middle.radial", 1.5),
        index=(62, 66, 36),
        middle=(68, 74, 42),
        ring=(70, 78, 44),
        little=(70, 78, 44),
        thumb=((8, -8, -10), 8, 16),
    ),
    "index_finger_extension": ask(
        touch("thumb.pulp", "middle.middle.radial", 10.0),
        held=Round(11, (*FULL_GRIP[2:], "index.proximal.palmar", "thumb.pulp"), (0, 4, -26), (1.0, 0.6, 0.0)),
        index=(34, 10, 6),
        middle=(66, 76, 42),
        ring=(68, 78, 44),
        little=(70, 78, 44),
        thumb=((26, 0, -28), 16, 16),
    ),
    "extension_type": ask(
        touch("thumb.pulp", "index.pulp", 12.0),
        touch("thumb.pulp", "middle.pulp", 14.0),
        index=(62, 16, 6, -4),
        middle=(62, 16, 6),
        ring=(62, 16, 6, 3),
        little=(62, 16, 6, 7),
        thumb=OPPOSED,
    ),
    "distal_type": ask(
        index=(46, 52, 24, 4),
        middle=(56, 54, 26, -2),
        ring=(64, 60, 30),
        little=(66, 64, 34),
        thumb=((30, 6, -30), 6, 24),
    ),
    "writing_tripod": ask(
        held=Round(4.5, ("index.pulp", "thumb.pulp", "middle.radial_tip"), (16, 26, -40), PEN),
        index=(52, 34, 12, -2),
        middle=(58, 50, 26, 2),
        ring=(66, 66, 38),
        little=(68, 70, 40),
        thumb=((34, 0, -32), 10, 14),
    ),
    "tripod_variation": ask(
        held=Round(4.5, ("index.pulp", "middle.pulp", "thumb.pulp"), (8, 30, -40), (0.0, -0.7, 0.7)),
        index=(50, 34, 12, 4),
        middle=(52, 36, 14, -4),
        ring=(62, 62, 34),
        little=(64, 66, 36),
        thumb=OPPOSED,
    ),
    "parallel_extension": ask(
        touch("thumb.pulp", "index.pulp", 26.0),
        touch("thumb.pulp", "middle.pulp", 28.0),
        index=(52, 4, 2, -5),
        middle=(52, 4, 2),
        ring=(52, 4, 2, 4),
        little=(52, 4, 2, 10),
        thumb=((46, -2, -38), 0, -4),
    ),
    "adduction_grip": ask(
        touch("index.middle.ulnar", "middle.middle.radial", 7.0),
        index=(20, 18, 10, -2),
        middle=(20, 18, 10, 0),
        ring=(30, 30, 18),
        little=(32, 32, 20),
        thumb=LOOSE,
    ),
    "tip_pinch": ask(
        touch("thumb.tip", "index.tip"),
        index=(44, 60, 42),
        middle=(40, 50, 28),
        ring=(42, 52, 28),
        little=(40, 50, 28),
        thumb=((46, 6, -42), 10, 36),
    ),
    "lateral_tripod": ask(
        touch("thumb.pulp", "index.distal.radial", 7.0),
        touch("thumb.pulp", "middle.radial_tip", 9.0),
        index=(56, 46, 20),
        middle=(60, 54, 28),
        ring=(66, 66, 38),
        little=(68, 70, 40),
        thumb=((28, -4, -26), 14, 14),
    ),
    "sphere_4_finger": ask(
        held=Round(30, (*TIPS[:3], "thumb.pulp"), (4, 30, -54)),
        index=(40, 38, 20, 10),
        middle=(42, 38, 20, 1),
        ring=(42, 40, 20, -8),
        little=(58, 60, 34),
        thumb=((42, 8, -38), 6, 14),
    ),
    "quadpod": ask(
        touch("thumb.pulp", "index.pulp", 22.0),
        touch("thumb.pulp", "middle.pulp", 24.0),
        touch("thumb.pulp", "ring.pulp", 28.0),
        index=(48, 38, 18, 4),
        middle=(50, 38, 18),
        ring=(50, 40, 18, -4),
        little=(58, 60, 34),
        thumb=OPPOSED,
    ),
    "sphere_3_finger": ask(
        touch("thumb.pulp", "index.pulp", 46.0),
        held=Round(30, (*TIPS[:2], "index.middle.palmar", "middle.middle.palmar", "thumb.pulp"), (8, 26, -50)),
        index=(40, 40, 22, 8),
        middle=(42, 40, 22, -5),
        ring=(64, 68, 38),
        little=(66, 72, 40),
        thumb=((42, 8, -38), 6, 14),
    ),
    "stick": ask(
        held=Round(5, ("thumb.pulp", "index.middle.radial", "index.proximal.radial"), (26, 20, -10), (0.0, 0.4, 1.0)),
        index=(58, 64, 34),
        middle=(66, 76, 42),
        ring=(70, 80, 46),
        little=(70, 80, 46),
        thumb=((6, -10, -8), 10, 16),
    ),
    "palmar": ask(
        touch("thumb.pulp", "index.proximal.palmar", 22.0),
        index=(10, 10, 6, 2),
        middle=(10, 12, 8),
        ring=(10, 12, 8, -2),
        little=(10, 12, 8, -6),
        thumb=((26, -12, -20), 10, 10),
    ),
    "ring": ask(
        touch("thumb.pulp", "index.pulp", 14.0),
        held=Round(
            24,
            ("thumb.pulp", "index.pulp", "index.middle.palmar", "thumb.proximal.palmar"),
            (14, 20, -46),
            (1.0, -0.4, 0.2),
        ),
        index=(30, 52, 30),
        middle=(66, 72, 40),
        ring=(70, 76, 42),
        little=(70, 78, 44),
        thumb=((40, 8, -36), 8, 24),
    ),
    "ventral": ask(
        touch("thumb.pulp", "index.middle.radial", 9.0),
        index=(56, 62, 30),
        middle=(64, 72, 40),
        ring=(72, 82, 48),
        little=(74, 84, 48),
        thumb=((26, -2, -24), 12, 24),
    ),
    "inferior_pincer": ask(
        touch("thumb.pulp", "index.pulp", 1.0),
        index=(58, 24, 4),
        middle=(64, 66, 36),
        ring=(68, 72, 40),
        little=(70, 74, 42),
        thumb=((44, 0, -40), 4, -8),
    ),
}

GESTURES = {
    "fist": ask(FIST_THUMB, **FIST, thumb=WRAPPED),
    "fist_thumb_inside": ask(
        touch("thumb.distal.dorsal", "middle.middle.palmar", 2.0),
        touch("thumb.distal.dorsal", "ring.middle.palmar", 8.0),
        index=(72, 84, 46),
        middle=(72, 84, 46),
        ring=(74, 88, 50),
        little=(76, 92, 54),
        thumb=IN_PALM,
        loose=POINTED_AT,
    ),
    "point": ask(FIST_THUMB, index=(5, 4, 2), **ONE_UP, firm=POINTED_AT, thumb=OVER),
    "point_loose": ask(
        index=(8, 8, 4), middle=(54, 66, 38), ring=(60, 72, 40), little=(60, 70, 40), thumb=((14, 0, -14), 14, 18)
    ),
    "victory": ask(ON_RING, index=(2, 3, 2, 15), middle=(2, 3, 2, -10), **curled("ring", "little"), thumb=ACROSS),
    "thumbs_up": ask(**curled(*POINTED_AT), thumb=((-20, 12, 8), -6, -14)),
    "okay": ask(
        touch("thumb.pulp", "index.pulp", 3.0),
        index=(42, 54, 28),
        middle=(10, 14, 8),
        ring=(2, 10, 6, -4),
        little=(-4, 6, 4, -10),
        thumb=OPPOSED,
    ),
    "call_me": ask(**curled("index", "middle", "ring"), little=(4, 6, 4, -16), thumb=((-10, 24, -4), -2, -6)),
    "horns": ask(
        FIST_THUMB, index=(0, 3, 2, 6), **curled("middle", "ring"), little=(0, 3, 2, -10), firm=POINTED_AT, thumb=OVER
    ),
    "i_love_you": ask(index=(0, 3, 2, 8), **curled("middle", "ring"), little=(0, 3, 2, -14), thumb=OUT),
    "gun": ask(index=(4, 3, 2), **ONE_UP, thumb=((-22, 2, 8), -6, -12)),
    "two_finger_gun": ask(**U_FINGERS, **curled("ring", "little"), thumb=((-20, 4, 8), -6, -10)),
    "crossed_fingers": ask(*CROSSING, ON_RING, **CROSSED, **curled("ring", "little"), thumb=ACROSS),
    "stop": ask(
        index=(-12, 2, 1, -5),
        middle=(-12, 2, 1),
        ring=(-12, 2, 1, 5),
        little=(-12, 3, 2, 11),
        thumb=((-2, -12, 4), -2, -4),
    ),
    "vulcan": ask(index=(0, 2, 1, 4), middle=(0, 2, 1, 10), ring=(0, 2, 1, -12), little=(0, 2, 1, 2), thumb=OUT),
    "beckon": ask(
        index=(30, 46, 26), middle=(64, 78, 44), ring=(70, 84, 48), little=(70, 84, 48), thumb=((16, 0, -18), 20, 22)
    ),
    "beckon_all": ask(index=(44, 20), middle=(52, 24), ring=(58, 28), little=(62, 30), thumb=LOOSE),
    "pinch": ask(
        touch("thumb.pulp", "index.pulp", 3.0),
        index=(46, 44, 16),
        middle=(22, 26),
        ring=(14, 22),
        little=(8, 20),
        thumb=OPPOSED,
    ),
    "pinch_middle": ask(
        touch("thumb.pulp", "middle.pulp", 5.0),
        index=(20, 22, 12, 6),
        middle=(50, 48, 20),
        ring=(20, 26),
        little=(12, 22),
        thumb=OPPOSED,
    ),
    "pinch_ring": ask(
        touch("thumb.pulp", "ring.pulp", 6.0),
        index=(12, 16, 10, 6),
        middle=(22, 24),
        ring=(56, 54, 26),
        little=(24, 30),
        thumb=OPPOSED,
    ),
    "pinch_little": ask(
        touch("thumb.pulp", "little.pulp", 6.0),
        index=(8, 12, 8, 8),
        middle=(14, 16),
        ring=(28, 30),
        little=(58, 54, 28),
        thumb=OPPOSED,
    ),
    "snap": ask(
        touch("thumb.pulp", "middle.radial_tip", 0.0),
        index=(26, 30, 16, 6),
        middle=(52, 60, 34),
        ring=(66, 78, 44),
        little=(66, 80, 46),
        thumb=OPPOSED,
    ),
    "finger_heart": ask(
        touch("thumb.distal.dorsal", "index.middle.palmar", 2.0),
        index=(38, 44, 30),
        **ONE_UP,
        thumb=((22, -6, -26), 10, 0),
    ),
    "claw": ask(
        index=(-5, 60, 42, 6),
        middle=(-2, 62, 43),
        ring=(-2, 62, 43, -4),
        little=(-5, 60, 42, -9),
        thumb=((15, 5, -15), 15, 45),
    ),
    "hook": ask(**all_fingers(5, 95, 60), thumb=((10, -22, 0), 5, 5)),
    "tabletop": ask(**all_fingers(84, 2, 1), thumb=((14, -10, -8), 4, 4)),
    "straight_fist": ask(**all_fingers(86, 98, 4), thumb=((12, -8, -6), 10, 10)),
    "typing": ask(
        index=(26, 42, 18, 4),
        middle=(28, 48, 22),
        ring=(28, 48, 22, -4),
        little=(28, 40, 18, -9),
        thumb=((16, 2, -10), 8, 4),
    ),
    "typing_press": ask(
        index=(42, 38, 14, 4),
        middle=(24, 46, 22),
        ring=(26, 46, 22, -4),
        little=(24, 38, 18, -9),
        thumb=((14, 4, -8), 6, 2),
    ),
    "mouse": ask(
        index=(18, 24, 8, 6),
        middle=(20, 26, 8, 0),
        ring=(34, 40, 20, -6),
        little=(36, 38, 20, -12),
        thumb=((18, -2, -14), 10, 12),
    ),
    "hold_phone": ask(
        index=(30, 36, 20, 4),
        middle=(34, 44, 26),
        ring=(38, 48, 28, -3),
        little=(42, 50, 30, -8),
        thumb=((28, 2, -18), 2, 14),
    ),
    "purse": ask(
        touch("thumb.pulp", "index.pulp", 10.0),
        touch("thumb.pulp", "middle.pulp", 8.0),
        touch("thumb.pulp", "ring.pulp", 14.0),
        index=(60, 28, 12, -6),
        middle=(62, 32, 12),
        ring=(64, 34, 14, 5),
        little=(66, 36, 16, 10),
        thumb=OPPOSED,
    ),
    "money_rub": ask(
        touch("thumb.pulp", "index.pulp", 8.0),
        index=(52, 46, 20),
        middle=(56, 50, 24, 3),
        ring=(66, 78, 44),
        little=(66, 80, 46),
        thumb=((46, 2, -40), 4, 4),
    ),
    "air_quotes": ask(
        ON_RING, index=(14, 62, 40, 10), middle=(14, 64, 42, -6), **curled("ring", "little"), thumb=ACROSS
    ),
    "middle_and_thumb_circle": ask(
        touch("thumb.pulp", "middle.pulp", 5.0),
        index=(4, 6, 4, 8),
        middle=(48, 60, 30),
        ring=(16, 22),
        little=(4, 12, 8, -8),
        thumb=OPPOSED,
    ),
    "shadow_dog": ask(
        touch("thumb.pulp", "middle.pulp", 8.0),
        touch("thumb.pulp", "ring.pulp", 10.0),
        index=(0, 4, 2, 6),
        middle=(64, 26, 8),
        ring=(64, 28, 8),
        little=(0, 4, 2, -8),
        thumb=((48, -2, -42), 2, 0),
    ),
    "beak": ask(
        touch("thumb.pulp", "index.pulp", 10.0),
        touch("thumb.pulp", "middle.pulp", 9.0),
        index=(68, 12, 4, -5),
        middle=(68, 14, 4),
        ring=(68, 14, 4, 4),
        little=(66, 12, 4, 9),
        thumb=((50, -4, -42), 0, -6),
    ),
    "trigger": ask(
        index=(40, 44, 20), middle=(70, 82, 46), ring=(72, 84, 48), little=(74, 84, 48), thumb=((26, 6, -26), 20, 24)
    ),
    "knock": ask(
        touch("thumb.pulp", "index.middle.radial", 2.0), **all_fingers(52, 98, 50), thumb=((14, -6, -14), 16, 20)
    ),
}

DEFINITIONS = {"rest": REST, "counting": COUNTING, "letters": LETTERS, "grasps": GRASPS, "gestures": GESTURES}
"""Requests by group and name."""
