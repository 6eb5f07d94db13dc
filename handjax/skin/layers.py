"""What there is to see on a hand's skin, layer by layer, as functions of the rest position: no colours yet."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from handjax.skin import lines, noise
from handjax.skin.frame import THUMB, HandFrame
from handjax.skin.place import Place, place, smoothstep


class SkinLayers(NamedTuple):
    """(N,) each, in [0, 1] unless said otherwise; how strongly they show is up to `SkinParams`.

    palmar: the palm's skin, without hair and nearly without pigment. redness: blood near the surface. pigment: where
    skin is darker than around (knuckles, folds). crease: folds at joints, lines of the palm. nail, lunula, free_edge:
    its plate, the half moon, the white end. vein, hair, freckle, mole. mottle, grain: coarse and fine irregularity
    about 0.5. reach: up to 0.45 along the palm from 45 mm below the wrist ((y + 45) / 300), then 0.5 + along / 8 on
    fingers. digit: (thumb 0 ... little 4) + 1 over 8. motif: a drawing on the back of the hand.
    height, relief: mm, of the skin's detail and of veins and tendons under it.
    """

    palmar: Array
    redness: Array
    pigment: Array
    crease: Array
    nail: Array
    lunula: Array
    free_edge: Array
    vein: Array
    hair: Array
    freckle: Array
    mole: Array
    mottle: Array
    grain: Array
    reach: Array
    digit: Array
    motif: Array
    height: Array
    relief: Array


# Thumb, index, middle, ring, little; millimetres of the mean hand.
NAIL_HALF_WIDTH = np.array([7.6, 5.7, 5.9, 5.5, 4.7], np.float32)
NAIL_LENGTH = np.array([14.0, 11.3, 11.8, 11.3, 9.6], np.float32)
NAIL_TO_TIP = np.array([1.6, 1.3, 1.3, 1.3, 1.1], np.float32)
LUNULA = np.array([0.9, 0.55, 0.6, 0.4, 0.1], np.float32)

# Folds on the palm's side of the finger's joint 1 and 2, and at the finger's base: (offset mm, strength).
FINGER_FOLDS = (((-1.4, 1.0), (1.7, 0.75), (4.4, 0.25), (-4.2, 0.2)), ((-0.9, 0.95), (1.6, 0.35)))
THUMB_FOLDS = (((-1.5, 0.7), (2.0, 0.4), (-5.0, 0.25)), ((-1.2, 1.0), (2.0, 0.55), (4.2, 0.2)))
BASE_FOLDS = ((-0.6, 0.85), (2.2, 0.5))
BASE_FOLD_ALONG = 0.47
"""Of the proximal bone: where the palm ends and the finger begins, seen from the palm."""

KNUCKLES = ((-21.0, 83.5), (0.0, 83.5), (17.0, 76.5), (33.0, 69.0))
RED_PADS = (
    (-27, 40, 15, 0.75),
    (34, 28, 15, 0.8),
    (-17, 75, 9, 0.7),
    (1, 77, 9, 0.7),
    (18, 71, 9, 0.7),
    (32, 62, 9, 0.7),
)
"""Balls of thumb and little finger and the pads below the fingers: across, along, radius mm, strength."""


@jax.jit
def skin_layers(frame: HandFrame, points: Array, normals: Array, seed: ArrayLike = 0) -> SkinLayers:
    """(N, 3) rest points and unit normals in the frame's axes and millimetres -> layers. `seed`: another person."""
    spot = place(frame, points, normals)
    base = 1000 * jnp.asarray(seed, jnp.int32)
    warp = jnp.stack([noise.octaves(spot.points, 16.0, base + 1), noise.octaves(spot.points, 16.0, base + 5)], axis=-1)
    fine_warp = noise.octaves(spot.points, 3.0, base + 9, 2)
    mottle, grain = noise.octaves(spot.points, 11.0, base + 13, 3), noise.octaves(spot.points, 1.6, base + 17, 2)
    palmar = smoothstep(0.10, -0.42, spot.facing + 0.10 * warp[:, 0] + 0.05 * fine_warp)
    palmar *= 0.3 + 0.7 * smoothstep(-20.0, 12.0, spot.palm[:, 1] + 8.0 * warp[:, 1])
    dorsal = smoothstep(0.05, 0.5, spot.facing)

    uneven = 0.62 + 0.38 * noise.octaves(spot.points, 5.0, base + 61, 2)
    joint_fold, bend = _finger_folds(spot, fine_warp)
    wrinkle, knuckle = _knuckle_wrinkles(spot, dorsal, fine_warp)
    palm_line, minor_line = _palm_lines(spot, palmar, warp, fine_warp)
    plate, nail_shape = _nail(spot)
    vein, tendon = _under_the_skin(spot, dorsal, base)
    crease = uneven * jnp.maximum(jnp.maximum(0.85 * joint_fold, palm_line), 0.75 * minor_line)
    crease = jnp.maximum(crease, jnp.maximum(0.95 * wrinkle, 0.8 * nail_shape["fold"])) * (1.0 - plate)
    freckle, _ = noise.spots(spot.points + 1.5 * warp[:, :1], 4.2, base + 21, 1.5, 0.8)
    mole, _ = noise.spots(spot.points, 19.0, base + 31, 1.9, 0.5)
    return SkinLayers(
        palmar=palmar * (1.0 - plate),
        redness=jnp.clip(_redness(spot, palmar, knuckle) * (1.0 + 0.6 * mottle), 0.0, 1.0) * (1.0 - 0.4 * crease),
        pigment=jnp.clip(knuckle * (1.0 + 0.4 * mottle) + 0.5 * nail_shape["fold"], 0.0, 1.0) * (1.0 - plate),
        crease=crease,
        nail=plate,
        lunula=plate * nail_shape["lunula"],
        free_edge=plate * nail_shape["free_edge"],
        vein=vein,
        hair=_hair(spot, dorsal, base) * (1.0 - plate),
        freckle=freckle * (1.0 - plate),
        mole=mole * (1.0 - plate),
        mottle=0.5 + 0.5 * mottle,
        grain=0.5 + 0.5 * grain,
        reach=jnp.where(
            spot.on_finger > 0.02, 0.5 + spot.along / 8.0, jnp.clip((spot.palm[:, 1] + 45.0) / 300.0, 0, 0.45)
        ),
        digit=(spot.finger + 1.0) / 8.0,
        motif=_motif(spot, dorsal),
        height=_height(spot, crease, bend, wrinkle, palmar, plate, nail_shape, grain, base),
        relief=0.55 * vein + 0.9 * tendon,
    )


def _finger_folds(spot: Place, wobble: Array) -> tuple[Array, Array]:
    """-> dark lines across the joints and at the fingers' bases, and the soft valleys around them."""
    thumb = spot.finger == THUMB
    pad_angle = jnp.arctan2(spot.side, -spot.back)
    inside = smoothstep(0.25, -0.25, spot.facing)
    line, valley = jnp.zeros_like(spot.along), jnp.zeros_like(spot.along)
    for joint in (1, 2):
        offset = _from_joint(spot, joint) + 0.35 * wobble + 0.5 * pad_angle**2
        for is_thumb, folds in ((True, THUMB_FOLDS[joint - 1]), (False, FINGER_FOLDS[joint - 1])):
            here = jnp.where(thumb == is_thumb, 1.0, 0.0)
            for middle, strength in folds:
                line = jnp.maximum(line, here * strength * _groove(offset - middle, 0.65))
            valley = jnp.maximum(valley, here * jnp.exp(-((offset / 3.2) ** 2)))
    at_base = (spot.along - BASE_FOLD_ALONG) * spot.bone_length + 0.6 * wobble
    on_chain = jnp.where(thumb, 0.0, smoothstep(0.2, 0.4, spot.along) * smoothstep(0.8, 0.6, spot.along))
    for middle, strength in BASE_FOLDS:
        line = jnp.maximum(line, on_chain * strength * _groove(at_base - middle, 0.75))
    return line * inside, valley * inside


def _knuckle_wrinkles(spot: Place, dorsal: Array, wobble: Array) -> tuple[Array, Array]:
    """-> lines of loose skin over the joints' backs, and how near to a joint's back a point is."""
    thumb = spot.finger == THUMB
    across = spot.radius * spot.angle
    lined, near = jnp.zeros_like(spot.along), jnp.zeros_like(spot.along)
    for joint, reach, spacing, strength in ((1, 6.8, 2.3, 1.0), (2, 3.8, 1.6, 0.8)):
        offset = _from_joint(spot, joint)
        if joint == 1:
            # The thumb's joint 2 is built like the fingers' joint 1.
            offset = jnp.where(thumb, _from_joint(spot, 2), offset)
        weight = jnp.where(thumb, 1.0 if joint == 1 else 0.0, 1.0)
        radius = jnp.sqrt(offset**2 + (0.45 * across) ** 2 + 1e-6)
        share = jnp.exp(-((offset / reach) ** 2) - (across / 7.0) ** 4)
        wave = 0.5 + 0.5 * jnp.cos(2.0 * jnp.pi * (radius / spacing + 0.30 * wobble))
        # Loops that close at the joint's sides would look drawn: they thin out there.
        loop = smoothstep(0.15, 0.6, jnp.abs(offset) / radius)
        lined = jnp.maximum(lined, weight * strength * wave**3 * share * (0.35 + 0.65 * loop))
        near = jnp.maximum(near, weight * (0.65 + 0.35 * (joint == 1)) * jnp.exp(-((offset / 6.5) ** 2)))
    for across_mm, along_mm in KNUCKLES:
        square = (spot.palm[:, 0] - across_mm) ** 2 + (spot.palm[:, 1] - along_mm) ** 2
        near = jnp.maximum(near, 0.5 * jnp.exp(-square / 8.0**2) * (1.0 - spot.on_finger))
    near = jnp.maximum(near, jnp.where(thumb, 0.45 * jnp.exp(-((_from_joint(spot, 1) / 8.0) ** 2)), 0.0))
    return lined * dorsal, near * dorsal


def _palm_lines(spot: Place, palmar: Array, warp: Array, wobble: Array) -> tuple[Array, Array]:
    plane = spot.palm + 2.2 * warp + 0.35 * jnp.stack([wobble, -wobble], axis=-1)
    inside = smoothstep(0.25, -0.2, spot.facing) * (1.0 - spot.on_finger)
    wrist = 0.55 * lines.drawn(lines.WRIST_LINES, plane) * smoothstep(0.0, -0.6, spot.facing)
    return jnp.maximum(lines.drawn(lines.PALM_LINES, plane) * inside, wrist), (
        lines.drawn(lines.MINOR_PALM_LINES, plane + 1.2 * warp[:, ::-1]) * inside
    )


def _nail(spot: Place) -> tuple[Array, dict[str, Array]]:
    half_width, length = jnp.asarray(NAIL_HALF_WIDTH)[spot.finger], jnp.asarray(NAIL_LENGTH)[spot.finger]
    from_tip = (spot.along - 3.0) * spot.bone_length
    across = spot.radius * spot.angle / half_width
    along = (from_tip + jnp.asarray(NAIL_TO_TIP)[spot.finger] + 0.5 * length) / (0.5 * length)
    exponent = jnp.where(along < 0.0, 2.7, 4.5)
    # 0 in the middle, 1 at the rim.
    rim = (jnp.abs(across) ** exponent + jnp.abs(along) ** exponent + 1e-9) ** (1.0 / exponent)
    present = (spot.along > 2.0) & (spot.back > 0.0)
    inside_mm = jnp.where(present, (1.0 - rim) * half_width, -9.0)
    moon = jnp.sqrt((across * 0.75) ** 2 + ((along + 1.12) * 1.1) ** 2 + 1e-9)
    white_end = smoothstep(0.74, 0.84, along + 0.10 * across**2)
    return smoothstep(-0.25, 0.25, inside_mm), {
        "lunula": smoothstep(0.62, 0.50, moon) * jnp.asarray(LUNULA)[spot.finger],
        "free_edge": white_end,
        "fold": jnp.exp(-(((inside_mm + 0.45) / 0.55) ** 2)) * smoothstep(0.9, 0.6, along) * present,
        "wall": jnp.exp(-(((inside_mm + 1.5) / 1.1) ** 2)) * smoothstep(0.9, 0.5, along) * present,
        "across": jnp.clip(across, -1.0, 1.0),
    }


def _under_the_skin(spot: Place, dorsal: Array, base: Array) -> tuple[Array, Array]:
    back = dorsal * (1.0 - spot.on_finger)
    # Slow bends only: veins that tremble look drawn.
    bend = jnp.stack([noise.value_noise(spot.points, 26.0, base + 71 + k) for k in range(2)], axis=-1)
    vein = lines.drawn(lines.VEINS, spot.palm + 6.0 * bend, 1.7) * back
    return vein, lines.drawn(lines.TENDONS, spot.palm, 1.3) * back


def _redness(spot: Place, palmar: Array, knuckle: Array) -> Array:
    red = 0.75 * knuckle
    pad = jnp.zeros_like(red)
    for across, along, radius, strength in RED_PADS:
        square = (spot.palm[:, 0] - across) ** 2 + (spot.palm[:, 1] - along) ** 2
        pad = jnp.maximum(pad, strength * jnp.exp(-square / radius**2))
    tip = smoothstep(2.15, 2.75, spot.along)
    phalanx = 0.3 * jnp.sin(jnp.pi * jnp.clip(spot.along, 0.0, 2.0)) ** 2
    inside = jnp.where(spot.on_finger > 0.0, jnp.maximum(phalanx, 0.95 * tip), 0.0)
    inside = jnp.maximum(inside * spot.on_finger, pad * (1.0 - spot.on_finger))
    return jnp.maximum(red, palmar * (0.15 + inside)) + 0.45 * tip * (1.0 - palmar)


def _hair(spot: Place, dorsal: Array, base: Array) -> Array:
    """Strokes that grow to the fingertips and the little finger's side, thick on the wrist and the fingers' backs."""
    thumb = spot.finger == THUMB
    on_bone = jnp.exp(-(((spot.along - 0.58) / 0.2) ** 2)) + 0.35 * jnp.exp(-(((spot.along - 1.5) / 0.15) ** 2))
    on_bone *= spot.on_finger * jnp.where(thumb, 0.3, 1.0) * smoothstep(0.45, 0.85, spot.facing)
    back = smoothstep(72.0, 20.0, spot.palm[:, 1]) * (0.35 + 0.65 * smoothstep(-20.0, 30.0, spot.palm[:, 0]))
    back = jnp.maximum(back, smoothstep(12.0, -15.0, spot.palm[:, 1])) * (1.0 - spot.on_finger)
    density = 0.7 * jnp.maximum(on_bone, back) * dorsal
    dark, rank = noise.strokes(spot.points[:, :2] + 0.3 * spot.points[:, 2:], 2.1, 6.0, 0.12, base + 41)
    return dark * (rank < density)


def _motif(spot: Place, dorsal: Array) -> Array:
    """A sun of rays and rings on the back of the hand, and bars across the fingers' backs."""
    plane = spot.palm - jnp.array([[3.0, 44.0]])
    radius, angle = jnp.linalg.norm(plane, axis=-1), jnp.arctan2(plane[:, 1], plane[:, 0])
    rays = jnp.abs(jnp.sin(4.0 * angle)) * smoothstep(9.0, 11.0, radius) * smoothstep(20.0, 17.0, radius)
    sun = jnp.maximum(smoothstep(0.62, 0.78, rays), _groove(radius - 7.0, 1.3))
    sun = jnp.maximum(sun, smoothstep(3.6, 2.9, radius)) * (1.0 - spot.on_finger)
    bars = _groove((spot.along - 0.62) * spot.bone_length, 1.6) * smoothstep(6.5, 5.5, jnp.abs(spot.side))
    return jnp.maximum(sun, bars * jnp.where(spot.finger == THUMB, 0.0, spot.on_finger)) * dorsal


def _height(spot, crease, bend, wrinkle, palmar, plate, nail_shape, grain, base) -> Array:
    mesh = 1.0 - jnp.abs(noise.octaves(spot.points, 1.9, base + 51, 2))
    skin = -0.40 * crease - 0.35 * bend - 0.16 * wrinkle + 0.06 * grain - 0.10 * (1.0 - 0.5 * palmar) * mesh**4
    skin += 0.32 * nail_shape["wall"]
    # The plate lies a little deeper than its walls, arched across, and has fine grooves along.
    arch = -0.35 * nail_shape["across"] ** 2 + 0.012 * jnp.sin(40.0 * nail_shape["across"]) - 0.05
    return skin * (1.0 - plate) + arch * plate


def _from_joint(spot: Place, joint: int) -> Array:
    """(N,) millimetres along the finger, distal to a joint."""
    return (spot.along - joint) * spot.bone_length


def _groove(offset: Array, width: float) -> Array:
    return jnp.exp(-2.0 * (offset / width) ** 2)
