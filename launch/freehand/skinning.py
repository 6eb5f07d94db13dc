"""Skinning weights by heat diffusion from the bones."""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

from launch.freehand.anatomy import ACROSS, FINGERS
from launch.freehand.skeleton import Skeleton
from launch.freehand.topology import face_normals

FOREARM = np.array([0.0, -40.0, 0.0])


def heat_weights(vertices: np.ndarray, faces: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(V, 16) rows sum to 1 (Baran and Popovic 2007, Automatic rigging and animation of 3D characters, 4)."""
    distance = distance_to_bones(vertices, skeleton)
    nearest = distance.argmin(axis=1)
    laplacian, area = cotangent_laplacian(vertices, faces)
    heat = sparse.diags(area / distance.min(axis=1) ** 2)
    source = np.eye(distance.shape[1])[nearest]
    solved = np.asarray(spsolve((laplacian + heat).tocsc(), heat @ source))
    weights = np.clip(solved, 0.0, None)
    weights[weights < 0.02] = 0.0
    weights[strays(weights)] = 0.0
    return weights / weights.sum(axis=1, keepdims=True)


def strays(weights: np.ndarray) -> np.ndarray:
    """(V, 16) where heat has crossed a web: beyond the first phalanx a finger follows no other finger."""
    joint_finger = (np.arange(weights.shape[1]) + 2) // 3 - 1  # -1 for the wrist
    owner = weights.argmax(axis=1)
    beyond = (owner > 0) & ((owner - 1) % 3 > 0)
    return beyond[:, None] & (joint_finger >= 0) & (joint_finger != joint_finger[owner][:, None])


def distance_to_bones(vertices: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(V, 16) mm; the palm's bones all belong to joint 0, which cannot bend inside."""
    distance = np.full((len(vertices), 16), np.inf)
    knuckles = skeleton.joints[:, 0]
    palm = [(np.zeros(3), knuckles[finger]) for finger in ACROSS] + [(FOREARM, knuckles[ACROSS[1]])]
    for start, end in palm:
        distance[:, 0] = np.minimum(distance[:, 0], distance_to_segment(vertices, start, end))
    for finger in range(len(FINGERS)):
        for bone in range(3):
            distance[:, 1 + 3 * finger + bone] = distance_to_segment(
                vertices, *skeleton.joints[finger, bone : bone + 2]
            )
    return distance


def distance_to_segment(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    along = np.clip((points - start) @ (end - start) / ((end - start) @ (end - start)), 0.0, 1.0)
    return np.linalg.norm(points - start - along[:, None] * (end - start), axis=1)


def cotangent_laplacian(vertices: np.ndarray, faces: np.ndarray):
    """The positive (V, V) Laplacian and each vertex's share of area (V,)."""
    count = len(vertices)
    weights = sparse.csr_matrix((count, count))
    for first, second, apex in (faces[:, order].T for order in ([0, 1, 2], [1, 2, 0], [2, 0, 1])):
        left, right = vertices[first] - vertices[apex], vertices[second] - vertices[apex]
        cotangent = (left * right).sum(axis=1) / np.linalg.norm(np.cross(left, right), axis=1)
        half = np.clip(cotangent, 0.05, 5.0) / 2.0
        entries = (np.tile(half, 2), (np.concatenate([first, second]), np.concatenate([second, first])))
        weights = weights + sparse.coo_matrix(entries, shape=(count, count)).tocsr()
    area = np.zeros(count)
    np.add.at(area, faces, np.linalg.norm(face_normals(vertices, faces), axis=1)[:, None] / 6.0)
    return sparse.diags(np.asarray(weights.sum(axis=1)).ravel()) - weights, area
