"""Lists read piece by piece: the same as `json` gives, and no end that is cut off goes unseen."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("etils")

from datasets import json_stream  # noqa: E402

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("json") / "list.json"


@given(values=st.lists(VALUES, max_size=6), chunk=st.integers(1, 30), spaced=st.booleans(), ascii=st.booleans())
def test_items_are_those_of_the_list_whatever_the_chunk(path, values, chunk, spaced, ascii):
    separators = (" , ", " : ") if spaced else (",", ":")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "CHUNK", chunk)
        path.write_text(json.dumps(values, separators=separators, ensure_ascii=ascii) + "\n" * spaced, encoding="utf-8")
        assert list(json_stream.items(path)) == values
        whole = {"info": {"images": [1]}, "other": [[2], 3], "images": values, "last": 1}
        path.write_text(json.dumps(whole, separators=separators, ensure_ascii=ascii), encoding="utf-8")
        assert list(json_stream.items(path, "images")) == values


@given(values=st.lists(VALUES, max_size=4), chunk=st.integers(1, 30), data=st.data())
def test_a_file_that_is_cut_off_is_refused_by_name(path, values, chunk, data):
    text = json.dumps(values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "CHUNK", chunk)
        path.write_text(text[: data.draw(st.integers(0, len(text) - 1))])
        with pytest.raises(ValueError, match="list.json is not a JSON file as expected"):
            list(json_stream.items(path))


@pytest.mark.parametrize("text", ["{}", "[1 2]", "[1,}]", "[nothing]", '{"images" [1]}', '{"image": [1]}', "1"])
def test_what_is_no_such_list_is_refused(path, text):
    path.write_text(text)
    with pytest.raises(ValueError, match="list.json is not a JSON file as expected"):
        list(json_stream.items(path, "images" if "image" in text else None))


def test_damage_in_the_middle_is_not_sought_through_the_whole_file(path, monkeypatch):
    monkeypatch.setattr(json_stream, "CHUNK", 10)
    monkeypatch.setattr(json_stream, "MAX_VALUE", 100)
    path.write_text("[1, [2, " + "3, " * 10_000)
    found = json_stream.items(path)
    assert next(found) == 1
    with pytest.raises(ValueError, match="no whole value at character 4"):
        next(found)


def test_rows_go_together_and_name_the_list_that_ends_first(tmp_path):
    long, short = tmp_path / "long.json", tmp_path / "short.json"
    long.write_text("[1, 2, 3]")
    short.write_text('["a", "b"]')
    assert json_stream.count(long) == 3
    rows = json_stream.rows({"n": long, "name": short})
    assert [next(rows), next(rows)] == [{"n": 1, "name": "a"}, {"n": 2, "name": "b"}]
    with pytest.raises(ValueError, match=r"short.json must be as long as the other lists, got only 2 items"):
        next(rows)
