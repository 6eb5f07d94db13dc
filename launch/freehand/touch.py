"""Skin on skin: joint angles at which parts of a hand meet, and no part enters another."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import trimesh
from jax import Array
from scipy.optimize import lsq_linear

from handjax import mano
from handjax.render import vertex_normals
from launch.freehand.contact import Contacts, contacts
from launch.freehand.topology import face_normals

DEGREES = np.array([8.0, 5.0, 5.0])  # of flexion, abduction, twist that cost as much as one unit of a residual
TOUCH_MM, FACING, ENTER_MM = 0.5, 3.0, 0.05  # scales: a touch missed, patches not opposite, flesh inside flesh
CLEAR_MM = 0.15  # kept between parts, for what lies between vertices
DOME_MM = 0.8  # between the middles of two rounded patches whose tops touch
FURTHEST_MM = 6.0  # that a round brings patches nearer: straight lines in angles are no longer straight further on
STEP = np.deg2rad(8.0)  # most that an angle turns in one round


class Settled(NamedTuple):
    """angles (15, 3) radians about the model's axes; what the skin then does, mm: deepest entry and widest gap."""

    angles: np.ndarray
    entered_mm: float
    gap_mm: float


def patch(model: mano.HandModel, joint: int, side: str = "palmar", start: float = 0.3, end: float = 0.75) -> np.ndarray:
    """(N,) vertices of the bone that begins at `joint`, between two fractions of its length, on one side.

    side: palmar (of a last bone: the pulp), dorsal, radial, ulnar.
    """
    axes = np.asarray(model.joint_axes)[joint - 1]
    outwards = {"palmar": -axes[1], "dorsal": axes[1], "radial": axes[0], "ulnar": -axes[0]}[side]
    vertices = np.asarray(model.v_template)
    own = np.asarray(model.lbs_weights).argmax(axis=1) == joint
    along = (vertices - np.asarray(model.joint_template)[joint]) @ axes[2]
    fraction = along / along[own].max()
    normals = np.asarray(vertex_normals(model.v_template, model.faces))
    chosen = own & (fraction > start) & (fraction < end) & (normals @ outwards > 0.75)
    if not chosen.any():
        raise ValueError(f"joint must have skin on its {side} side, got none for {joint}")
    return np.flatnonzero(chosen)


def settle_touch(
    model: mano.HandModel,
    angles: np.ndarray,
    touching: tuple[tuple[np.ndarray, np.ndarray], ...] = (),
    betas: np.ndarray | None = None,
    free: np.ndarray | None = None,
    rounds: int = 20,
) -> Settled:
    """Turns joints, inside their limits and as little as need be, until patches meet and nothing enters anything.

    angles (15, 3) radians to start from; free (15, 3): how willingly each turns, 1 as others, 0 not at all.
    Gauss-Newton steps over the contacts of the moment; keeps the best round.
    """
    betas = np.zeros(model.num_betas, np.float32) if betas is None else np.asarray(betas, np.float32)
    scale = np.deg2rad(DEGREES) * np.maximum(np.ones((15, 3)) if free is None else free, 1e-4)
    lower, upper = np.moveaxis(np.asarray(model.joint_limits, float), -1, 0)
    start = np.clip(angles, lower, upper)
    rest = 1000.0 * np.asarray(posed(model, betas, jnp.zeros((15, 3))), float)
    now, best = start, Settled(start, np.inf, np.inf)
    for round_number in range(rounds):
        if round_number == rounds // 2:  # what pulls back to the first angles may be what holds two parts together
            now = start = best.angles
        vertices = 1000.0 * np.asarray(posed(model, betas, now), float)
        found = contacts(vertices, np.asarray(model.faces), rest, reach=6.0)
        reached = Settled(
            now, float(np.maximum(-found.distance, 0.0).max(initial=0.0)), widest_gap(vertices, model, touching)
        )
        best = min(best, reached, key=badness)
        if reached.entered_mm < 0.4 and reached.gap_mm < 0.5:
            break
        slope = 1000.0 * np.asarray(posed_slope(model, betas, now), float).reshape(-1, 3, 45)
        rows = [entry_rows(vertices, np.asarray(model.faces), slope, found)]
        rows += [touch_rows(model, betas, now, pair) for pair in touching]
        rows.append(((start - now).ravel() / scale.ravel(), np.diag(1.0 / scale.ravel())))
        wanted, matrix = (np.concatenate(part) for part in zip(*rows, strict=True))
        bounds = np.maximum(lower - now, -STEP).ravel() - 1e-9, np.minimum(upper - now, STEP).ravel() + 1e-9
        now = np.clip(now + lsq_linear(matrix, wanted, bounds).x.reshape(15, 3), lower, upper)
    return best


def clear_of_itself(models: tuple[mano.HandModel, ...], angles: np.ndarray, enough_mm: float = 0.9) -> Settled:
    """Angles at which no part enters another on any of the meshes of one hand, coarse ones first: they are quick."""
    settled = Settled(np.asarray(angles, float), np.inf, 0.0)
    for model in models:
        rest, skin = (
            1000.0 * np.asarray(posed(model, jnp.zeros(model.num_betas), pose), float)
            for pose in (jnp.zeros((15, 3)), settled.angles)
        )
        deepest = -contacts(skin, np.asarray(model.faces), rest).distance.min(initial=0.0)
        if deepest > enough_mm:
            settled = settle_touch(model, settled.angles)
        else:
            settled = settled._replace(entered_mm=float(deepest))
    return settled


def badness(settled: Settled) -> float:
    return max(settled.entered_mm - 0.4, 0.0) + max(settled.gap_mm - 0.5, 0.0)


@jax.jit
def posed(model: mano.HandModel, betas: Array, angles: Array) -> Array:
    """(V, 3) metres."""
    hand_pose = jnp.einsum("jk,jkx->jx", angles, model.joint_axes, precision="highest").ravel()
    return mano.forward(model, mano.HandParams(betas, jnp.zeros(3), hand_pose, jnp.zeros(3))).vertices


posed_slope = jax.jit(jax.jacfwd(posed, argnums=2))


def entry_rows(vertices, faces, slope, found: Contacts) -> tuple[np.ndarray, np.ndarray]:
    """(N,) how far vertices should leave the skin they are inside of or close to, (N, 45) how angles move them."""
    corners = faces[found.face]
    normals = unit(face_normals(vertices, corners))
    height = np.einsum(
        "nx,nx->n", normals, vertices[found.vertex] - np.einsum("nc,ncx->nx", found.weights, vertices[corners])
    )
    relative = slope[found.vertex] - np.einsum("nc,ncxa->nxa", found.weights, slope[corners])
    missing = np.where(found.distance < 0.0, np.maximum(-height, 0.0) + CLEAR_MM, np.maximum(CLEAR_MM - height, 0.0))
    # What is deepest counts most: flesh in many places lies a little in flesh, and none should lie deep.
    weight = missing / max(missing.max(initial=0.0), CLEAR_MM)
    weight = weight / ENTER_MM / max(1.0, np.linalg.norm(weight))
    return weight * missing, weight[:, None] * np.einsum("nx,nxa->na", normals, relative)


def touch_rows(model, betas, angles, pair: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(4,) what two patches miss of touching face to face, (4, 45) how angles change that."""
    weights = np.zeros((2, model.num_vertices), np.float32)
    for row, ids in zip(weights, pair, strict=True):
        row[ids] = 1.0 / len(ids)
    missed = np.asarray(touch_residual(model, betas, weights, angles), float)
    missed[:3] *= min(1.0, FURTHEST_MM / TOUCH_MM / max(np.linalg.norm(missed[:3]), 1e-9))
    return -missed, np.asarray(touch_slope(model, betas, weights, angles), float).reshape(4, 45)


@jax.jit
def touch_residual(model: mano.HandModel, betas: Array, weights: Array, angles: Array) -> Array:
    """(2, V) weights of two patches -> (4,): middles apart, in `TOUCH_MM`, and how far from opposite they look."""
    vertices = posed(model, betas, angles)
    first, second = jnp.matmul(weights, vertices, precision="highest")
    look = jnp.matmul(weights, vertex_normals(vertices, model.faces), precision="highest")
    look = look / jnp.linalg.norm(look, axis=1, keepdims=True)
    apart = 1000.0 * (first - second) - DOME_MM * (look[1] - look[0]) / 2.0
    return jnp.append(apart / TOUCH_MM, FACING * (1.0 + look[0] @ look[1]))


touch_slope = jax.jit(jax.jacfwd(touch_residual, argnums=3))


def widest_gap(vertices, model, touching) -> float:
    """mm between the two nearest points of each pair of patches, the largest of them."""
    faces = np.asarray(model.faces)
    return max((patch_gap(vertices, faces, *pair) for pair in touching), default=0.0)


def patch_gap(vertices, faces, first, second) -> float:
    """mm from the vertices of one patch to the faces of the other, either way."""
    gaps = []
    for one, other in ((first, second), (second, first)):
        triangles = vertices[faces[np.isin(faces, other).any(axis=1)]]
        for vertex in one:
            closest = trimesh.triangles.closest_point(triangles, np.broadcast_to(vertices[vertex], (len(triangles), 3)))
            gaps.append(np.linalg.norm(closest - vertices[vertex], axis=1).min())
    return float(min(gaps))


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
