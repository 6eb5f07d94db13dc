"""Rotations against float64 formulas, in value and in first and second derivative, at every angle and at no angle."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from handjax import rotations
from tests import reference

AXES = np.array([[1, 0, 0], [0, 1, 0], [0, 0, -1], [1, 1, 1], [-3, 2, 0.5], [1e-3, 1, -1e-4]])
AXES /= np.linalg.norm(AXES, axis=-1, keepdims=True)
ANGLES = [0.0, 1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 3.1, np.pi, 2 * np.pi, 100.0]
VECTORS = np.stack([angle * axis for angle in ANGLES for axis in AXES]).astype(np.float32)
SIZES = np.linalg.norm(VECTORS.astype(np.float64), axis=-1)

FROM_AXIS_ANGLE = {
    "matrix": rotations.matrix_from_axis_angle,
    "quaternion": rotations.quaternion_from_axis_angle,
    "matrix by quaternion": lambda v: rotations.matrix_from_quaternion(rotations.quaternion_from_axis_angle(v)),
    "matrix by 6d": lambda v: rotations.matrix_from_6d(rotations.sixd_from_matrix(rotations.matrix_from_axis_angle(v))),
    "log of matrix": lambda v: rotations.axis_angle_from_matrix(rotations.matrix_from_axis_angle(v)),
    "log of quaternion": lambda v: rotations.axis_angle_from_quaternion(rotations.quaternion_from_axis_angle(v)),
}
TO_MATRIX = {
    "quaternion": (4, rotations.matrix_from_quaternion),
    "6d": (6, rotations.matrix_from_6d),
    "log of quaternion": (4, lambda q: rotations.matrix_from_axis_angle(rotations.axis_angle_from_quaternion(q))),
}
jitted = {name: jax.jit(function) for name, function in FROM_AXIS_ANGLE.items()}
to_matrix = {name: jax.jit(function) for name, (_, function) in TO_MATRIX.items()}


def assert_rotation(matrix, atol=2e-6):
    matrix = np.asarray(matrix, np.float64)
    np.testing.assert_allclose(matrix @ matrix.swapaxes(-1, -2), np.broadcast_to(np.eye(3), matrix.shape), atol=atol)
    np.testing.assert_allclose(np.linalg.det(matrix), 1, atol=atol)


@pytest.mark.parametrize("name", FROM_AXIS_ANGLE)
def test_every_angle_gives_the_float64_rotation(name):
    values = np.asarray(jitted[name](VECTORS), np.float64)
    if name == "quaternion":
        expected = np.stack([reference.quaternion_of(v) for v in VECTORS])
    elif name.startswith("log"):
        assert np.all(np.linalg.norm(values, axis=-1) <= np.pi + 1e-6)
        values = np.stack([reference.rodrigues(v) for v in values])
        expected = np.stack([reference.rodrigues(v) for v in VECTORS])
    else:
        expected = np.stack([reference.rodrigues(v) for v in VECTORS])
    # An angle of 100 rad has 4e-6 rad between its float32 neighbours.
    error = np.abs(values - expected).reshape(len(VECTORS), -1).max(-1)
    assert np.all(error <= 5e-7 + 1e-7 * SIZES)


@functools.cache
def derivatives(name: str, second_mode: str) -> tuple[np.ndarray, np.ndarray]:
    """First and second derivatives at VECTORS. One compilation, which is what these tests spend their time on."""
    first = jax.jacrev(FROM_AXIS_ANGLE[name]) if second_mode == "reverse" else jax.jacfwd(FROM_AXIS_ANGLE[name])
    both = jax.jit(jax.vmap(lambda vector: (first(vector), jax.jacfwd(first)(vector))))(VECTORS)
    return tuple(np.asarray(array, np.float64) for array in both)


def nearest_vector(vector) -> np.ndarray:
    """The shortest axis-angle vector of the same rotation."""
    angle = np.linalg.norm(vector)
    return vector if angle < np.pi else vector * (1 - 2 * np.pi * np.round(angle / (2 * np.pi)) / angle)


EXACT = {
    "matrix": reference.rodrigues,
    "quaternion": reference.quaternion_of,
    "matrix by quaternion": reference.rodrigues,
    "log of matrix": nearest_vector,
    "log of quaternion": nearest_vector,
}
COVERED = [("matrix by quaternion", "forward"), ("log of matrix", "forward"), ("quaternion", "reverse")]
"""Already, by their parts: these tests spend their time on compiling."""


@functools.cache
def differences(exact) -> tuple[np.ndarray, np.ndarray]:
    first = np.stack([reference.first_differences(exact, vector) for vector in VECTORS])
    return first, np.stack([reference.second_differences(exact, vector) for vector in VECTORS])


@pytest.mark.parametrize(
    "name, mode",
    [(name, mode) for name in EXACT for mode in ("forward", "reverse") if (name, mode) not in COVERED],
)
def test_derivatives_are_finite_at_every_angle_and_equal_float64_differences(name, mode):
    first, second = derivatives(name, mode)
    assert np.isfinite(first).all()
    assert np.isfinite(second).all()
    exact_first, exact_second = differences(EXACT[name])
    # Where the log map jumps, half a turn away, differences across the jump say nothing.
    smooth = np.abs(SIZES - np.pi) > 1e-2 if name.startswith("log") else np.ones(len(SIZES), bool)
    # The log of a matrix divides rounding errors by pi - angle at each derivative.
    scale = np.where(name.startswith("log") & (np.abs(SIZES - 3.1) < 1e-3), 20, 1) + SIZES
    error = np.abs(first - exact_first).reshape(len(VECTORS), -1).max(-1)
    assert np.all(error[smooth] <= 2e-6 * scale[smooth])
    error = np.abs(second - exact_second).reshape(len(VECTORS), -1).max(-1)
    assert np.all(error[smooth] <= 1e-5 * scale[smooth] ** 2)


@pytest.mark.parametrize("name, mode", [("log of matrix", "reverse"), ("log of quaternion", "forward")])
def test_log_undoes_exp_at_identity_in_both_derivatives(name, mode):
    # In tangent directions: log(exp(v)) = v, whose Jacobian is the identity and whose Hessian is 0.
    first, second = (values[SIZES == 0] for values in derivatives(name, mode))
    np.testing.assert_allclose(first, np.broadcast_to(np.eye(3), first.shape), atol=1e-6)
    np.testing.assert_allclose(second, np.zeros(second.shape), atol=1e-6)


REGULAR = {
    "quaternion": [[1, 0, 0, 0], [0.6, -0.7, 0.2, 1.1]],
    "6d": [[1, 0, 0, 0, 1, 0], [0.3, -1.2, 0.4, 0.9, 0.8, -0.7]],
}
SINGULAR = {
    "quaternion": [[0, 0, 0, 0], [1e-30, 0, 0, 0], [0, 1e-13, 0, 0], [0, 0, 1e-11, 0], [1e-11, 1e-11, 0, 0]],
    "6d": [
        [0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 0],
        [1, 0, 0, 2, 0, 0],
        [1, 2, 3, -100, -200, -300],
        [0.1, 0.7, 0.3, 0.1, 0.7, 0.3000001],
        [1e-20, 1e-20, 0, 1, 0, 0],
        [1e-8, 0, 0, 0, 1e-8, 0],
        [1, 1, 1, 1, 1, 1.00001],
    ],
}
REGULAR["log of quaternion"], SINGULAR["log of quaternion"] = REGULAR["quaternion"], SINGULAR["quaternion"]


@functools.cache
def values_and_derivatives(name: str):
    function = TO_MATRIX[name][1]
    points = np.array(REGULAR[name] + SINGULAR[name], np.float32)
    return jax.jit(jax.vmap(lambda x: (function(x), jax.jacrev(function)(x), jax.hessian(function)(x))))(points)


@pytest.mark.parametrize("name", REGULAR)
def test_derivatives_of_quaternion_and_6d_equal_finite_differences(name):
    exact = reference.gram_schmidt if name == "6d" else reference.matrix_of_quaternion
    _, firsts, seconds = values_and_derivatives(name)
    for index, point in enumerate(REGULAR[name]):
        np.testing.assert_allclose(firsts[index], reference.first_differences(exact, point), atol=1e-5)
        np.testing.assert_allclose(seconds[index], reference.second_differences(exact, point), atol=2e-5)


@pytest.mark.parametrize("name", SINGULAR)
def test_zero_tiny_and_parallel_input_gives_a_rotation_and_finite_derivatives(name):
    values, first, second = values_and_derivatives(name)
    assert_rotation(values)
    assert np.isfinite(first).all()
    assert np.isfinite(second).all()


def test_quaternion_of_matrix_has_exact_derivatives_at_identity_in_tangent_directions():
    def function(vector):
        return rotations.quaternion_from_matrix(rotations.matrix_from_axis_angle(vector))

    first, second = jax.jit(lambda v: (jax.jacrev(function)(v), jax.hessian(function)(v)))(jnp.zeros(3))
    np.testing.assert_allclose(first, reference.first_differences(reference.quaternion_of, np.zeros(3)), atol=1e-5)
    np.testing.assert_allclose(second, reference.second_differences(reference.quaternion_of, np.zeros(3)), atol=1e-5)


@pytest.mark.parametrize("past", [-1e-3, -1e-5, -1e-7, 0.0, 1e-7, 1e-5, 1e-3])
def test_log_is_right_on_both_sides_of_half_a_turn(past):
    vectors = (np.pi + past) * AXES
    matrices = np.stack([reference.rodrigues(v) for v in vectors]).astype(np.float32)
    logs = np.asarray(jax.jit(rotations.axis_angle_from_matrix)(matrices), np.float64)
    assert np.all(np.abs(np.linalg.norm(logs, axis=-1) - (np.pi - abs(past))) < 1e-5)
    again = np.stack([reference.rodrigues(v) for v in logs])
    np.testing.assert_allclose(again, matrices, atol=1e-6)


def test_derivatives_of_the_matrix_log_are_finite_at_half_a_turn():
    matrices = jnp.asarray(np.stack([reference.rodrigues(np.pi * axis) for axis in AXES]), jnp.float32)
    function = rotations.axis_angle_from_matrix
    for values in jax.jit(jax.vmap(lambda m: (jax.jacrev(function)(m), jax.hessian(function)(m))))(matrices):
        assert np.isfinite(values).all()


components = st.floats(-1, 1, width=32)
rotation_vectors = hnp.arrays(np.float32, (3,), elements=st.floats(-20, 20, width=32))
directions = hnp.arrays(np.float32, (4,), elements=components).filter(lambda q: np.linalg.norm(q) > 1e-3)


@given(rotation_vectors)
def test_axis_angle_and_back_by_every_coding_is_the_same_rotation(vector):
    expected = reference.rodrigues(vector)
    for name in FROM_AXIS_ANGLE:
        value = np.asarray(jitted[name](vector), np.float64)
        if name.startswith("log"):
            value = reference.rodrigues(value)
        elif name == "quaternion":
            assert abs(np.linalg.norm(value) - 1) < 1e-6
            value = reference.matrix_of_quaternion(value)
        np.testing.assert_allclose(value, expected, atol=5e-6)


@given(directions)
def test_quaternion_and_back_is_the_same_up_to_sign(quaternion):
    unit = quaternion.astype(np.float64) / np.linalg.norm(quaternion.astype(np.float64))
    matrix = to_matrix["quaternion"](quaternion)
    np.testing.assert_allclose(matrix, reference.matrix_of_quaternion(quaternion), atol=1e-6)
    again = np.asarray(jitted_quaternion_from_matrix(matrix), np.float64)
    assert again[0] >= 0
    np.testing.assert_allclose(again * np.sign(again @ unit), unit, atol=1e-6)


@given(directions)
def test_a_quaternion_and_its_negative_are_one_rotation(quaternion):
    for name in ("quaternion", "log of quaternion"):
        np.testing.assert_allclose(to_matrix[name](quaternion), to_matrix[name](-quaternion), atol=2e-6)


@given(hnp.arrays(np.float32, (6,), elements=components))
def test_any_six_numbers_give_a_rotation(six):
    assert_rotation(to_matrix["6d"](six))


@given(directions, st.integers(-15, 15))
def test_length_of_a_quaternion_or_of_6d_vectors_does_not_matter(quaternion, exponent):
    factor = np.float32(2.0) ** exponent
    for name in ("quaternion", "log of quaternion"):
        np.testing.assert_allclose(to_matrix[name](factor * quaternion), to_matrix[name](quaternion), atol=2e-6)
    six = np.array([*quaternion, 0.5, -0.25], np.float32)
    # A first vector that all but vanishes has no direction to keep.
    if np.linalg.norm(six[:3]) > 1e-6:
        np.testing.assert_allclose(to_matrix["6d"](factor * six), to_matrix["6d"](six), atol=2e-6)


jitted_quaternion_from_matrix = jax.jit(rotations.quaternion_from_matrix)
jitted_sixd_from_matrix = jax.jit(rotations.sixd_from_matrix)


@given(rotation_vectors)
def test_6d_of_a_rotation_is_its_first_two_columns_and_leads_back(vector):
    matrix = np.asarray(jitted["matrix"](vector))
    six = jitted_sixd_from_matrix(matrix)
    np.testing.assert_array_equal(six, np.concatenate([matrix[:, 0], matrix[:, 1]]))
    np.testing.assert_allclose(to_matrix["6d"](six), matrix, atol=1e-6)


@pytest.mark.parametrize("size", [1e-11, 1e-7, 1e15])
def test_tiny_and_huge_quaternions_and_6d_vectors_keep_their_direction(size):
    quaternion, six = np.array([0.4, -0.2, 0.7, 0.1]), np.array([0.2, 0.9, -0.1, 0.5, 0.4, 0.8])
    expected = reference.matrix_of_quaternion(quaternion)
    for name in ("quaternion", "log of quaternion"):
        np.testing.assert_allclose(to_matrix[name](jnp.array(size * quaternion, jnp.float32)), expected, atol=1e-6)
    np.testing.assert_allclose(
        to_matrix["6d"](jnp.array(size * six, jnp.float32)), reference.gram_schmidt(six), atol=1e-6
    )


def test_zero_quaternion_is_the_identity_and_has_no_angle():
    np.testing.assert_array_equal(to_matrix["quaternion"](jnp.zeros(4)), np.eye(3))
    np.testing.assert_array_equal(jax.jit(rotations.axis_angle_from_quaternion)(jnp.zeros(4)), np.zeros(3))


ALL = {
    rotations.matrix_from_axis_angle: (3,),
    rotations.quaternion_from_axis_angle: (3,),
    rotations.matrix_from_quaternion: (4,),
    rotations.axis_angle_from_quaternion: (4,),
    rotations.matrix_from_6d: (6,),
    rotations.axis_angle_from_matrix: (3, 3),
    rotations.quaternion_from_matrix: (3, 3),
    rotations.sixd_from_matrix: (3, 3),
}


@pytest.mark.parametrize("function", ALL, ids=lambda f: f.__name__)
def test_leading_axes_are_a_batch_and_float32_stays(function):
    numbers = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    given = {
        (3,): numbers,
        (4,): np.asarray(rotations.quaternion_from_axis_angle(numbers)),
        (6,): np.asarray(rotations.sixd_from_matrix(rotations.matrix_from_axis_angle(numbers))),
        (3, 3): np.asarray(rotations.matrix_from_axis_angle(numbers)),
    }[ALL[function]]
    compiled = jax.jit(function)
    batch = compiled(given)
    assert batch.dtype == jnp.float32
    np.testing.assert_allclose(batch[1, 3], compiled(given[1, 3]), atol=1e-6)


@pytest.mark.parametrize("function", ALL, ids=lambda f: f.__name__)
def test_a_wrong_last_axis_is_named(function):
    name = function.__name__.split("_from_")[1]
    argument = {"axis_angle": "axis_angle", "quaternion": "quaternion", "6d": "six", "matrix": "matrix"}[name]
    with pytest.raises(ValueError, match=rf"{argument} must have shape \(\.\.\., .*got \(2, 7\)"):
        function(np.zeros((2, 7), np.float32))


def test_a_product_of_quaternions_turns_as_the_product_of_their_matrices():
    left, right = (rotations.quaternion_from_axis_angle(jnp.asarray(each[::5])) for each in (VECTORS, VECTORS[::-1]))
    product = jax.jit(rotations.multiply_quaternions)(2.0 * left, right)
    expected = jnp.matmul(*map(rotations.matrix_from_quaternion, (left, right)), precision="highest")
    np.testing.assert_allclose(rotations.matrix_from_quaternion(product), expected, atol=3e-6)
    np.testing.assert_allclose(jnp.linalg.norm(product, axis=-1), 2.0, rtol=1e-5)
    with pytest.raises(ValueError, match="right"):
        rotations.multiply_quaternions(left, right[:, :3])
