"""Pose correctives: what linear blend skinning misses of the posed implicit surface."""

import numpy as np
from scipy.spatial.transform import Rotation

from launch.freehand.anatomy import PARENTS
from launch.freehand.implicit import project
from launch.freehand.poses import axis_angles, sample_pose
from launch.freehand.skeleton import Hand, joint_axes, joint_positions, joint_transforms, posed_hand, skin
from launch.freehand.surface import part_field
from launch.freehand.topology import boundary_vertices, neighbour_mean

RIDGE = 0.3


def fit_correctives(vertices, faces, weights, hand: Hand, seed: int, count: int = 220) -> np.ndarray:
    """(V, 3, 135) mm per entry of vec(R_1..R_15 - I), row-major, by ridge regression over random poses."""
    rng = np.random.default_rng(seed)
    axes = joint_axes(hand.skeleton)
    poses = [axis_angles(sample_training_pose(rng), axes) for _ in range(count)]
    features = np.array([pose_features(pose) for pose in poses])
    targets = np.array([corrective_target(vertices, faces, weights, hand, pose) for pose in poses])
    reach = joint_reach(weights)
    normal = features.T @ features
    moments = np.einsum("pf,pvx->vfx", features, targets)
    solved = [
        np.linalg.solve(normal + np.diag(np.repeat(RIDGE / reach[vertex], 9)), moments[vertex])
        for vertex in range(len(vertices))
    ]
    correctives = np.array(solved).transpose(0, 2, 1)
    correctives *= np.repeat(reach > 1e-3, 9, axis=1)[:, None]
    return correctives


def sample_training_pose(rng: np.random.Generator) -> np.ndarray:
    """Every fourth pose is driven far into the limits, so that a full fist is not an extrapolation."""
    degrees = sample_pose(rng)
    if rng.random() < 0.25:
        closed = np.array([[75.0, 95.0, 65.0]] * 4 + [[20.0, 35.0, 45.0]])
        share = rng.random()
        degrees[:, :, 0] = share * closed + (1.0 - share) * degrees[:, :, 0]
    return degrees


def pose_features(pose: np.ndarray) -> np.ndarray:
    """(15, 3) -> (135,)."""
    return (Rotation.from_rotvec(pose).as_matrix() - np.eye(3)).ravel()


def joint_reach(weights: np.ndarray) -> np.ndarray:
    """(V, 15) in (0, 1]: how far a joint may correct a vertex; its own skin and its parent's, fading."""
    reach = np.zeros((len(weights), 15))
    for joint in range(1, 16):
        own, above = weights[:, joint], weights[:, PARENTS[joint]]
        below = sum(weights[:, child] for child in range(1, 16) if PARENTS[child] == joint)
        reach[:, joint - 1] = own + 0.3 * below + (np.sqrt(own * above) if PARENTS[joint] == 0 else above)
    return np.clip(reach, 1e-4, 1.0)


def corrective_target(vertices, faces, weights, hand: Hand, pose: np.ndarray) -> np.ndarray:
    """(V, 3) what to add to the rest shape so that skinning lands on the posed surface."""
    transforms = joint_transforms(joint_positions(hand.skeleton), pose)
    posed = posed_hand(hand, transforms)
    skinned = skin(vertices, weights, transforms)
    offset = project_parts(skinned, weights, posed) - skinned
    offset[boundary_vertices(faces)] = 0.0
    mean = neighbour_mean(faces, len(vertices))
    for _ in range(2):
        offset = 0.5 * offset + 0.5 * (mean @ offset)
    blended = np.einsum("vj,jab->vab", weights, transforms[:, :, :3])
    return np.linalg.solve(blended, offset[..., None])[..., 0]


def project_parts(points: np.ndarray, weights: np.ndarray, posed: Hand) -> np.ndarray:
    """Each vertex onto the surface of the part that owns it."""
    owner, projected = weights.argmax(axis=1), points.copy()
    for part in np.unique(owner):
        own = owner == part
        projected[own] = project(
            lambda where, part=part: part_field(where, posed, part), points[own], iterations=3, damping=0.8
        )
    return projected


def distance_to_surface(points: np.ndarray, weights: np.ndarray, posed: Hand) -> np.ndarray:
    """(V,) mm, about, from each vertex to the surface of its part."""
    owner, distance = weights.argmax(axis=1), np.zeros(len(points))
    for part in np.unique(owner):
        own = owner == part
        distance[own] = np.abs(part_field(points[own], posed, part))
    return distance
