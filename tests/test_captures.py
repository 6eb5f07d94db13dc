"""Captures of detailed hands: labels that agree with pictures, detail that skinning cannot make, people that stay."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from datasets.synthetic.capture_detail import DRIVES, activations, detail_fields, displacements, sample_detail
from datasets.synthetic.capture_rig import Rig, sample_rig
from datasets.synthetic.captures import CaptureHand, Captures, Pose, capture_batch, paled, pose_hand, subject
from handjax import mano, skin
from handjax.render import vertex_normals
from handjax.skin.texture import CHANNELS, pack

SIZE, VIEWS, POSES = (48, 56), 3, 2
KEY = jax.random.key(4)
BENT = np.array([axis == "z" and joint != "thumb0" for joint, axis in mano.DETAILED_ANGLES], np.float32)
"""A fist, more or less, for 1 radian."""


@cache
def hand() -> CaptureHand:
    """The coarse hand in even skin: what is drawn on it takes long to bake and is tested elsewhere."""
    model = mano.default()
    even = pack(jnp.full((len(CHANNELS), 16, 16), 0.5).at[-4:].set(0.0))
    return CaptureHand(model, mano.detailed(model), skin.skin_mesh(model), even, detail_fields(model))


@cache
def person():
    return subject(jax.random.key(7))


@cache
def captured(seed: int = 4) -> Captures:
    return capture_batch(jax.random.key(seed), person(), VIEWS, hand=hand(), poses=POSES, size=SIZE, supersample=1)


@cache
def poser():
    return jax.jit(partial(pose_hand, hand())), jax.jit(partial(pose_hand, hand(), detail=False))


def with_angles(angles: np.ndarray) -> Pose:
    return Pose(jnp.asarray(angles, jnp.float32), jnp.eye(3), jnp.zeros(3))


def detail_mm(angles: np.ndarray, someone) -> np.ndarray:
    """(V,) how far detail moves the skinned vertices."""
    full, plain = (pose(someone, with_angles(angles)).vertices for pose in poser())
    return np.linalg.norm(np.asarray(full, np.float64) - np.asarray(plain, np.float64), axis=1) * 1000.0


def seen(points: np.ndarray, capture: Captures, view: int) -> tuple[np.ndarray, np.ndarray]:
    """World points -> pixels and depth, by the labels alone, in float64."""
    K, R, t = (np.asarray(part[view], np.float64) for part in (capture.K, capture.R, capture.t))
    homogeneous = (points.astype(np.float64) @ R.T + t) @ K.T
    return homogeneous[:, :2] / homogeneous[:, 2:], homogeneous[:, 2]


def test_a_capture_has_the_shapes_it_says():
    capture, vertices = captured(), hand().model.num_vertices
    assert capture.image.shape == (POSES, VIEWS, *SIZE, 3) and capture.image.dtype == jnp.uint8
    assert capture.depth.shape == (POSES, VIEWS, *SIZE)
    assert capture.K.shape == (VIEWS, 3, 3) and capture.t.shape == (VIEWS, 3)
    assert capture.pose.angles.shape == (POSES, 28)
    assert capture.joints.shape == (POSES, 22, 3) and capture.vertices.shape == (POSES, vertices, 3)
    assert not bool(capture.overflow.any())


def test_the_hand_of_captures_is_as_fine_as_the_papers():
    assert mano.default(resolution="high").num_vertices >= 12_000


def test_cameras_stand_around_the_hand_and_look_at_it():
    rig = jax.jit(partial(sample_rig, n_views=7, size=(200, 300)))(KEY)
    R, t, K = (np.asarray(part, np.float64) for part in (rig.R, rig.t, rig.K))
    np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (7, 3, 3)), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(R), 1.0, atol=1e-5)
    places = -np.einsum("nji,nj->ni", R, t)
    distance = np.linalg.norm(places, axis=1)
    assert (distance > 0.59).all() and (distance < 1.01).all()
    middle = np.einsum("nij,nj->ni", K, t)
    assert np.abs(middle[:, :2] / middle[:, 2:] - [150, 100]).max() < 25.0
    # Seven directions that leave no side without a camera.
    directions = places / distance[:, None]
    ahead = np.random.default_rng(0).normal(size=(200, 3))
    assert (directions @ (ahead / np.linalg.norm(ahead, axis=1, keepdims=True)).T).max(axis=0).min() > 0.3


def test_joints_project_into_the_box_of_what_is_drawn():
    capture = captured()
    for pose in range(POSES):
        for view in range(VIEWS):
            rows, columns = np.nonzero(np.asarray(capture.depth[pose, view]) > 0)
            pixels, _ = seen(np.asarray(capture.joints[pose]), capture, view)
            assert (pixels[:, 0] > columns.min() - 1).all() and (pixels[:, 0] < columns.max() + 2).all()
            assert (pixels[:, 1] > rows.min() - 1).all() and (pixels[:, 1] < rows.max() + 2).all()


def test_depth_is_that_of_the_vertices_which_are_seen():
    capture, faces = captured(), hand().model.faces
    for pose in range(POSES):
        vertices = np.asarray(capture.vertices[pose])
        normals = np.asarray(vertex_normals(capture.vertices[pose], faces))
        for view in range(VIEWS):
            pixels, depth = seen(vertices, capture, view)
            towards = -(vertices @ np.asarray(capture.R[view]).T + np.asarray(capture.t[view]))
            facing = (normals @ np.asarray(capture.R[view]).T * towards).sum(1) / np.linalg.norm(towards, axis=1)
            column, row = np.floor(pixels).astype(int).T
            drawn = np.asarray(capture.depth[pose, view])[row.clip(0, SIZE[0] - 1), column.clip(0, SIZE[1] - 1)]
            chosen = (facing > 0.7) & (drawn > 0)
            # Nothing is drawn behind what faces the camera, outlines aside, where half a pixel on is another finger;
            # most of that is what is seen, to half a pixel's slope.
            assert (drawn[chosen] < depth[chosen] + 0.006).mean() > 0.95
            near = np.abs(drawn[chosen] - depth[chosen]) < 0.006
            assert chosen.sum() > 40 and near.mean() > 0.6
            assert abs(np.median(drawn[chosen][near] - depth[chosen][near])) < 0.001


def test_labels_pose_the_vertices():
    capture = captured()
    one = jax.tree.map(lambda leaf: leaf[1], capture.pose)
    again = poser()[0](person(), one)
    np.testing.assert_allclose(again.vertices, capture.vertices[1], atol=1e-6)
    np.testing.assert_allclose(again.joints, capture.joints[1], atol=1e-6)
    assert np.abs(np.asarray(again.joints).mean(axis=0)).max() < 1e-5


def test_the_same_key_gives_the_same_bits_and_another_does_not():
    first, again, other = captured(), captured.__wrapped__(), captured(5)
    for one, two in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True):
        assert np.array_equal(one, two)
    assert not np.array_equal(first.image, other.image) and not np.array_equal(first.pose.angles, other.pose.angles)


def test_a_subject_keeps_its_shape_and_differs_from_others():
    again, other = subject(jax.random.key(7)), subject(jax.random.key(8))
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(person()), jax.tree.leaves(again), strict=True))
    assert np.abs(np.asarray(other.betas - person().betas)).max() > 0.1
    assert np.abs(np.asarray(other.detail.shape - person().detail.shape)).max() > 0.1
    assert float(other.look.melanin) != float(person().look.melanin)
    rest = np.zeros(28)
    same_betas = person()._replace(detail=other.detail)
    here, there = (np.asarray(poser()[0](one, with_angles(rest)).vertices) for one in (person(), same_betas))
    assert np.linalg.norm(here - there, axis=1).max() > 0.0005


def test_detail_moves_bent_hands_by_millimetres_but_never_by_five():
    for seed in range(4):
        someone = person()._replace(detail=sample_detail(jax.random.key(seed)))
        for bent in (0.0, 0.7, 1.5):
            moved = detail_mm(bent * BENT, someone)
            assert 1.0 < moved.max() < 5.0, (seed, bent)


def test_what_depends_on_the_pose_is_nothing_at_rest_and_grows_as_a_fist_closes():
    smooth = person()._replace(detail=person().detail._replace(shape=jnp.zeros_like(person().detail.shape)))
    assert detail_mm(np.zeros(28), smooth).max() < 1e-3
    moved = [detail_mm(bent * BENT, smooth) for bent in (0.3, 0.8, 1.5)]
    assert moved[0].max() < moved[1].max() < moved[2].max() and moved[2].max() > 1.0


def test_every_drive_is_smooth_at_rest_and_reaches_about_one():
    assert not np.asarray(activations(jnp.zeros(28))).any()
    slope = np.asarray(jax.jacfwd(activations)(jnp.zeros(28)))
    assert np.isfinite(slope).all() and np.abs(slope).max() < 1e-6
    bent, stretched = (np.asarray(activations(jnp.asarray(sign * 1.5 * BENT))) for sign in (1.0, -1.0))
    reached = np.maximum(bent, stretched)
    assert len(reached) == len(DRIVES) and (reached > 0.8).all() and (reached < 1.26).all()


def test_fold_and_pad_go_opposite_ways_at_a_bent_finger():
    """Where the index finger bends, skin sinks in the fold and swells beside it."""
    fields = hand().fields
    neutral = sample_detail(KEY)._replace(shape=jnp.zeros(24), gain=jnp.ones(5), finger_gain=jnp.ones(5))
    angles = jnp.zeros(28).at[mano.DETAILED_ANGLES.index(("index2", "z"))].set(1.6)
    outwards = np.asarray((displacements(fields, neutral, angles) * fields.normals).sum(-1)) * 1000.0
    assert outwards.max() > 1.0 and outwards.min() < -0.3
    finger = np.asarray(hand().model.lbs_weights)[:, 1:4].sum(1)
    assert (finger[np.abs(outwards) > 0.5] > 0.3).all()


def test_knuckles_whiten_as_a_fist_closes():
    redness = [float(paled(person().look, jnp.asarray(bent * BENT, jnp.float32)).redness) for bent in (0.0, 0.7, 1.4)]
    assert redness[0] == float(person().look.redness) and redness[0] > redness[1] > redness[2] > 0.3 * redness[0]


def test_a_random_pose_lies_within_the_joints_limits():
    angles = np.concatenate([np.asarray(captured(seed).pose.angles) for seed in (4, 5, 6, 7)])
    limits = np.asarray(hand().detailed.joint_limits)
    for slot, (joint, axis) in enumerate(mano.DETAILED_ANGLES):
        lower, upper = limits[mano.DETAILED_JOINTS.index(joint) - 1, {"z": 0, "y": 1, "x": 2}[axis]]
        if axis == "z":
            angle = angles[:, slot]
            assert (angle > lower - 0.02).all() and (angle < upper + 0.02).all(), joint
    assert angles[:, BENT > 0].std(axis=0).min() > 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_views": 0}, "n_views must be"),
        ({"poses": 0}, "poses must be"),
        ({"supersample": 0}, "supersample must be"),
        ({"size": (48, 0)}, "size must be"),
        ({"size": 48}, "size must be"),
        ({"rig": Rig(jnp.zeros((2, 3, 3)), jnp.zeros((2, 3, 3)), jnp.zeros((2, 3)))}, "rig.K must have shape"),
        ({"pose": Pose(jnp.zeros((1, 27)), jnp.zeros((1, 3, 3)), jnp.zeros((1, 3)))}, "pose.angles must have shape"),
    ],
)
def test_bad_input_is_refused_by_name(change, message):
    arguments = {"n_views": VIEWS, "hand": hand(), "size": SIZE} | change
    with pytest.raises(ValueError, match=message):
        capture_batch(KEY, person(), arguments.pop("n_views"), **arguments)


def test_other_betas_and_angles_are_refused():
    with pytest.raises(ValueError, match="person.betas must have shape"):
        capture_batch(KEY, person()._replace(betas=jnp.zeros(3)), VIEWS, hand=hand())
    with pytest.raises(ValueError, match="angles must have shape"):
        activations(jnp.zeros(27))
