"""The presets equal the benchmarks' evaluators, rewritten as float64 loops, on random and on degenerate hands."""

import numpy as np
import pytest

from handjax.metrics import PROTOCOLS, Hands, Range, batches, describe, evaluate, evaluate_batches, hands_of_examples
from handjax.metrics.protocols import check_protocol
from tests import reference_metrics as reference

COUNT = 70
"""More than two batches, the last one not full."""
rng = np.random.default_rng(6)


def hands(count=COUNT, points=21, leading=(), rng=rng):
    return rng.normal(size=(count, *leading, points, 3)) * 0.05 + rng.normal(size=(count, *leading, 1, 3)) * 0.3


TRUE = hands()
NEAR = TRUE + rng.normal(size=TRUE.shape) * rng.uniform(0, 0.03, (COUNT, 21, 1)) + rng.normal(size=(COUNT, 1, 3)) * 0.01
VERTICES = hands(points=100)
NEAR_VERTICES = VERTICES + rng.normal(size=VERTICES.shape) * 0.006
VISIBLE = rng.uniform(size=(COUNT, 21)) < 0.7
# A joint that no picture shows.
VISIBLE[:, 17] = False


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name


@pytest.mark.parametrize("name", ["freihand", "ho3d", "ho3d_v2", "ho3d_v3"])
def test_joints_and_meshes_measure_as_in_the_evaluators_of_freihand_and_ho3d(name):
    found = evaluate(PROTOCOLS[name], Hands(NEAR, NEAR_VERTICES), Hands(TRUE, VERTICES))
    assert_same(found, reference.freihand(NEAR, NEAR_VERTICES, TRUE, VERTICES, scaled=name != "freihand"))


@pytest.mark.parametrize("name", ["freihand", "ho3d"])
def test_degenerate_hands_measure_as_in_the_evaluators(name):
    flat, line, mirrored = NEAR.copy(), NEAR.copy(), TRUE * [-1, 1, 1]
    flat[..., 2] = 0.4
    line[..., 1:] = [0.1, 0.4]
    joints = np.concatenate(
        [np.zeros_like(TRUE[:4]), flat[4:8], line[8:12], mirrored[12:16], NEAR[16:18, :1] + 0 * TRUE[16:18]]
    )
    vertices = np.concatenate([np.zeros_like(VERTICES[:4]), VERTICES[4:18]])
    truth = Hands(TRUE[:18], VERTICES[:18])
    found = evaluate(PROTOCOLS[name], Hands(joints, vertices), truth)
    assert_same(found, reference.freihand(joints, vertices, *truth[:2], scaled=name != "freihand"))


def test_a_mesh_of_other_vertices_is_moved_by_the_joints_and_has_no_errors():
    other = NEAR_VERTICES[:9, :40]
    found = evaluate(PROTOCOLS["freihand"], Hands(NEAR[:9], other), Hands(TRUE[:9], VERTICES[:9]))
    assert_same(found, reference.freihand(NEAR[:9], other, TRUE[:9], VERTICES[:9]))
    assert found["mpvpe_mm"] == found["pa_mesh_auc_0_50"] == -1
    assert found["pa_f_15"] > 0


@pytest.mark.parametrize("name", ["rhd", "stb"])
@pytest.mark.parametrize("in_bones", [False, True])
def test_rhd_and_stb_measure_as_hand3d(name, in_bones):
    predicted = NEAR / 0.03 if in_bones else NEAR
    found = evaluate(PROTOCOLS[f"{name}_hand3d" if in_bones else name], Hands(predicted), Hands(TRUE, visible=VISIBLE))
    assert_same(found, reference.hand3d(predicted, TRUE, VISIBLE, palm=name == "rhd", in_bones=in_bones))


def test_bihand_has_one_bone_and_one_range():
    for name in ("rhd_bihand", "stb_bihand"):
        assert_same(evaluate(PROTOCOLS[name], Hands(NEAR), Hands(TRUE)), reference.bihand(NEAR, TRUE))


def test_interhand_measures_each_hand_by_its_wrist_and_the_wrists_by_each_other():
    rng = np.random.default_rng(1)
    true = hands(leading=(2,), rng=rng)
    near = true + rng.normal(size=true.shape) * 0.01
    valid = rng.uniform(size=true.shape[:-1]) < 0.8
    hand_type = rng.uniform(size=(COUNT, 2)) < 0.6
    hand_type[~hand_type.any(axis=1), 1] = True
    scores = np.clip(hand_type + rng.normal(size=(COUNT, 2)) * 0.4, 0, 1)
    type_valid = rng.uniform(size=COUNT) < 0.9
    valid &= hand_type[..., None]
    # What is not valid is a placeholder in the data set's files, and may be nan in ours.
    true[~valid] = np.nan
    truth = Hands(true, valid=valid, hand_type=hand_type, hand_type_valid=type_valid)
    found = evaluate(PROTOCOLS["interhand"], Hands(near, hand_type=scores), truth)
    assert_same(found, reference.interhand(near, true, valid, hand_type, scores, type_valid))


def test_interhand_measures_meshes_by_the_wrist_too():
    rng = np.random.default_rng(2)
    true, mesh = hands(4, leading=(2,), rng=rng), hands(4, 50, leading=(2,), rng=rng)
    shift = rng.normal(size=(4, 2, 1, 3))
    valid = np.ones((4, 2, 21), bool)
    valid[1, 0, 0] = valid[2, 1] = False
    truth = Hands(true, mesh, valid=valid, vertices_valid=valid.any(axis=-1))
    offset = np.array([0.0, 0.003, 0.004])
    found = evaluate(PROTOCOLS["interhand"], Hands(true + shift, mesh + shift + offset), truth)
    assert found["root_mpjpe_mm"] == pytest.approx(0, abs=1e-9)
    assert [found["root_mpvpe_mm"], found["single_root_mpvpe_mm"]] == pytest.approx([5, 5])


def test_dexycb_leaves_out_frames_without_a_hand():
    true = TRUE.copy()
    true[3] = true[40] = -1
    assert_same(evaluate(PROTOCOLS["dexycb"], Hands(NEAR), Hands(true)), reference.dexycb(NEAR, true))


def test_dexter_object_aligns_the_valid_fingertips_of_hands_with_two():
    valid = np.random.default_rng(3).uniform(size=(COUNT, 21)) < 0.5
    true = np.where(valid[..., None], TRUE, np.nan)
    found = evaluate(PROTOCOLS["dexter_object"], Hands(NEAR), Hands(true, valid=valid))
    assert_same(found, reference.dexter_object(NEAR, TRUE, valid))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_truth_itself_has_no_error_under_any_protocol(name):
    protocol = PROTOCOLS[name]
    true = hands(5, leading=(2,) if protocol.two_hands else (), rng=np.random.default_rng(4))
    predicted = true
    if protocol.alignments == ("given_scale",):
        palm = 0.5 * (true[:, :1] + true[:, 9:10]) if protocol.palm else true[:, :1]
        relative = np.concatenate([palm, true[:, 1:]], axis=1) - palm
        predicted = relative / np.linalg.norm(true[:, 9:10] - true[:, 10:11], axis=-1, keepdims=True)
    for figure, value in evaluate(protocol, Hands(predicted), Hands(true)).items():
        if figure.endswith("_mm"):
            # The evaluators' guard against a size of 0 leaves some nanometres.
            assert np.isnan(value) or value == pytest.approx(0, abs=1e-5), figure
        elif "auc" in figure:
            # PCK at the threshold 0 is 1 for an error of exactly 0, and what rounding leaves is more.
            assert 0.97 < value <= 1


@pytest.mark.parametrize("name", PROTOCOLS)
def test_hands_of_which_nothing_is_valid_give_nan(name):
    protocol = PROTOCOLS[name]
    shape = (3, *((2,) if protocol.two_hands else ()), 21, 3)
    nothing = Hands(np.full(shape, np.nan), valid=np.zeros(shape[:-1], bool))
    for count in (0, 3):
        figures = evaluate(
            protocol,
            Hands(np.zeros(shape)[:count]),
            next(batches(nothing, count or 1)) if count else Hands(np.zeros(shape)[:0]),
        )
        assert figures and all(np.isnan(value) for value in figures.values())


def test_batches_that_come_one_by_one_give_what_all_at_once_give():
    predictions, truth = Hands(NEAR, NEAR_VERTICES), Hands(TRUE, VERTICES)
    one_by_one = zip(batches(predictions, 1), batches(truth, 1), strict=True)
    assert evaluate_batches(PROTOCOLS["ho3d"], one_by_one) == pytest.approx(
        evaluate(PROTOCOLS["ho3d"], predictions, truth), rel=1e-12
    )


def examples_of_three_pictures():
    """A right and a left hand in this order, a left one beside an empty slot, and an empty picture."""
    blank = np.zeros((3, 2), bool)
    examples = {"valid": blank.copy(), "side": np.zeros((3, 2), int), "side_valid": blank.copy()}
    examples |= {"keypoints_3d": np.zeros((3, 2, 21, 3), np.float32), "vertices_valid": blank.copy()}
    for name in ("keypoints_3d_valid", "keypoints_visible", "keypoints_visible_valid"):
        examples[name] = np.zeros((3, 2, 21), bool)
    examples["vertices"] = np.zeros((3, 2, 5, 3), np.float32)
    for picture, slot, side in ((0, 0, 1), (0, 1, 0), (1, 1, 0)):
        examples["valid"][picture, slot] = examples["side_valid"][picture, slot] = True
        examples["side"][picture, slot] = side
        examples["keypoints_3d"][picture, slot] = 10 * picture + side
        examples["keypoints_3d_valid"][picture, slot, 1:] = True
        examples["vertices_valid"][picture, slot] = True
        examples["vertices"][picture, slot] = side
    examples["keypoints_visible_valid"][0, 0] = True
    return examples


def test_examples_give_a_row_for_each_hand():
    truth = hands_of_examples(examples_of_three_pictures())
    np.testing.assert_array_equal(truth.joints[:, 0, 0], [1, 0, 10])
    np.testing.assert_array_equal(truth.valid, np.arange(21) > 0 * np.ones((3, 1)))
    # Of the first hand all joints are labelled as hidden; of the others nothing is known.
    np.testing.assert_array_equal(truth.visible.all(axis=1), [False, True, True])
    np.testing.assert_array_equal(truth.vertices[:, 0, 0], [1, 0, 0])
    assert truth.vertices_valid.all() and truth.hand_type is None


def test_examples_of_two_hands_stand_left_then_right():
    examples = examples_of_three_pictures()
    truth = hands_of_examples(examples, two_hands=True)
    np.testing.assert_array_equal(truth.hand_type, [[True, True], [True, False], [False, False]])
    np.testing.assert_array_equal(truth.joints[0, :, 0, 0], [0, 1])
    assert truth.joints[1, 0, 0, 0] == 10
    np.testing.assert_array_equal(truth.valid[..., 1], truth.hand_type)
    np.testing.assert_array_equal(truth.vertices_valid, truth.hand_type)
    assert truth.hand_type_valid.all()
    # No wrist is valid in these, so that nothing counts, until they are.
    assert np.isnan(evaluate(PROTOCOLS["interhand"], truth, truth)["mrrpe_mm"])
    figures = evaluate(PROTOCOLS["interhand"], truth, truth._replace(valid=truth.valid | truth.hand_type[..., None]))
    assert figures["mrrpe_mm"] == figures["single_root_mpjpe_mm"] == 0
    examples["side"][0] = 1
    with pytest.raises(ValueError, match="one hand of a side, got two in picture 0"):
        hands_of_examples(examples, two_hands=True)


def test_the_words_of_a_protocol_say_alignment_root_and_thresholds():
    rhd = describe(PROTOCOLS["rhd"])
    assert "root (the palm)" in rhd and "bone 9-10" in rhd
    assert "auc_20_50: area under PCK, 12 thresholds 21.05 to 50 mm" in rhd
    freihand = describe(PROTOCOLS["freihand"])
    assert "reflections allowed" in freihand and "F-scores at 5, 15 mm, <" in freihand
    assert "100 thresholds 0.00 to 50 mm, <=" in freihand
    other = PROTOCOLS["freihand"]._replace(alignments=("rigid_similarity",), ranges=(Range(0.005, 0.02, 16),))
    assert "rotations only" in describe(other) and "auc_5_20" in describe(other)


def test_another_alignment_root_and_range_measure_what_they_say():
    protocol = PROTOCOLS["freihand"]._replace(
        alignments=("rigid_similarity", "root"), root=(9,), mesh_alignments=(), ranges=(Range(0.005, 0.02, 16),)
    )
    figures = evaluate(protocol, Hands(NEAR), Hands(TRUE))
    turned, shifted = reference.PerJoint(21), reference.PerJoint(21)
    for joints, true in zip(NEAR, TRUE, strict=True):
        turned.add(reference.turned(joints, true), true)
        shifted.add(joints - joints[9], true - true[9])
    thresholds = np.linspace(0.005, 0.02, 16)
    wanted = {"pa_mpjpe_mm": turned.mean_mm(), "pa_auc_5_20": turned.auc(thresholds)}
    wanted |= {"root_mpjpe_mm": shifted.mean_mm(), "root_auc_5_20": shifted.auc(thresholds)}
    assert_same(figures, wanted)


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (Hands(NEAR[:3]), Hands(TRUE[:4]), "as many as the truth, 4, got 3"),
        (Hands(NEAR[:3, :16]), Hands(TRUE[:3]), r"prediction.joints must have shape \(3, 21, 3\), got \(3, 16, 3\)"),
        (Hands(NEAR[:3]), Hands(TRUE[:3, :16]), r"truth.joints must have shape \(S, 21, 3\)"),
        (Hands(np.full((3, 21, 3), np.nan)), Hands(TRUE[:3]), "prediction.joints must be finite"),
        (Hands(NEAR[:3]), Hands(np.full((3, 21, 3), np.inf)), "truth.joints must be finite"),
        (Hands(NEAR[:3], VERTICES[:2]), Hands(TRUE[:3], VERTICES[:3]), "prediction.vertices must have shape"),
        (Hands(NEAR[:3], VERTICES[:3] * np.nan), Hands(TRUE[:3], VERTICES[:3]), "prediction.vertices must be finite"),
        (Hands(NEAR[:3]), Hands(TRUE[:3], valid=np.ones((3, 20))), r"truth.valid must have shape \(3, 21\)"),
    ],
)  # fmt: skip
def test_hands_that_do_not_fit_are_refused_by_name(prediction, truth, message):
    with pytest.raises(ValueError, match=message):
        evaluate(PROTOCOLS["freihand"], prediction, truth)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alignments": ("procrustes",)}, "alignments must be one of"),
        ({"alignments": ("scale_translation", "given_scale")}, "alignments must differ"),
        ({"mesh_alignments": ("scale_translation",)}, "mesh_alignments must be one of"),
        ({"root": (21,)}, "root must be joints from 0 to 20"),
        ({"root": ()}, "root and joints must name at least one"),
        ({"ranges": (Range(0.05, 0.02, 20),)}, "ranges must rise"),
        ({"ranges": (Range(0.0, 0.05, 20, first=19),)}, "two thresholds or more"),
    ],
)
def test_a_protocol_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        check_protocol(PROTOCOLS["freihand"]._replace(**change))


def test_no_pairs_and_meshes_of_changing_size_are_refused():
    with pytest.raises(ValueError, match="pairs must hold hands"):
        evaluate_batches(PROTOCOLS["freihand"], [])
    truth = Hands(TRUE[:1], VERTICES[:1])
    pairs = [(Hands(NEAR[:1], VERTICES[:1]), truth), (Hands(NEAR[:1], VERTICES[:1, :40]), truth)]
    with pytest.raises(ValueError, match="one number of vertices throughout"):
        evaluate_batches(PROTOCOLS["freihand"], pairs)
