"""Where a tape measure touches a hand: the skin's points that carry its measures, found once on the template."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from handjax.mano.types import MANO_PARENTS, HandModel

FINGERS = ("thumb", "index", "middle", "ring", "little")
FINGER_JOINTS = ((14, 15, 15), (1, 2, 3), (4, 5, 6), (10, 11, 12), (7, 8, 9))
"""Knuckle, the joint whose girth is measured, and the last one; the thumb's first bone lies in the palm."""
GIRTHS = ("wrist", "knuckle", *FINGERS)
WEBS = ((1, 2), (2, 3), (3, 4))
"""Which fingers a web joins."""
TIP_BAND = 0.2
"""Vertices within this part of the last bone from a fingertip may become the tip of another shape."""
WEB_BAND = 0.3
"""The same of the web's ridge, as a part of the first bone."""


class HandTape(NamedTuple):
    """What measuring needs of a hand model: skin points and joints, with their S shape directions after the template.

    The points stay the same places on the skin whatever the shape; a place with fewer than others repeats its first.
    """

    loops: Array  # (7, N, 3, 1 + S) around wrist, knuckles and fingers
    tips: Array  # (5, T, 3, 1 + S)
    webs: Array  # (3, W, 3, 1 + S)
    joints: Array  # (16, 3, 1 + S)

    @property
    def num_betas(self) -> int:
        return self.joints.shape[-1] - 1


def cut_tape(model: HandModel) -> HandTape:
    """Finds the places on the template. Takes a few milliseconds; outside of any traced function or closed over by it.

    Raises ValueError for a model that has not MANO's 16 joints, that is itself traced, or whose surface lacks a place.
    """
    if model.parents != MANO_PARENTS:
        raise ValueError(f"model must have MANO's 16 joints, got {model.num_joints} with parents {model.parents}")
    if isinstance(model.v_template, Tracer):
        raise ValueError("model must not be traced: cut_tape(model) outside of the traced function and pass the tape")
    with jax.ensure_compile_time_eval():
        return lay_tape(
            np.asarray(model.v_template, np.float64),
            np.asarray(model.shapedirs, np.float64),
            np.asarray(model.joint_template, np.float64),
            np.asarray(model.joint_shapedirs, np.float64),
            np.asarray(model.lbs_weights),
            np.asarray(model.faces),
        )


def lay_tape(vertices, shapedirs, joints, joint_shapedirs, weights, faces) -> HandTape:
    """(V, 3), (V, 3, S), (16, 3), (16, 3, S), (V, 16), (F, 3), in any unit and axes: what is not yet a model."""
    of_finger = [weights[:, sorted(set(ids))].sum(1) > 0.5 for ids in FINGER_JOINTS]
    of_thumb = weights[:, 13:16].sum(1) > 0.5
    owned = [np.ones(len(vertices), bool), ~of_thumb, *of_finger]
    planes = [np.asarray(part, np.float64) for part in hand_planes(jnp.asarray(joints, jnp.float32))]
    loops = [
        _section(f"{name}_girth", vertices, faces[own[faces].all(1)], centre, normal)
        for name, own, centre, normal in zip(GIRTHS, owned, *planes, strict=True)
    ]
    tips = [_tip(finger, vertices, joints, weights) for finger in range(len(FINGERS))]
    webs = [_web(pair, vertices, joints, faces[~of_thumb[faces].any(1)]) for pair in WEBS]
    skin = np.concatenate([vertices[..., None], shapedirs], -1)
    return HandTape(
        loops=_stacked(skin, loops),
        tips=_stacked(skin, tips),
        webs=_stacked(skin, webs),
        joints=jnp.asarray(np.concatenate([joints[..., None], joint_shapedirs], -1), jnp.float32),
    )


def hand_planes(joints: Array) -> tuple[Array, Array]:
    """(16, 3) -> centres and normals (7, 3) of the planes of the girths."""
    wrist, index, little, middle = (joints[joint] for joint in (0, 1, 7, 4))
    across_knuckles = jnp.cross(little - index, jnp.cross(little - wrist, index - wrist))
    first, girth, last = np.transpose(FINGER_JOINTS)
    normals = jnp.concatenate([jnp.stack([middle - wrist, across_knuckles]), joints[last] - joints[first]])
    return jnp.concatenate([jnp.stack([wrist, index]), joints[girth]]), unit(normals)


def unit(vectors: Array) -> Array:
    """(..., 3) -> (..., 3) of length 1."""
    return vectors * jax.lax.rsqrt((vectors**2).sum(-1, keepdims=True))


def _tip(finger: int, vertices, joints, weights) -> tuple[np.ndarray, np.ndarray]:
    """The vertices at the end of a finger, each as an edge to itself."""
    first, _, last = FINGER_JOINTS[finger]
    of_tip = np.flatnonzero(weights.argmax(1) == last)
    if not len(of_tip):
        raise ValueError(f"model must have a tip of the {FINGERS[finger]}, got no vertex that follows joint {last}")
    height = (vertices[of_tip] - joints[last]) @ (joints[last] - joints[first])
    near = of_tip[height >= (1.0 - TIP_BAND) * height.max()]
    return np.stack([near, near], 1), np.zeros(len(near))


def _web(pair: tuple[int, int], vertices, joints, faces) -> tuple[np.ndarray, np.ndarray]:
    """The ridge of the skin half way between two fingers."""
    first, second, _ = np.transpose([FINGER_JOINTS[finger] for finger in pair])
    knuckles = joints[first].mean(0)
    bone = joints[second].mean(0) - knuckles
    back = np.cross(joints[7] - joints[0], joints[1] - joints[0])
    name = f"the web of {FINGERS[pair[0]]} and {FINGERS[pair[1]]} finger"
    edges, shares = _section(name, vertices, faces, knuckles, np.cross(bone, back))
    height = (_between(vertices, edges, shares) - knuckles) @ bone / (bone @ bone)
    near = height > height.max() - WEB_BAND
    return edges[near], shares[near]


def _section(name: str, vertices, faces, centre, normal) -> tuple[np.ndarray, np.ndarray]:
    """Edges (N, 2) cut by a plane and where along them; of several pieces the one that comes nearest to `centre`."""
    height = (vertices - centre) @ normal
    above = height > 0.0
    crossing = faces[above[faces].any(1) & ~above[faces].all(1)]
    if not len(crossing):
        raise ValueError(f"model must have a surface at {name}, got no face that its plane cuts")
    sides = np.stack([crossing, np.roll(crossing, -1, 1)], -1)
    cut = np.sort(sides[above[sides[..., 0]] != above[sides[..., 1]]], axis=1)
    edges, numbers = np.unique(cut, axis=0, return_inverse=True)
    shares = height[edges[:, 0]] / (height[edges[:, 0]] - height[edges[:, 1]])
    piece = _pieces(len(edges), numbers.reshape(-1, 2))
    distance = np.linalg.norm(_between(vertices, edges, shares) - centre, axis=1)
    nearest = piece == piece[distance.argmin()]
    return edges[nearest], shares[nearest]


def _pieces(count: int, links: np.ndarray) -> np.ndarray:
    """Links (L, 2) between `count` things -> (count,) the lowest number in each one's connected piece."""
    label = np.arange(count)
    while True:
        lower = label.copy()
        np.minimum.at(lower, links[:, 0], label[links[:, 1]])
        np.minimum.at(lower, links[:, 1], label[links[:, 0]])
        lower = lower[lower]
        if np.array_equal(lower, label):
            return label
        label = lower


def _between(values, edges, shares) -> np.ndarray:
    """(V, ...) at the vertices -> (N, ...) on the edges."""
    shares = shares.reshape(-1, *[1] * (values.ndim - 1))
    return (1.0 - shares) * values[edges[:, 0]] + shares * values[edges[:, 1]]


def _stacked(skin, places) -> Array:
    """Places (edges, shares) of different sizes as one array, each filled up with its first point."""
    points = [_between(skin, *place) for place in places]
    longest = max(len(each) for each in points)
    full = [np.concatenate([each, np.repeat(each[:1], longest - len(each), 0)]) for each in points]
    return jnp.asarray(np.stack(full), jnp.float32)
