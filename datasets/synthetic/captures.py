"""Captures of one person's detailed hand by many calibrated cameras, as DeepHandMesh learns from (Moon et al. 2020).

The hand has 22 joints, 28 angles and at least 12,000 vertices that bulge and fold as skinning alone cannot make them.
"""

import dataclasses
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from datasets.synthetic.capture_detail import (
    FIST,
    Detail,
    DetailFields,
    activations,
    detail_fields,
    displacements,
    sample_detail,
)
from datasets.synthetic.capture_rig import Rig, sample_rig, sample_studio_light, seen_from
from datasets.synthetic.checks import check_size
from datasets.synthetic.degrade import Degradation, degrade
from handjax import mano, rotations, skin
from handjax.camera import Camera
from handjax.checks import check_shape
from handjax.render import RenderOutput

MANO_NAMES = tuple(finger + bone for finger in ("index", "middle", "pinky", "ring", "thumb") for bone in "123")
"""The detailed hand's names of MANO's joints but the wrist, in MANO's order."""

MANO_AMONG_DETAILED = tuple(mano.DETAILED_JOINTS.index(name) for name in ("wrist", *MANO_NAMES))

GREY = 0.32
"""Of the studio's walls, as displayed."""


class CaptureHand(NamedTuple):
    """What all subjects share, made once: the hand with 16 joints, as skin reads it, and with 22, its mesh (with a
    forearm), a baked skin, and the fields of detail."""

    model: mano.HandModel
    detailed: mano.HandModel
    mesh: skin.SkinMesh
    texture: skin.SkinTexture
    fields: DetailFields


class Subject(NamedTuple):
    """One person, the same in every capture: betas (S,), look, detail, and the sleeve and cloth of `arm`."""

    betas: Array
    look: skin.SkinParams
    detail: Detail
    arm: skin.Arm


class Pose(NamedTuple):
    """angles (28,) radians in the order of `DETAILED_ANGLES`; orient (3, 3) and transl (3,) metres of the wrist."""

    angles: Array
    orient: Array
    transl: Array


class Captures(NamedTuple):
    """B poses seen by N cameras that stand still.

    image (B, N, H, W, 3) uint8; depth (B, N, H, W) metres along the optical axis, 0 where there is no hand or arm;
    K (N, 3, 3), R (N, 3, 3), t (N, 3): pixel = K (R X + t), metres, pixels as `handjax.camera` counts them; pose;
    joints (B, 22, 3) in the order of `DETAILED_JOINTS`, vertices (B, V, 3): in the world; overflow (B, N): the
    picture lacks faces, take another size.
    """

    image: Array
    depth: Array
    K: Array
    R: Array
    t: Array
    pose: Pose
    joints: Array
    vertices: Array
    overflow: Array


@cache
def capture_hand(side: str = "right", resolution: str = "high", texture: int = 512) -> CaptureHand:
    """Takes some ten seconds. resolution "high" has 12,000 vertices; the others are for tests.

    Raises ValueError for an unknown side, resolution or texture size.
    """
    model = mano.default(side, resolution)
    return CaptureHand(
        model, mano.detailed(model), skin.skin_mesh(model), skin.bake_skin(model, texture), detail_fields(model)
    )


def subject(key: Array) -> Subject:
    """Somebody. For many: jax.vmap(subject)."""
    shape, look, detail, arm = jax.random.split(key, 4)
    return Subject(mano.sample_betas(shape), skin.sample_skin(look), sample_detail(detail), skin.sample_arm(arm))


def capture_batch(
    key: Array,
    person: Subject,
    n_views: int,
    *,
    hand: CaptureHand | None = None,
    poses: int = 1,
    size: tuple[int, int] = (256, 256),
    rig: Rig | None = None,
    pose: Pose | None = None,
    degradation: Degradation | None = None,
    supersample: int = 2,
) -> Captures:
    """One subject in some random poses, each seen by `n_views` cameras at once. Pure and jitted; one picture at a time.

    hand: of `capture_hand`, by default the right one; inside a jit of your own, make it before. rig: the cameras, by
    default drawn from `key`. pose: leaves with a leading `poses`, by default drawn. degradation: what the cameras do
    to the pictures, by default nothing.
    Raises ValueError for fewer than one view or pose, a wrong size, or a rig or pose of other lengths.
    """
    check_size(size)
    for name, value in (("n_views", n_views), ("poses", poses), ("supersample", supersample)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    hand = capture_hand() if hand is None else hand
    check_shape("person.betas", person.betas, (hand.model.num_betas,))
    if rig is not None:
        for name, matrix, shape in (("K", rig.K, (3, 3)), ("R", rig.R, (3, 3)), ("t", rig.t, (3,))):
            check_shape(f"rig.{name}", matrix, (n_views, *shape))
    if pose is not None:
        check_shape("pose.angles", pose.angles, (poses, len(mano.DETAILED_ANGLES)))
        check_shape("pose.orient", pose.orient, (poses, 3, 3))
        check_shape("pose.transl", pose.transl, (poses, 3))
    return _capture_batch(key, person, hand, rig, pose, n_views, poses, tuple(size), degradation, supersample)


@partial(jax.jit, static_argnames=("n_views", "poses", "size", "degradation", "supersample"))
def _capture_batch(key, person, hand, rig, pose, n_views, poses, size, degradation, supersample) -> Captures:
    rig_key, pose_key, light_key, camera_key = jax.random.split(key, 4)
    rig = sample_rig(rig_key, n_views, size) if rig is None else rig
    if pose is None:
        pose = lax.map(lambda one: random_pose(one, hand, person), jax.random.split(pose_key, poses))
    light = sample_studio_light(light_key)

    def one_pose(given: tuple[Pose, Array]) -> tuple:
        posed = pose_hand(hand, person, given[0])
        look = paled(person.look, given[0].angles)

        def one_view(view: tuple[Array, Rig]) -> tuple[Array, Array, Array]:
            drawn = _drawn(posed, view[1], hand, look, person.arm, light, size, supersample)
            picture = drawn.image if degradation is None else degrade(view[0], drawn.image, degradation)
            return (jnp.clip(picture, 0.0, 1.0) * 255.0 + 0.5).astype(jnp.uint8), drawn.depth, drawn.overflow

        seen = lax.map(one_view, (jax.random.split(given[1], n_views), rig))
        return *seen, posed.joints, posed.vertices

    image, depth, overflow, joints, vertices = lax.map(one_pose, (pose, jax.random.split(camera_key, poses)))
    return Captures(image, depth, rig.K, rig.R, rig.t, pose, joints, vertices, overflow)


def random_pose(key: Array, hand: CaptureHand, person: Subject) -> Pose:
    """A pose of `mano.sample_pose` in the 28 angles of the detailed hand, any way up, its joints about the origin.

    Hinges keep their flexion alone; `thumb0` stays at rest.
    """
    pose_key, turn_key = jax.random.split(key)
    about_axes = mano.angles_from_pose(hand.model, mano.sample_pose(pose_key, hand.model)).ravel()
    places, signs = _angle_places(hand.model.side)
    angles = about_axes[places] * signs
    orient = rotations.matrix_from_quaternion(jax.random.normal(turn_key, (4,)))
    pose = Pose(angles, orient, jnp.zeros(3))
    return pose._replace(transl=-pose_hand(hand, person, pose).joints.mean(axis=0))


def pose_hand(hand: CaptureHand, person: Subject, pose: Pose, *, detail: bool = True) -> mano.HandOutput:
    """A subject's hand in a pose: vertices, the 22 joints and their transforms in the world.

    Detail moves rest vertices along their normals, then all are skinned, as correctives are in the paper's equation 3;
    `detail=False` leaves it out. The skeleton knows nothing of it.
    """
    model = hand.detailed
    if detail:
        moved = displacements(hand.fields, person.detail, pose.angles)
        model = dataclasses.replace(model, v_template=model.v_template + moved)
    local = mano.detailed_rotations(pose.angles).at[0].set(pose.orient)
    return mano.forward_rotations(model, person.betas, local, pose.transl)


def paled(look: skin.SkinParams, angles: Array) -> skin.SkinParams:
    """Skin stretched over knuckles and pressed into the palm has less blood: redness falls as a fist closes."""
    return look._replace(redness=look.redness * (1.0 - 0.5 * activations(angles)[FIST]))


def _drawn(
    posed: mano.HandOutput,
    rig: Rig,
    hand: CaptureHand,
    look: skin.SkinParams,
    arm: skin.Arm,
    light: skin.SkinLight,
    size,
    supersample: int,
) -> RenderOutput:
    """One view, as `skin.render_skin` draws it."""
    among = np.array(MANO_AMONG_DETAILED)
    joints, transforms = posed.joints[among], posed.transforms[among]
    turned = jnp.einsum("ij,njk->nik", rig.R, transforms, precision="highest")
    output = mano.HandOutput(_moved(posed.vertices, rig), _moved(joints, rig), turned.at[..., 3].add(rig.t[None]))
    camera = Camera(jnp.stack([rig.K[0, 0], rig.K[1, 1]]), rig.K[:2, 2])
    return skin.render_skin(
        camera,
        hand.model,
        output,
        hand.mesh,
        hand.texture,
        look,
        arm=arm,
        size=size,
        light=seen_from(light, rig.R),
        background=GREY,
        supersample=supersample,
    )


def _moved(points: Array, rig: Rig) -> Array:
    return jnp.matmul(points, rig.R.T, precision="highest") + rig.t[None]


def _angle_places(side: str) -> tuple[np.ndarray, np.ndarray]:
    """For each of 28 angles: which of the 15 x 3 angles about the axes of MANO's joints it is, and its sign, 0 if none.

    The detailed hand's x, y, z are the bone, towards the back, and flexion; MANO's rows flexion, abduction, twist.
    """
    mirrored = -1.0 if side == "left" else 1.0
    row_and_sign = {"z": (0, 1.0), "y": (1, -mirrored), "x": (2, mirrored)}
    places, signs = [], []
    for joint, axis in mano.DETAILED_ANGLES:
        row, sign = row_and_sign[axis]
        known = joint in MANO_NAMES
        places.append(3 * MANO_NAMES.index(joint) + row if known else 0)
        signs.append(sign if known else 0.0)
    return np.array(places), np.array(signs, np.float32)
