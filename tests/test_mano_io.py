"""Hand models from every file layout that people have, and back without a lost bit."""

import dataclasses
import os
import pickle
import sys
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handjax.mano import build
from handjax.mano.io import HandFileError, load, save
from handjax.mano.stored_arrays import as_array
from handjax.mano.types import MANO_PARENTS
from handjax.mano.unpickle import StandIn, read_pickle
from tests import mano_files, toy

VERTICES = 60
ARRAYS = mano_files.mano_arrays(1, VERTICES, 100)
LEFT = mano_files.mano_arrays(1, VERTICES, 100, side="left")


def assert_holds(model, arrays, betas=10):
    """The model has exactly the float32 values of MANO's fields."""
    for name, key in (("v_template", "v_template"), ("posedirs", "posedirs"), ("lbs_weights", "weights")):
        np.testing.assert_array_equal(getattr(model, name), arrays[key].astype(np.float32))
    for name in ("J_regressor", "hands_mean", "hands_components"):
        np.testing.assert_array_equal(getattr(model, name), arrays[name].astype(np.float32))
    np.testing.assert_array_equal(model.shapedirs, arrays["shapedirs"][:, :, :betas].astype(np.float32))
    np.testing.assert_array_equal(model.faces, arrays["f"])
    np.testing.assert_allclose(model.pose_std, arrays["hands_coeffs"].std(0), rtol=1e-6)
    assert model.parents == MANO_PARENTS


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_licensed_layout_is_read_bit_for_bit(tmp_path, protocol):
    path = mano_files.write_pickle(tmp_path / "MANO_RIGHT.pkl", mano_files.licensed_fields(ARRAYS), protocol)
    model = load(path)
    assert_holds(model, ARRAYS)
    assert model.side == "right"


def test_licensed_layout_is_read_at_full_size(tmp_path):
    arrays = mano_files.mano_arrays(2, side="left")
    model = load(mano_files.write_pickle(tmp_path / "MANO_LEFT.pkl", mano_files.licensed_fields(arrays)))
    assert_holds(model, arrays)
    assert (model.side, model.num_vertices, model.fingertip_ids) == ("left", 778, (744, 320, 443, 554, 671))


def test_licensed_layout_needs_neither_chumpy_nor_scipy(tmp_path, monkeypatch):
    path = mano_files.write_pickle(tmp_path / "MANO_RIGHT.pkl", mano_files.licensed_fields(ARRAYS))
    for name in ("chumpy", "chumpy.ch", "scipy.sparse", "scipy.sparse.csc"):
        monkeypatch.setitem(sys.modules, name, None)
    assert_holds(load(path), ARRAYS)


@pytest.mark.parametrize("protocol", [0, 2])
def test_pickles_of_python_2_are_read(tmp_path, protocol):
    path = tmp_path / "right.pkl"
    path.write_bytes(mano_files.python2_pickle(ARRAYS, protocol))
    assert_holds(load(path), ARRAYS, betas=20)


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("kind", ["csc_matrix", "csr_matrix", "csc_array", "csr_array"])
def test_regressors_of_scipy_itself_are_read(tmp_path, protocol, kind):
    sparse = pytest.importorskip("scipy.sparse")
    fields = {**ARRAYS, "J_regressor": getattr(sparse, kind)(ARRAYS["J_regressor"])}
    path = tmp_path / "right.pkl"
    path.write_bytes(pickle.dumps(fields, protocol))
    assert_holds(load(path), ARRAYS, betas=20)


def test_npz_json_and_lists_hold_the_same_model(tmp_path):
    lists = {key: array.tolist() for key, array in ARRAYS.items()}
    for path in (
        mano_files.write_npz(tmp_path / "right.npz", ARRAYS),
        mano_files.write_json(tmp_path / "right.json", ARRAYS),
        mano_files.write_json(tmp_path / "right2.json", {**ARRAYS, "J_regressor": sparse_lists()}),
        mano_files.write_pickle(tmp_path / "right.pkl", lists, 4),
    ):
        assert_holds(load(path), ARRAYS, betas=20)


def sparse_lists():
    return {key: array.tolist() for key, array in mano_files.compressed(ARRAYS["J_regressor"]).items()}


def test_files_are_told_by_content_and_not_by_name(tmp_path):
    assert_holds(load(mano_files.write_npz(tmp_path / "right.json", ARRAYS)), ARRAYS, betas=20)
    assert_holds(load(mano_files.write_json(tmp_path / "right.pkl", ARRAYS)), ARRAYS, betas=20)


def test_other_projects_field_names_are_read(tmp_path):
    fields = {
        "mesh_template": ARRAYS["v_template"],
        "mesh_shape_basis": ARRAYS["shapedirs"],
        "mesh_pose_basis": ARRAYS["posedirs"],
        "J_regressor": ARRAYS["J_regressor"],
        "skinning_weights": ARRAYS["weights"],
        "faces": ARRAYS["f"],
        "parents": [None, *MANO_PARENTS[1:]],
        "pose_pca_mean": ARRAYS["hands_mean"],
        "pose_pca_basis": ARRAYS["hands_components"],
        "hands_coeffs": ARRAYS["hands_coeffs"],
    }
    assert_holds(load(mano_files.write_pickle(tmp_path / "right.pkl", fields)), ARRAYS, betas=20)


@pytest.mark.parametrize("side", ["left", "right"])
def test_pose_fields_of_both_hands_are_told_apart(tmp_path, side):
    plain = {key: value for key, value in ARRAYS.items() if not key.startswith("hands_")}
    for letter, sign in (("l", -1), ("r", 1)):
        for key in ("hands_mean", "hands_components", "hands_coeffs"):
            plain[key + letter] = sign * ARRAYS[key]
    model = load(mano_files.write_npz(tmp_path / "hand.npz", plain), side=side)
    np.testing.assert_array_equal(model.hands_mean, {"left": -1, "right": 1}[side] * ARRAYS["hands_mean"].astype("f4"))


def test_body_models_are_refused_by_name(tmp_path):
    fields = {
        key: np.zeros((1, 1)) for key in ("shapedirs", "posedirs", "J_regressor", "f", "hands_meanl", "hands_meanr")
    }
    fields |= {"v_template": np.zeros((10475, 3)), "weights": np.zeros((10475, 55))}
    with pytest.raises(HandFileError, match="SMPL-X model .10475 vertices, 55 joints., not a hand: expected"):
        load(mano_files.write_npz(tmp_path / "SMPLX_NEUTRAL.npz", fields))


@pytest.mark.parametrize("layout", ["(3V, N)", "(N, 3V)", "(N, V, 3)"])
@pytest.mark.parametrize("key", ["posedirs", "shapedirs"])
def test_directions_are_read_in_every_layout(tmp_path, key, layout):
    flat = ARRAYS[key].reshape(3 * VERTICES, -1)
    stored = {"(3V, N)": flat, "(N, 3V)": flat.T, "(N, V, 3)": ARRAYS[key].transpose(2, 0, 1)}[layout]
    assert_holds(load(mano_files.write_npz(tmp_path / "right.npz", {**ARRAYS, key: stored})), ARRAYS, betas=20)


@pytest.mark.parametrize("dtype", [np.uint32, np.int32, np.int64, np.uint64, np.float64])
@pytest.mark.parametrize("rows", [1, 2])
def test_the_roots_parent_is_read_signed_and_unsigned(tmp_path, dtype, rows):
    table = ARRAYS["kintree_table"].copy()
    table[0, 0] = -1
    table = table[:rows].astype(dtype) if dtype != np.uint32 else ARRAYS["kintree_table"][:rows].astype(dtype)
    key = "kintree_table" if rows == 2 else "parents"
    fields = {**ARRAYS, key: table if rows == 2 else table[0]}
    assert load(mano_files.write_npz(tmp_path / "right.npz", fields)).parents == MANO_PARENTS


def test_optional_fields_may_be_missing(tmp_path):
    fields = {key: ARRAYS[key] for key in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "f")}
    model = load(mano_files.write_npz(tmp_path / "right.npz", fields))
    np.testing.assert_array_equal(model.hands_components, np.eye(45))
    np.testing.assert_array_equal(model.pose_std, np.ones(45))
    assert model.parents == MANO_PARENTS


def test_fingertips_of_an_unknown_mesh_are_the_farthest_vertices_of_each_finger(tmp_path):
    model = load(mano_files.write_npz(tmp_path / "right.npz", ARRAYS))
    for tip, end in zip(model.fingertip_ids, (15, 3, 6, 12, 9), strict=True):
        follows = np.flatnonzero(ARRAYS["weights"].argmax(-1) == end)
        reach = np.linalg.norm(ARRAYS["v_template"][follows] - ARRAYS["J"][end], axis=-1)
        assert tip == follows[reach.argmax()]


def test_num_betas_keeps_the_first_components(tmp_path):
    path = mano_files.write_npz(tmp_path / "right.npz", ARRAYS)
    assert_holds(load(path, num_betas=7), ARRAYS, betas=7)
    with pytest.raises(HandFileError, match="`shapedirs` must have num_betas=21 components or more, got 20"):
        load(path, num_betas=21)
    wrong: Any
    for wrong in (0, -1, True, 2.5):
        with pytest.raises(ValueError, match="num_betas must be None or a positive integer"):
            load(path, num_betas=wrong)


def test_side_comes_from_argument_then_field_then_name_then_geometry(tmp_path):
    unnamed = mano_files.write_npz(tmp_path / "bright_hand.npz", ARRAYS)
    assert load(unnamed).side == "right"
    assert load(mano_files.write_npz(tmp_path / "hand.npz", LEFT)).side == "left"
    for name in ("MANO_LEFT", "mano_left", "my-left-hand", "handLeft", "lefthand"):
        assert load(mano_files.write_npz(tmp_path / f"{name}.npz", ARRAYS)).side == "left"
    with_field = mano_files.write_npz(tmp_path / "left.npz", {**ARRAYS, "side": "right"})
    assert load(with_field).side == "right"
    assert load(unnamed, side="left").side == "left"
    with pytest.raises(HandFileError, match="is a right hand's by its fields, but side='left' was asked for"):
        load(with_field, side="left")
    with pytest.raises(ValueError, match="side must be None, 'left' or 'right', got 'both'"):
        load(unnamed, side="both")


def test_a_side_that_nothing_tells_is_asked_for(tmp_path):
    arrays = {**ARRAYS, "v_template": ARRAYS["v_template"] * [0, 1, 1]}
    path = mano_files.write_npz(tmp_path / "hand.npz", arrays)
    with pytest.raises(HandFileError, match="tells no side by field, name or geometry: pass side='left'"):
        load(path)
    assert load(path, side="left").side == "left"


def faulty_left():
    return {**LEFT, "shapedirs": ARRAYS["shapedirs"]}


def test_the_released_left_models_fault_is_warned_of_and_mended_on_request(tmp_path):
    path = mano_files.write_pickle(tmp_path / "MANO_LEFT.pkl", mano_files.licensed_fields(faulty_left()))
    with pytest.warns(UserWarning, match="MANO_LEFT.pkl: .*fix_left_shapedirs=True") as caught:
        model = load(path)
    assert caught[0].filename == __file__
    assert_holds(model, faulty_left())
    assert_holds(load(path, fix_left_shapedirs=True), LEFT)


def test_a_sound_left_model_is_not_warned_of_but_mirroring_it_again_is(tmp_path):
    path = mano_files.write_npz(tmp_path / "left.npz", LEFT)
    assert_holds(load(path), LEFT, betas=20)
    with pytest.warns(UserWarning, match="look right"):
        model = load(path, fix_left_shapedirs=True)
    assert_holds(model, faulty_left(), betas=20)


def test_the_left_fix_leaves_right_hands_alone(tmp_path):
    path = mano_files.write_npz(tmp_path / "right.npz", ARRAYS)
    assert_holds(load(path, fix_left_shapedirs=True), ARRAYS, betas=20)


def toy_model(seed=0):
    fields: dict[str, Any] = toy.arrays(seed, vertices=VERTICES)
    return build(**fields)


def detailed_hand():
    """22 joints, rest frames, an own keypoint order: nothing of MANO's own sizes."""
    rng = np.random.default_rng(5)
    parents = np.array([*MANO_PARENTS, 0, 16, 17, 3, 6, 9])
    frames, _ = np.linalg.qr(rng.normal(size=(22, 3, 3)))
    return build(
        **{
            **toy.arrays(4, vertices=VERTICES, faces=90, betas=3, parents=parents),
            "pose_std": rng.random(63),
            "joint_frames": frames,
            "joint_limits": rng.normal(size=(21, 3, 2)),
            "keypoint_ids": rng.permutation(27)[:21],
            "side": "left",
        }
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make", ["toy", "detailed", "licensed"])
def test_a_saved_model_comes_back_bit_for_bit(tmp_path, make, seed):
    if make == "licensed":
        path = mano_files.write_pickle(tmp_path / "MANO_RIGHT.pkl", mano_files.licensed_fields(ARRAYS))
        model = load(path)
    else:
        model = toy_model(seed) if make == "toy" else detailed_hand()
    save(model, tmp_path / "saved.npz")
    again = load(tmp_path / "saved.npz")
    # The structures hold the static fields: side, parents, fingertips, keypoints, and whether there are frames.
    assert jax.tree.structure(model) == jax.tree.structure(again)
    for field in dataclasses.fields(model):
        before, after = getattr(model, field.name), getattr(again, field.name)
        assert np.asarray(before).dtype == np.asarray(after).dtype
        np.testing.assert_array_equal(before, after, err_msg=field.name)


def test_a_saved_model_that_was_edited_gets_joints_that_fit(tmp_path):
    model = toy_model()
    save(dataclasses.replace(model, v_template=model.v_template + np.float32(1)), tmp_path / "right.npz")
    joints = load(tmp_path / "right.npz").joint_template
    np.testing.assert_allclose(joints, model.joint_template + 1, atol=1e-5)


def test_save_writes_just_the_path_and_no_pickles(tmp_path):
    model = toy_model()
    save(model, tmp_path / "no_extension")
    assert os.listdir(tmp_path) == ["no_extension"]
    with np.load(tmp_path / "no_extension", allow_pickle=False) as archive:
        assert archive["side"] == "right"
        assert all(archive[name].dtype.kind in "fiU" for name in archive.files)


@pytest.mark.parametrize("fails", ["savez_compressed", "replace"])
def test_a_failed_save_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch, fails):
    model = toy_model()
    path = tmp_path / "right.npz"
    save(model, path)
    before = path.read_bytes()

    def full_disk(file, *_, **__):
        if fails == "savez_compressed":
            file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr({"savez_compressed": np, "replace": os}[fails], fails, full_disk)
    with pytest.raises(OSError, match="No space left"):
        save(model, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["right.npz"]


def test_files_that_cannot_be_opened_stay_os_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent.pkl"):
        load(tmp_path / "absent.pkl")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)
    with pytest.raises(FileNotFoundError):
        save(toy_model(), tmp_path / "absent" / "right.npz")


def test_errors_name_the_path_and_the_files_own_field(tmp_path):
    path = mano_files.write_npz(tmp_path / "right.npz", {**ARRAYS, "weights": ARRAYS["weights"][:, :15]})
    with pytest.raises(HandFileError) as error:
        load(path)
    assert str(error.value) == f"{path}: `weights` must have shape (60, 16), got (60, 15)"
    some = {key: ARRAYS[key] for key in ("v_template", "f", "weights")}
    with pytest.raises(HandFileError, match=r"right.npz: has no `shapedirs` or `mesh_shape_basis`.*it has: f, v_temp"):
        load(mano_files.write_npz(tmp_path / "right.npz", some))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers(0, 99), inner)
        | st.tuples(inner)
        | st.tuples(inner, inner, inner)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=150)
@given(PLAIN, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_unpickles_as_pickle_reads_it(value, protocol):
    assert read_pickle(pickle.dumps(value, protocol)) == value


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, 4), max_size=3),
    st.sampled_from([">f8", "<f8", "<f4", "<f2", "<i8", ">i4", "|u1", "<u4"]),
    st.sampled_from("CF"),
    st.integers(0, pickle.HIGHEST_PROTOCOL),
)
def test_arrays_unpickle_as_numpy_reads_them(seed, shape, dtype, order, protocol):
    array = np.random.default_rng(seed).integers(0, 100, shape).astype(dtype, order=order)
    read = as_array(read_pickle(pickle.dumps([array], protocol))[0])
    assert read.shape == array.shape
    np.testing.assert_array_equal(read, array)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5), st.sampled_from(["csc", "csr"]))
def test_sparse_matrices_become_dense_as_loops_make_them(seed, rows, columns, kind):
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < 0.5)
    state = {**mano_files.compressed(dense, kind), "_shape": dense.shape}
    np.testing.assert_array_equal(as_array(StandIn(kind, (), state)), dense)


def test_chumpys_select_picks_from_the_flattened_array():
    whole = StandIn("ch", (), {"x": np.arange(8).reshape(2, 1, 4)})
    select = StandIn("select", (), {"a": whole, "idxs": [0, 1, 4, 5], "preferred_shape": (2, 1, 2)})
    np.testing.assert_array_equal(as_array(select), [[[0, 1]], [[4, 5]]])


def test_the_fixture_writer_leaves_no_stub_behind():
    before = {name: sys.modules.get(name) for name in ("chumpy", "scipy", "scipy.sparse")}
    mano_files.dumps({"x": mano_files.Ch(x=1)})
    assert {name: sys.modules.get(name) for name in before} == before
