"""BiHand's objectives: every term has a value, what is frozen stays, what is not labelled is left out."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from chex import assert_trees_all_equal

from handjax.losses import bihand, mean_of
from handjax.models import liftnet, liftnet_objective, seednet, seednet_objective, siknet, siknet_objective
from handjax.models.layers import Compute
from handjax.models.objective import together
from handjax.train import AXIS, Optimiser, start, train_step
from tests.cheap import QUICKLY, filled, shapes

SIZE, COUNT = 32, 2
COMPUTE = Compute(axis_name=AXIS)
SEEDNET = seednet.SeedNet(stacks=1, features=8, depth=1, compute=COMPUTE)
LIFTNET = liftnet.LiftNet(volume_depths=(4,), features=8, depth=1, compute=COMPUTE)
SIKNET = siknet.SIKNet((16,), (16,), compute=COMPUTE)
KEY = jax.random.key(0)


def crops(seed=0):
    """Labels that belong together, of hands that are dots."""
    random = np.random.default_rng(seed)
    joints = random.uniform(-0.05, 0.05, (COUNT, 21, 3)) + [0.0, 0.0, 0.5]
    focal, middle = 100.0, SIZE / 2
    pixels = focal * joints[..., :2] / joints[..., 2:] + middle
    matrix = np.array([[focal, 0, middle], [0, focal, middle], [0, 0, 1]])
    mask = np.zeros((COUNT, SIZE, SIZE), np.int8)
    mask[:, 8:24, 8:24] = 1
    depth = np.where(mask > 0, np.linspace(0.47, 0.53, SIZE)[None, None], 0.0)
    valid = {name: np.ones(COUNT, bool) for name in ("mask_valid", "depth_valid", "intrinsics_valid")}
    points = {name: np.ones((COUNT, 21), bool) for name in ("keypoints_2d_valid", "keypoints_3d_valid")}
    labels = {
        "image": random.integers(0, 256, (COUNT, SIZE, SIZE, 3)).astype(np.uint8),
        "keypoints_2d": pixels.astype(np.float32),
        "keypoints_3d": joints.astype(np.float32),
        "intrinsics": np.broadcast_to(matrix, (COUNT, 3, 3)).astype(np.float32),
        "mask": mask,
        "depth": depth.astype(np.float32),
    }
    return jax.tree.map(jnp.asarray, labels | valid | points)


def variables(*names):
    """Of the networks, drawn without their initialisation being compiled."""
    cells, image = SIZE // 4, jnp.zeros((2, SIZE, SIZE, 3))
    arguments = {
        "seednet": (SEEDNET, image),
        "liftnet": (
            LIFTNET,
            jnp.zeros((2, cells, cells, 21)),
            jnp.zeros((2, cells, cells)),
            jnp.zeros((2, cells, cells, 8)),
        ),
        "siknet": (SIKNET, jnp.zeros((2, 21, 3))),
    }
    made = [
        {collection: {name: tree} for collection, tree in filled(shapes(*arguments[name])).items()} for name in names
    ]
    return together(*made)


def stepped(objective, weights, state, batch, frozen=()):
    """One update on one device."""
    optimiser = Optimiser(optax.scale_by_adam(), lambda step: 1e-3)
    step = train_step(objective, weights, optimiser, frozen=frozen)
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), (AXIS,))
    none, first = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec(AXIS)
    mapped = jax.jit(jax.shard_map(step, mesh=mesh, in_specs=(none, first, none), out_specs=none))
    return mapped.lower(state, batch, KEY).compile(QUICKLY)(state, batch, KEY)


def checked(objective, weights, names, batch, terms, frozen=()):
    """One step moves what is not frozen, by terms that all have a value."""
    optimiser = Optimiser(optax.scale_by_adam(), lambda step: 1e-3)
    state = start(variables(*names), optimiser, frozen=frozen)
    new, metrics = stepped(objective, weights, state, batch, frozen)
    assert terms == metrics.keys() - {"loss", "gradient_norm", "learning_rate"}
    for name in (*terms, "loss", "gradient_norm"):
        assert np.isfinite(metrics[name]) and metrics[name] > 0, name
    for name in names:
        if name in frozen:
            assert_trees_all_equal(state.params[name], new.params[name])
            assert_trees_all_equal(state.batch_stats.get(name), new.batch_stats.get(name))
        else:
            moved = jax.tree.map(lambda old, now: bool((old != now).any()), state.params[name], new.params[name])
            assert any(jax.tree.leaves(moved))
    return state, metrics


@pytest.fixture(scope="module")
def batch():
    return crops()


def test_seednet_is_trained_on_heat_maps_and_silhouettes(batch):
    objective = partial(seednet_objective.seednet, SEEDNET)
    checked(objective, bihand.RELEASED, ("seednet",), batch, {"heatmap", "silhouette"})


def test_liftnet_is_trained_on_joints_and_depth_with_seednet_frozen(batch):
    objective = partial(liftnet_objective.liftnet, SEEDNET, LIFTNET)
    names = ("seednet", "liftnet")
    checked(objective, bihand.RELEASED, names, batch, {"joint", "depth"}, frozen=("seednet",))


def test_siknet_is_trained_on_rotations_joints_and_shape(toy_model):
    joints = jax.random.normal(KEY, (COUNT, 21, 3)) * 0.05
    quaternions = jax.random.normal(KEY, (COUNT, 16, 4))
    quaternions = quaternions / jnp.linalg.norm(quaternions, axis=-1, keepdims=True)
    labels = {"joints": joints, "quaternions": quaternions, "betas": jnp.zeros((COUNT, 10))}
    terms = {"quaternion_norm", "quaternion_cosine", "quaternion_l2", "joint", "bone_length", "betas"}
    checked(partial(siknet_objective.siknet, SIKNET, toy_model), bihand.PAPER, ("siknet",), labels, terms)


def test_siknet_is_fine_tuned_on_what_frozen_networks_find(batch, toy_model):
    objective = partial(siknet_objective.siknet_fine_tuning, SEEDNET, LIFTNET, SIKNET, toy_model)
    terms = {"quaternion_norm", "joint", "bone_length", "betas"}
    names, frozen = ("seednet", "liftnet", "siknet"), ("seednet", "liftnet")
    checked(objective, bihand.RELEASED_FINE_TUNING, names, batch, terms, frozen)


def test_right_answers_score_full_marks(batch, toy_model):
    # On values of the maps, which stand 4 px apart from 0.5 on.
    snapped = {**batch, "keypoints_2d": 0.5 + 4.0 * jnp.round((batch["keypoints_2d"] - 0.5) / 4.0)}
    maps, _ = seednet_objective.heatmaps_of(snapped)
    masks, _ = seednet_objective.masks_of(batch)
    found = seednet_objective.score({"heatmaps": maps[:, None], "mask": masks[:, None] - 0.5}, snapped)
    assert {name: round(float(mean_of(pair)), 4) for name, pair in found.items()} == {
        "pck": 1.0,
        "pixel_error": 0.0,
        "mask_iou": 1.0,
    }
    depth, _ = liftnet_objective.depths_of(batch)
    placed = {"joints": batch["keypoints_3d"][:, None], "depth": depth[:, None]}
    for name, pair in liftnet_objective.score(placed, batch).items():
        np.testing.assert_allclose(mean_of(pair), 0.0, atol=1e-3, err_msg=name)


def test_shares_of_the_right_keypoints_are_placed_where_they_are(batch):
    from handjax import targets

    uvd, valid = jax.vmap(lambda two, three: targets.uvd(two, three, crop=SIZE))(
        batch["keypoints_2d"], batch["keypoints_3d"]
    )
    assert valid.all()
    placed = liftnet_objective.placed(uvd[:, None], batch)
    np.testing.assert_allclose(placed[:, 0], batch["keypoints_3d"], atol=2e-6)


def test_what_is_not_labelled_counts_for_nothing(batch):
    unlabelled = dict(batch) | {
        name: jnp.zeros_like(batch[name]) for name in ("keypoints_3d_valid", "depth_valid", "intrinsics_valid")
    }
    joints, valid = liftnet_objective.joints_of(unlabelled)
    assert not valid.any()
    _, known = liftnet_objective.depths_of(unlabelled)
    assert not known.any()
    placed = liftnet_objective.placed(jnp.full((COUNT, 1, 21, 3), 0.5), unlabelled)
    assert np.isfinite(placed).all()


def test_rotation_errors_are_angles_between_rotations(toy_model):
    half = np.radians(20.0) / 2
    identity = jnp.zeros((1, 16, 4)).at[..., 0].set(1.0)
    axes = jnp.concatenate([jnp.array([[1.0, 0, 0]]), jnp.asarray(toy_model.joint_axes)[:, 2]])
    twisted = jnp.concatenate([jnp.full((16, 1), np.cos(half)), np.sin(half) * axes], -1)[None]
    # -q is the same rotation, and length does not matter to what a network puts out.
    labels = {"joints": jnp.zeros((1, 21, 3)), "quaternions": identity}
    found = siknet_objective.score(toy_model, {"joints": labels["joints"], "quaternions": -3.0 * twisted}, labels)
    np.testing.assert_allclose(mean_of(found["rotation_error_deg"]), 20.0, rtol=1e-4)
    np.testing.assert_allclose(mean_of(found["twist_error_deg"]), 20.0, rtol=1e-4)
    assert float(mean_of(found["joint_error_mm"])) == 0.0
