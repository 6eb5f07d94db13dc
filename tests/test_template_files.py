"""Templates from the folder of files that DeepHandMesh's code reads."""

import numpy as np
import pytest

from handjax import mano
from handjax.export.detailed_folder import write_detailed_folder
from handjax.models.hand_template import template_of
from handjax.models.template_files import read_template


@pytest.fixture
def folder(tmp_path, small_model):
    write_detailed_folder(tmp_path / "hand_model", small_model)
    return tmp_path / "hand_model"


def test_what_was_written_comes_back(folder, small_model):
    read, expected = read_template(folder), template_of(mano.detailed(small_model))
    assert read.names[0] == "wrist"
    places = read.places(expected.names)
    assert [read.names[place] for place in places] == list(expected.names)
    for name, tolerance in (("joints", 1e-6), ("frames", 1e-6)):
        np.testing.assert_allclose(np.asarray(getattr(read, name))[places], getattr(expected, name), atol=tolerance)
    np.testing.assert_allclose(read.vertices, expected.vertices, atol=1e-6)
    np.testing.assert_allclose(np.asarray(read.lbs_weights)[:, places], expected.lbs_weights, atol=1e-6)
    np.testing.assert_array_equal(read.faces, expected.faces)
    for joint, name in enumerate(expected.names):
        above = expected.parents[joint]
        parent = read.parents[read.names.index(name)]
        assert (parent == above == -1) or read.names[parent] == expected.names[above]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("skeleton.txt", "b_r_wrist 21 -1", "b_r_wrist 21", "skeleton.txt, line 23: must be name, id and parent's id"),
        ("skeleton.txt", "b_r_wrist 21 -1", "b_r_wrist 21 40", "parents be among them"),
        ("skeleton.txt", "b_r_index1 8 21", "b_r_index1 9 21", "ids must differ"),
        ("global_pose.txt", "b_r_index1 ", "b_r_index9 ", "b_r_index9 is not a joint of the skeleton"),
        ("global_pose.txt", "b_r_index1 ", "b_r_index2 ", "none for b_r_index1"),
        ("global_pose.txt", "b_r_index1 ", "b_r_index1 nan ", "must have 16 finite numbers"),
        ("hand.obj", "v ", "v x", "hand.obj, line 2: must be numbers"),
        ("skinning_weight.txt", "59 ", "60 ", r"vertex must lie in \[0, 60\)"),
        ("skinning_weight.txt", "0 b_r_", "0 b_l_", "is not a joint of the skeleton"),
    ],
)
def test_a_broken_file_is_named_with_its_line(folder, file, old, new, message):
    text = (folder / file).read_text()
    assert old in text
    place = text.rindex(f"\n{old}") + 1 if f"\n{old}" in text and old != "v " else text.index(old)
    (folder / file).write_text(text[:place] + new + text[place + len(old) :])
    with pytest.raises(ValueError, match=message):
        read_template(folder)


def test_files_that_do_not_go_together_are_refused(folder):
    lines = (folder / "skinning_weight.txt").read_text().splitlines()
    (folder / "skinning_weight.txt").write_text("\n".join(lines[1:]))
    with pytest.raises(ValueError, match="must hold one hand: lbs_weights must be at least 0 and sum to 1"):
        read_template(folder)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_template(tmp_path)
