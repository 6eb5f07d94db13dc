"""Files of weights, and what the shipped ones can do."""

from functools import partial
from importlib import resources

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from datasets.synthetic.sik import sampled_sik_batch
from handjax import mano, weights
from handjax.checkpoint import CheckpointFolder
from handjax.losses import mean_of
from handjax.models import siknet_objective
from launch.pack_weights import pack
from tests import train_toys as toys


def test_weights_come_back_as_they_were_to_half_precision(tmp_path):
    random = np.random.default_rng(0)
    kernel = random.normal(size=(3, 4)).astype(np.float32)
    variables = {"params": {"layer": {"kernel": kernel}}, "batch_stats": {"layer": {"var": kernel**2 * 1e6}}}
    weights.write_weights(tmp_path / "a.npz", variables, {"score": 1.5})
    found, about = weights.read_weights(tmp_path / "a.npz")
    assert about == {"score": 1.5} and [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    np.testing.assert_allclose(found["params"]["layer"]["kernel"], kernel, rtol=1e-3)
    np.testing.assert_array_equal(found["batch_stats"]["layer"]["var"], variables["batch_stats"]["layer"]["var"])
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e5])
def test_what_half_precision_cannot_hold_is_refused_and_nothing_is_written(tmp_path, value):
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="params/kernel is not"):
        weights.write_weights(tmp_path / "a.npz", {"params": {"kernel": np.array([value])}}, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 cut", b"\x80\x04cos\nsystem\n(S'true'\ntR."])
def test_a_file_that_holds_no_weights_is_named(tmp_path, data):
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(ValueError, match="a.npz must be a file of weights"):
        weights.read_weights(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", kernel=np.zeros(3))
    with pytest.raises(ValueError, match="b.npz must be a file of weights"):
        weights.read_weights(tmp_path / "b.npz")
    with pytest.raises(FileNotFoundError):
        weights.read_weights(tmp_path / "c.npz")


def test_a_runs_best_network_is_packed_with_its_result(tmp_path):
    best, newest = (toys.toy_state(seed=seed) for seed in (1, 2))
    folder = CheckpointFolder(tmp_path / "checkpoints", {})
    folder.save(1, {"state": best}, metric=0.1)
    folder.save(2, {"state": newest}, metric=0.2)
    folder.close()
    (tmp_path / "result.json").write_text('{"error": 2.5}')
    pack(tmp_path, "toy", tmp_path / "toy.npz")
    found, about = weights.read_weights(tmp_path / "toy.npz")
    assert about == {"network": "toy", "result": {"error": 2.5}}
    expected = {kind: tree["toy"] for kind, tree in best.variables().items() if "toy" in tree}
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6), found, expected)
    pack(tmp_path, None, tmp_path / "only.npz")
    assert (tmp_path / "only.npz").read_bytes() == (tmp_path / "toy.npz").read_bytes()
    with pytest.raises(ValueError, match="--network must be one of toy, got 'hand'"):
        pack(tmp_path, "hand", tmp_path / "hand.npz")
    with pytest.raises(ValueError, match="must be the folder of checkpoints"):
        pack(tmp_path / "nowhere", "toy", tmp_path / "toy.npz")


@pytest.fixture(scope="module")
def scores():
    """Of unseen hands, from clean keypoints and from those of which each coordinate is off by 4 mm."""
    network, variables = weights.siknet()
    model = mano.default()
    nested = {kind: {"siknet": tree} for kind, tree in variables.items()}
    pairs = jax.jit(partial(sampled_sik_batch, batch=512, model=model))(jax.random.key(2_000_003))
    labels = {"joints": pairs.joints, "quaternions": pairs.quaternions, "betas": pairs.betas}

    @jax.jit
    def scored(seen):
        batch = labels | {"seen": seen}
        outcome = siknet_objective.siknet(network, model, nested, batch, jax.random.key(0), train=False)
        return siknet_objective.score(model, outcome.outputs, batch)

    noise = 4e-3 * jax.random.normal(jax.random.key(1), pairs.joints.shape)
    found = [scored(seen) for seen in (pairs.joints, pairs.joints + noise)]
    return [{name: float(mean_of(jax.tree.map(jnp.sum, sums))) for name, sums in each.items()} for each in found]


def test_the_shipped_siknet_rebuilds_unseen_hands_within_three_millimetres(scores):
    clean, _ = scores
    assert clean["joint_error_mm"] < 3.0 and clean["rotation_error_deg"] < 12.0
    assert clean["twist_error_deg"] < clean["rotation_error_deg"]


def test_the_shipped_siknet_bears_keypoints_that_are_four_millimetres_off(scores):
    clean, noisy = scores
    assert clean["joint_error_mm"] < noisy["joint_error_mm"] < 5.5


def test_shipped_weights_are_small():
    sizes = [
        path.stat().st_size for path in (resources.files("handjax") / "weights").iterdir() if path.suffix == ".npz"
    ]
    assert sizes and sum(sizes) < 40e6
