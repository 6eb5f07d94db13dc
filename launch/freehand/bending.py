"""Where the skin of a hand goes when joints turn: what the pose correctives are fitted to."""

import numpy as np
from scipy.spatial.transform import Rotation

from launch.freehand.anatomy import LITTLE, RING, THUMB
from launch.freehand.flesh import Flesh, swollen
from launch.freehand.implicit import project
from launch.freehand.skeleton import Hand, carried_by, joint_positions, joint_transforms, posed_hand
from launch.freehand.skinning import hinge_coordinates, rise
from launch.freehand.surface import part_field

BASES = (1, 4, 7, 10, 13)  # the joints that hang from the wrist
FOLD_FROM = np.deg2rad(8.0)  # of flexion; below it no flesh meets
GAP = 0.1  # mm from the skin of a fold to its middle plane
REACH = 3.0  # half depths of the finger before and after a joint: skin that may touch in its fold
BULGE, KNUCKLE_BULGE = 0.10, 0.10  # half depths that flesh pressed out of a right-angled fold swells
FULLER = 3  # times that flesh is spread, and what crosses the fold by it pushed back
# Flexed ring and little fingers arch the palm: their metacarpals turn at the wrist, the ball of the little finger
# rises and the hollow deepens. Middle (share of breadth, of length), half width and half length, mm to the palm's side
# of a flat hand at a right angle, and how much of it each finger does.
ARCH = (((0.31, 0.20), (15.0, 30.0), 2.2), ((0.03, 0.27), (15.0, 24.0), -1.5))
ARCH_SHARE = {1 + 3 * RING: 0.4, 1 + 3 * LITTLE: 0.6}


def bent_skin(vertices, weights, hand: Hand, pose: np.ndarray, flesh: Flesh) -> np.ndarray:
    """(V, 3) mm after the turns of `pose` (15, 3): of one joint, or of several that hang from the wrist.

    Skin goes round a joint on arcs, as far as its share of the turn. From there the back of a hinge goes onto the
    posed implicit surface; inside the fold flesh meets flesh in the plane that halves the angle, and swells. What the
    bones beside the joint have then lost or won of their flesh is spread over them.
    """
    turned = (1 + np.flatnonzero(np.abs(pose).max(axis=1) > 1e-9)).tolist()
    if set(turned) <= set(BASES):
        moved = moved_by_bases(vertices, weights, hand, pose)
    else:
        (hinge,) = turned
        moved = moved_by_hinge(vertices, weights, hand, hinge, pose)
    folds = {joint: fold_share(vertices, moved, weights, hand, joint, pose[joint - 1]) for joint in turned}
    for round_number in range(FULLER + 1):
        if round_number:
            moved = swollen(moved, vertices, weights, hand, turned, flesh)
        for joint, inside in folds.items():
            moved = folded(vertices, moved, inside, hand, joint, pose[joint - 1])
    return moved


def arc(vertices, centre, share, turn) -> np.ndarray:
    """Each vertex turned about `centre` by its share of the turn."""
    return centre + Rotation.from_rotvec(share[:, None] * turn).apply(vertices - centre)


def moved_by_bases(vertices, weights, hand: Hand, pose) -> np.ndarray:
    """Along a finger on arcs; between fingers, in the webs, straight from one to the next."""
    shares = np.stack([weights @ carried_by(joint) for joint in BASES], axis=1)
    total = shares.sum(axis=1)
    vertices = vertices + arching(vertices, weights, hand, pose)
    for joint in BASES[:-1]:
        vertices = vertices + swelling(vertices, weights, hand, joint, pose[joint - 1])
    proportion = shares / np.maximum(total, 1e-9)[:, None]
    centres = joint_positions(hand.skeleton)
    moved = np.where(total > 1e-9, 0.0, 1.0)[:, None] * vertices
    for column, joint in enumerate(BASES):
        moved += proportion[:, column, None] * arc(vertices, centres[joint], total, pose[joint - 1])
    return moved


def arching(vertices, weights, hand: Hand, pose) -> np.ndarray:
    """(V, 3) mm that the skin of the palm rises or sinks."""
    fall = np.zeros(len(vertices))
    for (across, along), (width, length), height in ARCH:
        offset = vertices[:, :2] - [across * hand.size.breadth, along * hand.size.length * hand.size.palm]
        fall += height * np.exp(-((offset / [width, length] / hand.size.scale) ** 2).sum(axis=1))
    flexed = [
        share * (1.0 - np.cos(np.linalg.norm(pose[joint - 1])))
        for joint, share in ARCH_SHARE.items()
        if pose[joint - 1] @ hand.skeleton.frames[(joint - 1) // 3, 0, 0] < 0.0
    ]
    palmar = rise(-vertices[:, 2], 0.0, 12.0 * hand.size.scale) * weights[:, 0]
    return np.outer(sum(flexed) * palmar * fall, [0.0, 0.0, -1.0])


def moved_by_hinge(vertices, weights, hand: Hand, joint: int, pose) -> np.ndarray:
    """On arcs, flesh at the fold's sides swollen, the back on the posed surface."""
    turn, centre = pose[joint - 1], joint_positions(hand.skeleton)[joint]
    carried = weights @ carried_by(joint)
    swollen = vertices + swelling(vertices, weights, hand, joint, turn)
    moved = arc(swollen, centre, carried, turn)
    posed = posed_hand(hand, joint_transforms(joint_positions(hand.skeleton), pose))
    inside = fold_share(vertices, moved, weights, hand, joint, turn)
    return on_posed_surface(moved, weights, carried, posed, 1.0 - inside)


def swelling(vertices, weights, hand: Hand, joint: int, turn) -> np.ndarray:
    """(V, 3) mm, away from the bone, on the palm's side and the flanks near a flexed joint."""
    finger, bone = divmod(joint - 1, 3)
    along, height, half = hinge_coordinates(vertices, hand, finger, bone)
    frame = hand.skeleton.frames[finger, bone]
    outwards = vertices - hand.skeleton.joints[finger, bone]
    outwards = outwards - (outwards @ frame[1])[:, None] * frame[1]
    outwards = outwards / np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1e-9)
    own = weights[:, 1 + 3 * finger : 4 + 3 * finger].sum(axis=1)
    middle, width = (0.9, 0.8) if bone else (1.6, 1.2)
    place = np.abs(along) if bone else along  # the palm keeps to itself what it loses to a flexed knuckle
    flank = -0.8 if bone else -0.1  # beside a knuckle is the next finger
    near = np.exp(-(((place / half - middle) / width) ** 2)) * rise(-height, flank * half, (flank + 1.0) * half)
    amount = (BULGE if bone else KNUCKLE_BULGE) * half * (1.0 - np.cos(max(-turn @ frame[0], 0.0)))
    return (amount * near * rise(own, 0.4, 0.8))[:, None] * outwards


def on_posed_surface(moved, weights, carried, posed: Hand, share: np.ndarray) -> np.ndarray:
    """Skin that shares a turn goes onto the surface of the part that owns it; what moves as one stays as it is."""
    owner, result = weights.argmax(axis=1), moved.copy()
    bends = (carried > 0.002) & (carried < 0.998) & (share > 0.0)
    for part in np.unique(owner[bends]):
        own = np.flatnonzero(bends & (owner == part))
        surface = project(lambda where, part=part: part_field(where, posed, part), moved[own], iterations=2, limit=2.5)
        result[own] += share[own, None] * (surface - moved[own])
    return result


def fold_share(vertices, moved, weights, hand: Hand, joint: int, turn: np.ndarray) -> np.ndarray:
    """(V,) 1 on the palm's side of a flexed joint, where flesh may meet flesh."""
    finger, bone = divmod(joint - 1, 3)
    frame, centre, flexion = fold_frame(hand, joint, turn)
    if flexion < FOLD_FROM or joint == 1 + 3 * THUMB:
        return np.zeros(len(vertices))
    along, _, half = hinge_coordinates(vertices, hand, finger, bone)
    depth = -(moved - centre) @ frame[2]
    inside = rise(depth, -0.1 * half, 0.5 * half) * (np.abs(along) < REACH * half)
    if bone > 0:
        own = weights[:, 1 + 3 * finger : 4 + 3 * finger].sum(axis=1)
        return inside * (own > 0.5)
    breadth = hand.size.sections[finger, 0, 0]
    aside = np.abs((vertices - centre) @ hand.skeleton.frames[finger, 0, 0])
    return inside * (1.0 - rise(aside, 0.35 * breadth, 0.75 * breadth))


def fold_frame(hand: Hand, joint: int, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Rows side, normal, dorsal of the plane half way of a turn (3, 3), its centre (3,), and the flexion, radians."""
    finger, bone = divmod(joint - 1, 3)
    frame = hand.skeleton.frames[finger, bone]
    half_turn = Rotation.from_rotvec(turn / 2.0).apply(frame)
    return half_turn, hand.skeleton.joints[finger, bone], float(-turn @ frame[0])


def folded(vertices, moved, inside, hand: Hand, joint: int, turn: np.ndarray) -> np.ndarray:
    """Skin that has crossed the middle plane of the fold goes back to it."""
    finger, bone = divmod(joint - 1, 3)
    frame, centre, _ = fold_frame(hand, joint, turn)
    along, _, half = hinge_coordinates(vertices, hand, finger, bone)
    beyond = (moved - centre) @ frame[1]
    side = np.where(along > 0.0, 1.0, -1.0)
    gap = GAP * np.clip(np.abs(along) / (0.3 * half), 0.0, 1.0)
    crossed = np.maximum(gap - side * beyond, 0.0)
    return moved + (inside * side * crossed)[:, None] * frame[1]
