"""What skinning cannot do: flesh that swells beside bent joints, folds, knuckles, tendons, and one's own hand's shape.

Each is a field over the rest hand, moved along its normals by as much as an angle of the pose says. Sizes are those of
an adult hand as photographs show it, 0.5 to 3 mm; they are not measured on people.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax.checks import check_shape
from handjax.mano import DETAILED_ANGLES, HandModel
from handjax.render import vertex_normals
from handjax.skin import lines, noise
from handjax.skin.frame import HandFrame, hand_frame, rest_surface
from handjax.skin.place import Place, place, smoothstep

FINGERS = ("thumb", "index", "middle", "ring", "pinky")
GROUPS = ("pads", "folds", "knuckles", "ball", "tendons")
"""What a person has more or less of: flesh beside joints, depth of folds, bones and tendons that show, thumb's ball."""

LARGEST_MM = 4.5
"""No point of the skin is moved farther."""

SHAPES = 24
SHAPE_MM, SHAPE_WIDTH_MM = 0.7, 22.0
"""Deviation of the fixed field by which subjects differ, and the size of its hills."""

FINGER_PADS = ((-27.0, 40.0, 15.0), (-17.0, 75.0, 8.0), (1.0, 77.0, 8.0), (18.0, 71.0, 8.0), (32.0, 62.0, 8.0))
"""Millimetres across and along the palm, and radius: the thumb's ball, then the pads below the fingers."""

HYPOTHENAR, HOLLOW, WEB = (34.0, 28.0, 15.0), (2.0, 38.0, 14.0), (-24.0, 62.0, 10.0)
KNUCKLES = ((-21.0, 83.5), (0.0, 83.5), (17.0, 76.5), (33.0, 69.0))


class DetailFields(NamedTuple):
    """Made once for a hand: normals (V, 3) of the rest surface; moving (K, V) metres for full activation; still
    (24, V) metres; group (K,) int32 into `GROUPS`; finger (K,) int32, thumb 0."""

    normals: Array
    moving: Array
    still: Array
    group: Array
    finger: Array


class Detail(NamedTuple):
    """One person: gain (5,) by `GROUPS`, finger_gain (5,) by finger, about 1; shape (24,) about a standard normal."""

    gain: Array
    finger_gain: Array
    shape: Array


def detail_fields(model: HandModel) -> DetailFields:
    """Host side, in a second or so. Raises ValueError for a model without MANO's 16 joints."""
    frame = hand_frame(model)
    points, normals = (jnp.asarray(part, jnp.float32) for part in rest_surface(model, frame))
    spot = place(frame, points, normals)
    made = [(*field, drive.group, drive.finger) for drive, *field in _moving(spot, frame)]
    field, group, finger = zip(*made, strict=True)
    millimetre = 1.0 / frame.scale
    still = jnp.stack([noise.octaves(points, SHAPE_WIDTH_MM, 900 + k, 2) for k in range(SHAPES)])
    still = still / jnp.maximum(still.std(axis=1, keepdims=True), 1e-6) * (SHAPE_MM / np.sqrt(SHAPES))
    return DetailFields(
        vertex_normals(model.v_template, model.faces),
        jnp.stack(field) * millimetre,
        # The wrist's rim keeps its place, where the forearm begins.
        still * _inland(spot)[None] * millimetre,
        jnp.array(group, jnp.int32),
        jnp.array(finger, jnp.int32),
    )


def sample_detail(key: Array) -> Detail:
    """Somebody's. For many: jax.vmap."""
    normal = jax.random.normal(key, (10 + SHAPES,))
    return Detail(jnp.exp(0.22 * normal[:5]), jnp.exp(0.12 * normal[5:10]), jnp.clip(normal[10:], -2.5, 2.5))


def displacements(fields: DetailFields, detail: Detail, angles: Array) -> Array:
    """(28,) radians in the order of `DETAILED_ANGLES` -> (V, 3) metres in rest space, to be skinned with the hand.

    What depends on the pose is 0 for zero angles and has a continuous slope; no point moves more than 4.5 mm. Raises
    ValueError for another number of angles.
    """
    gain = detail.gain[fields.group] * detail.finger_gain[fields.finger]
    moved = jnp.matmul(gain * activations(angles), fields.moving, precision="highest")
    moved += jnp.matmul(detail.shape, fields.still, precision="highest")
    largest = LARGEST_MM / 1000.0
    return (largest * jnp.tanh(moved / largest))[:, None] * fields.normals


def activations(angles: Array) -> Array:
    """(28,) -> (K,): 0 at rest, about 1 where a joint is fully bent (or a knuckle bent back)."""
    check_shape("angles", angles, (len(DETAILED_ANGLES),))
    return jnp.stack([_activation(drive, angles) for drive in DRIVES])


class Drive(NamedTuple):
    """What sets off a field: the mean of some angles, signed, radians for full activation; group and finger."""

    joints: tuple[tuple[str, str, float], ...]
    full: float
    group: int
    finger: int


def _bent(finger: int, bone: int, full_deg: float, group: str, sign: float = 1.0) -> Drive:
    joint = FINGERS[finger] + str(bone)
    return Drive(((joint, "z", sign),), np.deg2rad(full_deg), GROUPS.index(group), finger)


def _drives() -> list[Drive]:
    drives = []
    for finger in range(5):
        for bone, full in ((1, 90.0), (2, 95.0), (3, 70.0)):
            if finger == 0 and bone == 1:
                continue
            drives += [_bent(finger, bone, full, group) for group in ("pads", "folds", "knuckles")]
    drives += [_bent(finger, 1, 20.0, "tendons", -1.0) for finger in range(5)]
    ball = GROUPS.index("ball")
    opposed = (("thumb1", "z", 1.0), ("thumb2", "z", 0.6))
    drives.append(Drive(opposed, np.deg2rad(30.0), ball, 0))
    drives.append(Drive((("thumb1", "z", 1.0),), np.deg2rad(40.0), ball, 0))
    drives.append(Drive((("pinky1", "z", 1.0), ("ring1", "z", 0.5)), np.deg2rad(60.0), ball, 4))
    fist = tuple((finger + "1", "z", 1.0) for finger in FINGERS[1:])
    drives.append(Drive(fist, np.deg2rad(80.0), ball, 2))
    return drives


DRIVES = tuple(_drives())
FIST = len(DRIVES) - 1
"""The drive of a closing fist, which hollows the palm."""


def _activation(drive: Drive, angles: Array) -> Array:
    mean = sum(sign * angles[DETAILED_ANGLES.index((joint, axis))] for joint, axis, sign in drive.joints)
    share = jnp.maximum(jnp.asarray(mean) / (len(drive.joints) * drive.full), 0.0)
    # Starts flat, so that a hand about to bend has no kink, and ends near 1.
    return 1.25 * share**2 / (share**2 + 0.25)


def _moving(spot: Place, frame: HandFrame) -> list[tuple[Drive, Array]]:
    """Every drive with its field (V,) in mm."""
    palmar, dorsal = smoothstep(0.15, -0.45, spot.facing), smoothstep(-0.1, 0.5, spot.facing)
    fields = []
    for finger in range(5):
        for bone in (1, 2, 3):
            if finger == 0 and bone == 1:
                continue
            fields += _around_joint(spot, finger, bone - 1, palmar, dorsal)
    back = dorsal * (1.0 - spot.on_finger)
    fields += [1.8 * lines.drawn((lines.TENDONS[finger - 1],), spot.palm, 1.2) * back for finger in range(5)]
    inside = palmar * (1.0 - 0.7 * spot.on_finger)
    fields.append(3.0 * _hill(spot, FINGER_PADS[0]) * inside)
    fields.append(2.0 * _hill(spot, WEB) * dorsal)
    fields.append(1.8 * _hill(spot, HYPOTHENAR) * inside)
    fields.append(-1.6 * _hill(spot, HOLLOW) * inside)
    inland = _inland(spot)
    return [(drive, field * inland) for drive, field in zip(DRIVES, fields, strict=True)]


def _around_joint(spot: Place, finger: int, joint: int, palmar: Array, dorsal: Array) -> list[Array]:
    """Pads, fold and knuckle of a finger's joint 0 (its knuckle), 1 or 2."""
    own = jnp.where(spot.finger == finger, 1.0, 0.0)
    if joint == 0:
        across, along, radius = FINGER_PADS[finger]
        pads = 1.6 * _hill(spot, (across, along - 4.0, radius)) * palmar
        pads += 1.4 * own * palmar * jnp.exp(-(((spot.along - 0.62) / 0.16) ** 2))
        # The finger's skin folds against the palm's pad where the two meet.
        fold = -1.0 * own * palmar * jnp.exp(-((((spot.along - 0.45) * spot.bone_length) / 1.5) ** 2))
        plane = spot.palm - jnp.array([KNUCKLES[finger - 1]])
        knuckle = 2.4 * jnp.exp(-((plane / jnp.array([[6.0, 8.0]])) ** 2).sum(-1)) * dorsal
        valleys = jnp.exp(-((jnp.abs(plane[:, 0]) - 9.0) ** 2) / 9.0 - (plane[:, 1] / 9.0) ** 2)
        return [pads, fold, knuckle - 0.7 * valleys * dorsal]
    offset = (spot.along - joint) * spot.bone_length
    near = own * spot.on_finger
    beside = jnp.exp(-(((jnp.abs(offset) - 6.5) / 3.2) ** 2))
    pads = (2.0 if joint == 1 else 1.3) * near * palmar * beside
    lines_mm = (-0.9, 2.6) if joint == 1 else (-0.4, 3.4)
    depth = sum(
        share * jnp.exp(-(((offset - middle) / 1.4) ** 2)) for middle, share in zip(lines_mm, (1.0, 0.6), strict=True)
    )
    knuckle = (1.4 if joint == 1 else 0.7) * near * dorsal * jnp.exp(-(((offset + 1.0) / 4.0) ** 2))
    # Beside its raised middle a bent joint's back is flat.
    knuckle -= (0.7 if joint == 1 else 0.3) * near * dorsal * jnp.exp(-(((jnp.abs(offset + 1.0) - 8.0) / 3.5) ** 2))
    return [pads, -1.1 * near * palmar * depth, knuckle]


def _hill(spot: Place, at: tuple[float, float, float]) -> Array:
    across, along, radius = at
    square = (spot.palm[:, 0] - across) ** 2 + (spot.palm[:, 1] - along) ** 2
    return jnp.exp(-square / radius**2)


def _inland(spot: Place) -> Array:
    """0 at the wrist's rim, 1 some centimetres on."""
    return smoothstep(-8.0, 14.0, spot.palm[:, 1])
