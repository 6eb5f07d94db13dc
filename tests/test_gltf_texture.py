"""A picture on a rigged hand: what a viewer reads back is the picture, at the right place of the right face."""

import json
import subprocess

import cv2
import numpy as np
import pytest

from handjax import export
from handjax.export.texture import MeshTexture, tangents
from tests.test_gltf import VALIDATE, Glb, two_bones, validator_folder


def seamed(normal=False) -> MeshTexture:
    """Every face has its own piece of the picture: each vertex is there once a face."""
    hand = two_bones()
    count = 3 * len(hand.faces)
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (16, 32, 3), dtype=np.uint8)
    uv = rng.random((count, 2)).astype(np.float32)
    return MeshTexture(uv, np.arange(count).reshape(-1, 3), picture, picture[::-1] if normal else None)


def picture_of(glb: Glb, texture: int) -> np.ndarray:
    image = glb.document["images"][glb.document["textures"][texture]["source"]]
    view = glb.document["bufferViews"][image["bufferView"]]
    data = np.frombuffer(glb.buffer, np.uint8, view["byteLength"], view["byteOffset"])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]


def test_faces_keep_their_corners_and_their_piece_of_the_picture(tmp_path):
    hand, texture = two_bones(), seamed(normal=True)
    export.write_glb(tmp_path / "a.glb", [hand._replace(texture=texture)])
    glb = Glb(tmp_path / "a.glb")
    primitive = glb.document["meshes"][0]["primitives"][0]
    corners = glb.array(primitive["indices"]).reshape(-1, 3)
    positions, uv = (glb.array(primitive["attributes"][name]) for name in ("POSITION", "TEXCOORD_0"))
    np.testing.assert_allclose(positions[corners], np.asarray(hand.rest_vertices)[hand.faces], atol=1e-7)
    np.testing.assert_array_equal(uv[corners], texture.uv[texture.uv_faces])
    material = glb.document["materials"][primitive["material"]]
    color = material["pbrMetallicRoughness"]["baseColorTexture"]["index"]
    np.testing.assert_array_equal(picture_of(glb, color), texture.color)
    np.testing.assert_array_equal(picture_of(glb, material["normalTexture"]["index"]), texture.normal)
    assert material["pbrMetallicRoughness"]["baseColorFactor"] == [1, 1, 1, 1]


def test_normals_and_weights_follow_the_doubled_vertices(tmp_path):
    hand = two_bones()
    export.write_glb(tmp_path / "plain.glb", [hand])
    export.write_glb(tmp_path / "seamed.glb", [hand._replace(texture=seamed())])
    plain, seam = Glb(tmp_path / "plain.glb"), Glb(tmp_path / "seamed.glb")
    for name in ("NORMAL", "JOINTS_0", "WEIGHTS_0"):
        values = []
        for glb in (plain, seam):
            primitive = glb.document["meshes"][0]["primitives"][0]
            values.append(glb.array(primitive["attributes"][name])[glb.array(primitive["indices"])])
        np.testing.assert_array_equal(*values)


def test_tangents_follow_the_picture():
    grid = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    texture = MeshTexture(grid, np.array([[0, 2, 1], [1, 2, 3]]), np.zeros((4, 4, 3), np.uint8))
    # The picture lies on the plane z = 0 seen from +z: u to the right, v down.
    vertices = np.column_stack([grid[:, 0], -grid[:, 1], np.zeros(4)])
    normals = np.tile([0.0, 0.0, 1.0], (4, 1))
    np.testing.assert_allclose(tangents(vertices, normals, texture), np.tile([1, 0, 0, 1], (4, 1)), atol=1e-6)
    mirrored = vertices * [-1, 1, 1]
    np.testing.assert_allclose(tangents(mirrored, normals, texture), np.tile([-1, 0, 0, -1], (4, 1)), atol=1e-6)


def test_khronos_validator_accepts_it(tmp_path):
    folder = validator_folder()
    if folder is None:
        pytest.skip("needs node and npm's gltf-validator (HANDJAX_GLTF_VALIDATOR: the folder with node_modules)")
    export.write_glb(tmp_path / "a.glb", [two_bones()._replace(texture=seamed(normal=True)), two_bones()])
    ran = subprocess.run(
        ["node", "-e", VALIDATE, tmp_path / "a.glb"], cwd=folder, capture_output=True, text=True, timeout=60
    )
    (issues,) = json.loads(ran.stdout)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


BAD = {
    "outside": ({"uv": seamed().uv + 1}, ValueError, r"texture.uv must lie in \[0, 1\]"),
    "faces": ({"uv_faces": seamed().uv_faces[:-1]}, ValueError, "texture.uv_faces must have shape"),
    "float faces": ({"uv_faces": seamed().uv_faces * 1.0}, TypeError, "texture.uv_faces must be integers"),
    "high": ({"uv_faces": seamed().uv_faces + 1}, ValueError, r"texture.uv_faces must lie in \[0, 24\)"),
    "shared": ({"uv_faces": np.zeros_like(seamed().uv_faces)}, ValueError, "each for one vertex"),
    "gray": ({"color": np.zeros((4, 4), np.uint8)}, ValueError, "texture.color must have shape"),
    "floats": ({"normal": np.zeros((4, 4, 3))}, TypeError, "texture.normal must be uint8"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_texture_is_named_and_nothing_is_written(tmp_path, case):
    change, error, message = BAD[case]
    with pytest.raises(error, match=message):
        export.write_glb(tmp_path / "a.glb", [two_bones()._replace(texture=seamed()._replace(**change))])
    with pytest.raises(ValueError, match="colors must be None"):
        colored = two_bones()._replace(texture=seamed(), colors=np.zeros((10, 3), np.uint8))
        export.write_glb(tmp_path / "a.glb", [colored])
    assert not list(tmp_path.iterdir())
