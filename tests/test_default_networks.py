"""The default model's two networks: what their maps say is read exactly, and each is taught by what is labelled."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax.losses import crop_hand as crop_losses
from handjax.losses import hand_finder as finder_losses
from handjax.losses import mean_of
from handjax.models import crop_hand, crop_hand_objective, hand_finder, hand_finder_objective
from tests.cheap import compiled, filled, shapes

SIZE, COUNT = 32, 4
CROP = crop_hand.CropHand(widths=(8, 8, 8), blocks=(1, 1, 1), whole=8)
FINDER = hand_finder.HandFinder(widths=(4, 8, 8, 8), blocks=(1, 1, 1, 1))
KEY = jax.random.key(0)


def crops(seed=0):
    random = np.random.default_rng(seed)
    joints = random.uniform(-0.05, 0.05, (COUNT, 21, 3)) + [0.0, 0.0, 0.5]
    focal, middle = 100.0, SIZE / 2
    pixels = focal * joints[..., :2] / joints[..., 2:] + middle
    matrix = np.array([[focal, 0, middle], [0, focal, middle], [0, 0, 1]])
    labels = {
        "image": random.integers(0, 256, (COUNT, SIZE, SIZE, 3)).astype(np.uint8),
        "keypoints_2d": pixels.astype(np.float32),
        "keypoints_2d_valid": np.ones((COUNT, 21), bool),
        "keypoints_3d": joints.astype(np.float32),
        "keypoints_3d_valid": np.ones((COUNT, 21), bool),
        "intrinsics": np.broadcast_to(matrix, (COUNT, 3, 3)).astype(np.float32),
        "intrinsics_valid": np.ones(COUNT, bool),
    }
    return jax.tree.map(jnp.asarray, labels)


def pictures(seed=0, size=64):
    """Two slots of hands, the second of odd pictures empty."""
    random = np.random.default_rng(seed)
    centers = random.uniform(16, size - 16, (COUNT, 2, 1, 2))
    centers[:, 1] = size - centers[:, 0]
    points = centers + random.uniform(-7, 7, (COUNT, 2, 21, 2))
    valid = np.array([[True, number % 2 == 0] for number in range(COUNT)])
    labels = {
        "image": random.integers(0, 256, (COUNT, size, size, 3)).astype(np.uint8),
        "valid": valid,
        "side": random.integers(0, 2, (COUNT, 2)),
        "side_valid": valid,
        "box": np.concatenate([points.min(2), points.max(2)], -1).astype(np.float32),
        "keypoints_2d": points.astype(np.float32),
        "keypoints_2d_valid": np.broadcast_to(valid[..., None], (COUNT, 2, 21)),
    }
    return jax.tree.map(jnp.asarray, labels)


def nested(network, name, image):
    return {kind: {name: tree} for kind, tree in filled(shapes(network, image)).items()}


@pytest.fixture(scope="module")
def crop_variables():
    return nested(CROP, "crop_hand", jnp.zeros((2, SIZE, SIZE, 3)))


@pytest.fixture(scope="module")
def crop_outcome(crop_variables):
    objective = partial(crop_hand_objective.crop_hands, CROP, train=True, mirrored=0.5)
    return compiled(objective, crop_variables, crops(), KEY)


@pytest.fixture(scope="module")
def finder_outcome():
    variables = nested(FINDER, "hand_finder", jnp.zeros((2, 64, 64, 3)))
    run = compiled(partial(hand_finder_objective.find_hands, FINDER, train=True), variables, pictures(), KEY)
    return variables, run


def maps_of(places, cells=12):
    """Logits whose softmax is, of each keypoint, all in four cells around its place, as bilinear weights."""
    logits = np.full((len(places), cells, cells, 21), -1e4, np.float32)
    for hand, points in enumerate(places):
        for keypoint, (x, y) in enumerate(points / crop_hand.CELL - 0.5):
            column, row = int(np.floor(x)), int(np.floor(y))
            for down in (0, 1):
                for right in (0, 1):
                    weight = abs(1 - right - (x - column)) * abs(1 - down - (y - row))
                    logits[hand, row + down, column + right, keypoint] = np.log(max(weight, 1e-30))
    return jnp.asarray(logits)


def test_keypoints_are_read_where_their_heatmaps_have_their_mean():
    places = np.random.default_rng(1).uniform(8, 40, (2, 21, 2))
    outputs = {"heatmaps": maps_of(places), "depths": jnp.ones((2, 12, 12, 21)), "right": jnp.array([2.0, -2.0])}
    read = crop_hand.read_keypoints(outputs | {"scale": jnp.full(2, 0.25)})
    np.testing.assert_allclose(read.keypoints_2d, places, atol=1e-3)
    np.testing.assert_allclose(read.confidence, 1.0, atol=1e-4)
    np.testing.assert_allclose(read.right, [0.880797, 0.119203], atol=1e-5)
    plane = (places - places[:, 9:10]) / (48 * 0.25)
    np.testing.assert_allclose(read.joints[..., :2], plane, atol=1e-3)
    np.testing.assert_allclose(read.joints[..., 2], 0.0, atol=1e-5)


def test_a_second_peak_far_away_lowers_the_confidence_and_moves_nothing():
    places = np.full((1, 21, 2), 10.0)
    logits = maps_of(places).at[0, 10, 10].set(np.log(0.2))
    outputs = {"heatmaps": logits, "depths": jnp.zeros((1, 12, 12, 21)), "right": jnp.zeros(1), "scale": jnp.ones(1)}
    read = crop_hand.read_keypoints(outputs)
    np.testing.assert_allclose(read.keypoints_2d, 10.0, atol=1e-3)
    np.testing.assert_allclose(read.confidence, 1 / 1.2, atol=1e-4)


def test_the_scale_is_the_bone_in_the_crop_where_it_lies_in_the_plane_of_the_picture():
    joints = jnp.zeros((21, 3)).at[:, 2].set(0.5).at[9, 0].set(0.09)
    np.testing.assert_allclose(crop_hand.scale_of(joints, jnp.array(200.0), 96), 200 * 0.09 / 0.5 / 96, rtol=1e-5)


def test_mirrored_crops_teach_the_side_alone(crop_variables, crop_outcome):
    batch = crops()
    outcome = crop_outcome(crop_variables, batch, KEY)
    flipped = np.asarray(outcome.outputs["flipped"])
    assert 0 < flipped.sum() < COUNT
    assert float(outcome.terms["place"].number.sum()) == 21 * (COUNT - flipped.sum())
    assert float(outcome.terms["side"].number.sum()) == COUNT
    moved = batch | {"keypoints_2d": batch["keypoints_2d"] + 5.0 * flipped[:, None, None]}
    again = crop_outcome(crop_variables, moved, KEY)
    for name in ("heatmap", "place", "depth", "scale"):
        np.testing.assert_allclose(mean_of(outcome.terms[name]), mean_of(again.terms[name]), rtol=1e-5)


def test_what_is_not_labelled_counts_for_nothing(crop_variables, crop_outcome):
    batch = crops()
    photographs = batch | {
        "keypoints_3d": jnp.full_like(batch["keypoints_3d"], jnp.nan),
        "keypoints_3d_valid": jnp.zeros((COUNT, 21), bool),
        "intrinsics": jnp.zeros((COUNT, 3, 3)),
        "intrinsics_valid": jnp.zeros(COUNT, bool),
    }
    outcome = crop_outcome(crop_variables, photographs, KEY)
    assert float(outcome.terms["depth"].number.sum()) == 0
    assert float(outcome.terms["scale"].number.sum()) == 0
    for name, sums in outcome.terms.items():
        assert np.isfinite(np.asarray(mean_of(sums))), name


def test_a_perfect_answer_scores_all_keypoints():
    batch = crops()
    batch = batch | {"keypoints_2d": jnp.clip(batch["keypoints_2d"], 3.0, SIZE - 3.0)}
    relative = np.asarray(crop_hand_objective.labels_of(batch, KEY, 0.0).depths)
    outputs = {
        "heatmaps": maps_of(np.asarray(batch["keypoints_2d"]), SIZE // 4),
        "depths": jnp.asarray(np.broadcast_to(relative[:, None, None], (COUNT, 8, 8, 21))),
        "right": jnp.ones(COUNT),
        "scale": jnp.ones(COUNT),
        "flipped": jnp.zeros(COUNT, bool),
    }
    scores = {name: float(mean_of(sums)) for name, sums in crop_hand_objective.score(outputs, batch).items()}
    assert scores["pck_10"] == scores["pck_20"] == scores["side"] == 1.0
    assert scores["depth_error"] < 1e-5


def test_the_crop_losses_equal_loops():
    random = np.random.default_rng(3)
    logits, target = random.normal(size=(4, 5, 21)), random.uniform(size=(4, 5, 21))
    valid = (random.uniform(size=21) > 0.3).astype(float)
    total = 0.0
    for keypoint in np.flatnonzero(valid):
        shares = target[..., keypoint] / target[..., keypoint].sum()
        exponents = np.exp(logits[..., keypoint])
        total -= (shares * np.log(exponents / exponents.sum())).sum()
    found = crop_losses.heatmap(logits, target, valid)
    np.testing.assert_allclose(found.total, total, rtol=1e-5)
    assert float(found.number) == valid.sum()
    np.testing.assert_allclose(crop_losses.side(0.7, 1.0).total, np.log1p(np.exp(-0.7)), rtol=1e-6)
    np.testing.assert_allclose(crop_losses.side(0.7, 0.0).total, np.log1p(np.exp(0.7)), rtol=1e-6)
    np.testing.assert_allclose(crop_losses.scale(0.2, 0.4).total, np.log(2), rtol=1e-6)
    points, true = random.normal(size=(2, 21, 2))
    by_loop = sum(abs(points[i] - true[i]).sum() for i in range(21) if valid[i])
    np.testing.assert_allclose(crop_losses.place(points, true, valid).total, by_loop, rtol=1e-5)
    np.testing.assert_allclose(
        finder_losses.offset(points[0], true[0]).total, abs(points[0] - true[0]).sum(), rtol=1e-5
    )


def test_a_label_that_is_missing_leaves_no_nan_in_the_gradient():
    gradient = jax.grad(lambda value: crop_losses.scale(value, jnp.nan, 0.0).total)(0.3)
    assert float(gradient) == 0.0
    gradient = jax.grad(lambda points: crop_losses.place(points, jnp.full((21, 2), jnp.nan), jnp.zeros(21)).total)(
        jnp.ones((21, 2))
    )
    assert not np.any(np.asarray(gradient))


def test_hands_are_read_from_the_cells_of_their_centres():
    maps = {
        "centers": jnp.full((8, 8, 1), -9.0).at[2, 5, 0].set(3.0).at[6, 1, 0].set(1.0),
        "offsets": jnp.zeros((8, 8, 2)).at[2, 5].set(jnp.array([0.25, -0.5])),
        "sides_px": jnp.full((8, 8), 40.0).at[6, 1].set(20.0),
        "right": jnp.full((8, 8), -5.0).at[2, 5].set(5.0),
    }
    hands = hand_finder.read_hands(maps, count=3, threshold=0.3)
    assert hands.valid.tolist() == [True, True, False]
    np.testing.assert_allclose(hands.centers[:2], [[8 * 5.75, 8 * 2.0], [8 * 1.5, 8 * 6.5]])
    np.testing.assert_allclose(hands.sides_px[:2], [40.0, 20.0])
    assert (hands.right[:2] > 0.5).tolist() == [True, False]


def test_the_finders_terms_count_hands_and_an_empty_slot_counts_for_nothing(finder_outcome):
    variables, run = finder_outcome
    batch = pictures()
    outcome = run(variables, batch, KEY)
    hands = int(batch["valid"].sum())
    for name in ("offset", "scale", "side"):
        assert float(outcome.terms[name].number.sum()) == hands, name
    empty = ~batch["valid"][..., None, None]
    moved = batch | {"keypoints_2d": jnp.where(empty, jnp.nan, batch["keypoints_2d"])}
    again = run(variables, moved, KEY)
    for name, sums in outcome.terms.items():
        np.testing.assert_allclose(mean_of(sums), mean_of(again.terms[name]), rtol=1e-5, err_msg=name)


def test_true_maps_find_every_hand():
    batch = pictures()
    labels = hand_finder_objective.labels_of(batch)
    shape = labels.centers.shape[:3]
    maps = {
        "centers": np.where(np.asarray(labels.centers) == 1, 9.0, -9.0),
        "offsets": np.zeros((*shape, 2), np.float32),
        "sides_px": np.ones(shape, np.float32),
        "right": np.zeros(shape, np.float32),
    }
    for picture in range(COUNT):
        for slot in np.flatnonzero(batch["valid"][picture]):
            column, row = np.asarray(labels.cells)[picture, slot]
            middle = np.asarray(labels.middles)[picture, slot]
            maps["offsets"][picture, row, column] = middle / hand_finder.STRIDE - [column + 0.5, row + 0.5]
            maps["sides_px"][picture, row, column] = labels.sides_px[picture, slot]
            maps["right"][picture, row, column] = 9.0 if batch["side"][picture, slot] else -9.0
    scores = hand_finder_objective.score(jax.tree.map(jnp.asarray, maps), batch)
    found = {name: float(mean_of(sums)) for name, sums in scores.items()}
    assert found["recall"] == found["precision"] == found["side"] == 1.0
    assert found["length_error"] < 1e-6


@pytest.mark.parametrize("network", [CROP, FINDER], ids=["crop", "finder"])
def test_pictures_of_other_shapes_are_refused(network):
    with pytest.raises(ValueError, match="image"):
        network.init(KEY, jnp.zeros((1, 40, 40, 3)))
    with pytest.raises(ValueError, match="image"):
        network.init(KEY, jnp.zeros((1, 32, 32, 3), jnp.uint8))
