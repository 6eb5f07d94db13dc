"""A hand of MANO's form whose skeleton is that of a hand, for what needs fingers and not only random numbers."""

import numpy as np

from tests.toy import MANO_PARENTS

FINGERTIP_IDS = (745, 317, 444, 556, 673)
VERTICES = 778

# Rest joints in millimetres, in MANO's order: wrist, then index, middle, little, ring, thumb, base to end; tips last.
_FINGERS_MM = [
    [(-88, 3, 22), (-121, 2, 25), (-144, 0, 26), (-166, -2, 27)],
    [(-95, 5, 0), (-131, 3, 0), (-157, 0, -1), (-180, -3, -2)],
    [(-75, -2, -40), (-98, -3, -46), (-114, -5, -50), (-133, -8, -54)],
    [(-88, 3, -21), (-121, 1, -25), (-146, -2, -28), (-168, -5, -30)],
    [(-25, -8, 28), (-52, -15, 48), (-80, -18, 60), (-105, -20, 68)],
]
_THUMB_FIRST = (4, 0, 1, 3, 2)


def arrays(seed: int = 0, betas: int = 10) -> dict[str, np.ndarray]:
    """The fields of `handjax.mano.build`: a cloud of vertices about each joint, whose mean is the joint."""
    rng = np.random.default_rng(seed)
    fingers = np.array(_FINGERS_MM) / 1000
    joints = np.concatenate([np.zeros((1, 3)), fingers[:, :3].reshape(15, 3)])
    owner = np.arange(VERTICES) % 16
    vertices = np.zeros((VERTICES, 3))
    regressor = np.zeros((16, VERTICES))
    weights = np.zeros((VERTICES, 16))
    for joint in range(16):
        cloud = np.setdiff1d(np.flatnonzero(owner == joint), FINGERTIP_IDS)
        spread = rng.normal(size=(len(cloud), 3)) * 0.006
        vertices[cloud] = joints[joint] + spread - spread.mean(0)
        regressor[joint, cloud] = 1 / len(cloud)
        share = 0.3 * rng.random(len(cloud)) if joint else np.zeros(len(cloud))
        weights[cloud, joint] = 1 - share
        weights[cloud, max(MANO_PARENTS[joint], 0)] += share
    for tip, finger in zip(FINGERTIP_IDS, _THUMB_FIRST, strict=True):
        vertices[tip] = fingers[finger, 3]
        weights[tip] = 0
        weights[tip, [3 * finger + 3, 3 * finger + 2]] = 0.9, 0.1
    return {
        "v_template": vertices,
        "shapedirs": rng.normal(size=(VERTICES, 3, betas)) * 0.001,
        "posedirs": rng.normal(size=(VERTICES, 3, 135)) * 0.0004,
        "J_regressor": regressor,
        "lbs_weights": weights,
        "faces": rng.integers(0, VERTICES, size=(1538, 3)),
        "parents": MANO_PARENTS,
        "fingertip_ids": np.array(FINGERTIP_IDS),
    }
