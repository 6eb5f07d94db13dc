"""HandTailor's training: every term of its three stages pulls, what a stage freezes stands still, launches step."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chex import assert_trees_all_equal

from handjax import mano
from handjax.camera import Camera
from handjax.models import handtailor_objective, siknet_objective
from handjax.models.handtailor import PRESETS
from handjax.models.handtailor_objective import as_handnet, from_handnet
from handjax.models.seednet_objective import pixels
from handjax.targets import rotations
from launch import train_handtailor
from launch.train_handtailor import Config
from tests import cheap, crop_batches
from tests.tiny_pipelines import floats

SIZE = 32
NETWORK = PRESETS["tiny"].clone(features=8, depth=1, pooled_features=8, predicts_bone=False)
BATCH = crop_batches.crops(2, SIZE)
PLACED = {"heatmap", "joint_3d", "root"}
KEY = jax.random.key(0)


def drawn():
    shapes = cheap.shapes(NETWORK, floats(2, SIZE, SIZE, 3), Camera(floats(2, 2), floats(2, 2)), floats(2))
    return from_handnet(cheap.filled(shapes))


def pairs():
    """What the inverse kinematics are trained on, of the same hands."""
    quaternions, _ = jax.vmap(rotations)(BATCH["global_orient"], BATCH["hand_pose"])
    return {"joints": BATCH["keypoints_3d"], "quaternions": quaternions, "betas": BATCH["betas"]}


@pytest.fixture(scope="module")
def pulls():
    objective = partial(handtailor_objective.whole, NETWORK, mano.default(), shape_size=16)
    return crop_batches.gradients(objective, drawn(), BATCH)


def test_every_term_of_the_whole_is_finite_and_has_a_gradient(pulls):
    means, norms = pulls
    assert means.keys() == PLACED | {"betas", "mano", "shape_depth", "shape_silhouette"}
    crop_batches.assert_every_term_pulls(means, norms)


def test_the_meshs_keypoints_reach_rotations_and_crops_and_those_before_them_no_rotations(pulls):
    _, norms = pulls
    heads = {"iknet/0", "handnet/shapereg_layers", "handnet/hand3d.hand2dto3d"}
    assert all(norms["mano"][part] > 0 for part in heads)
    for name in PLACED:
        assert norms[name]["iknet/0"] == 0 < norms[name]["handnet/hand3d.hand2d"]


def test_every_term_of_the_inverse_kinematics_is_finite_and_has_a_gradient():
    objective = partial(handtailor_objective.inverse_kinematics, NETWORK, mano.default())
    iknet = {collection: {"iknet": tree["iknet"]} for collection, tree in drawn().items()}
    means, norms = crop_batches.gradients(objective, iknet, pairs())
    assert means.keys() == {"ik", "mano"}
    crop_batches.assert_every_term_pulls(means, norms)


def test_the_true_rotations_rebuild_the_hand():
    model, batch = mano.default(), pairs()
    found = {"axis_angle": siknet_objective.axis_angles(batch["quaternions"]), "betas": batch["betas"]}
    target = batch["joints"] - batch["joints"][:, 9:10]
    joints = jax.jit(partial(siknet_objective.rebuilt, model))(found, siknet_objective.bone_of(target))
    np.testing.assert_allclose(joints, target, atol=1e-5)


def test_both_networks_together_are_the_published_one():
    variables = drawn()
    found = jax.jit(
        lambda batch: (
            handtailor_objective.whole(
                NETWORK, mano.default(), variables, batch, KEY, train=False, true_root=False
            ).outputs
        )
    )(BATCH)
    bone = jnp.linalg.norm(BATCH["keypoints_3d"][:, 0] - BATCH["keypoints_3d"][:, 9], axis=-1)
    camera = handtailor_objective.camera_of(BATCH)
    expected = jax.jit(NETWORK.apply)(as_handnet(variables), pixels(BATCH["image"]), camera, bone)
    for name in ("joints", "quaternions", "axis_angle", "betas"):
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-3, atol=2e-4, err_msg=name)
    np.testing.assert_allclose(found["root"] * bone, expected["root_depth"], rtol=1e-4)
    assert_trees_all_equal(from_handnet(as_handnet(variables)), variables)


def test_keypoints_in_the_right_place_score_nothing_and_unknown_ones_do_not_count():
    labels = crop_batches.crops(2, 64)
    relative = handtailor_objective.relative_of(labels)
    outputs = {
        "heatmaps": handtailor_objective.heatmaps_of(labels)[0][:, None],
        "joints": labels["keypoints_3d"],
        "mesh_joints": labels["keypoints_3d"] - labels["keypoints_3d"][:, 9:10],
        "root": relative.root[:, 2] / relative.bone + 1.0,
    }
    unknown = {
        **labels,
        "keypoints_3d": labels["keypoints_3d"].at[1].set(jnp.nan),
        "keypoints_3d_valid": labels["keypoints_3d_valid"].at[1].set(False),
        "intrinsics": labels["intrinsics"].at[1].set(0.0),
        "intrinsics_valid": labels["intrinsics_valid"].at[1].set(False),
    }
    names = ("pck", "joint_error_mm", "mesh_error_mm", "root_error")
    for batch, numbers in ((labels, [42, 42, 42, 2]), (unknown, [42, 21, 21, 1])):
        scores = jax.device_get(jax.jit(handtailor_objective.score)(outputs, batch))
        assert [scores[name].number for name in names] == numbers
        totals = [scores[name].total for name in names]
        np.testing.assert_allclose(totals, [42, 0, 0, numbers[-1]], atol=1e-3)


def test_a_network_that_predicts_the_bone_is_refused():
    with pytest.raises(ValueError, match="given the reference bone, got one with predicts_bone=True"):
        handtailor_objective.keypoints(PRESETS["tiny"], drawn(), BATCH, KEY, train=True)


@pytest.fixture(scope="module")
def tasks():
    """Of the three stages, of the smallest network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_handtailor, "NETWORKS", {"tiny": NETWORK})
        return {
            stage: train_handtailor.task(Config(preset="tiny", stage=stage, size=SIZE))
            for stage in train_handtailor.STAGES
        }


@pytest.mark.slow
def test_keypoints_are_trained_while_the_inverse_kinematics_stand_still(tasks):
    before, after, metrics = crop_batches.updated(tasks["keypoints"], drawn(), BATCH)
    assert PLACED <= metrics.keys() and np.isfinite(list(metrics.values())).all()
    for was, now in ((before.params, after.params), (before.batch_stats, after.batch_stats)):
        assert_trees_all_equal(was["iknet"], now["iknet"])
        moved = jax.tree.map(lambda a, b: not np.array_equal(a, b), was["handnet"], now["handnet"])
        assert any(jax.tree.leaves(moved))
    assert "iknet" not in before.opt_state.mu
    weights = np.array([100.0, 1.0, 0.1])
    terms = np.array([metrics[name] for name in ("heatmap", "joint_3d", "root")])
    np.testing.assert_allclose(metrics["loss"], (weights * terms).sum(), rtol=1e-5)


def test_inverse_kinematics_make_a_step(tasks):
    iknet = {collection: {"iknet": tree["iknet"]} for collection, tree in drawn().items()}
    fresh = jax.eval_shape(tasks["ik"].init, KEY)
    assert jax.tree.map(jnp.shape, fresh) == jax.tree.map(jnp.shape, iknet)
    before, after, metrics = crop_batches.updated(tasks["ik"], iknet, pairs())
    np.testing.assert_allclose(metrics["loss"], metrics["ik"] + 0.1 * metrics["mano"], rtol=1e-5)
    change = after.params["iknet"]["0"]["bias"] - before.params["iknet"]["0"]["bias"]
    assert np.isfinite(change).all() and not after.halted


@pytest.mark.parametrize("stage", train_handtailor.STAGES)
def test_scores_go_with_what_the_network_puts_out(tasks, stage):
    variables = drawn()
    batch = pairs() if stage == "ik" else BATCH
    means = crop_batches.assert_scores_go_with_outputs(tasks[stage], variables, batch)
    assert means[tasks[stage].metric] >= 0


def test_sizes_are_those_of_the_stage_unless_flags_say_other():
    assert Config(preset="tiny", stage="ik").batch_size == 128
    assert Config(preset="paper").learning_rate == 3e-4
    config = Config(preset="paper", stage="whole", steps=7)
    assert (config.steps, config.learning_rate) == (7, 3e-5)


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"stage": "pose"}, "--stage must be one of keypoints, ik, whole, got pose"),
        ({"stage": "ik", "keypoints": "runs/a"}, "--keypoints is for --stage=whole, got --stage=ik"),
        ({"shape_depth": 1.0}, "--shape_depth is for --stage=whole, got --stage=keypoints"),
    ],
)
def test_flags_that_a_stage_has_no_use_for_are_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        train_handtailor.task(Config(preset="tiny", **fields))


def test_the_meshs_surface_needs_depth_and_masks():
    task = train_handtailor.task(Config(preset="tiny", stage="whole", shape_silhouette=1.0))
    assert {"depth", "mask"} <= set(task.labels) and task.weights.shape_silhouette == 1.0
    plain = train_handtailor.task(Config(preset="tiny", stage="whole"))
    assert not {"depth", "mask"} & set(plain.labels)
