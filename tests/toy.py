"""Random hands of MANO's form: the arrays of a model file, filled by a seed."""

import numpy as np

MANO_PARENTS = np.array([-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14])


def arrays(
    seed: int = 0,
    vertices: int = 778,
    faces: int = 1538,
    betas: int = 10,
    parents=MANO_PARENTS,
    influences: int = 4,
) -> dict[str, np.ndarray]:
    """The fields of `handjax.mano.build`, random but valid; sizes of a millimetre-true hand (metres)."""
    rng = np.random.default_rng(seed)
    joints = len(parents)
    weights = np.zeros((vertices, joints))
    for row in weights:
        chosen = rng.choice(joints, size=min(influences, joints), replace=False)
        row[chosen] = rng.random(len(chosen)) + 0.05
    regressor = np.zeros((joints, vertices))
    for row in regressor:
        row[rng.choice(vertices, size=min(32, vertices), replace=False)] = rng.random(min(32, vertices))
    pose_size = 3 * (joints - 1)
    components, _ = np.linalg.qr(rng.normal(size=(pose_size, pose_size)))
    return {
        "v_template": rng.normal(size=(vertices, 3)) * 0.05,
        "shapedirs": rng.normal(size=(vertices, 3, betas)) * 0.003,
        "posedirs": rng.normal(size=(vertices, 3, 9 * (joints - 1))) * 0.001,
        "J_regressor": regressor / regressor.sum(-1, keepdims=True),
        "lbs_weights": weights / weights.sum(-1, keepdims=True),
        "faces": rng.integers(0, vertices, size=(faces, 3)),
        "parents": np.asarray(parents),
        "hands_components": components,
        "hands_mean": rng.normal(size=pose_size) * 0.2,
        "fingertip_ids": rng.choice(vertices, size=5, replace=False),
    }


def params(seed: int, count: int, betas: int = 10, joints: int = 16) -> tuple[np.ndarray, ...]:
    """float32 betas, global_orient, hand_pose, transl of `count` hands."""
    rng = np.random.default_rng(seed)
    sizes = [(betas, 1.0), (3, 0.5), (3 * (joints - 1), 0.3), (3, 1.0)]
    return tuple((rng.normal(size=(count, size)) * scale).astype(np.float32) for size, scale in sizes)
