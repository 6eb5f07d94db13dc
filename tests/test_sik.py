"""Joint-rotation pairs: that rotations and joints belong together, how they spread, and the files of a fixed set."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from datasets.synthetic import sik, sik_files
from handjax import mano, rotations
from launch import make_sik

BATCH, VIEWS = 4000, 4
MODEL = mano.default()
rng = np.random.default_rng(0)
PRIOR = sik.SikPrior(*(jnp.asarray(rng.uniform(low, high, size), jnp.float32) for low, high, size in (
    (-0.2, 0.5, 45), (0.02, 0.15, 45), (-0.5, 0.5, 10), (0.2, 1.0, 10)
)))  # fmt: skip


# Half the time to compile, which is nearly all the time of this file.
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@partial(quick_jit, static_argnames=("views", "unit_bone"))
def drawn(key, views=1, unit_bone=False) -> sik.SikBatch:
    return sik.sik_batch(key, BATCH, MODEL, PRIOR, views=views, unit_bone=unit_bone)


@pytest.fixture(scope="module")
def pairs() -> sik.SikBatch:
    return jax.tree.map(np.asarray, drawn(jax.random.key(0)))


@pytest.fixture(scope="module")
def seen_often() -> sik.SikBatch:
    return jax.tree.map(np.asarray, drawn(jax.random.key(1), VIEWS, True))


@quick_jit
def forward(betas, quaternions) -> jax.Array:
    local = rotations.matrix_from_quaternion(quaternions)
    points = jax.vmap(mano.keypoints_rotations, (None, 0, 0, None))(MODEL, betas, local, jnp.zeros(3))
    return points - points[:, 9:10]


def test_forward_kinematics_of_the_rotations_returns_the_joints(pairs, seen_often):
    for batch, unit in ((pairs, 1.0), (seen_often, seen_often.bone_length[:, None, None])):
        np.testing.assert_allclose(forward(batch.betas, batch.quaternions), batch.joints * unit, atol=1e-5)


def test_joints_are_measured_from_the_middle_knuckle_in_metres_or_bones(pairs, seen_often):
    assert pairs.joints.shape == (BATCH, 21, 3) and not pairs.joints[:, 9].any()
    np.testing.assert_allclose(np.linalg.norm(pairs.joints[:, 0], axis=-1), pairs.bone_length, rtol=1e-5)
    assert 0.05 < pairs.bone_length.min() and pairs.bone_length.max() < 0.15
    np.testing.assert_allclose(np.linalg.norm(seen_often.joints[:, 0], axis=-1), 1.0, rtol=1e-5)


def test_quaternions_have_unit_length_and_one_sign(pairs):
    assert pairs.quaternions.shape == (BATCH, 16, 4)
    np.testing.assert_allclose(np.linalg.norm(pairs.quaternions, axis=-1), 1.0, atol=1e-6)
    assert (pairs.quaternions[..., 0] >= 0).all()


def test_pose_and_shape_have_the_priors_mean_and_twice_its_spread(pairs):
    pose = np.asarray(rotations.axis_angle_from_quaternion(pairs.quaternions[:, 1:])).reshape(BATCH, 45)
    # No joint of this prior gets past pi, from where it would come back from the other side.
    for found, mean, std in (
        (pose, PRIOR.pose_mean, PRIOR.pose_std),
        (pairs.betas, PRIOR.betas_mean, PRIOR.betas_std),
    ):
        deviation = 2 * np.asarray(std)
        assert (np.abs(found.mean(0) - mean) < 4.5 * deviation / np.sqrt(BATCH)).all()
        np.testing.assert_allclose(found.std(0), deviation, rtol=4.5 / np.sqrt(2 * BATCH))


def test_views_are_uniform_over_all_rotations(pairs):
    quaternions = pairs.quaternions[:, 0].astype(np.float64)
    # Of uniform unit quaternions the second moments are I / 4, and w^2 has variance 1 / 16.
    moments = np.einsum("bi,bj->ij", quaternions, quaternions) / BATCH
    np.testing.assert_allclose(moments, np.eye(4) / 4, atol=4.5 * 0.25 / np.sqrt(BATCH))
    directions = np.asarray(rotations.matrix_from_quaternion(pairs.quaternions[:, 0]))[:, :, 0]
    np.testing.assert_allclose(directions.mean(0), 0.0, atol=4.5 / np.sqrt(3 * BATCH))


def test_the_views_of_a_hand_differ_in_their_turn_only(seen_often):
    fingers = seen_often.quaternions[:, 1:].reshape(-1, VIEWS, 15, 4)
    assert (fingers == fingers[:, :1]).all()
    assert (seen_often.betas.reshape(-1, VIEWS, 10) == seen_often.betas[::VIEWS, None]).all()
    turns = seen_often.quaternions[:, 0].reshape(-1, VIEWS, 4)
    assert np.abs((turns[:, 0] * turns[:, 1]).sum(-1)).max() < 1.0 - 1e-6
    assert len(np.unique(seen_often.betas[:, 0])) == BATCH // VIEWS


def test_a_key_gives_the_same_pairs_and_another_one_others(pairs):
    again, other = drawn(jax.random.key(0)), drawn(jax.random.key(2))
    assert all(np.array_equal(one, two) for one, two in zip(pairs, again, strict=True))
    assert not np.isclose(pairs.joints[:, 0], other.joints[:, 0]).all(-1).any()


def test_hands_of_the_pose_sampler_stay_within_joint_limits(monkeypatch):
    count = 64
    monkeypatch.setattr(mano, "sample_pose", partial(mano.sample_pose, tries=1))
    batch = quick_jit(lambda key: sik.sampled_sik_batch(key, count, MODEL, views=2))(jax.random.key(0))
    np.testing.assert_allclose(forward(batch.betas, batch.quaternions), batch.joints, atol=1e-5)
    pose = rotations.axis_angle_from_quaternion(batch.quaternions[:, 1:]).reshape(count, 45)
    angles, limits = np.asarray(mano.angles_from_pose(MODEL, pose)), np.asarray(MODEL.joint_limits)
    assert (angles > limits[..., 0] - 1e-4).all() and (angles < limits[..., 1] + 1e-4).all()
    assert angles[:, :12, 0].std() > 0.2


def test_the_samplers_prior_is_the_statistics_of_its_poses(monkeypatch):
    def sample_pose(key, model):
        return 0.3 + 0.2 * jax.random.normal(key, (45,))

    monkeypatch.setattr(mano, "sample_pose", sample_pose)
    prior = sik.sampled_prior(MODEL, draws=512)
    poses = jax.vmap(lambda key: sample_pose(key, MODEL))(jax.random.split(jax.random.key(0), 512))
    np.testing.assert_allclose(prior.pose_mean, poses.mean(0), atol=1e-5)
    np.testing.assert_allclose(prior.pose_std, poses.std(0), atol=1e-5)
    assert not np.any(prior.betas_mean) and (np.asarray(prior.betas_std) == 1).all()


def test_a_prior_is_the_statistics_of_a_dataset():
    poses, betas = rng.normal(size=(50, 45)), rng.normal(size=(50, 10))
    prior = sik.prior_of(poses, betas)
    for field, wanted in zip(prior, (poses.mean(0), poses.std(0), betas.mean(0), betas.std(0)), strict=True):
        np.testing.assert_allclose(field, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda key: sik.sik_batch(key, 10, MODEL, PRIOR, views=3), "batch must be a positive multiple of views"),
        (lambda key: sik.sik_batch(key, 0, MODEL, PRIOR), "batch must be a positive multiple of views"),
        (lambda key: sik.sik_batch(key, 4, mano.detailed(MODEL), PRIOR), "model must have MANO's 16 joints"),
        (lambda key: sik.sik_batch(key, 4, MODEL, PRIOR._replace(pose_std=jnp.ones(48))), r"prior.pose_std must have"),
        (lambda key: sik.sampled_sik_batch(key, 5, MODEL, views=2), "batch must be a positive multiple of views"),
        (lambda key: sik.prior_of(np.zeros((3, 48)), np.zeros((3, 10))), "hand_pose must have shape"),
        (lambda key: sik.prior_of(np.zeros((3, 45)), np.zeros((2, 10))), "betas must have shape"),
        (lambda key: sik.prior_of(np.full((3, 45), np.nan), np.zeros((3, 10))), "hand_pose must have .* finite"),
        (lambda key: sik_files.plan(1, 10, 0.8), "hands must be enough for two splits"),
        (lambda key: sik_files.plan(10, 0, 0.8), "hands_per_shard must be at least 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(jax.random.key(0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A set of 12 hands from 5 sides, 4 hands a shard: shards of 4, 4, 2 and 2."""
    path = tmp_path_factory.mktemp("sik")
    mean, std, betas_mean, betas_std = (np.asarray(field) for field in PRIOR)
    np.savez(path / "prior.npz", pose_mean=mean, pose_std=std, betas_mean=betas_mean, betas_std=betas_std)
    make_sik.main(command(path))
    return path


def command(path, *more) -> list[str]:
    start = [f"--out={path / 'set'}", "--pairs=60", "--views=5", "--hands-per-shard=4"]
    return [*start, f"--prior={path / 'prior.npz'}", *more]


def test_the_command_writes_splits_that_share_no_hand(folder):
    train, test = (sik_files.read_sik(folder / "set", split) for split in sik_files.SPLITS)
    assert train.joints.shape == (50, 21, 3) and test.joints.shape == (10, 21, 3)
    assert sorted(set(train.hand)) == list(range(10)) and sorted(set(test.hand)) == [10, 11]
    for part in (train, test):
        assert {field.dtype for field in part[:3]} == {np.dtype("float32")} and part.hand.dtype == np.int32
        np.testing.assert_allclose(forward(part.betas, part.quaternions), part.joints, atol=1e-5)
        for hand in set(part.hand):
            rows = part.hand == hand
            assert rows.sum() == 5 and len(np.unique(part.betas[rows], axis=0)) == 1
    assert len(np.unique(np.concatenate([train.betas, test.betas]), axis=0)) == 12
    names = {path.name for path in (folder / "set").iterdir()}
    assert names == {"about.json", "test-00000-of-00001.npz"} | {f"train-0000{n}-of-00003.npz" for n in range(3)}


def test_a_stopped_run_goes_on_and_leaves_finished_shards_alone(folder, capsys):
    shard, kept = folder / "set" / "train-00001-of-00003.npz", folder / "set" / "train-00000-of-00003.npz"
    before = sik_files.read_sik(folder / "set", "train")
    shard.unlink()
    with pytest.raises(FileNotFoundError, match="train-00001-of-00003.npz is missing"):
        sik_files.read_sik(folder / "set", "train")
    stamp = kept.stat().st_mtime_ns
    make_sik.main(command(folder))
    assert kept.stat().st_mtime_ns == stamp and capsys.readouterr().out.count("there already") == 3
    after = sik_files.read_sik(folder / "set", "train")
    assert all(np.array_equal(one, two) for one, two in zip(before, after, strict=True))


def test_a_folder_with_another_set_is_left_alone(folder):
    before = (folder / "set" / "about.json").read_bytes()
    with pytest.raises(SystemExit, match="holds another set .*seed 0"):
        make_sik.main(command(folder, "--seed=1"))
    assert (folder / "set" / "about.json").read_bytes() == before


def test_a_shard_is_complete_or_not_there(tmp_path):
    def fail(_):
        raise RuntimeError("stopped")

    shards = sik_files.plan(10, 5, 0.8)
    with pytest.raises(RuntimeError, match="stopped"):
        list(sik_files.write_sik(tmp_path / "set", {"seed": 0}, shards, 2, fail))
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["about.json"]
    assert json.loads((tmp_path / "set" / "about.json").read_text())["seed"] == 0


def test_the_command_says_what_is_wrong(tmp_path, folder):
    for more, message in (
        (["--pairs=61"], "--pairs must be a positive multiple of --views"),
        (["--pairs=5"], "hands must be enough for two splits"),
        ([f"--prior={folder / 'set' / 'test-00000-of-00001.npz'}"], "must hold pose_mean"),
        ([f"--prior={tmp_path / 'none.npz'}"], "none.npz"),
    ):
        with pytest.raises(SystemExit, match=message):
            make_sik.main([*command(folder), f"--out={tmp_path / 'new'}", *more])
    (tmp_path / "full").mkdir()
    np.savez(tmp_path / "full" / "mine.npz", x=np.zeros(1))
    with pytest.raises(SystemExit, match="holds npz files but no about.json"):
        make_sik.main([*command(folder), f"--out={tmp_path / 'full'}"])
    with pytest.raises(ValueError, match="about.json cannot be read"):
        sik_files.read_sik(tmp_path, "train")
    with pytest.raises(ValueError, match="split must be one of"):
        sik_files.read_sik(folder / "set", "validation")
