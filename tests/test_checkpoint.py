"""Checkpoints come back bit for bit; what is damaged or of another run is never taken for good."""

import shutil
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from chex import assert_trees_all_equal

from handjax.checkpoint import CheckpointFolder, differing, fingerprint, read_variables
from handjax.train import Plateau
from launch.parts import with_trained
from tests import train_toys as toys

ABOUT = {"batch_size": 64, "preset": "tiny"}


class Tree(NamedTuple):
    step: jax.Array
    params: dict
    empty: dict
    key: jax.Array


def tree(seed=0):
    kernel = jax.random.normal(jax.random.key(seed), (7, 5))
    params = {"a": {"kernel": kernel, "half": kernel.astype(jnp.bfloat16)}, "on": kernel[0] > 0}
    return Tree(jnp.int32(seed), params, {}, jax.random.key_data(jax.random.key(seed)))


@pytest.fixture
def heard():
    return []


@pytest.fixture
def folder(tmp_path, heard):
    made = CheckpointFolder(tmp_path / "run", ABOUT, keep=2, say=heard.append)
    yield made
    made.close()


def reopened(tmp_path, heard, about=ABOUT, name="run"):
    return CheckpointFolder(tmp_path / name, about, keep=2, say=heard.append)


def largest_file(path):
    return max((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)


def test_what_was_saved_comes_back_bit_for_bit_with_its_types(folder, tmp_path, heard):
    assert folder.restore(tree()) is None
    folder.save(3, tree(3))
    folder.close()
    found = reopened(tmp_path, heard).restore(tree(0))
    assert found.step == 3 and found.damaged == [] and isinstance(found.tree, Tree)
    assert_trees_all_equal(found.tree, tree(3))
    assert [leaf.dtype for leaf in jax.tree.leaves(found.tree)] == [leaf.dtype for leaf in jax.tree.leaves(tree())]


def test_a_whole_training_state_comes_back(tmp_path, heard):
    optimiser = toys.optimiser(ema=0.9, plateau=Plateau())
    optimiser = optimiser._replace(transform=optax.scale_by_rms())
    state = toys.toy_state(optimiser=optimiser)
    folder = reopened(tmp_path, heard)
    folder.save(0, state)
    found = folder.restore(toys.toy_state(optimiser=optimiser, seed=1))
    assert_trees_all_equal(found.tree, state)
    folder.close()


def test_the_newest_few_and_the_best_are_kept(folder, tmp_path, heard):
    for step, metric in enumerate([5.0, 1.0, None, 3.0, 4.0, None]):
        folder.save(step, tree(step), metric=metric)
    folder.close()
    again = reopened(tmp_path, heard)
    assert again.steps == [1, 4, 5] and again.best == 1
    again.save(6, tree(6), metric=0.5)
    again.save(7, tree(7), metric=2.0)
    again.save(8, tree(8))
    again.close()
    assert reopened(tmp_path, heard).steps == [6, 7, 8]
    assert not (tmp_path / "run" / "deleted").exists()


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(bytes(content))


DAMAGE = {
    "flipped": lambda step: flip(largest_file(step)),
    "cut off": lambda step: largest_file(step).write_bytes(largest_file(step).read_bytes()[:50]),
    "missing": lambda step: largest_file(step).unlink(),
    "no description": lambda step: shutil.rmtree(step / "about"),
    "no tree": lambda step: shutil.rmtree(step / "tree"),
    "changed description": lambda step: flip(step / "about" / "metadata"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_put_aside_aloud_for_the_one_before(folder, tmp_path, heard, damage):
    folder.save(1, tree(1))
    folder.save(2, tree(2))
    folder.close()
    damage(tmp_path / "run" / "2")
    again = reopened(tmp_path, heard)
    found = again.restore(tree())
    assert found.step == 1 and found.damaged == [2]
    assert_trees_all_equal(found.tree, tree(1))
    assert len(heard) == 1 and "checkpoint 2" in heard[0] and "is damaged" in heard[0]
    # The same step can be reached and saved again.
    again.save(2, tree(22))
    assert_trees_all_equal(again.restore(tree()).tree, tree(22))
    again.close()


def test_where_all_are_damaged_nothing_is_begun_anew(folder, tmp_path, heard):
    folder.save(1, tree(1))
    folder.close()
    DAMAGE["cut off"](tmp_path / "run" / "1")
    with pytest.raises(ValueError, match="must hold a checkpoint that can be read, all 1 are damaged"):
        reopened(tmp_path, heard).restore(tree())
    assert (tmp_path / "run" / "1").exists()


def test_another_run_s_checkpoint_names_what_differs(folder, tmp_path, heard):
    folder.save(1, tree(1))
    folder.close()
    with pytest.raises(ValueError, match="of another run: batch_size is 64 there, 32 here"):
        reopened(tmp_path, heard, about={**ABOUT, "batch_size": 32}).restore(tree())
    assert heard == []


def test_other_arrays_are_named_with_both_shapes(folder, tmp_path, heard):
    folder.save(1, tree(1))
    other = tree()._replace(key=jnp.zeros((3,), jnp.uint32))
    with pytest.raises(ValueError, match=r"other arrays: key is uint32\(2,\) there, uint32\(3,\) here"):
        folder.restore(other)


def test_half_written_checkpoints_are_not_seen_and_swept(folder, tmp_path, heard):
    folder.save(1, tree(1))
    folder.close()
    half = tmp_path / "run" / "2.orbax-checkpoint-tmp"
    shutil.copytree(tmp_path / "run" / "1", half)
    again = reopened(tmp_path, heard)
    assert again.steps == [1] and not half.exists()
    again.close()


def test_a_step_that_is_there_is_not_written_again(folder):
    folder.save(1, tree(1))
    folder.save(1, tree(2))
    assert_trees_all_equal(folder.restore(tree()).tree, tree(1))


def test_one_checkpoint_alone_is_refused(tmp_path):
    with pytest.raises(ValueError, match="keep must be at least 2, got 1"):
        CheckpointFolder(tmp_path, ABOUT, keep=1)


def test_any_changed_bit_or_swap_changes_the_fingerprint():
    values = np.random.default_rng(0).normal(size=64).astype(np.float32)
    whole = int(fingerprint([jnp.asarray(values)])[0])
    bits = values.view(np.uint32)
    for place in range(0, 64, 7):
        for bit in range(32):
            changed = bits.copy()
            changed[place] ^= np.uint32(1 << bit)
            assert int(fingerprint([jnp.asarray(changed)])[0]) != whole
    swapped = values.copy()
    swapped[[0, 1]] = values[[1, 0]]
    assert int(fingerprint([jnp.asarray(swapped)])[0]) != whole


def test_differences_are_said_in_words():
    assert differing({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == [
        "b is 2 there, 3 here",
        "c is absent there, 4 here",
    ]


def test_a_later_stage_reads_the_best_checkpoint_s_running_average(tmp_path, heard):
    optimiser = toys.optimiser(ema=0.9)
    best, newest = (toys.toy_state(optimiser=optimiser, seed=seed) for seed in (1, 2))
    best = best._replace(ema=jax.tree.map(lambda leaf: leaf + 1.0, best.params))
    folder = CheckpointFolder(tmp_path / "checkpoints", ABOUT, say=heard.append)
    folder.save(1, {"state": best}, metric=0.1)
    folder.save(2, {"state": newest}, metric=0.2)
    folder.close()
    found = read_variables(tmp_path / "checkpoints")
    assert_trees_all_equal(found["params"], jax.device_get(best.ema))
    assert_trees_all_equal(found["batch_stats"], jax.device_get(best.batch_stats))
    fresh = toys.toy_state(seed=3).variables()
    put = with_trained(fresh, str(tmp_path), ("toy",))
    assert_trees_all_equal(jax.device_get(put["params"]), jax.device_get(best.ema))
    assert with_trained(fresh, "", ("toy",)) is fresh
    with pytest.raises(ValueError, match="must hold other, got toy"):
        with_trained(fresh, str(tmp_path), ("other",))
    with pytest.raises(ValueError, match="must be the folder of checkpoints of a run"):
        read_variables(tmp_path / "nowhere")
