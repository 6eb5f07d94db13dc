"""The published tailor in float64 NumPy, with exact derivatives by complex steps, and a parity file made of it."""

import numpy as np

from handjax.mano import MANO_KEYPOINT_IDS
from tests import hand_like

STEP = 1e-30


def unit_keypoints(raw: dict, so3, betas) -> np.ndarray:
    """(N, 48) and (N, S), real or complex -> (N, 21, 3) about the middle knuckle, reference bone 1."""
    rotations = _rodrigues(so3.reshape(-1, 16, 3))
    tip_ids = list(raw["fingertip_ids"])
    feature = (rotations[:, 1:] - np.eye(3)).reshape(len(so3), -1)
    # The regressor first: all vertices of every complex step would be most of the time of a test.
    joint_shapedirs = np.einsum("jv,vcs->jcs", raw["J_regressor"], raw["shapedirs"])
    rest = raw["J_regressor"] @ raw["v_template"] + np.einsum("jcs,ns->njc", joint_shapedirs, betas)
    tips = raw["v_template"][tip_ids] + np.einsum("tcs,ns->ntc", raw["shapedirs"][tip_ids], betas)
    tips = tips + np.einsum("tcp,np->ntc", raw["posedirs"][tip_ids], feature)
    world, joints = [rotations[:, 0]], [rest[:, 0]]
    for joint in range(1, 16):
        parent = raw["parents"][joint]
        offset = rest[:, joint] - rest[:, parent]
        joints.append(joints[parent] + np.einsum("nij,nj->ni", world[parent], offset))
        world.append(np.einsum("nij,njk->nik", world[parent], rotations[:, joint]))
    posed_tips = 0
    for joint in range(16):
        moved = np.einsum("nij,ntj->nti", world[joint], tips - rest[:, joint, None]) + joints[joint][:, None]
        posed_tips = posed_tips + raw["lbs_weights"][tip_ids, joint][None, :, None] * moved
    points = np.concatenate([np.stack(joints, 1), posed_tips], 1)[:, list(MANO_KEYPOINT_IDS)]
    points = points - points[:, 9:10]
    return points / np.sqrt((points[:, 0] ** 2).sum(-1))[:, None, None]


def vertices(raw: dict, so3, betas, bone, root) -> np.ndarray:
    """(48,), (S,), (), (3,) -> (V, 3) in the camera frame."""
    from tests import reference

    posed = reference.posed(raw, betas, so3[:3], so3[3:], np.zeros(3))
    points = reference.keypoints(posed, raw["fingertip_ids"], MANO_KEYPOINT_IDS)
    return bone * (posed["vertices"] - points[9]) / np.linalg.norm(points[0] - points[9]) + root


def released_energy(raw: dict, variables, start, root, pixels, intrinsics) -> np.ndarray:
    """(N, 48 + S + 1) pose, betas, bone -> (N,). With intrinsics None `root` holds a weak camera: scale, u, v."""
    so3, betas, bone = variables[:, :48], variables[:, 48:-1], variables[:, -1]
    points = unit_keypoints(raw, so3, betas)
    if intrinsics is None:
        seen = root[0] * points[..., :2] + root[1:]
    else:
        points = bone[:, None, None] * points + root
        seen = points[..., :2] / points[..., 2:] * intrinsics[:2] + intrinsics[2:]
    plane, bend = 0, 0
    for base in (1, 5, 9, 13, 17):
        a, b, c, d = (points[:, base + i] for i in range(4))
        normal, next_normal = np.cross(a - b, b - c), np.cross(b - c, c - d)
        plane = plane + _magnitude((normal * (c - d)).sum(-1)) / 5
        bend = bend + (normal * next_normal).sum(-1)
    twist = 1e4 * plane + 1e5 * np.where(bend.real < 0, -bend, 0)
    joint = ((seen - pixels) ** 2).mean((1, 2))
    change = variables - start
    return joint + 100 * twist + 0.01 * (change[:, :48] ** 2).mean(1) + 0.01 * (change[:, 48:-1] ** 2).mean(1)


def gradient(energy, variables) -> np.ndarray:
    """(n,) -> (n,): energy(variables + i STEP e_k) has the derivative as its imaginary part, to the last digit."""
    return energy(variables[None] + 1j * STEP * np.eye(len(variables))).imag / STEP


def released_first_step(raw: dict, so3, betas, bone, root, pixels, intrinsics) -> tuple[np.ndarray, float]:
    """-> root (3,) and bone, joint by joint."""
    focal, center = intrinsics[:2], intrinsics[2:]
    root = np.array([*((pixels[9] - center) / focal * root[2]), root[2]])
    above, below = 0.0, 0.0
    for point, pixel in zip(bone * unit_keypoints(raw, so3[None], betas[None])[0], pixels, strict=True):
        depth = root[2] + point[2]
        above += ((pixel - center) / focal) @ point[:2] / depth - root[:2] @ point[:2] / depth**2
        below += point[:2] @ point[:2] / depth**2
    return root, bone * max(above / below, 0.9)


def released_loop(energy, start, free: int) -> np.ndarray:
    """Twenty steps on the first `free` variables. The loop counts from 1, its optimiser from 0."""
    variables, first, second = start.copy(), np.zeros(len(start)), np.zeros(len(start))
    for i in range(1, 21):
        slope = gradient(energy, variables)
        slope[free:] = 0
        first, second = 0.5 * first + 0.5 * slope, 0.5 * second + 0.5 * slope**2
        correction = 1 - 0.5 ** (i + 1)
        variables -= 0.03 * (first / correction) / (np.sqrt(second / correction) + 1e-8)
    return variables


def write_parity_file(path, seed: int, cases: int) -> None:
    """A file of the form of the released tailor's, computed here."""
    raw = hand_like.arrays(seed)
    rng = np.random.default_rng(seed)
    intrinsics = np.array([326.0, 326.0, 128.0, 128.0])
    rows = [_parity_case(raw, rng, intrinsics) for _ in range(cases)]
    stored = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    names = {"lbs_weights": "weights", "faces": "f"}
    for name in ("v_template", "shapedirs", "posedirs", "J_regressor", "lbs_weights", "faces"):
        stored[f"model_{names.get(name, name)}"] = raw[name]
    stored["model_kintree_table"] = np.stack([raw["parents"], np.arange(16)])
    np.savez(path, intrinsics=intrinsics, **stored)


def _parity_case(raw: dict, rng, intrinsics) -> dict:
    # Stored as float32 later: draw in it, so that both start from the same numbers.
    so3, betas = (rng.normal(size=48) * 0.25).astype(np.float32), rng.normal(size=10).astype(np.float32)
    root, bone = np.float32([*(rng.normal(size=2) * 0.03), 0.6]), np.float32(0.095)
    so3, betas, root, bone = so3.astype(float), betas.astype(float), root.astype(float), float(bone)
    true = 1.08 * bone * unit_keypoints(raw, (so3 + rng.normal(size=48) * 0.1)[None], betas[None])[0] + root
    pixels = true[:, :2] / true[:, 2:] * intrinsics[:2] + intrinsics[2:]
    pixels = pixels.astype(np.float32).astype(float)
    new_root, new_bone = released_first_step(raw, so3, betas, bone, root, pixels, intrinsics)
    start = np.concatenate([so3, betas, [new_bone]])

    def energy(variables):
        return released_energy(raw, variables, start, new_root, pixels, intrinsics)

    slope, last = gradient(energy, start), released_loop(energy, start, len(start))
    return {
        "so3": so3,
        "beta": betas,
        "bone": bone,
        "root": root,
        "kp2d": pixels,
        "root_reinit": new_root,
        "bone_reinit": new_bone,
        "joints_init": unit_keypoints(raw, so3[None], betas[None])[0],
        "energy": energy(start[None])[0],
        "grad_so3": slope[:48],
        "grad_beta": slope[48:58],
        "grad_bone": slope[58],
        "so3_20": last[:48],
        "beta_20": last[48:58],
        "bone_20": last[58],
        "joints_20": unit_keypoints(raw, last[None, :48], last[None, 48:58])[0],
        "verts_20_every20": vertices(raw, last[:48], last[48:58], new_bone, new_root)[::20],
    }


def _rodrigues(axis_angle) -> np.ndarray:
    """(..., 3) real or complex -> (..., 3, 3)."""
    x, y, z = np.moveaxis(axis_angle, -1, 0)
    angle = np.sqrt(x * x + y * y + z * z)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    sine, versine = np.sin(angle) / angle, (1 - np.cos(angle)) / angle**2
    return np.eye(3) + sine[..., None, None] * cross + versine[..., None, None] * (cross @ cross)


def _magnitude(values) -> np.ndarray:
    return np.where(values.real < 0, -values, values)
