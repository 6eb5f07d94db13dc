"""Pose codings and the exact conventions of smplx, against values that smplx itself computed."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import smplx_check
from handjax import conventions, mano
from tests import reference, toy

GOLDEN = Path(__file__).parent / "golden" / "smplx_mano.npz"
SKEWED = toy.arrays(seed=1, vertices=60, faces=100)
# The released file's components are not quite orthonormal (otaheri/MANO#13). These are far from it.
SKEWED["hands_components"] = SKEWED["hands_components"] + 0.05 * np.random.default_rng(0).normal(size=(45, 45))


@pytest.fixture(scope="module")
def skewed_model() -> mano.HandModel:
    return jax.tree.map(jnp.asarray, mano.build(**SKEWED))


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    stored = dict(np.load(GOLDEN))
    np.testing.assert_allclose(
        smplx_check.fingerprint(smplx_check.arrays()),
        stored["fingerprint"],
        atol=1e-6,
        err_msg="the random model has changed: `python -m benchmarks.smplx_check --write`",
    )
    return stored


@pytest.fixture(scope="module")
def smplx_twin() -> mano.HandModel:
    return jax.tree.map(jnp.asarray, mano.build(**smplx_check.arrays()))


forward_batch = jax.jit(mano.forward_batch)


@pytest.mark.parametrize("name", smplx_check.MODES)
def test_mesh_joints_and_fingertips_equal_smplx(golden, smplx_twin, name):
    mode = smplx_check.MODES[name]
    params = conventions.from_smplx(smplx_twin, smplx_check.inputs(mode), **mode)
    output = forward_batch(smplx_twin, params)
    np.testing.assert_allclose(output.vertices[:, golden["vertex_ids"]], golden[f"{name}_vertices"], atol=1e-6)
    np.testing.assert_allclose(output.joints, golden[f"{name}_joints"], atol=1e-6)
    # smplx's 16 joints and its fingertip vertices, in the order of the 21 keypoints.
    tips = golden[f"{name}_vertices"][:, -5:]
    expected = np.concatenate([golden[f"{name}_joints"], tips], 1)[:, list(mano.MANO_KEYPOINT_IDS)]
    np.testing.assert_allclose(mano.keypoints_of(smplx_twin, output), expected, atol=1e-6)


def test_smplx_with_all_components_reads_angles_and_its_other_modes_are_different_hands(golden):
    np.testing.assert_array_equal(golden["all_components_vertices"], golden["angle_mean_vertices"])
    meshes = [golden[f"{name}_vertices"] for name in ("pca_mean", "pca_flat", "angle_mean", "angle_flat")]
    for index, mesh in enumerate(meshes):
        assert all(np.abs(mesh - other).max() > 1e-3 for other in meshes[:index])


@pytest.mark.parametrize("flat_hand_mean", [True, False])
def test_pca_is_rows_times_coefficients_plus_the_mean_unless_flat(skewed_model, flat_hand_mean):
    coefficients = np.random.default_rng(1).normal(size=(2, 6)).astype(np.float32)
    expected = coefficients.astype(np.float64) @ SKEWED["hands_components"][:6]
    expected = expected + (0 if flat_hand_mean else SKEWED["hands_mean"])
    pose = mano.pose_from_pca(skewed_model, coefficients, flat_hand_mean=flat_hand_mean)
    np.testing.assert_allclose(pose, expected, atol=1e-6)


@pytest.mark.parametrize("count", [1, 6, 45])
def test_coefficients_survive_a_basis_that_is_not_orthonormal(skewed_model, count):
    coefficients = np.random.default_rng(2).normal(size=(3, 2, count)).astype(np.float32)
    for flat in (True, False):
        pose = mano.pose_from_pca(skewed_model, coefficients, flat_hand_mean=flat)
        again = mano.pca_from_pose(skewed_model, pose, count, flat_hand_mean=flat)
        np.testing.assert_allclose(again, coefficients, atol=2e-4 if count == 45 else 1e-5)


def test_fewer_components_give_the_least_squares_pose(skewed_model):
    pose = np.random.default_rng(3).normal(size=45).astype(np.float32) * 0.3
    ours = mano.pca_from_pose(skewed_model, pose, 6)
    relative = pose - SKEWED["hands_mean"]
    expected, *_ = np.linalg.lstsq(SKEWED["hands_components"][:6].T, relative, rcond=None)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("count", [0, 46])
def test_more_or_fewer_components_than_there_are_is_an_error(skewed_model, count):
    with pytest.raises(ValueError, match=rf"num_pca_comps must lie in \[1, 45\], got {count}"):
        mano.pca_from_pose(skewed_model, jnp.zeros(45), count)
    with pytest.raises(ValueError, match="coefficients must have at most 45 entries, got 46"):
        mano.pose_from_pca(skewed_model, jnp.zeros(46))


def test_hand_params_without_arguments_is_the_flat_hand_or_the_mean_one(small_model):
    for flat, pose in [(True, np.zeros(45)), (False, small_model.hands_mean)]:
        params = mano.hand_params(small_model, flat_hand_mean=flat)
        np.testing.assert_array_equal(params.hand_pose, pose)
        assert not any(np.any(array) for array in (params.betas, params.global_orient, params.transl))


@pytest.mark.parametrize("rotation", ["axis_angle", "quaternion", "6d", "matrix"])
def test_hand_params_reads_every_coding_of_one_hand(small_model, rotation):
    vectors = np.random.default_rng(4).normal(size=(16, 3)).astype(np.float32)
    matrices = np.stack([reference.rodrigues(vector) for vector in vectors])
    codings = {
        "axis_angle": vectors,
        "quaternion": np.stack([reference.quaternion_of(vector) for vector in vectors]),
        "6d": np.concatenate([matrices[..., 0], matrices[..., 1]], -1),
        "matrix": matrices,
    }
    values = codings[rotation].astype(np.float32)
    for fingers in (values[1:], values[1:].reshape(-1)):
        params = mano.hand_params(small_model, global_orient=values[0], hand_pose=fingers, rotation=rotation)
        pose = np.concatenate([params.global_orient, params.hand_pose]).reshape(16, 3)
        actual = np.stack([reference.rodrigues(vector) for vector in pose])
        np.testing.assert_allclose(actual, matrices, atol=2e-6)


def test_hand_params_takes_pca_with_a_root_of_any_coding(small_model):
    coefficients = np.arange(6, dtype=np.float32) / 10
    expected = mano.pose_from_pca(small_model, coefficients)
    params = mano.hand_params(
        small_model,
        global_orient=np.eye(3, dtype=np.float32),
        hand_pose=coefficients,
        rotation="matrix",
        use_pca=True,
        num_pca_comps=6,
        flat_hand_mean=False,
    )
    np.testing.assert_allclose(params.hand_pose, expected, atol=1e-7)
    np.testing.assert_allclose(params.global_orient, np.zeros(3), atol=1e-7)


def test_hand_params_pads_betas_with_zeros(small_model):
    params = mano.hand_params(small_model, betas=np.array([1.0, -2.0], np.float32))
    np.testing.assert_array_equal(params.betas, [1, -2, 0, 0, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"betas": np.zeros(11)}, r"betas must have shape \(n,\), n <= 10, got \(11,\)"),
        ({"betas": np.zeros((1, 10))}, r"betas must have shape \(n,\), n <= 10, got \(1, 10\)"),
        ({"hand_pose": np.zeros(48)}, "global_orient and hand_pose must hold 1 and 15 rotations, got 1 and 16"),
        ({"hand_pose": np.zeros(44)}, r"hand_pose must hold axis_angle rotations of 3 numbers, got shape \(44,\)"),
        ({"global_orient": np.zeros(6)}, "global_orient and hand_pose must hold 1 and 15 rotations, got 2 and 15"),
        ({"global_orient": np.zeros(3), "rotation": "6d"}, "global_orient must hold 6d rotations of 6 numbers"),
        ({"transl": np.zeros((1, 3))}, r"transl must have shape \(3,\), got \(1, 3\)"),
        ({"rotation": "euler"}, "rotation must be one of 'axis_angle', .*, got 'euler'"),
        ({"rotation": "matrix", "flat_hand_mean": False}, "flat_hand_mean=False needs rotation='axis_angle'"),
        (
            {"use_pca": True, "num_pca_comps": 6, "hand_pose": np.zeros(45)},
            r"hand_pose must have shape \(6,\), got \(45,\)",
        ),
    ],
)
def test_hand_params_names_the_argument_at_fault(small_model, arguments, message):
    with pytest.raises(ValueError, match=message):
        mano.hand_params(small_model, **arguments)
