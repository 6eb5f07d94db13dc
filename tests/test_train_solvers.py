"""The tailor inside the evaluation step, which runs on all devices at once, gives what it gives by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano, optim
from handjax.camera import Camera, project
from handjax.losses import CountedSum
from handjax.models.objective import Outcome
from handjax.train import eval_step, on_all_devices
from tests import hand_like
from tests import train_toys as toys
from tests.solver_hands import as_params

HANDS = 8
CAMERA = Camera(jnp.array([326.0, 330.0]), jnp.array([128.0, 120.0]))


@pytest.fixture(scope="module")
def model() -> mano.HandModel:
    return jax.tree.map(jnp.asarray, mano.build(**hand_like.arrays()))


@pytest.fixture(scope="module")
def batch(model):
    """Starts 0.1 rad off hands, and where the keypoints of these are seen."""
    rng = np.random.default_rng(5)
    transl = rng.normal(size=(HANDS, 3)) * 0.03 + [0.1, 0, 0.6]
    pose = rng.normal(size=(HANDS, 48)) * 0.25
    true = as_params(rng.normal(size=(HANDS, 10)), pose[:, :3], pose[:, 3:], transl)
    points = jax.jit(jax.vmap(mano.keypoints, (None, 0)))(model, true)
    off = pose + 0.1 * rng.normal(size=pose.shape)
    start = as_params(true.betas + 0.3, off[:, :3], off[:, 3:], transl)
    bone = jnp.linalg.norm(points[:, 0] - points[:, 9], axis=-1)
    seen = {"keypoints_2d": project(CAMERA, points), "root": points[:, 9], "bone": bone}
    return jax.device_get({**start._asdict(), **seen})


def start_of(batch) -> mano.HandParams:
    return mano.HandParams(*(batch[name] for name in mano.HandParams._fields))


def tailored(model, batch) -> mano.HandParams:
    more = {"root": batch["root"], "bone_length": batch["bone"]}
    return optim.tailor_batch(model, start_of(batch), batch["keypoints_2d"], CAMERA, **more).params


def numbers_of(params: mano.HandParams) -> dict[str, jax.Array]:
    """(HANDS,) each: all entries of a field as two numbers of its size, which no other entries are likely to give."""
    found = {}
    for name, values in params._asdict().items():
        weights = np.random.default_rng(7).normal(size=values.shape[1:]).astype(np.float32)
        weights /= np.linalg.norm(weights)
        found |= {name: (values * weights[None]).sum(-1), f"{name}_squared": (values**2 * weights[None]).sum(-1)}
    return found


def test_the_batched_tailor_in_the_evaluation_step_of_four_devices_equals_the_plain_call(model, batch):
    def objective(variables, batch, key, *, train):
        return Outcome({}, {}, tailored(model, batch)._asdict())

    def score(outputs, batch):
        return {
            name: CountedSum(column, jnp.ones(len(column)))
            for name, column in numbers_of(mano.HandParams(**outputs)).items()
        }

    step = on_all_devices(eval_step(objective, score))
    sums = jax.device_get(step(toys.toy_state(), toys.on(4, batch), jax.random.key(0)))
    plain = jax.device_get(numbers_of(jax.jit(tailored)(model, batch)))
    assert np.abs(plain["hand_pose"] - numbers_of(start_of(batch))["hand_pose"]).max() > 1e-3
    for name, column in plain.items():
        assert sums[name].number == HANDS
        np.testing.assert_allclose(sums[name].total / HANDS, column.mean(), atol=1e-5, err_msg=name)
