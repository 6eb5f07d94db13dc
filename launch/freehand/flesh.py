"""Flesh is not squeezed away: what a bend takes from a bone's volume swells it, what it adds leaves it."""

from typing import NamedTuple

import numpy as np

from launch.freehand.anatomy import PARENTS
from launch.freehand.skeleton import Hand, carried_by
from launch.freehand.skinning import hinge_coordinates, rise
from launch.freehand.topology import vertex_normals
from launch.freehand.volume import Part, part_volumes, parts_of, volume

# Where skin gives way, in half depths of the finger beyond the joint: the middle and the width of a bell.
HINGE_BELL, BASE_BELL = (0.0, 1.6), (1.4, 1.4)
MOST = 1.5  # mm that skin gives way in one round


class Flesh(NamedTuple):
    """The bones' parts of a mesh and what each holds at rest, cubic mm (16,)."""

    faces: np.ndarray
    parts: list[Part]
    volumes: np.ndarray


def flesh_at_rest(vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray) -> Flesh:
    parts = parts_of(faces, weights)
    return Flesh(faces, parts, part_volumes(parts, vertices))


def swollen(moved, vertices, weights, hand: Hand, turned: list[int], flesh: Flesh) -> np.ndarray:
    """(V, 3) mm: the bones before and after each turned joint brought to their volume at rest; the palm stays."""
    for joint in turned:
        for bone in (PARENTS[joint], joint):
            if bone:
                share = gives_way(vertices, weights, hand, joint, bone)
                direction = share[:, None] * vertex_normals(moved, flesh.faces)
                holds = volume(flesh.parts[bone], moved)
                more = volume(flesh.parts[bone], moved + 0.1 * direction) - holds
                moved = moved + np.clip(0.1 * (flesh.volumes[bone] - holds) / more, -MOST, MOST) * direction
    return moved


def gives_way(vertices, weights, hand: Hand, joint: int, bone: int) -> np.ndarray:
    """(V,) in [0, 1]: how far skin of a bone moves in or out where it begins or ends at a joint."""
    finger, number = divmod(joint - 1, 3)
    along, _, half = hinge_coordinates(vertices, hand, finger, number)
    middle, width = HINGE_BELL if number else BASE_BELL
    near = np.exp(-(((along / half - middle) / width) ** 2))
    after = weights @ carried_by(joint)
    if bone == joint:
        return np.where(near > 0.02, near * after, 0.0)
    own = weights @ carried_by(1 + 3 * finger)
    return np.where(near > 0.02, near * (1.0 - after) * rise(own, 0.5, 0.9), 0.0)
