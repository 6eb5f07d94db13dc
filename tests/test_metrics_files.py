"""Submission files come back as they were written, and the command measures official files or says what is wrong."""

import json
import os
import zipfile

import numpy as np
import pytest

from handjax import conventions
from handjax.metrics import PROTOCOLS, read_submission, read_truth, write_freihand, write_ho3d
from launch import evaluate
from tests import reference_metrics as reference

rng = np.random.default_rng(3)
XYZ = rng.normal(size=(3, 21, 3)) * 0.05 + [0, 0, 0.7]
VERTS = rng.normal(size=(3, 60, 3)) * 0.05 + [0, 0, 0.7]
NEAR, NEAR_VERTS = XYZ + 0.004, VERTS + 0.004


def written(folder, name, value):
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(np.asarray(value).tolist()), encoding="utf-8")
    return path


def truth_in(folder, xyz=XYZ, verts=VERTS):
    written(folder, "evaluation_xyz.json", xyz)
    written(folder, "evaluation_verts.json", verts)
    return folder


def run(*arguments) -> int:
    return evaluate.main([str(argument) for argument in arguments])


def figures_of(path) -> dict[str, float]:
    return json.loads(path.read_text())["figures"]


@pytest.mark.parametrize(("write", "name"), [(write_freihand, "freihand"), (write_ho3d, "ho3d_v3")])
@pytest.mark.parametrize("file", ["pred.json", "upload.zip"])
def test_a_submission_comes_back_to_a_micrometre(tmp_path, write, name, file):
    write(tmp_path / file, XYZ, VERTS)
    back = read_submission(tmp_path / file, PROTOCOLS[name])
    np.testing.assert_allclose(back.joints, XYZ, atol=1e-6, rtol=0)
    np.testing.assert_allclose(np.stack(list(back.meshes)), VERTS, atol=1e-6, rtol=0)
    assert os.listdir(tmp_path) == [file]


def test_the_files_are_what_the_official_scripts_write(tmp_path):
    xyz, verts = XYZ.copy(), VERTS.copy()
    xyz[0, 9] = [0.1, -0.2, 0.5]
    verts[2, 0], verts[2, 1] = [0.0, 0.25, 0.75], [-1e-9, 0.0, 0.75]
    write_freihand(tmp_path / "pred.json", xyz, verts)
    joints, meshes = json.loads((tmp_path / "pred.json").read_text())
    assert np.shape(joints) == (3, 21, 3) and np.shape(meshes) == (3, 60, 3)
    assert joints[0][9] == [0.1, -0.2, 0.5] and meshes[2][0] == [0.0, 0.25, 0.75]
    write_ho3d(tmp_path / "pred.zip", xyz, verts)
    with zipfile.ZipFile(tmp_path / "pred.zip") as archive:
        assert archive.namelist() == ["pred.json"]
        joints, meshes = json.loads(archive.read("pred.json"))
    # The middle knuckle is HO-3D's joint 4, and y and z point the other way; no zero turns negative.
    assert joints[0][4] == [0.1, 0.2, -0.5] and meshes[2][0] == [0.0, -0.25, -0.75]
    assert all(np.array(joints)[..., 2].ravel() < 0)
    assert meshes[2][1] == [0.0, 0.0, -0.75] and "-0.0," not in json.dumps(joints + meshes)
    # Shorter than with all digits, which would be 20 characters a number.
    assert (tmp_path / "pred.json").stat().st_size < 13 * 3 * 81 * 3


def test_a_submission_that_would_be_refused_is_not_written(tmp_path):
    path = tmp_path / "pred.json"
    path.write_text("old")
    broken = VERTS.copy()
    broken[1, 2] = np.nan
    for write, xyz, verts, message in (
        (write_ho3d, XYZ * [1, -1, -1], VERTS, "xyz must be in the OpenCV frame, z forward: hand 0"),
        (write_ho3d, XYZ, VERTS * [1, -1, -1], "verts must be in the OpenCV frame"),
        (write_freihand, XYZ, broken, "verts must be finite, got nan or infinity in hand 1"),
        (write_freihand, XYZ[:, :16], VERTS, r"xyz must have shape \(S, 21, 3\)"),
        (write_freihand, XYZ, VERTS[:2], r"verts must have shape \(3, V, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            write(path, xyz, verts)
    with pytest.raises(FileNotFoundError):
        write_freihand(tmp_path / "absent" / "pred.json", XYZ, VERTS)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["pred.json"]


@pytest.mark.parametrize("name", ["freihand", "ho3d_v2"])
def test_the_command_gives_the_official_figures_of_official_files(tmp_path, capsys, name):
    scaled = name != "freihand"
    noise = np.random.default_rng(5).normal(size=(2, 3, 60, 3)) * 0.004
    found_xyz, found_verts = XYZ + noise[0, :, :21], VERTS + noise[1]
    truth, near = XYZ, found_xyz
    if scaled:
        truth, near = (np.asarray(conventions.from_common("ho3d", x)) * [1, -1, -1] for x in (XYZ, found_xyz))
    flip = [1, -1, -1] if scaled else [1, 1, 1]
    pred = written(tmp_path, "pred.json", json.dumps([near.tolist(), (found_verts * flip).tolist()], indent=1))
    truth_in(tmp_path, truth, VERTS * flip)
    out = tmp_path / "figures.json"
    assert run(f"--protocol={name}", f"--pred={pred}", f"--truth={tmp_path}", f"--json={out}") == 0
    wanted = reference.freihand(found_xyz, found_verts, XYZ, VERTS, scaled=scaled)
    assert figures_of(out) == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    shown = capsys.readouterr().out
    assert f"{wanted['mpjpe_mm']:.3f}" in shown and f"{wanted['pa_f_5']:.4f}" in shown
    assert (
        "reflections allowed" in shown and f"3 hands, while the official split has {PROTOCOLS[name].samples}" in shown
    )


def test_the_command_takes_our_arrays_and_other_alignments(tmp_path):
    valid = np.ones((3, 21), bool)
    valid[0, 4] = False
    np.savez(tmp_path / "truth.npz", joints=XYZ, valid=valid)
    np.savez(tmp_path / "pred.npz", joints=NEAR, vertices=VERTS)
    files = [f"--pred={tmp_path}/pred.npz", f"--truth={tmp_path}/truth.npz", f"--json={tmp_path}/out.json"]
    assert run("--protocol=rhd", *files, "--align=none", "--auc=5,20,16") == 0
    figures = figures_of(tmp_path / "out.json")
    assert figures["mpjpe_mm"] == pytest.approx(4 * np.sqrt(3)) and "auc_5_20" in figures
    assert run("--protocol=stb_bihand", *files, "--root=0", "--bone=0,10") == 0
    assert figures_of(tmp_path / "out.json")["scaled_mpjpe_mm"] == pytest.approx(0, abs=1e-9)
    described = json.loads((tmp_path / "out.json").read_text())["description"]
    assert "but not its root, bone" in described[0] and "bone 0-10" in described[1]


def test_the_command_takes_both_hands(tmp_path, capsys):
    both = np.stack([XYZ, XYZ + 0.1], axis=1)
    np.savez(tmp_path / "truth.npz", joints=both, hand_type=np.ones((3, 2), bool))
    np.savez(tmp_path / "pred.npz", joints=both + [[[[0.0]], [[0.03]]]], hand_type=np.full((3, 2), 0.9))
    out = tmp_path / "out.json"
    assert (
        run("--protocol=interhand", f"--pred={tmp_path}/pred.npz", f"--truth={tmp_path}/truth.npz", f"--json={out}")
        == 0
    )
    figures = figures_of(out)
    assert figures["mrrpe_mm"] == pytest.approx(30 * np.sqrt(3)) and figures["hand_type_accuracy"] == 1
    assert figures["interacting_root_mpjpe_mm"] == pytest.approx(0, abs=1e-9)
    # There are no pictures of one hand: no figure, which JSON calls null.
    assert figures["single_root_mpjpe_mm"] is None
    assert "nan" in capsys.readouterr().out


def test_the_command_takes_dexycb_results(tmp_path):
    truth = XYZ.copy()
    truth[1] = -1
    np.savez(tmp_path / "truth.npz", joints=truth)
    lines = [f"{i}," + ",".join(f"{x:.6f}" for x in (1000 * NEAR[i]).ravel()) for i in (2, 0)]
    pred = written(tmp_path, "results.txt", "\n".join(lines))
    out = tmp_path / "out.json"
    assert run("--protocol=dexycb", f"--pred={pred}", f"--truth={tmp_path}/truth.npz", f"--json={out}") == 0
    assert figures_of(out)["mpjpe_mm"] == pytest.approx(4 * np.sqrt(3))


def ring(count: int, height: float, radius: float, near: int = 0) -> np.ndarray:
    """Points that lie at `radius` and height from the origin on average, their centroid on the axis, `near` of them
    within 15 mm of it and one of these on it where their number is odd."""
    inner = np.zeros(near)
    inner[: near - near % 2] = 0.01
    outer = np.full(count - near, (radius * count - inner.sum()) / (count - near))
    odd = len(outer) % 2 == 1
    if odd:
        # Three in a triangle, the others in pairs.
        angles = [2 * np.pi * k / 3 for k in range(3)]
    else:
        angles = []
    angles += [np.pi * k for k in range(len(outer) - len(angles))]
    distances = np.concatenate([inner, outer])
    angles = np.concatenate([[np.pi * k for k in range(near)], angles])
    return np.stack([distances * np.cos(angles), distances * np.sin(angles), np.full(count, height)], axis=1)


def with_distance(count: int, away: float, radius: float, near: int = 0) -> np.ndarray:
    """A ring whose points are `away` from the origin on average."""
    low, high = 0.1, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        near_enough = np.linalg.norm(ring(count, middle, radius, near), axis=1).mean() < away
        low, high = (middle, high) if near_enough else (low, middle)
    return ring(count, low, radius, near)


def test_check_zero_passes_for_labels_with_the_published_figures_and_fails_for_others(tmp_path, capsys):
    # Twelve or thirteen vertices within 15 mm of the mean in each, one of them in it: F@15 of .031, F@5 of .001.
    xyz = np.stack([with_distance(21, 0.7079, 0.0473)] * 4)
    verts = np.stack([with_distance(778, 0.7084, 0.0507, near) for near in (12, 12, 12, 13)])
    truth_in(tmp_path, xyz, verts)
    assert run("--protocol=freihand", "--check_zero", f"--truth={tmp_path}") == 0
    assert "All as published." in capsys.readouterr().out
    truth_in(tmp_path, xyz + [0, 0, 0.001], verts)
    out = tmp_path / "zero.json"
    assert run("--protocol=freihand", "--check_zero", f"--truth={tmp_path}", f"--json={out}") == 1
    shown = capsys.readouterr().out
    assert (
        "DIFFERS: mpjpe_mm is 708.89" in shown
        and "published is 707.9" in shown
        and "pa_mpjpe" not in shown.split("DIFFERS", 1)[1]
    )
    assert figures_of(out)["mpjpe_mm"] == pytest.approx(708.89, abs=0.01)


def test_check_zero_of_ho3d_compares_with_its_own_figures(tmp_path, capsys):
    truth_in(tmp_path, XYZ, VERTS)
    assert run("--protocol=ho3d", "--check_zero", f"--truth={tmp_path}") == 1
    assert "published is 568.7" in capsys.readouterr().out
    assert run("--protocol=ho3d_v3", "--check_zero", f"--truth={tmp_path}") == 2
    assert "published figures, freihand, ho3d_v2, ho3d, got ho3d_v3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "with '[' at character 0"),
        ("{}", "with '[' at character 0"),
        ("[[[1, 2", "must be JSON"),
        ("[[], []", None),
        (b"\xff\xfe[", "bytes that are no text at 0"),
        ([NEAR[:2].tolist(), NEAR_VERTS.tolist()], "--pred must hold as many as the truth, 3, got 2"),
        ([NEAR.tolist(), NEAR_VERTS[:2].tolist()], "the prediction must have as many meshes as hands, got fewer"),
        ([NEAR.tolist(), [*NEAR_VERTS.tolist(), NEAR_VERTS[0].tolist()]], "as many meshes as hands, got more"),
        ([NEAR[:, :20].tolist(), NEAR_VERTS.tolist()], "joints of hand 0: must have shape (21, 3), got (20, 3)"),
        ([NEAR.tolist(), [[[1.0, 2.0]], *NEAR_VERTS[1:].tolist()]], "mesh of hand 0: must have shape (V, 3)"),
        ([NEAR.tolist(), [*NEAR_VERTS[:2].tolist(), [["a", 0, 0]]]], "mesh of hand 2: must be rows of three numbers"),
        ([NEAR.tolist(), [*NEAR_VERTS[:2].tolist(), [[0, float("nan"), 0]]]], "mesh of hand 2: must be finite"),
        ([[*NEAR[:2].tolist(), [[0, 0, float("inf")]] * 21], NEAR_VERTS.tolist()], "joints of hand 2: must be finite"),
        ([NEAR.tolist(), [*NEAR_VERTS[:2].tolist(), NEAR_VERTS[2, :9].tolist()]], "one number of vertices throughout"),
        ([NEAR.tolist()], "with ',' at character"),
        ([[[["0.1", "0.2", "0.3"]] * 21] * 3, NEAR_VERTS.tolist()], "joints of hand 0: must be rows of three numbers"),
        ([[[[0, 0], [0, 0, 0]]] * 3, NEAR_VERTS.tolist()], "joints of hand 0: must be rows of three numbers"),
        ([[[]] * 3, NEAR_VERTS.tolist()], "joints of hand 0: must have shape (21, 3), got (0,)"),
        ("[" * 100_000, "pred.json must be JSON"),
        ("[[" + "1" * 5000, "pred.json must be JSON"),
    ],
)  # fmt: skip
def test_a_prediction_that_cannot_be_measured_is_refused_with_its_reason(tmp_path, capsys, text, message):
    truth_in(tmp_path)
    pred = tmp_path / "pred.json"
    pred.write_bytes(
        text if isinstance(text, bytes) else (text if isinstance(text, str) else json.dumps(text)).encode()
    )
    out = tmp_path / "out.json"
    assert run("--protocol=freihand", f"--pred={pred}", f"--truth={tmp_path}", f"--json={out}") == 2
    error = capsys.readouterr().err
    assert error.startswith("evaluate: ") and "Traceback" not in error
    assert message is None or message in error
    assert not out.exists()


def test_what_is_missing_is_said_with_where_it_is_to_be_had(tmp_path, capsys):
    pred = written(tmp_path, "pred.json", "[[], []]")
    (tmp_path / "empty").mkdir()
    for protocol, place in (("freihand", "FreiHAND_pub_v2_eval.zip"), ("ho3d_v3", "github.com/shreyashampali/ho3d")):
        assert run(f"--protocol={protocol}", f"--pred={pred}", f"--truth={tmp_path}/empty") == 2
        error = capsys.readouterr().err
        assert "evaluation_xyz.json is missing" in error and place in error
    truth_in(tmp_path)
    assert run("--protocol=freihand", f"--pred={tmp_path}/absent.json", f"--truth={tmp_path}") == 2
    assert "absent.json is missing" in capsys.readouterr().err
    with zipfile.ZipFile(tmp_path / "deep.zip", "w") as archive:
        archive.writestr("folder/pred.json", "[[], []]")
    assert run("--protocol=freihand", f"--pred={tmp_path}/deep.zip", f"--truth={tmp_path}") == 2
    assert "must be an archive with pred.json and no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--protocol must be given"),
        (["--protocol=coco"], "coco"),
        (["--protocol=freihand"], "--truth must be given"),
        (["--protocol=freihand", "--truth=."], "--pred must be given, or --check_zero"),
        (["--protocol=freihand", "--truth=.", "--pred=a", "--check_zero"], "give one of them"),
        (["--protocol=freihand", "--truth=.", "--check_zero", "--root=9"], "for the protocol as it is, got --root"),
        (["--protocol=freihand", "--truth=.", "--pred=a", "--root=x"], "--root must be numbers"),
        (["--protocol=freihand", "--truth=.", "--pred=a", "--root=1.5"], "whole, got 1.5"),
        (["--protocol=freihand", "--truth=.", "--pred=a", "--root=21"], "root must be joints from 0 to 20"),
        (["--protocol=freihand", "--truth=.", "--pred=a", "--align=procrustes"], "alignments must be one of"),
        (["--protocol=freihand", "--truth=.", "--pred=a", "--auc=5,inf,9"], "ranges must rise"),
        (["--protocol=freihand", "--truth=.", "--pred=a", "--auc=5,20"], "--auc must be LOW,HIGH,STEPS"),
        (["--protocol=freihand", "--truth=.", "--pred=a", "--json=/nowhere/a.json"], "in a folder that exists"),
        (["--protocol=rhd", "--truth=.", "--pred=a"], "--truth must be an .npz for rhd"),
        (["--protocol=rhd", "--truth=absent.npz", "--pred=a"], "absent.npz is missing"),
        (["stray", "--protocol=rhd"], "all arguments are flags, got stray"),
        (["--unknown=3"], "unknown"),
    ],
)
def test_a_command_line_that_cannot_run_says_why(capsys, arguments, message):
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"points": XYZ}, "must hold only joints, vertices, valid"),
        ({"valid": np.ones((3, 21))}, "must hold joints, got valid"),
        ({"joints": XYZ, "valid": np.ones((2, 21))}, "valid must have as many rows as joints, got (2, 21)"),
        ({"joints": np.array("a")}, "joints must be numbers"),
        ({"joints": XYZ[:, :16]}, "truth.joints must have shape (S, 21, 3), got (3, 16, 3)"),
        ({"joints": XYZ * np.nan}, "truth.joints must be finite"),
    ],
)
def test_arrays_that_are_not_hands_are_refused(tmp_path, capsys, arrays, message):
    np.savez(tmp_path / "truth.npz", allow_pickle=True, **arrays)
    np.savez(tmp_path / "pred.npz", joints=NEAR)
    assert run("--protocol=dexycb", f"--pred={tmp_path}/pred.npz", f"--truth={tmp_path}/truth.npz") == 2
    assert message in capsys.readouterr().err


def test_files_that_are_no_arrays_and_lines_that_are_no_results_are_refused(tmp_path, capsys):
    written(tmp_path, "truth.npz", "not an archive")
    assert run("--protocol=dexycb", "--pred=x", f"--truth={tmp_path}/truth.npz") == 2
    assert "must be an .npz of plain arrays" in capsys.readouterr().err
    with open(tmp_path / "truth.npz", "wb") as stream:
        np.save(stream, XYZ)
    assert run("--protocol=dexycb", "--pred=x", f"--truth={tmp_path}/truth.npz") == 2
    assert "it is one array" in capsys.readouterr().err
    np.savez(tmp_path / "truth.npz", joints=XYZ)
    row = ",".join(["1"] * 63)
    for text in ("a", "0,1,2", f"3,{row}", f"0.5,{row}", f"0,{row}\n0,{row}"):
        pred = written(tmp_path, "results.txt", text)
        assert run("--protocol=dexycb", f"--pred={pred}", f"--truth={tmp_path}/truth.npz") == 2
        assert "must be an index below 3" in capsys.readouterr().err
    written(tmp_path, "results.txt", f"0,{row}")
    assert run("--protocol=dexycb", f"--pred={tmp_path}/results.txt", f"--truth={tmp_path}/truth.npz") == 2
    assert "prediction.joints must be finite where they count" in capsys.readouterr().err


def test_labels_are_read_hand_by_hand_with_any_spaces(tmp_path):
    written(tmp_path, "evaluation_xyz.json", json.dumps(XYZ.tolist(), indent=2) + "\n")
    written(tmp_path, "evaluation_verts.json", " " + json.dumps(VERTS.tolist(), separators=(",", ":")))
    joints, meshes = read_truth(tmp_path, PROTOCOLS["freihand"])
    np.testing.assert_array_equal(joints, XYZ)
    np.testing.assert_array_equal(next(meshes), VERTS[0])
    np.testing.assert_array_equal(list(meshes), VERTS[1:])


def test_a_long_evaluation_shows_how_far_it_is(tmp_path, capsys):
    np.savez(tmp_path / "both.npz", joints=np.zeros((700, 21, 3)))
    assert run("--protocol=stb", f"--pred={tmp_path}/both.npz", f"--truth={tmp_path}/both.npz") == 0
    shown = capsys.readouterr().err.splitlines()
    assert shown[-1] == "[22/22] 700 hands"


def test_help_names_flags_protocols_and_exit_codes(capsys):
    assert run("--help") == 0
    shown = capsys.readouterr().out
    assert "--check_zero" in shown and "dexter_object" in shown and "Exit status" in shown
