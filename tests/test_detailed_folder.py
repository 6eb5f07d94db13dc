"""DeepHandMesh's text files: an independent reader poses the same hand from them."""

import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano
from handjax.export import write_detailed_folder

BETAS = np.linspace(-1.0, 1.0, 10).astype(np.float32)


@pytest.fixture(scope="module", params=["right", "left"])
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("hand_model") / request.param
    model = mano.default(request.param)
    uv = np.array([[0.25, 0.75], [1.0, 0.0]])
    write_detailed_folder(path, model, BETAS, uv, np.tile([0, 1, 0], (len(model.faces), 1)))
    return path, model


def _skeleton(path):
    rows = [line.split() for line in (path / "skeleton.txt").read_text().splitlines() if not line.startswith("#")]
    assert [int(row[1]) for row in rows] == list(range(22))
    return [row[0] for row in rows], [int(row[2]) for row in rows]


def _poses(path, names):
    table = {}
    for line in path.read_text().splitlines():
        name, *numbers = line.split()
        table[name] = np.array(numbers, float).reshape(4, 4)
    return np.stack([table[name] for name in names])


def _obj(path):
    lines = [line.split() for line in (path / "hand.obj").read_text().splitlines()]
    vertices = np.array([line[1:] for line in lines if line[0] == "v"], float)
    uv = np.array([line[1:] for line in lines if line[0] == "vt"], float)
    corners = [[[int(n) for n in corner.split("/")] for corner in line[1:]] for line in lines if line[0] == "f"]
    return vertices, uv, np.array(corners) - 1


def test_names_and_parents_are_the_published_ones(folder):
    path, model = folder
    names, parents = _skeleton(path)
    prefix = "b_r_" if model.side == "right" else "b_l_"
    assert names == [prefix + name for name in mano.PUBLISHED_JOINTS]
    assert parents[21] == -1 and parents[4] == 21 and parents[8] == 21 and parents[5] == 6


def test_local_global_and_inverse_poses_agree(folder):
    path, _ = folder
    names, parents = _skeleton(path)
    local, whole, inverse = (
        _poses(path / f"{kind}.txt", names) for kind in ("local_pose", "global_pose", "global_pose_inv")
    )
    np.testing.assert_allclose(whole @ inverse, np.tile(np.eye(4), (22, 1, 1)), atol=1e-5)
    for joint, parent in enumerate(parents):
        expected = local[joint] if parent < 0 else whole[parent] @ local[joint]
        np.testing.assert_allclose(whole[joint], expected, atol=1e-4)


def test_a_reader_of_the_files_poses_the_hand_as_handjax_does_without_correctives(folder):
    path, model = folder
    names, parents = _skeleton(path)
    local, inverse = _poses(path / "local_pose.txt", names), _poses(path / "global_pose_inv.txt", names)
    vertices, _, _ = _obj(path)
    angles = np.random.default_rng(0).uniform(-0.4, 0.8, 28).astype(np.float32)
    turned = np.asarray(mano.detailed_rotations(jnp.asarray(angles)), float)
    order = [mano.DETAILED_JOINTS.index(name) for name in mano.PUBLISHED_JOINTS]
    posed = {}

    def pose(joint):
        if joint not in posed:
            turn = np.eye(4)
            turn[:3, :3] = turned[order[joint]]
            mine = local[joint] @ turn
            posed[joint] = mine if parents[joint] < 0 else pose(parents[joint]) @ mine
        return posed[joint]

    transforms = np.stack([pose(joint) for joint in range(22)]) @ inverse
    expected = np.zeros_like(vertices)
    for line in (path / "skinning_weight.txt").read_text().splitlines():
        vertex, *pairs = line.split()
        place = np.append(10.0 * vertices[int(vertex)], 1.0)
        for name, weight in zip(pairs[::2], pairs[1::2], strict=True):
            expected[int(vertex)] += float(weight) * (transforms[names.index(name)] @ place)[:3]

    hand = mano.detailed(model)
    plain = hand.replace(blend_basis=hand.blend_basis.at[model.num_betas :].set(0.0))
    got = mano.forward_rotations(plain, jnp.asarray(BETAS), jnp.asarray(turned, jnp.float32), jnp.zeros(3))
    np.testing.assert_allclose(1000.0 * np.asarray(got.vertices), expected, atol=2e-3)


def test_the_mesh_is_in_centimetres_with_texture_corners(folder):
    path, model = folder
    vertices, uv, corners = _obj(path)
    expected = np.asarray(model.v_template) + np.asarray(model.shapedirs) @ BETAS
    np.testing.assert_allclose(vertices, 100.0 * expected, atol=1e-4)
    np.testing.assert_array_equal(corners[..., 0], np.asarray(model.faces))
    np.testing.assert_array_equal(corners[0, :, 1], [0, 1, 0])
    np.testing.assert_allclose(uv, [[0.25, 0.25], [1.0, 1.0]])


def test_wrong_texture_corners_are_named(tmp_path):
    model = mano.default()
    with pytest.raises(ValueError, match=r"uv_faces must lie in \[0, 1\), got 0 to 1"):
        write_detailed_folder(tmp_path / "x", model, uv_faces=np.tile([0, 0, 1], (len(model.faces), 1)))
    with pytest.raises(ValueError, match="betas must have shape"):
        write_detailed_folder(tmp_path / "x", model, betas=np.zeros(3))
    assert not (tmp_path / "x").exists()
