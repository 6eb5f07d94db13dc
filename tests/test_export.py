"""Mesh files: what is written reads back equal, wrong input is named, an old file is never lost."""

import os

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from handjax import export
from handjax.export.files import write_bytes

FLOATS = st.floats(-1e6, 1e6, width=32)


def tetrahedron(scale: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    vertices = scale * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32) + np.float32(1 / 3)
    return vertices, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])


def colors_of(vertices: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, vertices.shape, np.uint8)


def obj_rows(path, kind: str) -> np.ndarray:
    rows = [line.split()[1:] for line in path.read_text().splitlines() if line.startswith(f"{kind} ")]
    return np.array(rows, float)


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.float32, (5, 3), elements=FLOATS))
def test_obj_keeps_every_float32(tmp_path_factory, vertices):
    path = tmp_path_factory.mktemp("obj") / "mesh.obj"
    export.write_obj(path, vertices, [[0, 1, 2]])
    np.testing.assert_array_equal(obj_rows(path, "v").astype(np.float32), vertices)


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.float32, (5, 3), elements=FLOATS))
def test_ply_keeps_every_float32(tmp_path_factory, vertices):
    path = tmp_path_factory.mktemp("ply") / "mesh.ply"
    export.write_ply(path, vertices, [[0, 1, 2], [2, 3, 4]])
    read = trimesh.load(path, process=False)
    np.testing.assert_array_equal(read.vertices.astype(np.float32), vertices)
    np.testing.assert_array_equal(read.faces, [[0, 1, 2], [2, 3, 4]])


@pytest.mark.parametrize("suffix", ["obj", "ply"])
def test_trimesh_reads_back_vertices_faces_and_colors(tmp_path, suffix):
    vertices, faces = tetrahedron()
    path = tmp_path / f"mesh.{suffix}"
    write = {"obj": export.write_obj, "ply": export.write_ply}[suffix]
    write(path, vertices, faces, colors_of(vertices))
    read = trimesh.load(path, process=False, maintain_order=True)
    np.testing.assert_array_equal(read.vertices.astype(np.float32), vertices)
    np.testing.assert_array_equal(read.faces, faces)
    np.testing.assert_array_equal(read.visual.vertex_colors[:, :3], colors_of(vertices))


def test_float_colors_are_the_same_as_their_bytes(tmp_path):
    vertices, faces = tetrahedron()
    export.write_ply(tmp_path / "bytes.ply", vertices, faces, colors_of(vertices))
    export.write_ply(tmp_path / "floats.ply", vertices, faces, colors_of(vertices) / 255)
    assert (tmp_path / "bytes.ply").read_bytes() == (tmp_path / "floats.ply").read_bytes()


def test_several_hands_share_a_file_and_stay_apart(tmp_path):
    right, left = tetrahedron(0.1), tetrahedron(0.2)
    merged = export.merge({"hand_0_right": export.Mesh(*right), "hand_1_left": export.Mesh(*left)})
    path = tmp_path / "hands.obj"
    export.write_obj(path, *merged)
    objects = [line for line in path.read_text().splitlines() if line.startswith("o ")]
    assert objects == ["o hand_0_right", "o hand_1_left"]
    faces = obj_rows(path, "f").astype(int) - 1
    np.testing.assert_array_equal(faces[:4], right[1])
    np.testing.assert_array_equal(obj_rows(path, "v").astype(np.float32)[faces[4:]], left[0][left[1]])
    export.write_ply(tmp_path / "hands.ply", merged.vertices, merged.faces)
    assert len(trimesh.load(tmp_path / "hands.ply", process=False).split(only_watertight=False)) == 2


def test_merge_keeps_colors_only_if_all_meshes_have_them():
    vertices, faces = tetrahedron()
    colored = export.Mesh(vertices, faces, colors_of(vertices))
    assert export.merge({"a": colored, "b": colored}).colors.shape == (8, 3)
    assert export.merge({"a": colored, "b": export.Mesh(vertices, faces)}).colors is None
    with pytest.raises(ValueError, match="at least one mesh"):
        export.merge({})


def test_normals_equal_loops_over_faces():
    rng = np.random.default_rng(1)
    vertices, faces = rng.normal(size=(20, 3)), rng.integers(0, 19, (40, 3))
    expected = np.zeros((20, 3))
    for a, b, c in faces:
        for corner in (a, b, c):
            expected[corner] += np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])
    normals = export.vertex_normals(vertices, faces)
    expected[:19] /= np.linalg.norm(expected[:19], axis=1, keepdims=True)
    np.testing.assert_allclose(normals[:19], expected[:19], atol=1e-6)
    np.testing.assert_array_equal(normals[19], (0, 0, 1))  # no face touches the last vertex


def test_normals_point_outside():
    vertices, faces = tetrahedron()
    outwards = vertices - vertices.mean(axis=0)
    assert ((export.vertex_normals(vertices, faces) * outwards).sum(axis=1) > 0).all()


VERTICES, FACES = tetrahedron()
BAD_MESHES = {
    "flat vertices": ((VERTICES[:, :2], FACES), r"vertices must have shape \(V, 3\), got \(4, 2\)"),
    "one vertex": ((VERTICES[0], FACES), r"vertices must have shape"),
    "nan": ((np.where(VERTICES > 0.4, np.nan, VERTICES), FACES), r"vertices must be finite, got .* in row 1"),
    "infinite": ((np.full((4, 3), np.inf), FACES), r"vertices must be finite"),
    "quads": ((VERTICES, np.zeros((2, 4), int)), r"faces must have shape \(F, 3\), got \(2, 4\)"),
    "index too large": ((VERTICES, FACES + 1), r"faces must lie in \[0, 4\), got \[1, 4\]"),
    "negative index": ((VERTICES, FACES - 1), r"faces must lie in \[0, 4\), got \[-1, 2\]"),
    "float faces": ((VERTICES, FACES * 1.0), r"faces must be integers, got float64"),
    "short colors": ((VERTICES, FACES, np.zeros((3, 3), np.uint8)), r"colors must have shape \(4, 3\)"),
    "bright colors": ((VERTICES, FACES, np.full((4, 3), 200.0)), r"colors must lie in \[0, 1\], got \[200, 200\]"),
    "nan colors": ((VERTICES, FACES, np.full((4, 3), np.nan)), r"colors must lie in \[0, 1\]"),
    "integer colors": ((VERTICES, FACES, np.zeros((4, 3), np.int64)), r"colors must be uint8 or floats"),
}


@pytest.mark.parametrize("write", [export.write_obj, export.write_ply])
@pytest.mark.parametrize("case", BAD_MESHES)
def test_bad_mesh_is_named_and_nothing_is_written(tmp_path, write, case):
    arguments, message = BAD_MESHES[case]
    with pytest.raises((ValueError, TypeError), match=message):
        write(tmp_path / "mesh", *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("groups", "message"),
    [((("a", 3),), "groups must count 4 faces, got 3"), ((("a\nv 0 0 0", 4),), "groups must have printable names")],
)
def test_bad_group_is_refused(tmp_path, groups, message):
    with pytest.raises(ValueError, match=message):
        export.write_obj(tmp_path / "mesh.obj", VERTICES, FACES, groups=groups)


def test_a_mesh_without_faces_is_a_point_cloud(tmp_path):
    export.write_ply(tmp_path / "points.ply", VERTICES, np.zeros((0, 3), int))
    np.testing.assert_array_equal(trimesh.load(tmp_path / "points.ply").vertices, VERTICES)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "hand.obj"
    write_bytes(path, b"old")

    def full_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(FileNotFoundError):
        export.write_ply(tmp_path / "none" / "hand.ply", VERTICES, FACES)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_files_have_the_usual_mode(tmp_path):
    (tmp_path / "usual").write_bytes(b"")
    write_bytes(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode
