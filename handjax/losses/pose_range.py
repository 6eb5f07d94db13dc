"""How far finger joints are turned beyond what a hand can do: L_reg's first part, Ren, Zhu and Zhang 2023, eq. 10."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from handjax.losses import terms
from handjax.losses.sums import CountedSum

LEFT = 0

_FIRST = [(-5, 5), (-10, 10), (-10, 100)]
_HINGE = [(-5, 5), (-5, 5), (-10, 100)]

RIGHT_RANGES_DEG = np.array(
    [
        *(_FIRST, _HINGE, _HINGE) * 2,
        *([(-20, 5), (-10, 20), (-10, 100)], _HINGE, _HINGE),
        *(_FIRST, _HINGE, _HINGE),
        [(0, 90), (-22.5, 33.75), (-22.5, 22.5)],
        [(-5, 5), (-5, 5), (-22.5, 22.5)],
        [(-5, 5), (-5, 5), (-20, 100)],
    ],
    np.float64,
)
"""(15, 3, 2): roll, azimuth and pitch of index, middle, little, ring and thumb, base to tip; the code's table. Roll
turns about the bone from tip to base, azimuth towards the thumb's side, pitch closes the finger."""


def pose_range(
    hand_pose: ArrayLike, sides: ArrayLike, joint_axes: ArrayLike, valid: ArrayLike | None = None
) -> CountedSum:
    """sum of max(0, min - angle) + max(0, angle - max), radians, of angles about the joints' own axes; counts angles.

    hand_pose (N, 45) axis-angle from the flat hand; sides (N,) 0 left, 1 right; joint_axes (15, 3, 3) of the right
    hand's model (`HandModel.joint_axes`), whose mirror image serves left hands; valid (N,).
    The table was made for such axes (S2HAND, Chen et al. 2021). Raises ValueError for shapes that do not go together.
    """
    right, valid = _right_hands(hand_pose, sides, valid)
    joint_axes = terms.floats("joint_axes", joint_axes, (15, 3, 3))
    flexion, abduction, twist = jnp.einsum("njx,jkx->knj", right, joint_axes, precision="highest")
    # The model's third axis leads to the tip, the table's from it.
    return _excess(jnp.stack([-twist, abduction, flexion], -1), valid)


def pose_range_raw(hand_pose: ArrayLike, sides: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """As `pose_range`, of the axis-angle's own x, y and z, as released: MANO's mean pose leaves 16 of the 45 ranges."""
    return _excess(*_right_hands(hand_pose, sides, valid))


def _right_hands(hand_pose: ArrayLike, sides: ArrayLike, valid: ArrayLike | None) -> tuple[Array, Array]:
    """-> (N, 15, 3) poses of right hands, those of left ones mirrored; (N,)."""
    hand_pose = terms.floats("hand_pose", hand_pose, ("N", 45))
    hands = len(hand_pose)
    sides = terms.floats("sides", sides, (hands,))
    valid = terms.flags(valid, (hands,))
    vectors = terms.difference(hand_pose, jnp.zeros(()), valid).reshape(hands, 15, 3)
    sign = jnp.where(sides == LEFT, -1.0, 1.0)
    return vectors * jnp.stack([jnp.ones_like(sign), sign, sign], -1)[:, None], valid


def _excess(angles: Array, valid: Array) -> CountedSum:
    lower, upper = (
        jnp.asarray(bound, angles.dtype)[None] for bound in np.moveaxis(np.deg2rad(RIGHT_RANGES_DEG), -1, 0)
    )
    past = jnp.maximum(lower - angles, 0.0) + jnp.maximum(angles - upper, 0.0)
    return CountedSum((valid * past.sum((1, 2))).sum(), valid.sum() * RIGHT_RANGES_DEG[..., 0].size)
