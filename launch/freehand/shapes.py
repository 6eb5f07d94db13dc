"""The shape space: ten directions, one for each dimension that `handjax.mano.population` orders, found on one mesh.

A direction is a secant: each dial of the generator is turned both ways, the mesh follows, and the dials are combined so
that the measured dimensions change as the survey's covariance says. Other resolutions read the directions off this
mesh, so that betas mean the same at each.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import nnls
from scipy.spatial import KDTree
from trimesh.triangles import closest_point, points_to_barycentric

from handjax.mano.measure_tape import FINGERS as FINGER_NAMES
from handjax.mano.measure_tape import HandTape, lay_tape
from handjax.mano.measures import measure
from handjax.mano.population import ratios_per_beta
from launch.freehand.anatomy import FINGERS, INDEX, LITTLE, RING, THUMB, HandSize, hand_size
from launch.freehand.settle import settle
from launch.freehand.skeleton import Hand, joint_positions, rest_hand
from launch.freehand.skinning import heat_weights
from launch.freehand.surface import hand_field
from launch.freehand.topology import neighbour_mean

# How far each dial but the size is turned either way, as a ratio: about 1.7 standard deviations of what it moves.
DIAL_STEPS = np.array([0.10, 0.06, 0.12, 0.08, 0.06, 0.04, 0.04, 0.06, 0.08])
# A thick hand's fingers are thick where they leave it, and keep their own girth towards the tip; thick fingers are so
# from the middle joint on, since their bases fill the hand's breadth.
DEPTH_ALONG_FINGER = np.array([1.0, 0.2, 0.1, 0.1])
GIRTH_ALONG_FINGER = np.array([0.3, 1.0, 1.0, 1.0])
# Round each web, mm: how far the skin moves as one piece, and what that piece is fitted to.
WEB_PIECE, WEB_FIT = 8.0, 10.0
EVENINGS = 3


class ShapeDirections(NamedTuple):
    """Directions (V, 3, 10) of one beta each on a mesh, of the definition's joints (16, 3, 10), mm, and of the
    generator's dials (10, 10)."""

    vertices: np.ndarray
    faces: np.ndarray
    shapedirs: np.ndarray
    joints: np.ndarray
    joint_shapedirs: np.ndarray
    dials: np.ndarray


def definition(hand: Hand, directions: ShapeDirections, betas: np.ndarray) -> tuple[float, Hand]:
    """The generator's hand of one shape, of which the directions are the linear part: a size and what it enlarges."""
    dials = directions.dials @ betas
    scale = 1.0 + dials[0]
    return scale, rest_hand(turned(hand.size, dials[1:] / scale))


def joints_of(hand: Hand, directions: ShapeDirections, betas: np.ndarray) -> np.ndarray:
    """(16, 3) mm of that hand."""
    scale, other = definition(hand, directions, betas)
    return scale * joint_positions(other.skeleton)


def turned(size: HandSize, dials: np.ndarray) -> HandSize:
    """Turns dials (9,) at equal length: breadth, palm, depth, wrist; thumb, index, ring, little; finger girth.

    Each adds a share of the hand's own millimetres, so that what is a length in mm is linear in all dials at once.
    """
    breadth, palm, depth, wrist = 1.0 + dials[:4]
    before = hand_size(size.length, size.breadth, size.palm)
    after = hand_size(size.length, size.breadth * breadth, size.palm * palm)
    longer = np.zeros((len(FINGERS), 1))
    longer[[THUMB, INDEX, RING, LITTLE], 0] = dials[4:8]
    thicker = np.stack([np.zeros(4), depth * DEPTH_ALONG_FINGER - DEPTH_ALONG_FINGER], axis=1)
    thicker += dials[8] * GIRTH_ALONG_FINGER[:, None]
    return size._replace(
        breadth=after.breadth,
        palm=after.palm,
        depth=size.depth * (depth + dials[0]) / breadth,
        wrist=size.wrist * (wrist + dials[0]) / breadth,
        segments=size.segments * (after.segments / before.segments + longer),
        sections=size.sections * (after.sections / before.sections + thicker),
    )


def shape_directions(vertices, faces, weights, hand: Hand) -> ShapeDirections:
    """From the flat mesh (V, 3) mm of the mean hand and its skinning weights; 18 reshapes of a second or so each."""
    # Heat spreads further than a posed joint's skin may: bones of different stretch meet without a step.
    follow = heat_weights(vertices, faces, hand.skeleton)
    mean_joints = joint_positions(hand.skeleton)
    # The first dial is size: everything grows alike.
    dials, joints = [vertices], [mean_joints]
    for step in np.diag(DIAL_STEPS):
        more, less = (rest_hand(turned(hand.size, way * step)) for way in (1.0, -1.0))
        width = 2.0 * step.sum()
        dials.append(
            (reshape(vertices, faces, follow, hand, more) - reshape(vertices, faces, follow, hand, less)) / width
        )
        joints.append((joint_positions(more.skeleton) - joint_positions(less.skeleton)) / width)
    by_dial, joints_by_dial = np.stack(dials, axis=-1), np.stack(joints, axis=-1)
    tape = lay_tape(vertices, by_dial, mean_joints, joints_by_dial, weights, faces)
    for web in np.asarray(tape.webs[..., 0]):
        by_dial = move_as_one(vertices, web, by_dial)
    tape = lay_tape(vertices, by_dial, mean_joints, joints_by_dial, weights, faces)
    per_beta = np.linalg.solve(measured_slopes(tape), ratios_per_beta())
    return ShapeDirections(vertices, faces, by_dial @ per_beta, mean_joints, joints_by_dial @ per_beta, per_beta)


def move_as_one(vertices, place: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """(V, 3, D) directions that are affine near the points (N, 3) of a web.

    Between two fingers the surface has a fold that runs along them as they thicken, which no vertex follows: the
    flanks, a fraction of a millimetre apart, would pass through each other. An affine map keeps them apart.
    """
    distance, _ = KDTree(place).query(vertices)
    fit = np.exp(-0.25 * (distance / WEB_FIT) ** 2)[:, None]
    system = np.column_stack([np.ones(len(vertices)), vertices - place.mean(axis=0)])
    flat = directions.reshape(len(vertices), -1)
    affine = system @ np.linalg.lstsq(fit * system, fit * flat, rcond=None)[0]
    share = np.exp(-((distance / WEB_PIECE) ** 4))[:, None]
    return ((1.0 - share) * flat + share * affine).reshape(directions.shape)


def measured_slopes(tape: HandTape) -> np.ndarray:
    """(10, 10) relative change of the dimensions that betas are defined by, for each direction of the tape."""
    count = tape.num_betas
    return np.asarray(jax.jacfwd(lambda turns: jnp.log(beta_dimensions(tape, turns)))(jnp.zeros(count)), float)


def beta_dimensions(tape: HandTape, betas) -> jax.Array:
    """(10,) what each beta turns, in their order; finger girth is the geometric mean of five."""
    found = measure(tape, betas)
    girths = jnp.stack([getattr(found, f"{finger}_girth") for finger in FINGER_NAMES])
    return jnp.stack(
        [
            found.length,
            found.breadth,
            found.middle,
            found.knuckle_girth,
            found.wrist_girth,
            found.thumb,
            found.index,
            found.ring,
            found.little,
            jnp.exp(jnp.log(girths).mean()),
        ]
    )


def reshape(vertices, faces, weights, hand: Hand, other: Hand) -> np.ndarray:
    """Moves the mesh of one flat hand nearly to another: scaled bone by bone, then towards the other surface.

    The last step evens out what the surface asks for, which in a fold differs from vertex to vertex.
    """
    scaled = scale_bones(vertices, weights, hand, other)
    offset = settle(scaled, faces, lambda points: hand_field(points, other), limit=5.0) - scaled
    mean = neighbour_mean(faces, len(vertices))
    for _ in range(EVENINGS):
        offset = 0.5 * (offset + mean @ offset)
    return scaled + offset


def scale_bones(vertices, weights, hand: Hand, other: Hand) -> np.ndarray:
    """Blends one affine map a bone: along it by length, across it by breadth and depth."""
    old, new = hand.size, other.size
    palm = np.array(
        [
            new.breadth / old.breadth,
            new.length * new.palm / (old.length * old.palm),
            new.breadth * new.depth / (old.breadth * old.depth),
        ]
    )
    moved = weights[:, :1] * (vertices * palm)
    for finger in range(len(FINGERS)):
        for bone in range(3):
            breadth, depth = new.sections[finger, bone] / old.sections[finger, bone]
            scale = np.array([breadth, new.segments[finger, bone] / old.segments[finger, bone], depth])
            local = (vertices - hand.skeleton.joints[finger, bone]) @ hand.skeleton.frames[finger, bone].T
            placed = (local * scale) @ other.skeleton.frames[finger, bone] + other.skeleton.joints[finger, bone]
            moved += weights[:, 1 + 3 * finger + bone, None] * placed
    return moved


def carry(directions: ShapeDirections, vertices: np.ndarray, nearest: int = 16) -> np.ndarray:
    """(V, 3, 10) the directions at other points of the same skin: linear over the face that each is nearest to."""
    corners = directions.vertices[directions.faces]
    _, near = KDTree(corners.mean(axis=1)).query(vertices, nearest)
    candidates = corners[near.ravel()]
    touched = closest_point(candidates, np.repeat(vertices, nearest, axis=0))
    distance = np.linalg.norm(touched.reshape(-1, nearest, 3) - vertices[:, None], axis=2)
    best = np.arange(len(vertices)) * nearest + distance.argmin(axis=1)
    shares = points_to_barycentric(candidates[best], touched[best])
    return np.einsum("vc,vcxs->vxs", shares, directions.shapedirs[directions.faces[near.ravel()[best]]])


def regress_joints(vertices, shapedirs, directions: ShapeDirections) -> np.ndarray:
    """(16, V) rows of non-negative weights that sum to 1, for the mean and every direction; few on each row."""
    regressor = np.zeros((len(directions.joints), len(vertices)))
    targets = np.concatenate([directions.joints[..., None], directions.joint_shapedirs], axis=2)
    system = np.concatenate([vertices[..., None], shapedirs], axis=2)
    for joint, target in enumerate(targets):
        ids = around(vertices, directions.joints[joint])
        rows = system[ids].reshape(len(ids), -1).T
        found, _ = nnls(np.concatenate([rows, np.full((1, len(ids)), 1e3)]), np.append(target.ravel(), 1e3))
        regressor[joint, ids] = found / found.sum()
    return regressor


def around(vertices: np.ndarray, joint: np.ndarray, count: int = 600, reach: float = 6.0) -> np.ndarray:
    """Ids of vertices on all sides of a joint: of those near it, each as far from the ones before as can be."""
    distance = np.linalg.norm(vertices - joint, axis=1)
    near = np.flatnonzero(distance < reach * np.partition(distance, 8)[8])
    chosen = [int(distance[near].argmin())]
    apart = np.full(len(near), np.inf)
    while len(chosen) < min(count, len(near)):
        apart = np.minimum(apart, np.linalg.norm(vertices[near] - vertices[near[chosen[-1]]], axis=1))
        chosen.append(int(apart.argmax()))
    return near[np.sort(chosen)]
