"""The hand model as frozen data: what every kernel reads and every loader makes."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from flax import struct
from jax import Array

MANO_PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
"""Wrist, then index, middle, little, ring, thumb: three joints each, base to tip."""

MANO_KEYPOINT_IDS = (0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20)
"""The 21 keypoints (wrist, thumb, index, middle, ring, little; base to tip) in [16 joints, 5 fingertips]."""

KEYPOINT_PARENTS = (0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19)
"""Of keypoints 1 to 20: a bone leads from there to the keypoint."""

FINGERTIP_SETS = {
    "smplx": (744, 320, 443, 554, 671),
    "manopth": (745, 317, 444, 556, 673),
    "manopth_left": (745, 317, 445, 556, 673),
    "freihand": (744, 320, 443, 555, 672),
    "ho3d": (744, 333, 444, 555, 672),
}
"""Vertices that projects call the tips of thumb, index, middle, ring, little. Only for MANO's own mesh."""


class HandParams(NamedTuple):
    """What poses one hand. Angles are axis-angle vectors in radians; a zero pose is the flat hand.

    betas (S,); global_orient (3,); hand_pose (3 (J - 1),); transl (3,) metres.
    """

    betas: Array
    global_orient: Array
    hand_pose: Array
    transl: Array


class HandOutput(NamedTuple):
    """One posed hand, metres: vertices (V, 3), joints (J, 3), transforms (J, 3, 4) rest space to posed space."""

    vertices: Array
    joints: Array
    transforms: Array


@struct.dataclass
class HandModel:
    """A linear-blend-skinned hand, frozen; a pytree whose leaves are the arrays. Made by `build` or `load`.

    V vertices, F faces, J joints, S shape coefficients, P = 3 (J - 1) pose values, C pose components.
    The shape and the pose basis are stored once, in the order the blend kernel reads; `shapedirs` and `posedirs`
    give them in the field's own shapes.
    """

    v_template: Array  # (V, 3) metres
    blend_basis: Array  # (S + 9 (J - 1), 3 V): shape then pose rows; columns all x, all y, all z
    J_regressor: Array  # (J, V)
    joint_template: Array  # (J, 3) = J_regressor @ v_template
    joint_shapedirs: Array  # (J, 3, S) = J_regressor @ shapedirs
    lbs_weights: Array  # (V, J)
    faces: Array  # (F, 3) int32, counter-clockwise seen from outside
    hands_mean: Array  # (P,) mean pose
    hands_components: Array  # (C, P) rows
    pose_std: Array  # (C,) standard deviation of each component's coefficient
    joint_axes: Array  # (J - 1, 3, 3) rows: flexion, abduction, twist; unit vectors in the axes the pose is given in
    joint_limits: Array  # (J - 1, 3, 2) radians, lower and upper, about those axes
    joint_frames: Array | None  # (J, 3, 3) rest frames in which a joint's rotation is given; None: all identity
    parents: tuple[int, ...] = struct.field(pytree_node=False, default=MANO_PARENTS)
    fingertip_ids: tuple[int, ...] = struct.field(pytree_node=False, default=FINGERTIP_SETS["smplx"])
    keypoint_ids: tuple[int, ...] = struct.field(pytree_node=False, default=MANO_KEYPOINT_IDS)
    side: str = struct.field(pytree_node=False, default="right")

    @property
    def num_joints(self) -> int:
        return len(self.parents)

    @property
    def num_betas(self) -> int:
        return self.joint_shapedirs.shape[-1]

    @property
    def num_vertices(self) -> int:
        return self.v_template.shape[0]

    @property
    def shapedirs(self) -> Array:
        """(V, 3, S)."""
        return self._columns(self.blend_basis[: self.num_betas])

    @property
    def posedirs(self) -> Array:
        """(V, 3, 9 (J - 1)): displacement per entry of vec(R_1..R_{J-1} - I), row-major."""
        return self._columns(self.blend_basis[self.num_betas :])

    def _columns(self, rows: Array) -> Array:
        return rows.reshape(-1, 3, self.num_vertices).transpose(2, 1, 0)

    def with_fingertips(self, fingertips: str | tuple[int, ...]) -> "HandModel":
        """The same hand with other fingertip vertices: a name of FINGERTIP_SETS, or five vertex ids."""
        if isinstance(fingertips, str):
            if fingertips not in FINGERTIP_SETS:
                raise ValueError(f"fingertips must be one of {sorted(FINGERTIP_SETS)}, got {fingertips!r}")
            fingertips = FINGERTIP_SETS[fingertips]
        if len(fingertips) != len(self.fingertip_ids):
            raise ValueError(f"fingertips must be {len(self.fingertip_ids)} vertex ids, got {fingertips}")
        if not all(0 <= vertex < self.num_vertices for vertex in fingertips):
            raise ValueError(f"fingertips must lie in [0, {self.num_vertices}), got {fingertips}")
        return dataclasses.replace(self, fingertip_ids=tuple(int(vertex) for vertex in fingertips))


def zero_params(model: HandModel) -> HandParams:
    """The flat hand of mean shape at the origin."""
    return HandParams(
        jnp.zeros(model.num_betas),
        jnp.zeros(3),
        jnp.zeros(3 * (model.num_joints - 1)),
        jnp.zeros(3),
    )
