"""handjax-bench measures what its protocols say, misses count, and its pictures are the same each time."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from handjax import mano, metrics
from handjax.predict.batches import Observation
from handjax.predict.fit import right_hand
from launch import bench, bench_methods, bench_pictures, bench_sheet
from launch.bench_figures import compared, figures, pa_error_mm, pooled, together
from launch.bench_methods import Found, noisy, own_answers
from launch.bench_pictures import AT_ONCE, PARTS, Digest, batch_key, draw_batch, pictures

SIZE, VERTICES = 32, 60
FOCAL = 40.0
REST = np.array(mano.default().v_template)[:VERTICES]


def fake_batch(name: str, number: int) -> dict[str, np.ndarray]:
    """As `draw_batch`, of scattered points: one hand, two, or one to four, of which a slot in between may be empty."""
    rng = np.random.default_rng([len(name), number])
    slots = {"two": 2, "many": 4}.get(name, 1)
    valid = rng.random((AT_ONCE, slots)) < 0.7
    valid[:, 0] |= slots != 2
    place = np.concatenate([rng.uniform(-0.2, 0.2, (AT_ONCE, slots, 1, 2)), np.full((AT_ONCE, slots, 1, 1), 0.6)], -1)
    place[..., 0] += 0.4 * np.arange(slots)[None, :, None]
    joints = place + 0.06 * rng.normal(size=(AT_ONCE, slots, 21, 3))
    matrix = np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1]], np.float32)
    return {
        "image": rng.integers(0, 255, (AT_ONCE, SIZE, SIZE, 3), np.uint8),
        "intrinsics": np.repeat(matrix[None], AT_ONCE, 0),
        "valid": valid,
        "side": np.broadcast_to(np.arange(slots, dtype=np.int32) % 2, valid.shape),
        "keypoints_2d": (FOCAL * joints[..., :2] / joints[..., 2:] + SIZE / 2).astype(np.float32),
        "keypoints_3d": joints.astype(np.float32),
        "keypoints_visible": np.ones((AT_ONCE, slots, 21), bool),
        "vertices": (place + REST).astype(np.float32),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def pairs(folder):
    return list(pictures("two", 12, folder, fake_batch))


def perfect(picture) -> Found:
    score = np.linspace(0.9, 0.8, len(picture.side))
    return Found(picture.side, score, picture.keypoints_2d, picture.keypoints_3d, picture.vertices)


def rows(found: Found, chosen) -> Found:
    return Found(*(field[chosen] for field in found))


def measured(drawn, answer):
    return figures(together([compared(picture, answer(perfect(picture))) for picture in drawn]))


def test_the_benchmark_has_three_thousand_hands():
    assert sum(part.hands for part in PARTS.values()) == 3000


def test_perfect_hands_have_no_error_and_every_share_is_one(pairs):
    by_protocol = measured(pairs, lambda found: found)
    for protocol, values in by_protocol.items():
        for name, value in values.items():
            if name in ("hands", "found", "mrrpe_pairs"):
                continue
            error = name.endswith(("_mm", "_px"))
            # Half a step of 100: rounding is more than the first threshold, 0 mm.
            atol = 0.006 if name.endswith("auc_0_50") else 1e-5
            np.testing.assert_allclose(value, 0.0 if error else 1.0, atol=atol, err_msg=f"{protocol} {name}")
    assert by_protocol["detection"]["hands"] == by_protocol["detection"]["found"] == 12
    assert by_protocol["detection"]["mrrpe_pairs"] == 6


def test_a_wrong_scale_shows_where_the_own_scale_counts_and_nowhere_else(pairs):
    scale = 1.2
    grown = measured(pairs, lambda found: found._replace(joints=scale * found.joints, vertices=scale * found.vertices))
    joints = np.concatenate([picture.keypoints_3d for picture in pairs]).astype(float)
    off = (scale - 1) * np.linalg.norm(joints - joints[:, 9:10], axis=-1)
    bihand = grown["bihand"]
    np.testing.assert_allclose(bihand["root_mpjpe_mm"], 1000 * off.mean(), rtol=1e-4)
    np.testing.assert_allclose(bihand["root_auc_5_20"], metrics.auc(off, 0.005, 0.02, 16), atol=1e-3)
    np.testing.assert_allclose(bihand["root_auc_20_50"], metrics.auc(off, 0.02, 0.05, 20), atol=1e-3)
    assert bihand["root_auc_5_20"] < 0.9
    assert bihand["scaled_mpjpe_mm"] < 1e-3 and bihand["scaled_auc_5_20"] == 1
    assert grown["freihand"]["pa_mpjpe_mm"] < 1e-3 and grown["freihand"]["pa_f_5"] == 1
    assert grown["freihand"]["mpjpe_mm"] > 100


def test_hands_that_are_missed_count_against_the_figures_of_all_hands(pairs):
    half = measured(pairs, lambda found: rows(found, slice(1)))
    detection = half["detection"]
    assert detection["recall"] == 0.5 and detection["precision"] == 1 and detection["found"] == 6
    assert detection["mrrpe_pairs"] == 0 and np.isnan(detection["mrrpe_mm"])
    assert half["bihand"]["scaled_auc_20_50"] == 1 and half["bihand"]["all_scaled_auc_20_50"] == 0.5
    assert half["rhd"]["all_root_auc_20_50"] == 0.5 and half["freihand"]["all_pa_f_5"] == 0.5
    nothing = measured(pairs, lambda found: rows(found, slice(0)))
    assert nothing["detection"]["recall"] == 0 and nothing["bihand"]["all_scaled_auc_20_50"] == 0
    assert "pa_mpjpe_mm" not in nothing["freihand"]


def test_hands_found_twice_or_nowhere_near_cost_precision_and_no_recall(pairs):
    def doubled(found: Found) -> Found:
        far = found._replace(keypoints_2d=found.keypoints_2d + 500.0)
        twice = found._replace(score=found.score - 0.5)
        return Found(*(np.concatenate(fields) for fields in zip(found, far, twice, strict=True)))

    detection = measured(pairs, doubled)["detection"]
    assert detection["recall"] == 1 and np.isclose(detection["precision"], 1 / 3)
    assert detection["pixel_error_px"] < 1e-4


def test_a_hand_of_the_wrong_side_is_found_and_its_side_is_wrong(pairs):
    detection = measured(pairs, lambda found: found._replace(side=1 - found.side))["detection"]
    assert detection["recall"] == 1 and detection["side_accuracy"] == 0


def test_a_left_hand_too_far_from_the_right_one_is_the_relative_root_error(pairs):
    def apart(found: Found) -> Found:
        away = np.where(found.side == 0, 0.03, 0.0)[:, None, None] * np.array([0.0, 0.0, 1.0])
        return found._replace(joints=found.joints + away)

    np.testing.assert_allclose(measured(pairs, apart)["detection"]["mrrpe_mm"], 30, rtol=1e-4)


@pytest.mark.parametrize("field", ["keypoints_2d", "joints", "vertices"])
def test_a_hand_that_is_not_finite_is_a_false_detection(pairs, field):
    def broken(found: Found) -> Found:
        points = getattr(found, field).copy()
        points[1, 3] = np.nan
        return found._replace(**{field: points})

    by_protocol = measured(pairs, broken)
    assert by_protocol["detection"]["recall"] == by_protocol["detection"]["precision"] == 0.5
    assert by_protocol["freihand"]["pa_mpjpe_mm"] < 1e-3


def test_parts_together_are_measured_as_one_set(folder, pairs):
    others = list(pictures("many", 9, folder, fake_batch))

    def answered(picture):
        found = perfect(picture)
        noise = 0.01 * np.random.default_rng(picture.number).normal(size=found.vertices.shape)
        return compared(picture, rows(found._replace(vertices=found.vertices + noise), slice(2)))

    parts = {"two": together([*map(answered, pairs)]), "many": together([*map(answered, others)])}
    whole, by_part = figures(together([*parts.values()])), {name: figures(hands) for name, hands in parts.items()}
    found = pooled(parts, by_part)
    assert found.keys() == whole.keys()
    for protocol, values in whole.items():
        assert found[protocol].keys() == values.keys()
        for name, value in values.items():
            np.testing.assert_allclose(found[protocol][name], value, rtol=1e-9, err_msg=f"{protocol} {name}")


@pytest.mark.parametrize(("name", "wanted", "there"), [("single", 7, 7), ("two", 9, 8), ("many", 23, 23)])
def test_a_part_has_as_many_hands_as_asked_for_in_whole_pictures(tmp_path, name, wanted, there):
    drawn = list(pictures(name, wanted, tmp_path, fake_batch))
    assert sum(len(picture.side) for picture in drawn) == there
    assert all(len(picture.side) >= PARTS[name].fewest for picture in drawn)


def test_a_second_run_draws_nothing_and_sees_the_same_pictures(tmp_path):
    def never(name, number):
        raise AssertionError("drawn again")

    digests, seen = [Digest(), Digest()], []
    for digest, draw in zip(digests, (fake_batch, never), strict=True):
        seen.append(list(digest.watch(pictures("many", 15, tmp_path, draw))))
    assert digests[0].about() == digests[1].about() and digests[0].about()["hands"] == 15
    for first, second in zip(*seen, strict=True):
        assert first.number == second.number
        np.testing.assert_array_equal(first.image, second.image)
        np.testing.assert_array_equal(first.boxes, second.boxes)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".npz"]


def test_other_settings_are_kept_in_another_folder(monkeypatch):
    before = bench_pictures.fingerprint("two")
    assert before == bench_pictures.fingerprint("two") != bench_pictures.fingerprint("many")
    monkeypatch.setattr(bench_pictures, "EDITION", bench_pictures.EDITION + 1)
    assert bench_pictures.fingerprint("two") != before


def test_a_damaged_file_of_pictures_is_named(tmp_path):
    list(pictures("single", 3, tmp_path, fake_batch))
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=f"{path.name}: not pictures of handjax-bench, delete it"):
        list(pictures("single", 3, tmp_path, fake_batch))


def test_no_batch_has_a_key_of_another_or_of_training():
    """Training folds `jax.random.key(seed)` by split and then by batch: `datasets.synthetic_hands`."""
    fold = jax.jit(jax.vmap(jax.random.fold_in, (None, 0)))
    numbers = np.arange(1300)

    def words(keys) -> set[bytes]:
        return {row.tobytes() for row in np.asarray(jax.random.key_data(keys))}

    training = set()
    for seed in range(20):
        key = jax.random.key(seed)
        training |= words(key[None]) | words(fold(key, numbers))
        for split in range(2):
            training |= words(fold(jax.random.fold_in(key, split), numbers))
    tests = [jax.random.key_data(batch_key(name, number)).tobytes() for name in PARTS for number in (0, 1, 2, 99)]
    assert len(set(tests)) == len(tests) and not set(tests) & training


def test_noise_on_true_keypoints_is_the_same_each_time_and_leaves_the_picture_alone(pairs):
    first, again, other = noisy(pairs[0], deep=True), noisy(pairs[0]), noisy(pairs[1])
    np.testing.assert_array_equal(first[0].keypoints_2d, again[0].keypoints_2d)
    assert again[0].keypoints_3d is None
    off = first[0].keypoints_2d - pairs[0].keypoints_2d[0]
    assert 0 < np.abs(off).max() < 8 and not np.allclose(off, other[0].keypoints_2d - pairs[1].keypoints_2d[0])


def test_an_own_answer_stands_where_its_keypoints_are_seen(pairs):
    """Points of any origin come back in the camera's frame, of either side, in the order of the pictures."""
    observations = []
    for picture in (pairs[0], pairs[1]._replace(side=pairs[1].side[:0], keypoints_2d=np.zeros((0, 21, 2))), pairs[2]):
        exact = [
            hand._replace(keypoints_2d=pixels, keypoints_3d=points - points[9])
            for hand, pixels, points in zip(
                noisy(picture, deep=True), picture.keypoints_2d, picture.keypoints_3d, strict=False
            )
        ]
        observations.append(Observation(exact, picture.camera, SIZE))
    found = own_answers(right_hand(), observations)
    assert [len(one.side) for one in found] == [2, 0, 2]
    for one, picture in ((found[0], pairs[0]), (found[2], pairs[2])):
        np.testing.assert_allclose(one.joints, picture.keypoints_3d, atol=2e-4)
        np.testing.assert_array_equal(one.side, picture.side)
        middles = one.vertices.mean(1) - picture.keypoints_3d.mean(1)
        assert one.vertices.shape[1:] == (778, 3) and np.linalg.norm(middles, axis=-1).max() < 0.12


def test_the_sheet_has_the_worst_hands_first_and_few_that_were_not_found(pairs):
    hands = []
    for index, picture in enumerate(pairs):
        found = perfect(picture)
        moved = found.joints + index * 0.01 * np.random.default_rng(1).normal(size=found.joints.shape)
        result = compared(picture, rows(found._replace(joints=moved), slice(2 if index else 0)))
        assert np.isinf(pa_error_mm(result)).all() == (index == 0)
        hands += bench_sheet.shown(picture, result)
    chosen = bench_sheet.worst(hands)
    errors = [hand.error_mm for hand in chosen]
    assert np.isinf(errors[:2]).all() and errors[2:] == sorted(errors[2:], reverse=True)
    assert bench_sheet.worst(20 * hands[:2])[bench_sheet.NOT_FOUND :] == []
    page = bench_sheet.sheet(chosen)
    assert page.shape[1] == bench_sheet.COLUMNS * bench_sheet.CELL and page.dtype == np.uint8


@pytest.fixture
def answers(monkeypatch):
    """Two methods that need no compiling."""
    ways = {
        "boxed": lambda some: [perfect(picture) for picture in some],
        "boxed_untailored": lambda some: [rows(perfect(picture), slice(1)) for picture in some],
    }
    monkeypatch.setattr(bench, "methods", lambda names, model, assumed: {name: ways[name] for name in names})
    monkeypatch.setattr(bench, "use_compilation_cache", lambda: None)


def test_the_command_writes_its_figures_and_twice_the_same(tmp_path, capsys, answers):
    reports = []
    for run in ("first", "second"):
        flags = [f"--out={tmp_path / run}", f"--data={tmp_path / 'data'}", "--parts=single,two", "--count=6"]
        assert bench.main([*flags, "--methods=boxed,boxed_untailored"], draw=fake_batch) == 0
        reports.append(json.loads((tmp_path / run / "result.json").read_text()))
    assert reports[0]["figures"] == reports[1]["figures"] and reports[0]["pictures"] == reports[1]["pictures"]
    assert {path.name for path in (tmp_path / "first").iterdir()} == {
        "result.json",
        "result.txt",
        "worst_boxed.jpg",
        "worst_boxed_untailored.jpg",
    }
    by_part = reports[0]["figures"]
    assert by_part["all"]["boxed"]["detection"]["hands"] == 12
    assert by_part["all"]["boxed_untailored"]["detection"]["recall"] == 0.75
    text = capsys.readouterr().out
    assert "root (joint 9) on the true one, length of bone 0-9 made the true one" in text
    assert "boxed: AUC 20-50, true scale 1.000, >= 0.95: yes" in text
    assert "boxed: AUC 5-20, true scale, gain by the fit 0.000, >= 0.05: no" in text
    assert reports[0]["pictures"]["two"]["labels_sha256"] in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--out=DIR must be given"),
        (["--out=X", "--parts=single,triple"], "--parts must name some of single, occluded, two, many"),
        (["--out=X", "--parts=two,two"], "each once, got two, two"),
        (["--out=X", "--methods=magic"], "--methods must name some of"),
        (["--out=X", "--parts=two", "--count=1"], "--count must be at least 2 for these parts, got 1"),
        (["--out=X", "--count=many"], "count"),
        (["--out=X", "more"], "all arguments are flags, got more"),
        (["--out=X", "--methods=boxed", "--model=X"], "crop_hand.npz"),
    ],
)
def test_a_command_that_cannot_run_says_why_and_writes_no_result(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "use_compilation_cache", lambda: None)
    assert bench.main(arguments, draw=fake_batch) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("result.json"))


@pytest.mark.slow
def test_the_same_keys_draw_the_same_labels_and_a_mean_hand_is_found_in_each_box(tmp_path):
    first, again = draw_batch("single", 0), draw_batch("single", 0)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name], err_msg=name)
    assert first["image"].shape == (AT_ONCE, 224, 224, 3) and (first["side"] == 1).all()
    drawn = list(pictures("single", 20, tmp_path))
    assert sum(int(picture.side.sum()) for picture in drawn) == 10
    ways = bench_methods.methods(["mean_hand", "oracle_3d"])
    mean, near = (together([*map(compared, drawn, way(drawn))]) for way in ways.values())
    assert mean.found.all() and near.found.all()
    assert figures(near)["multihand"]["pa_mpjpe_mm"] < 6 < figures(mean)["multihand"]["pa_mpjpe_mm"]
