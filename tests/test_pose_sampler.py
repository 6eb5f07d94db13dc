"""Random poses: inside the limits, coupled as fingers are, seldom through each other; and the capsules that tell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handjax import mano
from handjax.mano import capsules, pose_sampler
from handjax.mano.pose_library import named_angles
from handjax.mano.sides import mirror_axis_angle
from tests import toy

COUNT = 600
DRAW = jax.jit(jax.vmap(mano.sample_pose, (0, None)))
DRAW_ONCE = jax.jit(jax.vmap(lambda key, model: mano.sample_pose(key, model, tries=1), (0, None)))
DEGREES = jax.jit(jax.vmap(pose_sampler.sample_degrees, (0, None)))
PENETRATION = jax.jit(jax.vmap(capsules.penetration, (None, 0)))


@pytest.fixture(scope="module")
def model():
    return mano.default()


@pytest.fixture(scope="module")
def bodies(model):
    return jax.jit(capsules.capsules_of)(model)


@pytest.fixture(scope="module")
def poses(model):
    return DRAW(jax.random.split(jax.random.key(7), COUNT), model)


@pytest.fixture(scope="module")
def angles(model, poses):
    """(COUNT, 5, 3, 3) degrees by finger, joint and axis."""
    return np.rad2deg(np.asarray(mano.angles_from_pose(model, poses))).reshape(COUNT, 5, 3, 3)


def test_poses_lie_inside_the_limits_and_fill_them(model, poses):
    drawn = np.asarray(mano.angles_from_pose(model, poses))
    lower, upper = np.moveaxis(np.asarray(model.joint_limits), -1, 0)
    assert (drawn >= lower - 1e-4).all() and (drawn <= upper + 1e-4).all()
    reached = (drawn.max(0) - drawn.min(0)) / (upper - lower)
    assert reached[:, 0].min() > 0.8
    assert reached.min() > 0.5


def test_poses_are_a_function_of_the_key(model, poses):
    again = DRAW(jax.random.split(jax.random.key(7), COUNT), model)
    np.testing.assert_array_equal(poses, again)
    assert np.abs(np.diff(poses, axis=0)).max(1).min() > 1e-3


def test_end_joints_follow_middle_joints(angles):
    for finger in range(4):
        assert np.corrcoef(angles[:, finger, 1, 0], angles[:, finger, 2, 0])[0, 1] > 0.55


def test_neighbours_close_together_more_than_fingers_apart(angles):
    closing = angles[:, :4, :, 0].sum(-1)[:, pose_sampler.ACROSS]
    correlation = np.corrcoef(closing.T)
    assert np.diag(correlation, 1).min() > 0.35
    assert np.diag(correlation, 1).mean() > np.diag(correlation, 3).mean()


def test_fingers_spread_less_when_they_are_bent(angles):
    knuckle, sideways = angles[:, :4, 0, 0], angles[:, :4, 0, 1]
    assert sideways[knuckle > 60].std() < 0.75 * sideways[knuckle < 15].std()


def test_the_thumb_opposes_by_turning_inwards_and_more_as_a_free_hand_closes(angles):
    assert np.corrcoef(angles[:, 4, 0, 0], angles[:, 4, 0, 2])[0, 1] < -0.4
    free = np.asarray(DEGREES(jax.random.split(jax.random.key(1), COUNT), 0.0)).reshape(COUNT, 5, 3, 3)
    assert np.corrcoef(free[:, :4, :, 0].sum((1, 2)), free[:, 4, 0, 0])[0, 1] > 0.2


def test_few_poses_push_fingers_through_each_other(bodies, poses):
    deepest = np.asarray(PENETRATION(bodies, poses)).max(1)
    assert (deepest > 0.003).mean() < 0.06


def test_a_single_try_pushes_more(model, bodies):
    once = DRAW_ONCE(jax.random.split(jax.random.key(7), COUNT), model)
    deepest = np.asarray(PENETRATION(bodies, once)).max(1)
    assert (deepest > 0.003).mean() > 0.2


def test_named_one_stays_near_the_library():
    known = np.stack([named_angles(name) for name in mano.POSE_NAMES])
    degrees = DEGREES(jax.random.split(jax.random.key(1), COUNT), 1.0)
    nearest = np.sqrt(((np.deg2rad(degrees)[:, None] - known) ** 2).mean((2, 3))).min(1)
    # Half are named poses with a few degrees of noise, half are blends.
    assert (np.rad2deg(nearest) < 5.0).mean() > 0.5


def test_a_left_hand_draws_mirror_images(model):
    keys = jax.random.split(jax.random.key(3), COUNT)
    right, left = DRAW_ONCE(keys, model), DRAW_ONCE(keys, mano.mirror(model))
    np.testing.assert_allclose(left, mirror_axis_angle(right), atol=1e-5)


def test_bad_models_and_tries_are_refused(model):
    small = mano.build(**toy.arrays(parents=np.array((-1, 0, 1)), vertices=40, faces=60), keypoint_ids=tuple(range(8)))
    with pytest.raises(ValueError, match="MANO's 16 joints, got 3"):
        mano.sample_pose(jax.random.key(0), small)
    with pytest.raises(ValueError, match="tries must be at least 1, got 0"):
        mano.sample_pose(jax.random.key(0), model, tries=0)


def test_capsules_are_as_thick_as_fingers(bodies):
    radii = 1000 * np.asarray(bodies.radii)
    assert (radii[:15] > 5).all() and (radii[:15] < 17).all()
    for finger in range(5):
        assert radii[3 * finger] >= radii[3 * finger + 1] >= radii[3 * finger + 2] > 0


def test_the_flat_hand_overlaps_nowhere_and_a_finger_through_another_does(model, bodies):
    crossed = np.zeros((15, 3), np.float32)
    crossed[0, 1], crossed[3, 1] = np.deg2rad([-20.0, 20.0])
    flat, through = PENETRATION(bodies, jnp.stack([jnp.zeros(45), mano.pose_from_angles(model, crossed)]))
    np.testing.assert_allclose(flat, 0.0, atol=1e-7)
    assert through.max() > 0.005


point = st.tuples(*[st.floats(-1.0, 1.0, width=32)] * 3)


@settings(max_examples=60, deadline=None)
@given(st.tuples(point, point, point, point))
def test_segment_distance_is_the_least_over_all_pairs_of_points(ends):
    a0, a1, b0, b1 = np.array(ends, np.float64)
    share = np.linspace(0.0, 1.0, 201)[:, None]
    on_a, on_b = a0 + share * (a1 - a0), b0 + share * (b1 - b0)
    sampled = np.linalg.norm(on_a[:, None] - on_b, axis=-1).min()
    exact = float(capsules.segment_distance(*jnp.asarray(ends, jnp.float32)))
    step = (np.linalg.norm(a1 - a0) + np.linalg.norm(b1 - b0)) / 200
    assert sampled - step - 1e-3 <= exact <= sampled + 1e-3
