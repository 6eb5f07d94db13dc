"""The open wrist of a hand: its rim, a lid that closes it, and a stub of forearm that bends there.

For any hand mesh with one rim, a user's MANO file included; nothing is stored for it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import rotations
from handjax.checks import check_shape
from handjax.mano.types import HandModel, HandOutput

STUB_LENGTH = 0.09
"""Metres. The shape follows a forearm that far; further on it would need muscles."""

_WIDER = np.array([0.20, 0.10])
"""Growth of breadth and depth over `STUB_LENGTH`: forearms grow rounder and wider towards the elbow."""


class Wrist(NamedTuple):
    """rim (L,) vertex ids around the opening; lid (L - 2, 3) faces that close it, counter-clockwise from outside."""

    rim: np.ndarray
    lid: np.ndarray


def wrist(model: HandModel) -> Wrist:
    """The rim of the mesh. Needs a concrete model: call it outside jit, once.

    Raises ValueError if the mesh has not exactly one rim (a closed mesh has none).
    """
    faces = np.asarray(model.faces)
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    present = set(map(tuple, directed.tolist()))
    following = {first: second for first, second in directed.tolist() if (second, first) not in present}
    rim = _walk(following)
    if not rim or len(rim) != len(following):
        raise ValueError(f"model must have one open rim, got {len(following)} open edges that do not form one loop")
    # The lid has each rim edge the other way round. A strip from side to side has fatter faces than a fan.
    order, lid = np.array(rim[::-1]), []
    low, high = 0, len(order) - 1
    while high - low > 1:
        lid.append([order[low], order[low + 1], order[high]])
        low += 1
        if high - low > 1:
            lid.append([order[low], order[high - 1], order[high]])
            high -= 1
    return Wrist(np.array(rim, np.int32), np.array(lid, np.int32))


def closed_faces(model: HandModel) -> np.ndarray:
    """(F + L - 2, 3) int32: the faces and a lid on the wrist, without new vertices. Raises as `wrist` does."""
    return np.concatenate([np.asarray(model.faces, np.int32), wrist(model).lid])


def stub_faces(opening: Wrist, num_vertices: int, rings: int) -> np.ndarray:
    """(2 L rings, 3) int32 faces from the rim of a hand of `num_vertices` to the rings that `stub_vertices` adds."""
    count = len(opening.rim)
    ids = np.concatenate([opening.rim[None], num_vertices + np.arange(rings * count).reshape(rings, count)])
    near, far = ids[:-1], ids[1:]
    after, beyond = np.roll(near, -1, axis=1), np.roll(far, -1, axis=1)
    return np.concatenate(
        [np.stack([after, near, far], -1).reshape(-1, 3), np.stack([after, far, beyond], -1).reshape(-1, 3)]
    ).astype(np.int32)


def stub_vertices(
    opening: Wrist,
    model: HandModel,
    output: HandOutput,
    bend: Array | np.ndarray | tuple[float, float] = (0.0, 0.0),
    *,
    length: float = STUB_LENGTH,
    rings: int = 6,
) -> Array:
    """(rings L, 3) vertices of a forearm that goes on from a posed hand's rim; differentiable, one hand a call.

    bend: (2,) radians, flexion (the palm towards the forearm) and deviation to the thumb's side, spread over the stub.
    The hand stays where it is, the forearm turns.
    """
    bend = jnp.asarray(bend)
    check_shape("bend", bend, (2,))
    turn = output.transforms[0, :, :3]
    rim = output.vertices[opening.rim]
    centre = rim.mean(axis=0)
    # Bending axes are those of the middle finger's base, which lies in line with the forearm.
    flexion, sideways = (jnp.matmul(turn, model.joint_axes[_middle(model), k], precision="highest") for k in (0, 1))
    away = jnp.cross(flexion, sideways)
    away = away * jnp.where((centre - output.vertices.mean(axis=0)) @ away < 0, -1.0, 1.0)
    offset = rim - centre[None]
    across, through = offset @ flexion, offset @ sideways
    along = offset @ away

    def ring(share: Array) -> tuple[Array, Array]:
        wider = 1.0 + _WIDER * share * length / STUB_LENGTH
        flat = along * (1.0 - share)
        local = across[:, None] * flexion[None] * wider[0] + through[:, None] * sideways[None] * wider[1]
        rotation = rotations.matrix_from_axis_angle(-share * (bend[0] * flexion + bend[1] * sideways))
        return jnp.matmul(local + flat[:, None] * away[None], rotation.T, precision="highest"), rotation @ away

    shares = jnp.arange(1, rings + 1) / rings
    around, direction = jax.vmap(ring)(shares)
    # The middle of each step points along the mean of its ends.
    before = jnp.concatenate([away[None], direction[:-1]])
    middle = centre[None] + jnp.cumsum((before + direction) / 2, axis=0) * length / rings
    return (around + middle[:, None]).reshape(-1, 3)


def _middle(model: HandModel) -> int:
    """Row of `joint_axes` of the middle finger's base: the joint of the tenth keypoint."""
    return model.keypoint_ids[9] - 1


def _walk(following: dict[int, int]) -> list[int]:
    if not following:
        return []
    rim = [min(following)]
    while (after := following.get(rim[-1])) is not None and after != rim[0] and len(rim) <= len(following):
        rim.append(after)
    return rim
