"""Skinning weights: heat diffusion tells fingers apart, the distance to each joint how far its turn reaches."""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

from launch.freehand.anatomy import ACROSS, FINGERS, THUMB
from launch.freehand.skeleton import Hand, Skeleton
from launch.freehand.topology import face_normals

FOREARM = np.array([0.0, -40.0, 0.0])
# Half the length of skin, in half depths of the finger, that shares the turn of a hinge: the back stretches over the
# joint, the palm's side folds at a crease. In mm for the knuckles, whose flesh is the palm's.
HINGE_BACK, HINGE_FRONT = 0.85, 0.40
THUMB_KNUCKLE = 1.6  # times as much at the thumb's middle joint, which lies in the flesh of its ball
KNUCKLE_BACK, KNUCKLE_FRONT = 10.0, 12.0
KNUCKLE_SHIFT = 2.0  # mm beyond the knuckle of the middle of its fold in the palm
OWNERSHIP = 3.0  # power of heat: skin on the flank of a finger is that finger's, only the web is shared
THUMB_BASE = (0.12, 0.80)  # heat below which the thumb's base leaves the palm alone, above which it takes it along


def skin_weights(vertices: np.ndarray, faces: np.ndarray, hand: Hand) -> np.ndarray:
    """(V, 16) rows sum to 1. No hinge shares its turn further than about half its finger's depth."""
    heat = heat_weights(vertices, faces, hand.skeleton)
    base = base_shares(vertices, heat, hand)
    weights = np.zeros((len(vertices), 16))
    for finger in range(len(FINGERS)):
        middle = base[:, finger] * hinge_share(vertices, hand, finger, 1)
        distal = middle * hinge_share(vertices, hand, finger, 2)
        shares = [base[:, finger] - middle, middle - distal, distal]
        weights[:, 1 + 3 * finger : 4 + 3 * finger] = np.stack(shares, axis=1)
    weights[weights < 0.004] = 0.0
    weights[:, 0] = np.clip(1.0 - weights[:, 1:].sum(axis=1), 0.0, None)
    return weights / weights.sum(axis=1, keepdims=True)


def base_shares(vertices: np.ndarray, heat: np.ndarray, hand: Hand) -> np.ndarray:
    """(V, 5) how much of each finger's first joint a vertex follows; rows sum to at most 1.

    Heat spreads along the palm for the length of a phalanx: only its proportions between fingers are kept.
    """
    fingers = np.stack([heat[:, 1 + 3 * finger : 4 + 3 * finger].sum(axis=1) for finger in range(5)], axis=1)
    beyond = finger_beyond_web(heat)
    sharp = fingers**OWNERSHIP
    proportion = sharp / np.maximum(sharp.sum(axis=1, keepdims=True), 1e-12)
    shares = np.zeros((len(vertices), 5))
    for finger in ACROSS:
        shares[:, finger] = proportion[:, finger] * knuckle_share(vertices, hand, finger)
    thumb = fingers[:, THUMB] / np.maximum(fingers[:, THUMB] + heat[:, 0], 1e-9)
    shares[:, THUMB] = (1.0 - shares[:, ACROSS].sum(axis=1)) * rise(thumb, *THUMB_BASE)
    shares[beyond >= 0] = np.eye(5)[beyond[beyond >= 0]]
    return shares


def finger_beyond_web(heat: np.ndarray) -> np.ndarray:
    """(V,) the finger whose middle or distal phalanx a vertex is nearest to, or -1."""
    owner = heat.argmax(axis=1)
    return np.where((owner > 0) & ((owner - 1) % 3 > 0), (owner - 1) // 3, -1)


def knuckle_share(vertices: np.ndarray, hand: Hand, finger: int) -> np.ndarray:
    """(V,) 0 in the palm, 1 in the finger."""
    scale = hand.size.scale
    local = (vertices - hand.skeleton.joints[finger, 0]) @ hand.skeleton.frames[finger, 0].T
    front = rise(-local[:, 2], -6.0 * scale, 6.0 * scale)
    reach = scale * (KNUCKLE_BACK + front * (KNUCKLE_FRONT - KNUCKLE_BACK))
    along = local[:, 1] - front * KNUCKLE_SHIFT * scale
    return rise(along, -reach, reach)


def hinge_share(vertices: np.ndarray, hand: Hand, finger: int, bone: int) -> np.ndarray:
    """(V,) 0 before the joint at which `bone` begins, 1 after it."""
    along, height, half = hinge_coordinates(vertices, hand, finger, bone)
    front = rise(-height, -half, half)
    reach = half * (HINGE_BACK + front * (HINGE_FRONT - HINGE_BACK))
    reach = reach * (THUMB_KNUCKLE if finger == THUMB and bone == 1 else 1.0)
    return rise(along, -reach, reach)


def hinge_coordinates(vertices, hand: Hand, finger: int, bone: int) -> tuple[np.ndarray, np.ndarray, float]:
    """mm beyond the joint (V,), mm to the back of it (V,), and half the finger's depth there."""
    frames, joint = hand.skeleton.frames[finger], hand.skeleton.joints[finger, bone]
    across = frames[bone - 1] + frames[bone] if bone else frames[0]
    _, distal, dorsal = across / np.linalg.norm(across, axis=1, keepdims=True)
    offset = vertices - joint
    return offset @ distal, offset @ dorsal, hand.size.sections[finger, bone, 1] / 2.0


def rise(value: np.ndarray, start, end) -> np.ndarray:
    """0 before `start`, 1 after `end`, smooth between."""
    share = np.clip((value - start) / (end - start), 0.0, 1.0)
    return share**2 * (3.0 - 2.0 * share)


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
