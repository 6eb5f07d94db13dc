"""The pose space: mean and principal components of poses drawn by the library's own sampler."""

import jax
import numpy as np

from handjax import mano

SAMPLES = 8000


def pose_space(hand: dict[str, np.ndarray], seed: int, count: int = SAMPLES) -> dict[str, np.ndarray]:
    """`hands_mean` (45,), orthonormal rows `hands_components` (45, 45), and `pose_std` (45,) of their coefficients.

    hand: the other arrays of the shipped file, by their names there. The largest entry of each component is positive.
    """
    samples = np.asarray(sample_poses(bare_model(hand), seed, count), float)
    mean = samples.mean(axis=0)
    _, singular, components = np.linalg.svd(samples - mean, full_matrices=False)
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    space = {
        "hands_mean": mean,
        "hands_components": components * np.sign(largest),
        "pose_std": singular / np.sqrt(count - 1),
    }
    return {name: values.astype(np.float32) for name, values in space.items()}


def sample_poses(model: mano.HandModel, seed: int, count: int) -> jax.Array:
    """(count, 45) axis-angle."""
    draw = jax.jit(jax.vmap(mano.sample_pose, (0, None)))
    return draw(jax.random.split(jax.random.key(seed), count), model)


def bare_model(hand: dict[str, np.ndarray]) -> mano.HandModel:
    """The model without shapes, correctives and pose space: all that the sampler looks at."""
    vertices = len(hand["v_template"])
    return mano.build(
        v_template=hand["v_template"],
        shapedirs=np.zeros((vertices, 3, 1)),
        posedirs=np.zeros((vertices, 3, 135)),
        J_regressor=hand["J_regressor"],
        lbs_weights=hand["lbs_weights"],
        faces=hand["faces"],
        joint_axes=hand["joint_axes"],
        joint_limits=hand["joint_limits"],
        fingertip_ids=hand["fingertip_ids"],
    )
