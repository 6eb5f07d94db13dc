"""DeepHandMesh's objectives: all terms alive, a decoder that stays, and a best constant answer that is one."""

import io
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from chex import assert_trees_all_close, assert_trees_all_equal

from handjax import mano
from handjax.losses import deephandmesh as losses
from handjax.losses import means_of
from handjax.models import deephandmesh_objective as objective
from handjax.models.deephandmesh import PRESETS
from handjax.models.deephandmesh_decode import Motion, decode, moved
from handjax.models.hand_template import template_of
from handjax.models.layers import Compute
from handjax.rotations import matrix_from_axis_angle
from handjax.train import AXIS, Optimiser, start, train_step
from launch import train_deephandmesh
from launch.training import run as train
from tests import cheap

SIZE, VIEWS = 32, 2
TEMPLATE = template_of(mano.detailed(mano.default()))
NETWORK = PRESETS["tiny"].clone(vertices=778, width=4, features=8)
IMAGE, CODE = jax.ShapeDtypeStruct((2, SIZE, SIZE, 3), jnp.float32), jax.ShapeDtypeStruct((32,), jnp.float32)
CLOSED = 0.55
"""Before the network's tanh: 1.57 radians."""
KEY = jax.random.key(0)
OPTIMISER = Optimiser(optax.scale_by_adam(), lambda step: 1e-3)
DECODER = train_deephandmesh.DECODER


def variables_of(network=NETWORK):
    """Of a fist, whose fingertips are in the palm, with small correctives."""
    drawn = cheap.filled(cheap.shapes(network, IMAGE, CODE), 3)
    for head in ("pose_net.fc.0", "skin_refine_net.fc_pose.2", "skin_refine_net.fc_id.2"):
        drawn["params"][head]["kernel"] *= 0.3
    drawn["params"]["pose_net.fc.0"]["bias"] += np.float32(CLOSED) * (network.angle_slots % 3 == 2)
    nested = {collection: {"deephandmesh": tree} for collection, tree in drawn.items()}
    code = np.random.default_rng(1).normal(size=32).astype(np.float32)
    return nested | {"identity": {"deephandmesh": {"code": code}}}


@pytest.fixture(scope="module")
def batch():
    """A fist and an open hand that is a fifth larger, each turned, before two cameras."""
    angles = np.zeros((2, 22, 3), np.float32)
    angles[0, NETWORK.angle_slots // 3, 2] = 1.1
    zeros = {
        "skeleton_mm": jnp.zeros((22, 3)),
        **dict.fromkeys(("pose_skin_mm", "identity_skin_mm"), jnp.zeros((778, 3))),
    }
    turns = matrix_from_axis_angle(jnp.array([[0.3, 1.0, -0.4], [2.0, 0.5, 0.1]]))

    def posed(angles, turn, scale):
        hand = decode(TEMPLATE, {"angles": angles, **zeros}, NETWORK, Motion(turn, jnp.array([0.1, -0.2, 0.05])))
        return scale * hand.joints, scale * hand.vertices

    joints, vertices = jax.vmap(posed)(angles, turns, jnp.array([1.0, 1.2]))
    forward = jnp.array([[0.0, 0.0, 0.6], [0.02, 0.0, 0.7]])
    labels = {
        "image": np.random.default_rng(2).integers(0, 256, (2, SIZE, SIZE, 3)).astype(np.uint8),
        "joints": np.asarray(joints),
        "joints_valid": np.tile(train_deephandmesh.labelled(NETWORK), (2, 1)),
        "angles": angles,
        "focal": np.full((2, VIEWS, 2), 70.0, np.float32),
        "center": np.full((2, VIEWS, 2), SIZE / 2, np.float32),
        "rotation": np.tile(np.eye(3, dtype=np.float32), (2, VIEWS, 1, 1)),
        "translation": np.asarray(forward[None] - joints.mean(1)[:, None]),
        "depth": np.zeros((2, VIEWS, SIZE, SIZE), np.float32),
    }
    depth, complete = jax.jit(partial(objective.depths, TEMPLATE))(vertices, labels)
    assert np.all(np.asarray(complete) == 1) and np.all((np.asarray(depth) > 0).any((2, 3)))
    return labels | {"depth": np.asarray(depth)}


@pytest.fixture(scope="module")
def measured(batch):
    """batch, which term -> means of all terms, scores, and the norm of that term's gradient."""
    surface = objective.touching(TEMPLATE, NETWORK)

    def measure(variables, batch, which):
        def means(params):
            outcome = objective.model(
                NETWORK, TEMPLATE, surface, variables | {"params": params}, batch, KEY, train=True
            )
            return means_of(outcome.terms), objective.score(outcome.outputs, batch)

        values, pull, scores = jax.vjp(means, variables["params"], has_aux=True)
        (gradient,) = pull({name: jnp.where(which == n, 1.0, 0.0) for n, name in enumerate(sorted(values))})
        return values, scores, optax.tree.norm(gradient)

    variables = variables_of()
    function = cheap.compiled(measure, variables, batch, jnp.zeros((), jnp.int32))
    return lambda batch, which=0: jax.device_get(function(variables, batch, jnp.int32(which)))


def test_every_term_has_a_value_and_a_gradient(measured, batch):
    means, scores, _ = measured(batch)
    assert means.keys() == set(losses.DeepHandMeshWeights._fields)
    norms = {name: measured(batch, which)[2] for which, name in enumerate(sorted(means))}
    assert all(np.isfinite(value) for value in (*means.values(), *norms.values())), (means, norms)
    assert not [name for name, norm in norms.items() if norm == 0]
    assert scores["depth_error_mm"].number > 0


def test_joints_without_a_label_have_no_say(measured, batch):
    valid = batch["joints_valid"].copy()
    valid[:, NETWORK.joints.index("ring_null")] = 0
    fewer = {**batch, "joints_valid": valid}
    noise = np.where(valid[..., None] > 0, batch["joints"], np.float32(7.0))
    assert_trees_all_close(measured({**fewer, "joints": noise}, 3), measured(fewer, 3), rtol=1e-5)


@pytest.fixture(scope="module")
def answers():
    def answer(batch):
        mean = objective.prior(NETWORK, TEMPLATE, batch)
        return objective.score(objective.constant(NETWORK, TEMPLATE, mean, batch), batch)

    return jax.jit(answer)


def test_the_constant_answer_of_one_pose_is_that_pose_wherever_it_is_and_however_large(answers, batch):
    same = jax.tree.map(lambda leaf: np.repeat(leaf[:1], 2, 0), batch)
    joints, depth = batch["joints"][0], batch["depth"][:1]
    turn = np.asarray(matrix_from_axis_angle(jnp.array([0.2, -0.7, 0.4])))
    away = Motion(jnp.asarray(turn), jnp.array([0.3, 0.1, 0.0]))
    same["joints"][1] = 1.3 * np.asarray(moved(jnp.asarray(joints), away))
    # The second camera stands still: of the second hand it sees something else, which is left out.
    same["depth"] = np.concatenate([depth, 0 * depth])
    scores = {name: float(total / number) for name, (total, number) in answers(same).items()}
    assert scores["joint_error_mm"] < 0.01 and scores["depth_error_mm"] < 0.01
    mixed = {name: float(total / number) for name, (total, number) in answers(batch).items()}
    assert mixed["joint_error_mm"] > 10 and mixed["depth_error_mm"] > 2


def test_hands_of_anybody_are_compared_at_their_own_size(batch):
    labels = {name: batch[name] for name in ("image", "joints", "joints_valid")}
    step = partial(objective.encoder, NETWORK, TEMPLATE, variables_of(), key=KEY, train=False)
    once = jax.jit(lambda batch: step(batch).outputs["joints"])
    plain, larger = once(labels), once({**labels, "joints": 1.5 * labels["joints"]})
    np.testing.assert_allclose(larger, 1.5 * np.asarray(plain), atol=1e-5)


def test_a_frozen_decoder_stays_while_the_encoder_and_its_statistics_move(batch):
    network = NETWORK.clone(compute=Compute(axis_name=AXIS))
    labels = {name: jnp.asarray(batch[name])[None] for name in ("image", "joints", "joints_valid")}
    state = start(variables_of(network), OPTIMISER, frozen=DECODER)
    step = train_step(partial(objective.encoder, network, TEMPLATE), losses.RELEASED, OPTIMISER, frozen=DECODER)
    mapped = jax.pmap(step, axis_name=AXIS, in_axes=(None, 0, None), out_axes=None, devices=jax.devices()[:1])
    after, metrics = jax.device_get(mapped(state, labels, KEY))
    assert metrics["pose"] > 0 and not after.halted
    before, params = state.params["deephandmesh"], after.params["deephandmesh"]
    decoder = [name for name in before if name.startswith(("skeleton_refine_net", "skin_refine_net"))]
    assert len(decoder) == 6
    assert_trees_all_equal(*([tree[name] for name in decoder] for tree in (before, params)))
    assert_trees_all_equal(state.buffers, after.buffers)
    for name in before.keys() - set(decoder):
        moved_by = jax.tree.map(lambda one, other: float(np.abs(one - other).max()), before[name], params[name])
        assert max(jax.tree.leaves(moved_by)) > 0, name
    statistics = jax.tree.map(lambda one, other: float(np.abs(one - other).max()), state.batch_stats, after.batch_stats)
    assert min(jax.tree.leaves(statistics)) > 0


def test_a_new_encoder_stands_before_the_old_decoder_and_its_person():
    fresh, trained = ({**variables_of(), "identity": {"deephandmesh": {"code": code}}} for code in (0.0, 1.0))
    fresh["params"] = jax.tree.map(jnp.zeros_like, fresh["params"])
    mixed = objective.with_decoder(fresh, trained)
    norms = {name: float(optax.tree.norm(tree)) for name, tree in mixed["params"]["deephandmesh"].items()}
    assert {name for name, norm in norms.items() if norm == 0} == {
        "backbone_net.resnet",
        "backbone_net.fc.0",
        "pose_net.fc.0",
    }
    assert mixed["identity"] == trained["identity"]


def test_keypoints_of_sets_are_named_joints_and_a_set_has_one_camera():
    points = np.random.default_rng(0).normal(size=(2, 21, 3)).astype(np.float32)
    known = np.ones((2, 21), bool)
    known[1, 4] = False
    matrix = np.tile(np.array([[50, 0, 16], [0, 60, 17], [0, 0, 1]], np.float32), (2, 1, 1))
    examples = {
        **{"image": np.zeros((2, 32, 32, 3), np.uint8), "keypoints_3d": points, "keypoints_3d_valid": known},
        **{"depth": np.ones((2, 32, 32), np.float32), "depth_valid": np.array([True, False])},
        **{"intrinsics": matrix, "intrinsics_valid": np.ones(2, bool)},
    }
    batch = train_deephandmesh.prepare(NETWORK, KEY, examples)
    joints = dict(zip(NETWORK.joints, np.asarray(batch["joints"][1]), strict=True))
    valid = dict(zip(NETWORK.joints, np.asarray(batch["joints_valid"][1]).tolist(), strict=True))
    np.testing.assert_array_equal(joints["wrist"], points[1, 0])
    np.testing.assert_array_equal(joints["pinky_null"], points[1, 20])
    assert valid["thumb_null"] == valid["thumb0"] == 0 and valid["thumb1"] == valid["wrist"] == 1
    assert batch["focal"].tolist() == [[[50, 60]]] * 2 and batch["center"].tolist() == [[[16, 17]]] * 2
    assert batch["depth"].shape == (2, 1, 32, 32) and batch["depth"][0].min() == 1 and batch["depth"][1].max() == 0


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"stage": "decoder"}, "--stage must be"),
        ({"size": 50}, "--size must be a multiple of 32, got 50"),
        ({"depth_views": 9}, r"--depth_views must lie in \[1, --views=8\], got 9"),
        ({"stage": "encoder"}, "--model must name the run whose decoder --stage=encoder builds on, got none"),
    ],
)
def test_settings_that_do_not_go_together_are_named(changes, said):
    with pytest.raises(ValueError, match=said):
        train_deephandmesh.task(train_deephandmesh.Config(**{"preset": "tiny", "size": 64, **changes}))


@pytest.mark.slow
def test_both_stages_run_one_after_the_other(tmp_path):
    settings = {**train_deephandmesh.PRESETS["tiny"], "preset": "tiny", "steps": 2, "batch_size": 4, "log_every": 1}
    settings |= {"evaluate_every": 0, "evaluate_batches": 1, "tensorboard": False}
    for stage in train_deephandmesh.STAGES:
        config = train_deephandmesh.Config(
            **settings, stage=stage, model=str(tmp_path / "model"), out=str(tmp_path / stage)
        )
        result = train(config, train_deephandmesh.task, stream=io.StringIO())
        assert np.isfinite(result["joint_error_mm"]) and np.isfinite(result["gain"])
