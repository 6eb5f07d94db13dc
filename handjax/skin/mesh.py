"""What is drawn of a hand: its mesh in the atlas, and, so that it does not end at the wrist, a forearm in a sleeve."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array

from handjax.mano import HandModel, HandOutput
from handjax.mano.wrist import Wrist, stub_faces, stub_vertices, wrist
from handjax.skin.atlas import UV_MM, charts
from handjax.skin.frame import hand_frame
from handjax.skin.params import Number, Vector

RINGS = 12
FOREARM_M = 0.17
ROUNDED = 4
"""Rings at the forearm's far end that close it."""
FOREARM_TILE_MM = 14.0
"""The forearm repeats, mirrored to and fro, the last strip of the hand's own skin above the wrist's rim."""

CLOTH_U = -1.0
"""u of whatever is cloth."""


class Arm(NamedTuple):
    """bend (2,) radians of the wrist, flexion and towards the thumb; sleeve (): share of the forearm, from its far end,
    that a sleeve covers, 0 for none; cloth (3,): its linear colour."""

    bend: Vector = np.zeros(2, np.float32)
    sleeve: Number = 0.0
    cloth: Vector = np.array([0.06, 0.08, 0.14], np.float32)


@struct.dataclass
class SkinMesh:
    """faces (F, 3) of hand, forearm and sleeve; corner_uv (F, 3, 2), see `skin_atlas`; rim: vertex ids
    around the wrist, none without a forearm."""

    faces: Array
    corner_uv: Array
    rim: tuple[int, ...] = struct.field(pytree_node=False)

    @property
    def forearm(self) -> bool:
        return len(self.rim) > 0


def skin_mesh(model: HandModel, *, forearm: bool = True) -> SkinMesh:
    """Made once for a model, outside jit. Raises ValueError for a model without MANO's joints or an open wrist."""
    frame = hand_frame(model)
    spots, is_palm, both = charts(model, frame)
    faces = np.asarray(model.faces, np.int32)
    corner_uv = np.where(is_palm[:, None, None], both[1][faces], both[0][faces])
    if not forearm:
        return SkinMesh(jnp.asarray(faces), jnp.asarray(corner_uv, jnp.float32), rim=())
    opening = wrist(model)
    rim, count = opening.rim, len(opening.rim)
    arm_faces = stub_faces(opening, model.num_vertices, RINGS)
    # The first strip of a stub hangs on the hand's rim; the sleeve's begins free.
    sleeve_faces = arm_faces[np.all(arm_faces >= model.num_vertices, axis=1)] + RINGS * count
    # Vertex -> its place around the rim, and how far along the tile it lies.
    around = np.zeros(model.num_vertices + RINGS * count, int)
    around[rim] = np.arange(count)
    around[model.num_vertices :] = np.tile(np.arange(count), RINGS)
    tile = np.zeros(len(around))
    tile[model.num_vertices :] = np.repeat((np.arange(RINGS) + 1) % 2, count) * FOREARM_TILE_MM / UV_MM[1]
    rim_facing = np.asarray(spots.facing)[rim][around[arm_faces]].sum(axis=1)
    arm_uv = np.where(
        (rim_facing < 0.0)[:, None, None], both[1][rim][around[arm_faces]], both[0][rim][around[arm_faces]]
    )
    arm_uv[..., 1] -= tile[arm_faces]
    sleeve_uv = np.full((len(sleeve_faces), 3, 2), CLOTH_U)
    return SkinMesh(
        jnp.asarray(np.concatenate([faces, arm_faces, sleeve_faces]), jnp.int32),
        jnp.asarray(np.concatenate([corner_uv, arm_uv, sleeve_uv]), jnp.float32),
        rim=tuple(rim.tolist()),
    )


def skin_vertices(mesh: SkinMesh, model: HandModel, output: HandOutput, arm: Arm) -> Array:
    """(V', 3) metres: the posed hand, then the rings of the forearm and of the sleeve."""
    if not mesh.forearm:
        return output.vertices
    # The lid is not drawn; only the rim says where the arm begins.
    opening = Wrist(np.array(mesh.rim), np.zeros((0, 3), np.int32))
    rings = stub_vertices(opening, model, output, jnp.asarray(arm.bend, jnp.float32), length=FOREARM_M, rings=RINGS)
    rings = _closed(rings.reshape(RINGS, -1, 3))
    middle = rings.mean(axis=1, keepdims=True)
    count = rings.shape[1]
    # A sleeve of no length hides inside the arm. Its rings close up from the hand's end.
    start = jnp.clip(1.0 - jnp.asarray(arm.sleeve, jnp.float32), 0.0, 1.0) * (RINGS - 1)
    place = jnp.maximum(jnp.arange(RINGS, dtype=jnp.float32), start)
    low = jnp.clip(jnp.floor(place), 0, RINGS - 2).astype(jnp.int32)
    share = (place - low)[:, None, None]
    tube = rings[low] * (1.0 - share) + rings[low + 1] * share
    centre = middle[low] * (1.0 - share) + middle[low + 1] * share
    angle = 2.0 * jnp.pi * jnp.arange(count) / count
    folds = 1.22 + 0.05 * jnp.sin(3.0 * angle[None] + 1.3 * place[:, None]) + 0.03 * jnp.sin(2.1 * place[:, None])
    folds = jnp.where(jnp.asarray(arm.sleeve) > 0.0, folds, 0.5)[..., None]
    return jnp.concatenate([output.vertices, rings.reshape(-1, 3), (centre + folds * (tube - centre)).reshape(-1, 3)])


def _closed(rings: Array) -> Array:
    """(RINGS, L, 3) of an open forearm -> the same with a rounded end, as of a bent elbow: no one sees into it."""
    middle = rings.mean(axis=1, keepdims=True)
    end = np.linspace(0.0, 1.0, ROUNDED + 1)[1:]
    narrower = np.concatenate([np.ones(RINGS - ROUNDED), np.sqrt(1.0 - end**2)]).astype(np.float32)
    return middle + narrower[:, None, None] * (rings - middle)


def sample_arm(key: Array) -> Arm:
    """A wrist bent within comfort; bare or in a sleeve of any colour. For many: `jax.vmap(sample_arm)`."""
    draws = jax.random.uniform(key, (8,))
    bend = (2.0 * draws[:2] - 1.0) * jnp.array([0.55, 0.25])
    sleeve = jnp.where(draws[2] < 0.5, 0.3 + 0.65 * draws[3], 0.0)
    grey = (0.02 + 0.78 * draws[4]) ** 1.5
    return Arm(bend, sleeve, grey * (0.4 + 0.6 * draws[5:8]))
