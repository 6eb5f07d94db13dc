"""Rigged hands as glTF: valid for Khronos, and re-skinned by an independent reader they are the posed hand."""

import json
import os
import shutil
import struct
import subprocess
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from handjax import export, mano
from handjax.export.gltf import _quaternions
from tests import toy

DTYPES = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": (), "VEC2": (2,), "VEC3": (3,), "VEC4": (4,), "MAT4": (4, 4)}
STRIP = np.stack([np.arange(98), np.arange(98) + 1, np.arange(98) + 2], axis=1)


class Glb:
    """A reader of its own: the JSON, the buffer, and a node tree evaluated in float64."""

    def __init__(self, path):
        data = path.read_bytes()
        magic, version, size = struct.unpack_from("<4sII", data)
        assert (magic, version, size) == (b"glTF", 2, len(data))
        json_size, json_kind = struct.unpack_from("<I4s", data, 12)
        buffer_size, buffer_kind = struct.unpack_from("<I4s", data, 20 + json_size)
        assert (json_kind, buffer_kind) == (b"JSON", b"BIN\0")
        assert 28 + json_size + buffer_size == size
        self.document = json.loads(data[20 : 20 + json_size])
        self.buffer = data[28 + json_size :]

    def array(self, accessor: int) -> np.ndarray:
        accessor = self.document["accessors"][accessor]
        view = self.document["bufferViews"][accessor["bufferView"]]
        assert view["byteOffset"] % 4 == 0
        shape = (accessor["count"], *WIDTHS[accessor["type"]])
        dtype = np.dtype(DTYPES[accessor["componentType"]])
        return np.frombuffer(self.buffer, dtype, int(np.prod(shape)), view["byteOffset"]).reshape(shape)

    def nodes_at(self, frame: int) -> list[dict]:
        nodes = [dict(node) for node in self.document["nodes"]]
        for animation in self.document.get("animations", []):
            for channel in animation["channels"]:
                sampler = animation["samplers"][channel["sampler"]]
                assert sampler["interpolation"] == "LINEAR"
                target = channel["target"]
                nodes[target["node"]][target["path"]] = self.array(sampler["output"])[frame]
        return nodes

    def world_transforms(self, frame: int) -> dict[int, np.ndarray]:
        nodes, worlds = self.nodes_at(frame), {}

        def visit(number: int, parent: np.ndarray) -> None:
            local = np.eye(4)
            local[:3, :3] = matrix(np.asarray(nodes[number].get("rotation", (0, 0, 0, 1)), float))
            local[:3, 3] = nodes[number].get("translation", (0, 0, 0))
            worlds[number] = parent @ local
            for child in nodes[number].get("children", []):
                visit(child, worlds[number])

        for root in self.document["scenes"][0]["nodes"]:
            visit(root, np.eye(4))
        return worlds

    def skinned(self, hand: int, frame: int = 0) -> np.ndarray:
        """(V, 3): the mesh as a viewer shows it, in glTF's axes."""
        worlds = self.world_transforms(frame)
        skin = self.document["skins"][hand]
        attributes = self.document["meshes"][hand]["primitives"][0]["attributes"]
        inverse_bind = self.array(skin["inverseBindMatrices"]).astype(float).transpose(0, 2, 1)
        joint_matrices = np.stack([worlds[joint] for joint in skin["joints"]]) @ inverse_bind
        rest = np.pad(self.array(attributes["POSITION"]).astype(float), ((0, 0), (0, 1)), constant_values=1)
        result = np.zeros((len(rest), 4))
        for number in range(sum(name.startswith("JOINTS_") for name in attributes)):
            joints = self.array(attributes[f"JOINTS_{number}"])
            weights = self.array(attributes[f"WEIGHTS_{number}"])
            for slot in range(4):
                moved = np.einsum("vab,vb->va", joint_matrices[joints[:, slot]], rest)
                result += weights[:, slot, None] * moved
        return result[:, :3]


def matrix(quaternion: np.ndarray) -> np.ndarray:
    x, y, z, w = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def to_gltf(points: np.ndarray) -> np.ndarray:
    """OpenCV camera axes to glTF's: y up, looking along -z."""
    return np.asarray(points, float) * (1, -1, -1)


@pytest.fixture(scope="module")
def model():
    arrays = toy.arrays(seed=3, vertices=100, influences=6)
    return mano.build(**arrays | {"faces": STRIP})


@pytest.fixture(scope="module")
def posed(model):
    """Twelve frames of a motion: (T, ...) arrays."""
    params = mano.HandParams(*toy.params(5, 12))
    steps = np.linspace(0, 1, 12, dtype=np.float32)[:, None]
    between = [steps * values[1] + (1 - steps) * values[0] for values in params]
    output = jax.jit(jax.vmap(mano.forward, in_axes=(None, 0)))(model, mano.HandParams(*between))
    return mano.HandOutput(*map(np.asarray, output))


def frame_of(posed, frame: int):
    return mano.HandOutput(*(array[frame] for array in posed))


def two_bones(num_frames: int = 1, joint_names=()) -> export.RiggedHand:
    """No hand at all: ten vertices, three joints in a row, nothing but NumPy."""
    rng = np.random.default_rng(0)
    rotations = np.stack([[matrix(rng.normal(size=4)) for _ in range(3)] for _ in range(num_frames)])
    weights = rng.random((10, 3))
    return export.RiggedHand(
        "chain",
        rest_vertices=rng.normal(size=(10, 3)),
        faces=STRIP[:8],
        lbs_weights=weights / weights.sum(axis=1, keepdims=True),
        parents=(-1, 0, 1),
        rest_joints=rng.normal(size=(3, 3)),
        local_rotations=rotations,
        root_positions=rng.normal(size=(num_frames, 3)),
        joint_names=joint_names,
    )


@pytest.mark.parametrize("max_influences", [2, 4, 8])
def test_one_frame_is_shown_exactly_with_any_number_of_influences(tmp_path, model, posed, max_influences):
    output = frame_of(posed, 4)
    export.write_glb(tmp_path / "a.glb", [export.rigged_hand("hand", model, output, max_influences)])
    shown = Glb(tmp_path / "a.glb").skinned(0)
    # Two influences of six leave blends that are nearly singular, where float32 vertices cost digits.
    np.testing.assert_allclose(shown, to_gltf(output.vertices), atol=1e-5 if max_influences > 2 else 1e-4)


def test_joints_stand_where_the_hand_has_them_under_their_names(tmp_path, model, posed):
    output = frame_of(posed, 2)
    export.write_glb(tmp_path / "a.glb", [export.rigged_hand("hand", model, output)])
    glb = Glb(tmp_path / "a.glb")
    worlds = glb.world_transforms(0)
    joints = glb.document["skins"][0]["joints"]
    places = np.stack([worlds[joint][:3, 3] for joint in joints])
    np.testing.assert_allclose(places, to_gltf(output.joints), atol=1e-5)
    names = [glb.document["nodes"][joint]["name"] for joint in joints]
    assert names[:4] == ["wrist", "index1", "index2", "index3"]
    assert names[7] == "little1" and names[10] == "ring1" and names[15] == "thumb3"


def test_a_motion_is_plain_skinning_of_every_frame(tmp_path, model, posed):
    hand = export.rigged_hand("hand", model, posed, max_influences=8)
    export.write_glb(tmp_path / "a.glb", [hand], fps=10)
    glb = Glb(tmp_path / "a.glb")
    expected = export.posed_vertices(hand)
    for frame in range(12):
        np.testing.assert_allclose(glb.skinned(0, frame), to_gltf(expected[frame]), atol=1e-5)
    times = glb.array(glb.document["animations"][0]["samplers"][0]["input"])
    np.testing.assert_allclose(times, np.arange(12) / 10, atol=1e-6)


def test_a_motion_without_correctives_is_exact(tmp_path, posed):
    arrays = toy.arrays(seed=3, vertices=100, influences=4)
    plain = mano.build(**arrays | {"faces": STRIP, "posedirs": np.zeros_like(arrays["posedirs"])})
    betas, *rest = toy.params(6, 5)
    params = mano.HandParams(np.repeat(betas[:1], 5, axis=0), *rest)
    output = jax.jit(jax.vmap(mano.forward, in_axes=(None, 0)))(plain, params)
    export.write_glb(tmp_path / "a.glb", [export.rigged_hand("hand", plain, output)], fps=30)
    glb = Glb(tmp_path / "a.glb")
    for frame in range(5):
        np.testing.assert_allclose(glb.skinned(0, frame), to_gltf(output.vertices[frame]), atol=1e-5)


def test_the_rest_mesh_of_a_motion_is_the_least_squares_one(model, posed):
    hand = export.rigged_hand("hand", model, posed, max_influences=16)
    error = ((export.posed_vertices(hand) - posed.vertices) ** 2).sum()
    rng = np.random.default_rng(0)
    for _ in range(10):
        moved = hand._replace(rest_vertices=hand.rest_vertices + 1e-4 * rng.normal(size=(100, 3)))
        assert ((export.posed_vertices(moved) - posed.vertices) ** 2).sum() > error


def test_neighbouring_keys_turn_the_short_way(tmp_path, model, posed):
    export.write_glb(tmp_path / "a.glb", [export.rigged_hand("hand", model, posed)], fps=30)
    glb = Glb(tmp_path / "a.glb")
    (animation,) = glb.document["animations"]
    rotations = [channel for channel in animation["channels"] if channel["target"]["path"] == "rotation"]
    assert len(rotations) == 16
    for channel in rotations:
        keys = glb.array(animation["samplers"][channel["sampler"]]["output"])
        assert ((keys[1:] * keys[:-1]).sum(axis=1) >= 0).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4), st.sampled_from([1.0, 1e-9]))
def test_quaternions_give_back_the_matrix(parts, scale):
    quaternion = np.array([*(scale * part for part in parts[:3]), parts[3]])
    if np.linalg.norm(quaternion) < 1e-12:
        quaternion = np.array([0.0, 0, 0, 1])
    rotation = matrix(quaternion)
    np.testing.assert_allclose(matrix(_quaternions(rotation[None, None])[0, 0]), rotation, atol=1e-9)


@pytest.mark.parametrize("axis", np.vstack([np.eye(3), [[1, 1, 0], [1, -1, 1]]]))
def test_half_turns_have_quaternions(axis):
    rotation = matrix(np.array([*axis, 0.0]))
    np.testing.assert_allclose(matrix(_quaternions(rotation[None, None])[0, 0]), rotation, atol=1e-12)


def test_any_skeleton_is_written(tmp_path):
    hand = two_bones(joint_names=("a", "b", "c"))
    export.write_glb(tmp_path / "a.glb", [hand])
    glb = Glb(tmp_path / "a.glb")
    np.testing.assert_allclose(glb.skinned(0), to_gltf(export.posed_vertices(hand)[0]), atol=1e-5)
    assert [node["name"] for node in glb.document["nodes"]][1:4] == ["a", "b", "c"]


def test_hands_with_their_own_times_share_a_file(tmp_path, model, posed):
    early = two_bones(3)._replace(times=np.array([0.0, 0.5, 0.6]))
    export.write_glb(tmp_path / "a.glb", [early, export.rigged_hand("hand", model, posed)], fps=30)
    glb = Glb(tmp_path / "a.glb")
    inputs = {sampler["input"] for sampler in glb.document["animations"][0]["samplers"]}
    assert sorted(len(glb.array(number)) for number in inputs) == [3, 12]
    assert len(glb.document["meshes"]) == 2


def test_colors_are_linear_light(tmp_path):
    colors = np.full((10, 3), 188, np.uint8)
    export.write_glb(tmp_path / "a.glb", [two_bones()._replace(colors=colors)])
    glb = Glb(tmp_path / "a.glb")
    attribute = glb.document["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]
    linear = glb.array(attribute) / 65535
    np.testing.assert_allclose(linear[:, :3], 0.5029, atol=1e-3)  # sRGB 188 is half the light of white
    np.testing.assert_array_equal(linear[:, 3], 1)


def test_the_photographs_camera_sees_the_hand_as_the_photograph(tmp_path):
    camera = export.ViewCamera(focal_y=500.0, image_size=(640, 480))
    export.write_glb(tmp_path / "a.glb", [two_bones()], camera=camera)
    (written,) = Glb(tmp_path / "a.glb").document["cameras"]
    point = np.array([0.1, -0.05, 0.7])
    x, y, z = to_gltf(point)
    half_height = np.tan(written["perspective"]["yfov"] / 2)
    seen = np.array([x / -z / half_height / written["perspective"]["aspectRatio"], y / -z / half_height])
    pixels = (seen * (1, -1) + 1) / 2 * (640, 480)
    np.testing.assert_allclose(pixels, 500 * point[:2] / point[2] + (320, 240), atol=1e-6)


def test_trimesh_reads_the_rest_mesh(tmp_path, model, posed):
    hand = export.rigged_hand("hand", model, frame_of(posed, 0))
    export.write_glb(tmp_path / "a.glb", [hand, two_bones()])
    meshes = trimesh.load_scene(tmp_path / "a.glb", process=False).geometry
    assert {len(mesh.faces) for mesh in meshes.values()} == {98, 8}


def validator_folder() -> str | None:
    """Where `node` finds gltf-validator; None if it does not."""
    if shutil.which("node") is None:
        return None
    folder = os.environ.get("HANDJAX_GLTF_VALIDATOR", ".")
    look = subprocess.run(["node", "-e", "require.resolve('gltf-validator')"], cwd=folder, capture_output=True)
    return folder if look.returncode == 0 else None


VALIDATE = """
const validator = require("gltf-validator"), fs = require("fs");
(async () => {
  const reports = [];
  for (const path of process.argv.slice(1))
    reports.push((await validator.validateBytes(new Uint8Array(fs.readFileSync(path)))).issues);
  console.log(JSON.stringify(reports));
})();
"""


def test_khronos_validator_finds_no_error_and_no_warning(tmp_path, model, posed):
    folder = validator_folder()
    if folder is None:
        pytest.skip("needs node and npm's gltf-validator (HANDJAX_GLTF_VALIDATOR: the folder with node_modules)")
    hand = export.rigged_hand("hand", model, posed)
    colors = np.random.default_rng(0).random((100, 3))
    many_joints = two_bones()._replace(name="\u624b <hand>")
    camera = export.ViewCamera(900.0, (640, 480))
    files = {
        "still": ([export.rigged_hand("hand", model, frame_of(posed, 0))], None, camera),
        "motion": ([hand, hand._replace(name="other", colors=colors)], 25.0, None),
        "eight": ([export.rigged_hand("hand", model, posed, max_influences=8)], 25.0, camera),
        "chain": ([many_joints, two_bones(2)._replace(times=np.array([0, 0.5]))], None, None),
    }
    paths = [tmp_path / f"{name}.glb" for name in files]
    for path, (hands, fps, camera) in zip(paths, files.values(), strict=True):
        export.write_glb(path, hands, fps, camera)
    ran = subprocess.run(["node", "-e", VALIDATE, *paths], cwd=folder, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    for path, issues in zip(paths, json.loads(ran.stdout), strict=True):
        assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), (path.name, issues["messages"])


BAD_HANDS = {
    "weights": ({"lbs_weights": np.ones((10, 3))}, "lbs_weights must be at least 0 and sum to 1"),
    "weight shape": ({"lbs_weights": np.ones((10, 4))}, r"lbs_weights must have shape \(10, 3\), got \(10, 4\)"),
    "cycle": ({"parents": (-1, 2, 1)}, "parents must be -1, then indices of earlier joints"),
    "two roots": ({"parents": (-1, -1, 1)}, "parents must be -1, then"),
    "not a rotation": ({"local_rotations": np.ones((1, 3, 3, 3))}, "local_rotations must be rotation matrices"),
    "reflection": ({"local_rotations": -np.tile(np.eye(3), (1, 3, 1, 1))}, "local_rotations must be rotation"),
    "nan": ({"root_positions": np.full((1, 3), np.nan)}, "root_positions must be finite"),
    "no frame": ({"local_rotations": np.zeros((0, 3, 3, 3))}, "must have vertices, joints and frames"),
    "no vertex": ({"rest_vertices": np.zeros((0, 3))}, "must have vertices, joints and frames"),
    "faces": ({"faces": STRIP}, r"faces must lie in \[0, 10\)"),
    "color": ({"base_color": (255, 0, 0)}, r"base_color must lie in \[0, 1\]"),
    "names": ({"joint_names": ("wrist",)}, "joint_names must be 3 names, got 1"),
    "times": ({"times": np.array([-1.0])}, "times must rise from 0 or later"),
}


@pytest.mark.parametrize("case", BAD_HANDS)
def test_a_bad_hand_is_named_and_nothing_is_written(tmp_path, case):
    change, message = BAD_HANDS[case]
    with pytest.raises(ValueError, match=message):
        export.write_glb(tmp_path / "a.glb", [two_bones()._replace(**change)])
    assert not list(tmp_path.iterdir())


def test_bad_files_are_refused(tmp_path):
    path = tmp_path / "a.glb"
    with pytest.raises(ValueError, match="at least one hand"):
        export.write_glb(path, [])
    with pytest.raises(ValueError, match="fps must be given: 'chain' has 2 frames"):
        export.write_glb(path, [two_bones(2)])
    for fps in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="fps must be above 0"):
            export.write_glb(path, [two_bones(2)], fps=fps)
    with pytest.raises(ValueError, match="times must rise"):
        export.write_glb(path, [two_bones(2)._replace(times=np.array([0.5, 0.5]))])
    with pytest.raises(ValueError, match="camera must have"):
        export.write_glb(path, [two_bones()], camera=export.ViewCamera(0.0, (640, 480)))
    assert not path.exists()


def test_a_bad_output_is_named(model, posed):
    with pytest.raises(ValueError, match=r"output.vertices must have shape \(T, 100, 3\), got \(12, 99, 3\)"):
        export.rigged_hand("hand", model, posed._replace(vertices=posed.vertices[:, :99]))
    with pytest.raises(ValueError, match=r"output.joints must have shape \(12, 16, 3\), got \(12, 21, 3\)"):
        export.rigged_hand("hand", model, posed._replace(joints=np.zeros((12, 21, 3))))
    with pytest.raises(ValueError, match="output.vertices must be finite"):
        export.rigged_hand("hand", model, posed._replace(vertices=np.full_like(posed.vertices, np.nan)))
    with pytest.raises(ValueError, match="max_influences must be at least 1"):
        export.rigged_hand("hand", model, posed, max_influences=0)


def test_a_vertex_between_joints_half_a_turn_apart_stays_finite():
    half_turn = np.diag([1.0, -1.0, -1.0])
    transforms = np.zeros((2, 3, 4))
    transforms[:, :, :3] = np.eye(3), half_turn
    model = SimpleNamespace(faces=[[0, 1, 2]], lbs_weights=np.full((3, 2), 0.5), parents=(-1, 0))
    output = mano.HandOutput(np.eye(3) * 0.1, np.zeros((2, 3)), transforms)
    hand = export.rigged_hand("hand", model, output)
    assert np.abs(hand.rest_vertices).max() <= 0.1 + 1e-6


def test_a_mesh_of_many_vertices_has_wide_indices(tmp_path):
    count = 70_000
    hand = two_bones()._replace(
        rest_vertices=np.random.default_rng(0).normal(size=(count, 3)),
        lbs_weights=np.tile([1.0, 0, 0], (count, 1)),
        faces=np.array([[0, 1, count - 1]]),
    )
    export.write_glb(tmp_path / "a.glb", [hand])
    glb = Glb(tmp_path / "a.glb")
    np.testing.assert_array_equal(glb.array(glb.document["meshes"][0]["primitives"][0]["indices"]), [0, 1, count - 1])
