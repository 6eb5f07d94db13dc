"""A tape measure for the implicit hand itself, in mm: rays to the skin, so that no mesh has a say in it."""

from typing import NamedTuple

import numpy as np

from launch.freehand.anatomy import ACROSS, FINGERS, INDEX, LITTLE, MIDDLE, THUMB
from launch.freehand.digits import finger_field
from launch.freehand.measure import taut
from launch.freehand.skeleton import Hand, normalise
from launch.freehand.surface import hand_field, join_fingers

RAYS = 72  # around a girth
WEB_HEIGHTS = np.linspace(-0.6, 0.4, 11)  # of a finger's depth, where a web is sought
FURTHEST, STEPS, HALVINGS = 70.0, 5, 11  # mm from the middle of a section to its skin, and how it is sought


class HandMeasures(NamedTuple):
    """Dimensions of a flat hand as surveys define them, mm. Girths are those of a taut tape: of the convex hull."""

    length: float  # wrist crease to middle fingertip, along the hand
    breadth: float  # across the knuckles of index to little finger
    palm: float  # wrist crease to the base of the middle finger, along the hand
    circumference: float  # around the knuckles, without the thumb
    wrist: float  # around the wrist crease
    fingers: np.ndarray  # (5,) from the webs beside a finger (the thumb: from its MCP joint) to the tip
    joint_sizes: np.ndarray  # (5, 2, 2) breadth and depth at the two inner joints (the thumb: MCP and IP)
    joint_girths: np.ndarray  # (5, 2) around them


def measure_field(hand: Hand) -> HandMeasures:
    tips, webs = fingertips(hand), web_heights(hand)
    knuckles = knuckle_ring(hand)
    across = normalise(hand.skeleton.joints[LITTLE, 0] - hand.skeleton.joints[INDEX, 0])
    wrist = ring(lambda points: hand_field(points, hand), np.array([0.0, 0.0, -2.0]), np.eye(3)[0], np.eye(3)[2])
    lengths, sizes, girths = np.zeros(5), np.zeros((5, 2, 2)), np.zeros((5, 2))
    for finger in range(len(FINGERS)):
        base = hand.skeleton.joints[finger, 1 if finger == THUMB else 0]
        along = normalise(hand.skeleton.joints[finger, 2] - base)
        beside = [point for pair, point in webs.items() if finger in pair]
        root = np.mean([(point - base) @ along for point in beside]) if beside else 0.0
        lengths[finger] = (tips[finger] - base) @ along - root
        for number in range(2):
            sizes[finger, number], girths[finger, number] = joint_section(hand, finger, 1 + number)
    return HandMeasures(
        length=tips[MIDDLE, 1],
        breadth=float(np.ptp(knuckles @ across)),
        palm=float(np.mean([point[1] for pair, point in webs.items() if MIDDLE in pair])),
        circumference=taut(knuckles),
        wrist=taut(wrist),
        fingers=lengths,
        joint_sizes=sizes,
        joint_girths=girths,
    )


def exits(field, origins: np.ndarray, directions: np.ndarray, furthest: float = FURTHEST) -> np.ndarray:
    """(N, 3) where rays from inside first leave the solid, found to 0.01 mm."""
    steps = np.linspace(0.0, furthest, STEPS + 1)[1:]
    inside = field((origins[:, None] + steps[:, None] * directions[:, None]).reshape(-1, 3)).reshape(len(origins), -1)
    out = (inside > 0.0).argmax(axis=1)
    near, far = np.concatenate([[0.0], steps])[out], steps[out]
    for _ in range(HALVINGS):
        middle = (near + far) / 2.0
        within = field(origins + middle[:, None] * directions) < 0.0
        near, far = np.where(within, middle, near), np.where(within, far, middle)
    return origins + ((near + far) / 2.0)[:, None] * directions


def ring(field, centre, first, second, furthest: float = FURTHEST) -> np.ndarray:
    """(RAYS, 3) the skin's section in the plane of two unit vectors."""
    angles = 2.0 * np.pi * np.arange(RAYS) / RAYS
    directions = np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second
    return exits(field, np.broadcast_to(centre, directions.shape), directions, furthest)


def knuckle_ring(hand: Hand) -> np.ndarray:
    """(RAYS, 3) through the knuckles of index and little finger, square to the palm."""
    index, little = hand.skeleton.joints[INDEX, 0], hand.skeleton.joints[LITTLE, 0]
    across = normalise((little - index) * [1.0, 1.0, 0.0])
    bones = {finger: 3 for finger in ACROSS}
    return ring(lambda points: join_fingers(points, hand, bones), (index + little) / 2.0, across, np.eye(3)[2])


def fingertips(hand: Hand) -> np.ndarray:
    """(5, 3) the skin furthest along each finger's last bone."""
    joints, frames = hand.skeleton.joints, hand.skeleton.frames
    found = []
    for finger in range(len(FINGERS)):
        _, distal, dorsal = frames[finger, 2]
        depth = hand.size.sections[finger, 3, 1]
        origins = joints[finger, 3] - 6.0 * distal + depth * np.linspace(-0.3, 0.2, 11)[:, None] * dorsal
        points = exits(
            lambda points: hand_field(points, hand), origins, np.broadcast_to(distal, origins.shape), furthest=12.0
        )
        found.append(points[(points @ distal).argmax()])
    return np.array(found)


def web_heights(hand: Hand) -> dict[tuple[int, int], np.ndarray]:
    """The furthest point of the skin half way between each two neighbours."""
    found = {}
    for pair in zip(ACROSS[:-1], ACROSS[1:], strict=True):
        bases, ends = hand.skeleton.joints[list(pair), 0].mean(axis=0), hand.skeleton.joints[list(pair), 1].mean(axis=0)
        depth = hand.size.sections[list(pair), 0, 1].mean()
        origins = bases + depth * WEB_HEIGHTS[:, None] * np.eye(3)[2]
        along = normalise(ends - bases)
        points = exits(
            lambda points: hand_field(points, hand), origins, np.broadcast_to(along, origins.shape), furthest=45.0
        )
        found[pair] = points[(points @ along).argmax()]
    return found


def joint_section(hand: Hand, finger: int, joint: int) -> tuple[np.ndarray, float]:
    """Breadth and depth (2,) and girth of a finger at one of its joints, between the bones' directions."""
    side, _, dorsal = normalise(hand.skeleton.frames[finger, joint - 1] + hand.skeleton.frames[finger, joint])
    centre, widest = hand.skeleton.joints[finger, joint], hand.size.sections[finger].max()
    points = ring(lambda points: finger_field(points, hand, finger, 3), centre, side, dorsal, furthest=widest)
    return np.array([np.ptp(points @ side), np.ptp(points @ dorsal)]), taut(points)
