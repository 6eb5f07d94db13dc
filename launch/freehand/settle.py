"""Moving a finished mesh to another surface: from spread fingers to the flat hand, from one person to the next."""

import numpy as np

from launch.freehand.anatomy import INDEX, LITTLE, MIDDLE, RING
from launch.freehand.implicit import project
from launch.freehand.limits import axis_angles
from launch.freehand.skeleton import Hand, joint_axes, joint_positions, joint_transforms, posed_hand, skin
from launch.freehand.skinning import heat_weights
from launch.freehand.surface import hand_field
from launch.freehand.topology import boundary_vertices, neighbour_mean

SPREAD = {INDEX: 17.0, MIDDLE: 3.0, RING: -11.0, LITTLE: -22.0}  # degrees of abduction beyond the flat hand's


def spread_transforms(hand: Hand) -> np.ndarray:
    """(16, 3, 4) from the flat hand to the one with spread fingers, which is easier to mesh.

    Beside each other the fingers leave gaps narrower than an edge, and a mesh made there grows over the webs.
    """
    degrees = np.zeros((5, 3, 3))
    for finger, angle in SPREAD.items():
        degrees[finger, 0, 1] = angle
    return joint_transforms(joint_positions(hand.skeleton), axis_angles(degrees, joint_axes(hand.skeleton)))


def close_fingers(vertices, faces, hand: Hand) -> np.ndarray:
    """Brings a mesh of the spread hand to the flat `hand`: skinned back, then onto the flat surface."""
    transforms = spread_transforms(hand)
    weights = heat_weights(vertices, faces, posed_hand(hand, transforms).skeleton)
    flat = skin(vertices, weights, inverse(transforms))
    return settle(flat, faces, lambda points: hand_field(points, hand), limit=5.0)


def inverse(transforms: np.ndarray) -> np.ndarray:
    turned = transforms[:, :, :3].transpose(0, 2, 1)
    return np.concatenate([turned, -turned @ transforms[:, :, 3:]], axis=2)


def settle(vertices, faces, surface, limit: float) -> np.ndarray:
    """Moves a mesh that is nearly there onto `surface`; its rim stays in its plane.

    Projection alone tears at the webs, where the nearest surface jumps from one finger to the next: the displacement
    is smoothed, and what is then left is small.
    """
    rim, mean = boundary_vertices(faces), neighbour_mean(faces, len(vertices))
    offset = project(surface, vertices, iterations=4, limit=limit) - vertices
    for _ in range(3):
        smooth = 0.4 * offset + 0.6 * (mean @ offset)
        smooth[rim] = offset[rim]
        offset = smooth
    settled = project(surface, vertices + offset, iterations=2, limit=0.6)
    settled[rim] = vertices[rim] + offset[rim]
    settled[rim, 1] = vertices[rim, 1].mean()  # the thumb's skin reaches the rim and tilts it
    return settled
