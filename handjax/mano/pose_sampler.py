"""Plausible random hand poses: joints that move together, named poses and blends of them, few that cross themselves.

Drawn in degrees about each joint's axes. What is coupled: the end joint of a finger with its middle joint (one
tendon), neighbouring fingers (one muscle), all with the closure of the hand; the thumb opposes as the hand closes, and
spread fades as a knuckle bends (collateral ligaments).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax.mano import capsules
from handjax.mano.pose_library import POSE_NAMES, named_angles, pose_from_angles
from handjax.mano.types import HandModel

DIP_PER_PIP = 0.67
"""The two end joints of a finger share a tendon."""

ACROSS = np.array([0, 1, 3, 2])
"""Index, middle, ring, little: the fingers beside each other, as rows of the joints' order."""

NEIGHBOURS = 0.35
"""Correlation of how far two fingers beside each other close, beyond what the hand does."""

OUTWARD = np.array([0.55, 0.15, -0.35, -0.55])
"""How far fingers go when the hand spreads, over `REACH_DEG`: index to the thumb, ring and little away from it."""

REACH_DEG = np.array([18.0, 10.0, 12.0, 20.0])
"""Sideways, index to little."""

TOLERATED_M = 0.002
"""Overlap of a pose that is taken: skin gives way as much."""

FINGER_JOINTS = 12


def sample_pose(key: Array, model: HandModel, *, named: float | Array = 0.3, tries: int = 4) -> Array:
    """One random `hand_pose`, (45,) axis-angle, inside the model's `joint_limits`. For many: jax.vmap over keys.

    named: probability of a named pose or a blend of two, with a little noise, instead of a free one.
    tries: of so many poses the first is taken whose fingers do not sink into each other by more than 2 mm (as
    capsules), or else the one that does least. Static under jit.

    Raises ValueError for a model without MANO's 16 joints or less than one try.
    """
    capsules.check_mano_joints(model)
    if tries < 1:
        raise ValueError(f"tries must be at least 1, got {tries}")
    lower, upper = jnp.moveaxis(model.joint_limits, -1, 0)

    def draw(one: Array) -> Array:
        return pose_from_angles(model, jnp.clip(jnp.deg2rad(sample_degrees(one, named)), lower, upper))

    poses = jax.vmap(draw)(jax.random.split(key, tries))
    # Of a model closed over by jit XLA would measure the capsules while it compiles, in seconds for fine meshes.
    bodies = capsules.capsules_of(jax.lax.optimization_barrier(model))
    overlap = jax.vmap(lambda pose: capsules.penetration(bodies, pose).max())(poses)
    fits = overlap < TOLERATED_M
    return poses[jnp.where(fits.any(), jnp.argmax(fits), jnp.argmin(overlap))]


def sample_degrees(key: Array, named: float | Array) -> Array:
    """(15, 3) degrees, not yet inside any limits."""
    chances, spread = jax.random.split(key)
    # All numbers are drawn in two calls: XLA takes a second or so to compile each.
    which, closing, first, second, blend, share = jax.random.uniform(chances, (6,))
    normal = jax.random.normal(spread, (2, 15, 3))
    known = _near_named(jnp.stack([first, second, blend, share]), normal[0])
    degrees = jnp.where(which < named, known, _free(closing, normal[0]))
    return degrees + jnp.array([[0.0, 2.5, 2.5]]) * normal[1]


def _near_named(uniform: Array, normal: Array) -> Array:
    """(4,) and (15, 3) random numbers -> a named pose, or half the time a blend of two, some degrees off."""
    table = jnp.asarray(np.rad2deg(np.stack([named_angles(name) for name in POSE_NAMES])), jnp.float32)
    first, second = table[(uniform[:2] * len(table)).astype(jnp.int32)]
    weight = jnp.where(uniform[2] < 0.5, uniform[3], 0.0)
    return (1.0 - weight) * first + weight * second + jnp.array([[6.0, 2.5, 1.0]]) * normal


def _free(closing: Array, normal: Array) -> Array:
    """() uniform and (15, 3) normal numbers -> one closure for the hand, each finger and joint varied about it."""
    # Kumaraswamy's distribution (a 1.1, b 1.9): more hands are open than closed.
    closure = (1.0 - (1.0 - closing) ** (1.0 / 1.9)) ** (1.0 / 1.1)
    fingers = _free_fingers(normal[:FINGER_JOINTS].reshape(4, 9), closure, normal[FINGER_JOINTS, 0])
    return jnp.concatenate([fingers, _free_thumb(normal[FINGER_JOINTS:].reshape(9)[1:], closure)])


def _free_fingers(normal: Array, closure: Array, spreading: Array) -> Array:
    """Numbers (4, 9), (), () -> (12, 3) degrees of index, middle, little, ring."""
    own = closure + 0.24 * _beside(normal[:, 0])
    bend = own[:, None] + jnp.array([[0.26, 0.28]]) * normal[:, 1:3]
    bend = jnp.clip(bend, 0.0, 1.0)
    knuckle, middle = -12.0 + 95.0 * bend[:, 0], 4.0 + 98.0 * bend[:, 1]
    end = DIP_PER_PIP * middle + 15.0 * normal[:, 3]
    sideways = REACH_DEG * (0.8 * spreading * OUTWARD + 0.6 * normal[:, 4])
    sideways = sideways * (1.0 - 0.7 * jnp.clip(knuckle, 0.0, 90.0) / 90.0)
    flexion = jnp.stack([knuckle, middle, end], -1)
    angles = jnp.zeros((4, 3, 3)).at[:, :, 0].set(flexion).at[:, 0, 1].set(sideways)
    return angles[np.argsort(ACROSS)].reshape(FINGER_JOINTS, 3)


def _beside(normal: Array) -> Array:
    """(4,) independent -> (4,) of unit variance, each correlated with the one before it."""
    rows = [normal[0]]
    for each in normal[1:]:
        rows.append(NEIGHBOURS * rows[-1] + np.sqrt(1.0 - NEIGHBOURS**2) * each)
    return jnp.stack(rows)


def _free_thumb(normal: Array, closure: Array) -> Array:
    """Numbers (8,), () -> (3, 3) degrees. Opposition, which grows with the grasp, is flexion and an inward twist."""
    opposition = jnp.clip(0.2 + 0.5 * closure + 0.28 * normal[0], 0.0, 1.0)
    bend = jnp.clip(0.1 + 0.5 * closure + 0.25 * normal[1], 0.0, 1.0)
    base = jnp.stack(
        [
            -12.0 + 58.0 * opposition + 8.0 * normal[2],
            -6.0 + 14.0 * bend + 11.0 * normal[3],
            6.0 - 44.0 * opposition + 8.0 * normal[4],
        ]
    )
    middle, end = -4.0 + 50.0 * bend + 12.0 * normal[5], -6.0 + 62.0 * bend + 18.0 * normal[6]
    return jnp.zeros((3, 3)).at[0].set(base).at[1, 0].set(middle).at[2, 0].set(end)
