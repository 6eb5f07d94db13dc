"""How long a mesh's edges should be: fine where skin bends and curves, coarse on palm and wrist."""

import numpy as np

from launch.freehand.anatomy import ACROSS, FINGERS, MIDDLE, THUMB
from launch.freehand.palm import first_web_corners
from launch.freehand.skeleton import Hand
from launch.freehand.skinning import distance_to_segment
from launch.freehand.surface import web_ends

WRIST, PALM = 12.0, 9.6  # mm in the coarsest mesh; the finer ones shrink all alike
WEB, FIRST_WEB, KNUCKLE = 5.0, 6.4, 5.6
# Along a finger: base, middle and end of each phalanx. Joints need more than shafts.
ALONG_FINGER = (6.2, 6.8, 5.2, 5.6, 4.7, 4.5, 3.4)
ALONG_THUMB = (8.0, 8.4, 6.2, 6.4, 5.2, 5.0, 3.8)
GROWTH = 0.35  # mm of edge for each mm away from a fine place


def edge_lengths(points: np.ndarray, hand: Hand, nail: float) -> np.ndarray:
    """(N, 3) mm -> (N,) mm, at the coarsest resolution's scale."""
    wanted = np.where(points[:, 1] < -5.0, WRIST, PALM)
    for finger in ACROSS:
        offset = (points - hand.skeleton.joints[finger, 0]) @ hand.skeleton.frames[finger, 0].T
        distance = np.linalg.norm(offset / [1.0, 1.3, 1.0], axis=1)
        near = KNUCKLE + GROWTH * np.maximum(distance - 14.0, 0.0)
        wanted = np.where(offset[:, 2] > 0.0, np.minimum(wanted, near), wanted)
    for first, second in zip(ACROSS[:-1], ACROSS[1:], strict=True):
        distance = distance_to_segment(points, *web_ends(hand, first, second))
        wanted = np.minimum(wanted, WEB + GROWTH * np.maximum(distance - 9.0, 0.0))
    _, thumb_side, index_side = first_web_corners(hand)
    distance = distance_to_segment(points, thumb_side, index_side)
    wanted = np.minimum(wanted, FIRST_WEB + GROWTH * np.maximum(distance - 9.0, 0.0))
    for finger in range(len(FINGERS)):
        wanted = np.minimum(wanted, finger_lengths(points, hand, finger, nail))
    return wanted


def finger_lengths(points: np.ndarray, hand: Hand, finger: int, nail: float) -> np.ndarray:
    """The same for one finger's skin, growing away from it."""
    joints, sections = hand.skeleton.joints[finger], hand.size.sections[finger]
    slender = sections[1, 0] / hand.size.sections[MIDDLE, 1, 0]
    table = np.array(ALONG_THUMB) if finger == THUMB else slender * np.array(ALONG_FINGER)
    best, wanted = np.full(len(points), np.inf), np.zeros(len(points))
    for bone in range(finger == THUMB, 3):
        start, end = joints[bone : bone + 2]
        along = np.clip((points - start) @ (end - start) / ((end - start) @ (end - start)), 0.0, 1.0)
        distance = distance_to_segment(points, start, end)
        length = np.interp(along, [0.0, 0.5, 1.0], table[2 * bone : 2 * bone + 3])
        if bone == 2:
            dorsal = ((points - end) @ hand.skeleton.frames[finger, 2, 2]) > -0.1 * sections[3, 1]
            length = np.where(dorsal & (along > 0.3), nail * length, length)
        closer = distance < best
        best, wanted = np.where(closer, distance, best), np.where(closer, length, wanted)
    return wanted + GROWTH * np.maximum(best - 0.62 * sections[0, 0], 0.0)
