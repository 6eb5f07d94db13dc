"""The shape space: hands of a population in one topology, their mean and principal components."""

import numpy as np
from scipy.optimize import nnls

from launch.freehand.anatomy import (
    FINGERS,
    POPULATION_CORRELATION,
    POPULATION_MEAN,
    POPULATION_SD,
    HandSize,
    hand_size,
)
from launch.freehand.settle import settle
from launch.freehand.skeleton import Hand, joint_positions, rest_hand
from launch.freehand.surface import hand_field

# How much more a dial must turn than the measure that it moves: joints stand still while the skin on them grows.
BREADTH_GAIN, DEPTH_GAIN, WRIST_GAIN = 1.12, 2.0, 2.0


def sample_size(rng: np.random.Generator, mean: HandSize) -> HandSize:
    """A person: survey covariances for the hand, log-normal ratios for what the survey does not tell."""
    covariance = POPULATION_CORRELATION * np.outer(POPULATION_SD, POPULATION_SD)
    ratios = rng.multivariate_normal(POPULATION_MEAN, covariance) / POPULATION_MEAN
    length, breadth, palm, girth, wrist = np.exp(np.clip(np.log(ratios), -0.25, 0.25))
    size = hand_size(
        mean.length * length,
        mean.breadth * breadth**BREADTH_GAIN,
        palm=mean.palm * palm / length,
        depth=mean.depth * (girth / breadth) ** DEPTH_GAIN,
        wrist=mean.wrist * (wrist / breadth) ** WRIST_GAIN,
    )
    fingers = len(FINGERS)
    stretch = np.exp(rng.normal(0.0, 0.02, (fingers, 1)) + rng.normal(0.0, 0.015, (fingers, 3)))
    thick, deep = rng.normal(0.0, 0.045), rng.normal(0.0, 0.035)
    swell = np.exp(thick + rng.normal(0.0, 0.02, (fingers, 1, 1)) + np.array([0.0, deep]))
    return size._replace(segments=size.segments * stretch, sections=size.sections * swell)


def reshape(vertices, faces, weights, hand: Hand, other: Hand) -> np.ndarray:
    """Moves the mesh of one flat hand to another: scaled bone by bone, then onto the other surface."""
    moved = scale_bones(vertices, weights, hand, other)
    return settle(moved, faces, lambda points: hand_field(points, other), limit=5.0)


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


def sample_shapes(vertices, faces, weights, hand: Hand, seed: int, count: int = 200):
    """Meshes (N, V, 3) and joints (N, 16, 3) of a population around `hand`."""
    rng = np.random.default_rng(seed)
    people = [rest_hand(sample_size(rng, hand.size)) for _ in range(count)]
    meshes = np.array([reshape(vertices, faces, weights, hand, person) for person in people])
    return meshes, np.array([joint_positions(person.skeleton) for person in people])


def principal_shapes(meshes: np.ndarray, count: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (V, 3), directions (V, 3, count) of one standard deviation each, and the variance they explain."""
    mean = meshes.mean(axis=0)
    flat = (meshes - mean).reshape(len(meshes), -1)
    _, singular, rows = np.linalg.svd(flat, full_matrices=False)
    directions = rows[:count] * (singular[:count, None] / np.sqrt(len(meshes) - 1))
    directions = directions.reshape(count, *mean.shape).transpose(1, 2, 0)
    # A sign for each, so that more of it lengthens the hand, or widens it where length hardly changes.
    growth = np.einsum("vx,vxs->s", mean - mean.mean(axis=0), directions)
    return mean, directions * np.where(growth < 0.0, -1.0, 1.0), np.cumsum(singular**2) / (singular**2).sum()


def regress_joints(meshes: np.ndarray, joints: np.ndarray, nearest: int = 40) -> np.ndarray:
    """(16, V) rows of non-negative weights that sum to 1, each on the vertices nearest to its joint."""
    mean = meshes.mean(axis=0)
    regressor = np.zeros((joints.shape[1], meshes.shape[1]))
    for joint in range(joints.shape[1]):
        distance = np.linalg.norm(mean - joints[:, joint].mean(axis=0), axis=1)
        ids = np.argsort(distance, kind="stable")[:nearest]
        system = meshes[:, ids].transpose(0, 2, 1).reshape(-1, nearest)
        weights, _ = nnls(
            np.concatenate([system, np.full((1, nearest), 1e3)]), np.append(joints[:, joint].ravel(), 1e3)
        )
        regressor[joint, ids] = weights / weights.sum()
    return regressor
