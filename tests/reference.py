"""The equations as float64 NumPy loops, written for being read: what the kernels are held to."""

import numpy as np


def rodrigues(axis_angle) -> np.ndarray:
    """(3,) -> (3, 3)."""
    x, y, z = np.asarray(axis_angle, np.float64)
    angle = np.sqrt(x * x + y * y + z * z)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    if angle == 0:
        return np.eye(3)
    return np.eye(3) + np.sin(angle) / angle * cross + 2 * (np.sin(angle / 2) / angle) ** 2 * cross @ cross


def quaternion_of(axis_angle) -> np.ndarray:
    """(3,) -> (4,) w first."""
    axis_angle = np.asarray(axis_angle, np.float64)
    angle = np.linalg.norm(axis_angle)
    if angle == 0:
        return np.array([1.0, 0, 0, 0])
    return np.concatenate([[np.cos(angle / 2)], np.sin(angle / 2) * axis_angle / angle])


def matrix_of_quaternion(quaternion) -> np.ndarray:
    """(4,) w first, of any length -> (3, 3), as q v conj(q) of the three unit vectors v."""
    q = np.asarray(quaternion, np.float64)
    q = q / np.linalg.norm(q)
    conjugate = q * [1, -1, -1, -1]
    columns = [_hamilton(_hamilton(q, np.array([0, *unit])), conjugate)[1:] for unit in np.eye(3)]
    return np.stack(columns, -1)


def _hamilton(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    scalar = p[0] * q[0] - p[1:] @ q[1:]
    return np.concatenate([[scalar], p[0] * q[1:] + q[0] * p[1:] + np.cross(p[1:], q[1:])])


def gram_schmidt(six) -> np.ndarray:
    """(6,) -> (3, 3)."""
    six = np.asarray(six, np.float64)
    first = six[:3] / np.linalg.norm(six[:3])
    second = six[3:] - (first @ six[3:]) * first
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)], -1)


def posed(raw: dict, betas, global_orient, hand_pose, transl) -> dict[str, np.ndarray]:
    """One hand of `handjax.mano.build`'s arguments -> its vertices (V, 3), joints (J, 3) and transforms (J, 3, 4)."""
    raw = {name: np.asarray(value, np.float64) for name, value in raw.items() if name in FIELDS}
    parents = raw["parents"].astype(int)
    shaped = raw["v_template"] + raw["shapedirs"] @ np.asarray(betas, np.float64)
    rest = raw["J_regressor"] @ shaped
    pose = np.concatenate([global_orient, hand_pose]).astype(np.float64).reshape(-1, 3)
    local = [rodrigues(vector) for vector in pose]
    if "joint_frames" in raw:
        local = [frame @ rotation @ frame.T for frame, rotation in zip(raw["joint_frames"], local, strict=True)]
    feature = np.concatenate([(rotation - np.eye(3)).ravel() for rotation in local[1:]])
    rest_pose = shaped + raw["posedirs"] @ feature

    world = [np.eye(4) for _ in parents]
    for joint, parent in enumerate(parents):
        step = np.eye(4)
        step[:3, :3] = local[joint]
        step[:3, 3] = rest[joint] - (rest[parent] if parent >= 0 else 0)
        world[joint] = world[parent] @ step if parent >= 0 else step

    vertices = np.zeros_like(shaped)
    transforms = np.zeros((len(parents), 3, 4))
    for joint, matrix in enumerate(world):
        from_rest = np.eye(4)
        from_rest[:3, 3] = -rest[joint]
        transforms[joint] = (matrix @ from_rest)[:3]
        moved = rest_pose @ transforms[joint, :, :3].T + transforms[joint, :, 3]
        vertices += raw["lbs_weights"][:, joint, None] * moved
    transl = np.asarray(transl, np.float64)
    joints = np.stack([matrix[:3, 3] for matrix in world])
    transforms[:, :, 3] += transl
    return {"vertices": vertices + transl, "joints": joints + transl, "transforms": transforms}


FIELDS = ("v_template", "shapedirs", "posedirs", "J_regressor", "lbs_weights", "parents", "joint_frames")


def keypoints(output: dict, fingertip_ids, keypoint_ids) -> np.ndarray:
    """The keypoints of what `posed` gives."""
    return np.concatenate([output["joints"], output["vertices"][np.asarray(fingertip_ids)]])[list(keypoint_ids)]


def first_differences(function, point, step: float = 1e-3) -> np.ndarray:
    """Jacobian (..., n) by central differences of fourth order: errors of step^4 and of 1e-16 / step."""
    point = np.asarray(point, np.float64)
    columns = []
    for axis in np.eye(len(point)):
        near, far = (function(point + k * step * axis) - function(point - k * step * axis) for k in (1, 2))
        columns.append((8 * near - far) / (12 * step))
    return np.stack(columns, -1)


def second_differences(function, point, step: float = 1e-3) -> np.ndarray:
    """Hessian (..., n, n) of each output, the same way."""
    return first_differences(lambda x: first_differences(function, x, step), point, step)
