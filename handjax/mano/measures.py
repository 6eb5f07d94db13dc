"""A tape measure for hands: the dimensions that surveys report, of any hand with MANO's 16 joints, differentiable."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax.checks import check_shape
from handjax.mano.measure_tape import FINGER_JOINTS, FINGERS, GIRTHS, WEBS, HandTape, cut_tape, hand_planes, unit
from handjax.mano.types import HandModel

FIRST, _, LAST = np.transpose(FINGER_JOINTS)
MIDDLE = FINGERS.index("middle")
DIRECTIONS = 128
"""Directions in which a loop's extent is taken: a polygon's perimeter comes out to 0.02 %."""
BESIDE = np.array([[finger in web for web in WEBS] for finger in range(len(FINGERS))], np.float32)
"""(5, 3) which webs a finger's base is the mean height of; none for the thumb."""
BESIDE /= np.maximum(BESIDE.sum(1, keepdims=True), 1.0)


class HandMeasures(NamedTuple):
    """Dimensions of one flat hand, metres. Definitions of ANSUR II where it has them, on the model's own skin.

    A girth is the length of a taut band about the place: the convex hull of the skin's section.
    """

    length: Array  # wrist joint to the middle fingertip, along the hand (wrist to middle knuckle)
    breadth: Array  # across the hand in the plane of the girth at the knuckles, without the thumb
    palm_length: Array  # wrist joint to the base of the middle finger, along the hand
    thumb: Array  # knuckle (MCP) joint, where its crease lies, to the tip
    # The fingers: from the base, which is the height of the webs beside one, to the tip.
    index: Array  # pyright: ignore[reportIncompatibleMethodOverride]
    middle: Array
    ring: Array
    little: Array
    wrist_girth: Array  # at the wrist joint, square to the hand
    knuckle_girth: Array  # through the knuckles of index and little finger, without the thumb: hand circumference
    thumb_girth: Array  # at the end joint (IP)
    index_girth: Array  # at the middle joint (PIP): what a ring must pass
    middle_girth: Array
    ring_girth: Array
    little_girth: Array


def measure(model: HandModel | HandTape, betas: Array) -> HandMeasures:
    """Measures the flat hand of shape `betas` (S,), as fifteen () arrays in metres.

    Differentiable, and free to jit and vmap over betas. The tape is cut anew from a `HandModel` in each call (and once
    where a jitted function closes over the model); pass a `HandTape` from `cut_tape` to cut it once, or to have the
    model itself an argument of a jitted function.

    Raises ValueError if betas have the wrong shape, the model has not MANO's joints or its surface lacks a place.
    """
    tape = model if isinstance(model, HandTape) else cut_tape(model)
    check_shape("betas", betas, (tape.num_betas,))
    weights = jnp.concatenate([jnp.ones(1), betas])
    loops, tips, webs, joints = (jnp.tensordot(part, weights, 1, precision="highest") for part in tape)

    along_hand = unit(joints[FIRST[MIDDLE]] - joints[0])
    web_heights = jax.vmap(_reach, (0, None, None))(webs, joints[0], along_hand)
    fingers = _finger_lengths(tips, webs, joints)
    loops = jax.vmap(_flattened, (0, 0, 0, None))(loops, *hand_planes(joints), joints)
    girths = jax.vmap(_taut)(loops)
    return HandMeasures(
        length=_reach(tips[MIDDLE], joints[0], along_hand),
        breadth=jnp.ptp(loops[GIRTHS.index("knuckle"), :, 0]),
        palm_length=jnp.vdot(BESIDE[MIDDLE], web_heights, precision="highest"),
        **{finger: fingers[number] for number, finger in enumerate(FINGERS)},
        **{f"{place}_girth": girths[number] for number, place in enumerate(GIRTHS)},
    )


def _finger_lengths(tips: Array, webs: Array, joints: Array) -> Array:
    """-> (5,) from the base of each finger to its tip, along the line from its knuckle to its last joint."""
    knuckles, along = joints[FIRST], unit(joints[LAST] - joints[FIRST])
    to_tips = jax.vmap(_reach)(tips, knuckles, along)
    to_webs = jax.vmap(lambda web: jax.vmap(_reach, (None, 0, 0))(web, knuckles, along))(webs)
    return to_tips - jnp.einsum("fw,wf->f", BESIDE, to_webs, precision="highest")


def _reach(points: Array, origin: Array, direction: Array) -> Array:
    """(N, 3) -> () how far the points go from `origin` in a direction."""
    return jnp.max(jnp.einsum("nx,x->n", points - origin[None], direction, precision="highest"))


def _flattened(points: Array, centre: Array, normal: Array, joints: Array) -> Array:
    """(N, 3) -> (N, 2) in a plane, the first axis across the hand as far as the plane goes there."""
    across = joints[7] - joints[1]
    first = unit(across - normal * jnp.vdot(across, normal, precision="highest"))
    axes = jnp.stack([first, jnp.cross(normal, first)])
    return jnp.einsum("nx,ax->na", points - centre[None], axes, precision="highest")


def _taut(points: Array) -> Array:
    """(N, 2) -> () perimeter of the convex hull: its extent summed over all directions (Cauchy's formula)."""
    angles = 2.0 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    directions = jnp.asarray(np.stack([np.cos(angles), np.sin(angles)]), points.dtype)
    extent = jnp.matmul(points, directions, precision="highest").max(axis=0)
    return 2.0 * np.pi * extent.mean()
