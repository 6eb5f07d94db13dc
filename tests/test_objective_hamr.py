"""HAMR's training: every term pulls, switches switch, and a launch makes its step."""

import dataclasses
import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano, targets
from handjax.losses import weighted
from handjax.models import hamr_objective
from handjax.models.hamr import PRESETS
from handjax.models.hamr_objective import hamr_hands
from handjax.targets.crop import OF_PICTURE
from launch import train_hamr
from launch.train_hamr import Config
from tests import cheap, crop_batches

SIZE = 32
NETWORK = PRESETS["tiny"].clone(stacks=1, maps=22, levels=1, dropout=0.0)
IMAGE = jax.ShapeDtypeStruct((2, SIZE, SIZE, 3), jnp.float32)
BATCH = crop_batches.crops(2, SIZE)


def drawn(network):
    found = cheap.filled(cheap.shapes(network, IMAGE))
    return hamr_objective.small_steps({collection: {"hamr": tree} for collection, tree in found.items()})


@pytest.fixture(scope="module")
def pulls():
    objective = partial(hamr_hands, NETWORK, mano.default(), silhouette_size=16)
    return crop_batches.gradients(objective, drawn(NETWORK), BATCH)


def test_every_term_is_finite_and_has_a_gradient(pulls):
    means, norms = pulls
    assert means.keys() == set(train_hamr.losses.HamrWeights._fields)
    crop_batches.assert_every_term_pulls(means, norms)


def test_heat_maps_leave_the_regressor_alone_and_all_else_reaches_it(pulls):
    _, norms = pulls
    assert norms["heatmap"]["hamr/regressor"] == 0
    assert all(parts["hamr/regressor"] > 0 for name, parts in norms.items() if name != "heatmap")


def outcome(network, silhouette_size=None, batch=BATCH):
    objective = partial(hamr_hands, network, mano.default(), silhouette_size=silhouette_size)
    return jax.eval_shape(lambda: objective(drawn(network), batch, jax.random.key(1), train=True))


def test_without_a_silhouette_or_a_mesh_its_terms_are_left_out():
    every = set(train_hamr.losses.HamrWeights._fields)
    assert outcome(NETWORK).terms.keys() == every - {"silhouette"}
    joints = outcome(NETWORK.clone(mesh=False), silhouette_size=16)
    assert joints.terms.keys() == every - {"silhouette", "betas"} and "mask" not in joints.outputs


@pytest.mark.parametrize("switch", ["camera", "geometric", "silhouette"])
def test_a_switch_that_is_off_takes_its_term_out_of_the_loss(switch):
    on, off = (train_hamr.weights(dataclasses.replace(Config(), **{switch: value})) for value in (True, False))
    assert getattr(on, switch) > 0 and off == on._replace(**{switch: 0.0})


def test_only_silhouettes_need_masks():
    config = Config(preset="tiny", silhouette_size=32)
    assert "mask" in train_hamr.task(config).labels
    for name in ("silhouette", "mesh"):
        without = train_hamr.task(dataclasses.replace(config, **{name: False}))
        assert "mask" not in without.labels and without.pipeline["pictures"] == ("image",)


def test_a_size_that_does_not_divide_the_crop_is_refused():
    with pytest.raises(ValueError, match="silhouette_size must divide the 64 px of the crops, got 48"):
        train_hamr.task(Config(preset="tiny", silhouette_size=48))


def test_unknown_labels_count_for_nothing_whatever_they_hold():
    labels = crop_batches.crops(2, 64)
    batch = dict(labels)
    for axes in ("2d", "3d"):
        batch[f"keypoints_{axes}"] = batch[f"keypoints_{axes}"].at[1].set(jnp.nan)
        batch[f"keypoints_{axes}_valid"] = batch[f"keypoints_{axes}_valid"].at[1].set(False)
    batch["mask_valid"] = jnp.array([True, False])
    outputs = {
        "joints": labels["keypoints_3d"] - labels["keypoints_3d"][:, :1],
        "keypoints_2d": labels["keypoints_2d"] + 1.0,
        "heatmaps": hamr_objective.heatmaps_of(labels)[0][:, None],
        "mask": hamr_objective.masks_of(labels, 16)[0][:, None] - 0.5,
    }
    scores = jax.device_get(jax.jit(hamr_objective.score)(outputs, batch))
    hands, keypoints = ("pa_error_mm", "mask_iou"), ("joint_error_mm", "pixel_error", "pck")
    assert [scores[name].number for name in (*hands, *keypoints)] == [1, 1, 21, 21, 21]
    expected = {"pixel_error": 21 * 2**0.5, "joint_error_mm": 0, "pa_error_mm": 0, "pck": 21, "mask_iou": 1}
    for name, total in expected.items():
        np.testing.assert_allclose(scores[name].total, total, atol=2e-2, err_msg=name)


def test_a_left_hand_is_trained_on_as_the_right_one_that_it_mirrors():
    left = crop_batches.crops(2, SIZE, flip=True)
    seen = []
    for batch in (BATCH, left):
        slots = {name: value if name in OF_PICTURE else value[:, None] for name, value in batch.items()}
        cut = jax.jit(jax.vmap(lambda example: targets.crop_example(example, 0, SIZE)))(slots)
        maps, _ = hamr_objective.heatmaps_of(cut)
        seen.append((cut["keypoints_3d"], maps, cut["mask"], cut["side"]))
    for mine, other in zip(*seen, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-4)


@pytest.fixture(scope="module")
def task():
    config = Config(**{**train_hamr.PRESETS["small"], "preset": "small", "silhouette_size": 16})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_hamr, "NETWORKS", {"small": NETWORK})
        return train_hamr.task(config), drawn(NETWORK)


def test_a_launch_makes_a_step_by_rmsprop(task):
    made, variables = task
    before, after, metrics = crop_batches.updated(made, variables, BATCH)
    json.dumps({name: float(value) for name, value in metrics.items()}, allow_nan=False)
    rate, slope = 2e-4, after.params["hamr"]["regressor"]["6"]["bias"] - before.params["hamr"]["regressor"]["6"]["bias"]
    # The first step of RMSprop: the gradient over a tenth of its size.
    np.testing.assert_allclose(np.abs(slope), 10 * rate, rtol=1e-2)
    assert not after.halted and after.plateau.scale == 1.0


def test_scores_go_with_what_the_network_puts_out(task):
    made, variables = task
    means = crop_batches.assert_scores_go_with_outputs(made, variables, BATCH)
    assert 0 < means["pa_error_mm"] < means["joint_error_mm"]
    assert 0 <= means["pck"] <= 1 and 0 < means["mask_iou"] <= 1


def test_the_loss_is_the_papers_weighted_sum(pulls):
    means, _ = pulls
    weights = train_hamr.weights(Config())
    expected = sum(
        weight * means[name]
        for name, weight in (
            *(("joint_3d", 1000), ("joint_2d", 1), ("geometric", 1), ("camera", 0.1), ("heatmap", 100)),
            *(("silhouette", 10), ("betas", 1e-3)),
        )
    )
    np.testing.assert_allclose(float(weighted(means, weights)), expected, rtol=1e-5)
