"""The multi-hand network's objective: all terms alive, empty slots without a say, first-stage heads left alone."""

import io
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from chex import assert_trees_all_close
from flax import linen as nn

from handjax import mano
from handjax.losses import means_of
from handjax.losses import multihand as losses
from handjax.models import multihand_objective, multihand_scores
from handjax.models.multihand import PRESETS
from handjax.models.multihand_decode import HAND_NUMBERS, DetectedHands, pose_hands, scores
from handjax.train import AXIS, Optimiser, part, start, train_step
from launch import train_multihand
from launch.training import run
from tests import cheap

SIZE, SLOTS = 64, 3
KEY = jax.random.key(0)
IMAGE = jax.ShapeDtypeStruct((2, SIZE, SIZE, 3), jnp.float32)


class Maps(nn.Module):
    """All maps of the network at little cost: of squares of 8 px."""

    stride: int = 8
    center_channels: int = 1

    @nn.compact
    def __call__(self, image, train=False):
        x = image.reshape(len(image), 8, 8, 8, 8, 3).transpose(0, 1, 3, 2, 4, 5).reshape(len(image), 8, 8, 192)
        numbers = {"centers": 1, "sides": 2, "params": HAND_NUMBERS, "texture": 3 * 778, "light": 27}
        outputs = {name: nn.Dense(count, name=f"{name}_head")(x) for name, count in numbers.items()}
        fine = image.reshape(len(image), 32, 2, 32, 2, 3).mean((2, 4))
        return outputs | {"keypoint_maps": scores(nn.Dense(21, name="keypoint_maps_head")(fine))}


NETWORK: Any = Maps()


def normal(random, *shape, scale=1.0):
    return (scale * random.normal(size=shape)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    return mano.default()


@pytest.fixture(scope="module")
def batch(model):
    """Two pictures of two hands and of one, left ones too, seen by the published camera; the rest is noise."""
    random, lead = np.random.default_rng(3), (2, SLOTS)
    valid = np.array([[True, True, False], [True, False, False]])
    betas, turn, bent = (normal(random, *lead, n, scale=scale) for n, scale in ((10, 0.3), (3, 1.0), (45, 0.3)))
    transl = np.array([0.0, 0.0, 3.0], np.float32) + normal(random, *lead, 3, scale=0.1)
    params = mano.HandParams(*map(jnp.asarray, (betas, turn, bent, transl)))
    side = np.array([[0, 1, 0], [1, 0, 0]], np.int32)
    posed = jax.vmap(partial(multihand_objective.pose, model))(params, jnp.asarray(side))
    pixels = np.asarray(posed.placed_joints[..., :2] / posed.placed_joints[..., 2:] * 512 + SIZE / 2)
    pixels = np.clip(pixels, 2, SIZE - 2)
    mask = np.zeros((2, SIZE, SIZE), np.int8)
    mask[:, 10:50, 12:44] = 1
    every = np.broadcast_to(valid[..., None], (*lead, 21))
    return {
        "image": random.integers(0, 256, (2, SIZE, SIZE, 3)).astype(np.uint8),
        **{"valid": valid, "side": side, "side_valid": valid, "mano_valid": valid},
        **{name: np.asarray(value) for name, value in params._asdict().items()},
        "keypoints_2d": pixels.astype(np.float32),
        "keypoints_3d": np.asarray(posed.placed_joints),
        **{"keypoints_2d_valid": every, "keypoints_3d_valid": every},
        "box": np.concatenate([pixels.min(2), pixels.max(2)], -1).astype(np.float32),
        **{"mask": mask, "mask_valid": np.ones(2, bool)},
    }


def with_anything(batch):
    """The same batch with other hands, or none at all, where no hands are."""
    changed = {}
    for name, value in batch.items():
        if value.shape[:2] == (2, SLOTS) and value.dtype == np.float32:
            empty = batch["valid"].reshape(2, SLOTS, *(1,) * (value.ndim - 2))
            value = np.where(empty, value, np.float32(np.nan))
        changed[name] = np.where(batch["valid"], value, 1 - value) if name == "side" else value
    return changed


@pytest.fixture(scope="module")
def variables():
    """Hands not far from rest, in the middle of their cells."""
    drawn = cheap.filled(cheap.shapes(NETWORK, IMAGE), 5)
    for head in ("params_head", "texture_head", "light_head"):
        drawn["params"][head]["kernel"] *= 0.02
    return {collection: {"multihand": tree} for collection, tree in drawn.items()}


@pytest.fixture(scope="module")
def measured(model, variables, batch):
    """batch, which term -> means of all terms, scores, and the norm of that term's gradient."""

    def measure(variables, batch, which):
        def means(params):
            outcome = multihand_objective.multihand(
                *(NETWORK, model, variables | {"params": params}, batch, KEY),
                train=True,
                full=True,
                render_size=16,
            )
            return means_of(outcome.terms), multihand_scores.score(outcome.outputs, batch)

        values, pull, scores = jax.vjp(means, variables["params"], has_aux=True)
        (gradient,) = pull({name: jnp.where(which == n, 1.0, 0.0) for n, name in enumerate(sorted(values))})
        return values, scores, optax.tree.norm(gradient)

    function = cheap.compiled(measure, variables, batch, jnp.zeros((), jnp.int32))
    return lambda batch, which=0: jax.device_get(function(variables, batch, jnp.int32(which)))


def test_every_term_has_a_value_and_a_gradient(measured, batch):
    means, _, _ = measured(batch)
    named = {name for name in losses.MultiHandWeights._fields if not name.endswith("_squares")}
    assert means.keys() == named
    norms = {name: measured(batch, which)[2] for which, name in enumerate(sorted(means))}
    assert all(np.isfinite(value) for value in (*means.values(), *norms.values())), (means, norms)
    assert not [name for name, norm in norms.items() if norm == 0]


def test_what_stands_in_empty_slots_has_no_say(measured, batch):
    expected, found = measured(batch, 5), measured(with_anything(batch), 5)
    assert_trees_all_close(found, expected, rtol=1e-5)


def test_left_hands_are_those_of_the_left_model(model, batch):
    params = mano.HandParams(*(jnp.asarray(batch[name][0]) for name in mano.HandParams._fields))
    sides, blank = jnp.asarray(batch["side"][0]), jnp.zeros(SLOTS)
    hands = DetectedHands(blank > 0, blank, sides, blank, jnp.zeros((SLOTS, 2)), params, None, None)
    found, expected = jax.jit(lambda: (multihand_objective.pose(model, params, sides), pose_hands(model, hands)))()
    np.testing.assert_allclose(found.placed_vertices, expected.vertices, atol=1e-5)
    np.testing.assert_allclose(found.placed_joints, mano.keypoints_of(model, expected), atol=1e-5)


@pytest.fixture(scope="module")
def scored(model, batch):
    """The scores of who knows all, and of the best answer that does not look."""

    def both(batch):
        labels = multihand_objective.center_maps_of(batch, 8)
        logits = jax.scipy.special.logit(jnp.clip(labels.centers, 1e-4, 1 - 1e-4))
        truth = {"keypoints_2d": batch["keypoints_2d"], "joints": batch["keypoints_3d"], "centers": logits}
        constant = multihand_scores.constant(multihand_scores.prior(model, batch), batch)
        answers = {"truth": truth | {"sides": labels.sides}, "constant": constant}
        return {name: means_of(multihand_scores.score(answer, batch)) for name, answer in answers.items()}

    return jax.device_get(cheap.compiled(both, batch)(batch))


def test_true_answers_have_perfect_scores(scored):
    for name in ("center_recall", "center_precision", "pck", "side_accuracy"):
        assert scored["truth"][name] == pytest.approx(1.0), name
    for name in ("pixel_error", "pa_error_mm", "joint_error_mm"):
        assert scored["truth"][name] == pytest.approx(0.0, abs=1e-2), name


def test_the_constant_answer_is_as_good_as_the_hands_are_alike(scored):
    constant = scored["constant"]
    assert all(np.isfinite(value) for value in constant.values())
    assert 1 < constant["pa_error_mm"] < 100 and constant["pixel_error"] > 1
    # Of three hands two are left.
    assert constant["side_accuracy"] == pytest.approx(1 / 3) or constant["side_accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "distances, found",
    [
        ([[0.1, 0.2], [0.3, 0.9]], [1, 1]),
        ([[0.1, 2.0], [0.2, 2.0]], [1, 0]),
        ([[1.1, 1.2], [5.0, 0.4]], [0, 1]),
    ],
)
def test_each_peak_finds_one_hand_and_none_beyond_its_reach(distances, found):
    both = jnp.ones(2, bool)
    assert multihand_scores.matched(jnp.array(distances), both, both).tolist() == found
    assert multihand_scores.matched(jnp.array(distances), ~both, both).tolist() == [0, 0]


@pytest.mark.slow
def test_heads_that_the_first_stage_does_not_train_stay_as_they_are(model, variables, batch):
    heads = ("multihand/centers_head", "multihand/sides_head")
    state = start(variables, OPTIMISER, frozen=heads)
    objective = partial(multihand_objective.multihand, NETWORK, model, locate=False)
    step = train_step(objective, losses.PAPER, OPTIMISER, frozen=heads)
    mapped = jax.pmap(step, axis_name=AXIS, in_axes=(None, 0, None), out_axes=None, devices=jax.devices()[:1])
    after, metrics = jax.device_get(mapped(state, jax.tree.map(lambda leaf: leaf[None], batch), KEY))
    assert {"reprojection", "bone_direction", "pose_range", "shape"} <= metrics.keys()
    assert not {"center", "side", "consistency"} & metrics.keys()
    before, after = state.params["multihand"], after.params["multihand"]
    same = {name: np.array_equal(after[name]["kernel"], before[name]["kernel"]) for name in before}
    assert same["centers_head"] and same["sides_head"] and not same["params_head"]


def test_the_first_stage_freezes_the_heads_that_locate_hands():
    params = cheap.shapes(PRESETS["tiny"], IMAGE)["params"]
    moving, still = part({"multihand": params}, FROZEN)
    assert still["multihand"].keys() == {"hm.0", "hm.2", "handmap.0", "handmap.2"}
    assert not still["multihand"].keys() & moving["multihand"].keys()


FROZEN = train_multihand.task(train_multihand.Config(preset="tiny", stage="crops")).frozen
OPTIMISER = Optimiser(optax.scale_by_adam(), lambda step: 1e-3)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"stage": "hands"}, "--stage must be"),
        ({"size": 70}, "--size must be a multiple of 32, got 70"),
        ({"least_hand": 0.9}, r"--least_hand must lie in \(0, 0.625\], got 0.9"),
        ({"hands": 0}, "--hands must be at least 1, got 0"),
        ({"render_size": 50}, "--render_size must divide the 64 px of the pictures, got 50"),
    ],
)
def test_settings_that_do_not_go_together_are_named(changes, said):
    with pytest.raises(ValueError, match=said):
        train_multihand.task(train_multihand.Config(**{"preset": "tiny", "render_size": 32, **changes}))


@pytest.mark.slow
def test_both_stages_run_one_after_the_other(tmp_path):
    settings = {**train_multihand.PRESETS["tiny"], "preset": "tiny", "steps": 2, "batch_size": 4, "log_every": 1}
    settings |= {"evaluate_every": 0, "evaluate_batches": 1, "tensorboard": False}
    for stage in train_multihand.STAGES:
        config = train_multihand.Config(
            **settings, stage=stage, crops=str(tmp_path / "crops"), out=str(tmp_path / stage)
        )
        result = run(config, train_multihand.task, stream=io.StringIO())
        assert np.isfinite(result["pixel_error"]) and np.isfinite(result["gain"])
