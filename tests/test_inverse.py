"""The parts of the second-order fit against loops, differences and automatic derivatives, and fits to 3D joints."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies
from hypothesis.extra import numpy as arrays_of

from handjax import mano, rotations
from handjax.camera import project
from handjax.mano.inverse import arrow, assembly, newton
from handjax.mano.inverse.jacobian import HandState, keypoint_order, point_jacobian, state_from_params
from handjax.mano.inverse.joints import distance_rows
from handjax.mano.inverse.planes import total
from handjax.mano.inverse.priors import limit_excess
from handjax.mano.inverse.start import rigid_alignment, swing
from handjax.mano.inverse.tiling import in_tiles
from handjax.mano.landmarks import fingertip_model
from handjax.optim.image_rows import projection_rows, twist_rows
from handjax.optim.refine import Evidence, RefineSettings, terms
from handjax.optim.window_solver import dense
from tests import reference, toy
from tests.solver_hands import CAMERA, distance_mm, free_hand, keypoints, quick_jit, sample

BATCH = 3
FINGER_OF_TIP = (4, 0, 1, 3, 2)
"""Which finger of the tree each fingertip (thumb first) belongs to."""


@pytest.fixture(scope="module")
def plain_hand() -> mano.HandModel:
    """A random hand without pose correctives, whose fingertips hang on their own finger and the palm only."""
    raw = toy.arrays(seed=1, vertices=60, faces=100)
    raw["posedirs"] = np.zeros_like(raw["posedirs"])
    for tip, finger in zip(raw["fingertip_ids"], FINGER_OF_TIP, strict=True):
        raw["lbs_weights"][tip] = 0.0
        raw["lbs_weights"][tip, [0, 1 + 3 * finger, 2 + 3 * finger, 3 + 3 * finger]] = 0.1, 0.2, 0.3, 0.4
    return jax.tree.map(jnp.asarray, mano.build(**raw))


@pytest.fixture(scope="module")
def some_params() -> mano.HandParams:
    return mano.HandParams(*(jnp.asarray(field) for field in toy.params(1, BATCH)))


@jax.jit
def closed_form(model, params):
    return point_jacobian(model, fingertip_model(model), state_from_params(params))


def moved_points(model, params, steps):
    """Keypoints (21, 3) after steps (61,): fingers in the model's order 45, turn of the root, betas, transl."""
    turn = rotations.matrix_from_axis_angle(steps[45:48])
    pose = jnp.concatenate([jnp.zeros(3), params.hand_pose + steps[:45]]).reshape(16, 3)
    local = rotations.matrix_from_axis_angle(pose)
    root = jnp.matmul(turn, rotations.matrix_from_axis_angle(params.global_orient), precision="highest")
    local = local.at[0].set(root)
    return mano.keypoints_rotations(model, params.betas + steps[48:58], local, params.transl + steps[58:])


@pytest.fixture(scope="module")
def automatic(plain_hand, some_params) -> np.ndarray:
    """(B, 21, 3, 61) derivatives of the keypoints."""
    derive = jax.jit(jax.vmap(jax.jacfwd(moved_points, 2), (None, 0, None)))
    return np.asarray(derive(plain_hand, some_params, jnp.zeros(61)))


def test_the_closed_form_jacobian_equals_automatic_derivatives(plain_hand, some_params, automatic):
    jacobian = closed_form(plain_hand, some_params)
    wrist, order = keypoint_order(plain_hand)
    by_finger = np.zeros((BATCH, 4, 5, 3, 45))
    for point in range(1, 4):
        for segment, part in enumerate(jacobian.by_finger[point - 1]):
            for finger in range(5):
                columns = 9 * finger + 3 * segment + np.arange(3)
                by_finger[:, point, finger, :, columns] = np.asarray(part)[:, :, finger].transpose(1, 2, 0)
    np.testing.assert_allclose(by_finger, automatic[:, order, :, :45], atol=1e-6)
    np.testing.assert_allclose(jacobian.by_root.transpose(4, 2, 3, 0, 1), automatic[:, order, :, 45:48], atol=1e-6)
    np.testing.assert_allclose(jacobian.by_betas.transpose(4, 2, 3, 0, 1), automatic[:, order, :, 48:58], atol=1e-6)
    np.testing.assert_allclose(jacobian.wrist_by_betas, automatic[0, wrist, :, 48:58], atol=1e-6)
    assert np.abs(automatic[:, wrist, :, :48]).max() < 1e-6


def test_its_points_are_the_keypoints_pose_correctives_included(small_model, some_params):
    jacobian = closed_form(small_model, some_params)
    wrist, order = keypoint_order(small_model)
    points = np.asarray(keypoints(small_model, some_params))
    np.testing.assert_allclose(jacobian.points.transpose(3, 1, 2, 0), points[:, order], atol=1e-6)
    np.testing.assert_allclose(jacobian.wrist.T, points[:, wrist], atol=1e-6)


def test_the_keypoints_of_each_finger_are_those_of_its_name():
    wrist, order = keypoint_order(free_hand())
    index, middle, little, ring, thumb = order.T
    assert wrist == 0 and thumb.tolist() == [1, 2, 3, 4] and index.tolist() == [5, 6, 7, 8]
    assert middle.tolist() == [9, 10, 11, 12] and ring.tolist() == [13, 14, 15, 16] and little.tolist()[-1] == 20


def test_the_left_jacobian_equals_differences_of_rotations():
    for vector in (np.zeros(3), np.array([0.02, -0.05, 0.03]), np.array([1.0, -2.0, 0.5])):

        def turned(step, vector=vector):
            return reference.rodrigues(vector + step)

        slopes = reference.first_differences(turned, np.zeros(3))  # (3, 3, 3)
        skew = np.einsum("ijk,lj->ilk", slopes, reference.rodrigues(vector))
        expected = np.stack([skew[2, 1], skew[0, 2], skew[1, 0]])
        jacobian = rotations.left_jacobian_planes(jnp.asarray(vector, jnp.float32))
        np.testing.assert_allclose(jacobian, expected, atol=1e-6)


def random_equations(seed: int, extra: int, apart: float = 1.0, decades: float = 0.0) -> arrow.NormalEquations:
    """Of 40 random residuals a finger, which all border unknowns move too. apart: how far the first two of them differ
    in what they do. decades: their units span 10^-decades to 10^decades."""
    rng = np.random.default_rng(seed)
    by_finger, by_border, residual = (rng.normal(size=(5, 40, n, BATCH)) for n in (9, 16 + extra, 1))
    by_border[:, :, 1] = (1 - apart) * by_border[:, :, 0] + apart * by_border[:, :, 1]
    by_border *= 10.0 ** np.linspace(-decades, decades, 16 + extra)[:, None]
    parts = (
        np.einsum("frib,frjb->ijfb", by_finger, by_finger),
        np.einsum("frib,frjb->ijfb", by_finger, by_border),
        np.einsum("frib,frjb->ijb", by_border, by_border),
        np.einsum("frib,frjb->ifb", by_finger, residual),
        np.einsum("frib,frjb->ib", by_border, residual),
    )
    return arrow.NormalEquations(*(jnp.asarray(part, jnp.float32) for part in parts))


@pytest.mark.parametrize("extra", [0, 1])
def test_the_arrow_solve_equals_a_dense_solve(extra):
    equations = random_equations(extra, extra)
    fingers, border = jax.jit(arrow.solve)(equations)
    matrix, gradient = (np.asarray(part, np.float64) for part in dense(equations))
    expected = np.linalg.solve(matrix, -gradient[..., None])[..., 0]
    np.testing.assert_allclose(fingers.transpose(2, 1, 0).reshape(BATCH, 45), expected[:, :45], atol=1e-4)
    np.testing.assert_allclose(border.T, expected[:, 45:], atol=1e-4)


def test_the_arrow_solve_loses_no_more_than_float32_must_where_unknowns_act_alike_in_very_different_units():
    equations = random_equations(4, 0, apart=0.03, decades=2.0)
    fingers, border = jax.jit(arrow.solve)(equations)
    matrix, gradient = (np.asarray(part, np.float64) for part in dense(equations))
    assert np.linalg.cond(matrix).min() > 1e9
    unit = np.sqrt(np.einsum("bii->bi", matrix))
    expected = unit * np.linalg.solve(matrix, -gradient[..., None])[..., 0]
    found = unit * np.concatenate([fingers.transpose(2, 1, 0).reshape(BATCH, 45), border.T], 1)
    # Elimination of a positive definite matrix does not depend on the units: the condition without them bounds it.
    condition = np.linalg.cond(matrix / unit[:, :, None] / unit[:, None])
    error = np.abs(found - expected).max(1) / np.abs(expected).max(1)
    assert (error <= 2 * np.finfo(np.float32).eps * condition).all()


def test_a_long_sum_of_planes_equals_numpys_and_a_short_one_too():
    rng = np.random.default_rng(8)
    for count in (1, 2, 11, 12, 13, 45):
        terms = rng.normal(size=(count, 3, 4))
        np.testing.assert_allclose(total([jnp.asarray(term, jnp.float32) for term in terms]), terms.sum(0), atol=1e-5)


def test_a_hand_whose_matrix_is_not_positive_definite_gets_nan_and_the_others_their_step():
    equations = random_equations(2, 0)
    broken = equations._replace(finger=equations.finger.at[:, :, 2, 1].multiply(-1.0))
    fingers, border = jax.jit(arrow.solve)(broken)
    assert np.isnan(fingers[..., 1]).any() and np.isnan(border[:, 1]).all()
    assert np.isfinite(fingers[..., [0, 2]]).all() and np.isfinite(border[:, [0, 2]]).all()


def test_damping_adds_to_the_diagonal_alone_and_at_least_its_own_share():
    equations = random_equations(3, 1)
    damping = jnp.array([0.01, 0.3, 5.0])
    before, _ = dense(equations)
    after, _ = dense(arrow.damped(equations, damping, 0.5))
    added = np.asarray(after - before)
    own = np.einsum("bii->bi", before)
    diagonal = np.einsum("bii->bi", added)
    assert np.abs(added - np.einsum("bi,ij->bij", diagonal, np.eye(added.shape[1]))).max() < 1e-4
    assert (diagonal >= np.asarray(damping)[:, None] * own * (1 - 1e-3) - 1e-4).all()


@pytest.fixture(scope="module")
def visible_points():
    """Random wrist (3, B) and finger points (3, 4, 5, B) before the camera, and what was seen of them."""
    rng = np.random.default_rng(4)
    points = rng.normal(size=(BATCH, 21, 3)) * 0.05 + [0, 0, 0.5]
    pixels = np.asarray(project(CAMERA, jnp.asarray(points))) + rng.normal(size=(BATCH, 21, 2)) * 4
    return points, pixels, rng.random((BATCH, 21))


def by_hand_of(model, rows, of_wrist, hand: int) -> np.ndarray:
    """Puts what rows hold of the fingers' points (..., 4, 5, B) and the wrist (..., B) in keypoint order (21, ...)."""
    wrist, order = keypoint_order(model)
    out = np.zeros((21, *np.shape(rows)[:-3]))
    out[order] = np.moveaxis(np.asarray(rows)[..., hand], (-2, -1), (0, 1))
    out[wrist] = np.asarray(of_wrist)[..., hand]
    return out


def rows_of(term, model, points, extra):
    """Calls a term of points with keypoints (B, 21, 3) and extra (E, B)."""
    wrist, order = keypoint_order(model)
    planes = jnp.asarray(points.transpose(2, 1, 0), jnp.float32)
    return term(planes[:, wrist], planes[:, order], jnp.asarray(extra, jnp.float32))


def cameras() -> tuple[jax.Array, jax.Array]:
    return jnp.tile(jnp.array([500.0, 480.0]), (BATCH, 1)), jnp.tile(CAMERA.center, (BATCH, 1))


def reprojection(point, pixel, weight, extra) -> np.ndarray:
    focal = np.array([500.0, 480.0]) * np.exp(extra.sum())
    return np.sqrt(weight / 42) * (focal * point[:2] / point[2] + [128, 128] - pixel)


@pytest.mark.parametrize("unknown_focal", [0, 1])
def test_reprojection_residuals_and_their_derivatives_equal_loops_and_differences(visible_points, unknown_focal):
    points, pixels, confidence = visible_points
    model = free_hand()
    extra = np.full((unknown_focal, BATCH), 0.1)
    term = projection_rows(model, jnp.asarray(pixels), jnp.asarray(confidence), *cameras(), None)
    rows = rows_of(term, model, points, extra)
    for hand in range(BATCH):
        residual = by_hand_of(model, rows.residual, rows.wrist_residual, hand)
        by_point = by_hand_of(model, rows.by_point, rows.wrist_by_point, hand)
        by_extra = by_hand_of(model, rows.by_extra, rows.wrist_by_extra, hand)
        total = 0.0
        for k in range(21):
            seen = pixels[hand, k], confidence[hand, k]
            here = np.concatenate([points[hand, k], extra[:, hand]])
            expected = reprojection(here[:3], *seen, here[3:])
            slopes = reference.first_differences(lambda at, seen=seen: reprojection(at[:3], *seen, at[3:]), here, 1e-4)
            np.testing.assert_allclose(residual[k], expected, atol=1e-4)
            np.testing.assert_allclose(by_point[k], slopes[:, :3], rtol=1e-4, atol=1e-3)
            np.testing.assert_allclose(by_extra[k], slopes[:, 3:], rtol=1e-4, atol=1e-3)
            total += expected @ expected
        np.testing.assert_allclose(rows.energy[hand], total, rtol=1e-4)


def test_the_robust_energy_equals_geman_mcclure_and_its_residuals_have_the_right_slope(visible_points):
    points, pixels, confidence = visible_points
    model, bound = free_hand(), 5.0

    def energy(point, pixel, weight):
        square = np.sum((np.array([500.0, 480.0]) * point[:2] / point[2] + [128, 128] - pixel) ** 2)
        return weight / 42 * bound**2 * square / (bound**2 + square)

    robust = jnp.full(BATCH, bound)
    term = projection_rows(model, jnp.asarray(pixels), jnp.asarray(confidence), *cameras(), robust)
    rows = rows_of(term, model, points, np.zeros((0, BATCH)))
    for hand in range(BATCH):
        residual = by_hand_of(model, rows.residual, rows.wrist_residual, hand)
        by_point = by_hand_of(model, rows.by_point, rows.wrist_by_point, hand)
        seen = list(zip(pixels[hand], confidence[hand], strict=True))
        np.testing.assert_allclose(
            rows.energy[hand], sum(energy(points[hand, k], *seen[k]) for k in range(21)), rtol=1e-4
        )
        for k in range(21):
            slope = reference.first_differences(lambda at, k=k, seen=seen: energy(at, *seen[k]), points[hand, k], 1e-4)
            np.testing.assert_allclose(2 * residual[k] @ by_point[k], slope, rtol=1e-3, atol=1e-2)


def test_points_behind_the_camera_have_finite_residuals(visible_points):
    points, pixels, confidence = visible_points
    term = projection_rows(free_hand(), jnp.asarray(pixels), jnp.asarray(confidence), *cameras(), None)
    rows = rows_of(term, free_hand(), points * [1, 1, -1], np.zeros((0, BATCH)))
    assert all(np.isfinite(part).all() for part in rows)


def test_distance_residuals_and_their_derivatives_equal_loops(visible_points):
    points, _, confidence = visible_points
    model = free_hand()
    measured = points + np.random.default_rng(5).normal(size=points.shape) * 0.01
    term = distance_rows(model, jnp.asarray(measured, jnp.float32), jnp.asarray(confidence, jnp.float32))
    rows = rows_of(term, model, points, np.zeros((1, BATCH)))
    for hand in range(BATCH):
        scale = 1e3 * np.sqrt(confidence[hand] / 21)
        expected = scale[:, None] * (points - measured)[hand]
        residual = by_hand_of(model, rows.residual, rows.wrist_residual, hand)
        by_point = by_hand_of(model, np.broadcast_to(rows.by_point, (3, 3, 4, 5, BATCH)), rows.wrist_by_point, hand)
        np.testing.assert_allclose(residual, expected, atol=1e-3)
        np.testing.assert_allclose(by_point, scale[:, None, None] * np.eye(3), rtol=1e-5)
        np.testing.assert_allclose(rows.energy[hand], (expected**2).sum(), rtol=1e-4)
    assert not np.any(rows.by_extra) and not np.any(rows.wrist_by_extra)


def twist_by_hand(finger: np.ndarray, weight: float) -> float:
    """Eq. 10 of one finger, points (4, 3) base to tip."""
    ab, bc, cd = finger[0] - finger[1], finger[1] - finger[2], finger[2] - finger[3]
    plane = abs(np.cross(ab, bc) @ cd)
    bend = np.cross(ab, bc) @ np.cross(bc, cd)
    return weight * (1e4 * plane / 5 + 1e5 * max(0.0, -bend))


def test_twist_energy_equals_eq_10_of_each_finger_and_its_residuals_have_the_right_slope():
    rng = np.random.default_rng(6)
    fingers = rng.normal(size=(BATCH, 5, 4, 3)) * 0.03
    rows = twist_rows(3.0)(jnp.asarray(fingers.transpose(3, 2, 1, 0), jnp.float32))
    for hand in range(BATCH):
        expected = sum(twist_by_hand(finger, 3.0) for finger in fingers[hand])
        np.testing.assert_allclose(rows.energy[hand], expected, rtol=2e-3)
        for finger in range(5):
            slope = reference.first_differences(
                lambda at: twist_by_hand(at.reshape(4, 3), 3.0), fingers[hand, finger].ravel(), 1e-5
            )
            residual, by_points = rows.residual[:, finger, hand], rows.by_points[:, :, :, finger, hand]
            found = 2 * np.einsum("q,qcp->pc", residual, by_points).ravel()
            np.testing.assert_allclose(found, slope, rtol=1e-2, atol=1e-2 * np.abs(slope).max())


def test_a_straight_finger_has_no_twist_and_finite_slopes():
    straight = jnp.asarray(np.linspace(0, 0.09, 4)[None, :, None, None] * np.ones((3, 1, 5, 1)), jnp.float32)
    rows = twist_rows(100.0)(straight)
    assert float(rows.energy[0]) < 1e-3 and np.isfinite(rows.by_points).all() and np.isfinite(rows.residual).all()


def test_past_a_limit_is_the_part_of_the_rotation_vector_beyond_it_and_nothing_inside():
    model, rng = free_hand(), np.random.default_rng(7)
    pose = rng.normal(size=(4, 15, 3)) * 0.8
    fingers = jnp.asarray(pose.reshape(4, 5, 9).transpose(2, 1, 0), jnp.float32)
    excess = np.asarray(limit_excess(model, fingers))
    axes, limits = np.asarray(model.joint_axes), np.asarray(model.joint_limits)
    for hand in range(4):
        for joint in range(15):
            for axis in range(3):
                angle, (low, high) = pose[hand, joint] @ axes[joint, axis], limits[joint, axis]
                expected = angle - high if angle > high else angle - low if angle < low else 0.0
                finger, segment = divmod(joint, 3)
                np.testing.assert_allclose(excess[segment, axis, finger, hand], expected, atol=1e-5)
    inside = sample(8, 3).hand_pose.reshape(8, 5, 9).transpose(2, 1, 0)
    assert np.abs(limit_excess(model, inside)).max() < 1e-5


@quick_jit
def assembled(model, state, extra, evidence):
    """Normal equations and energy of every kind of term at once."""
    energy = terms(model, drawn_to(state), evidence, EVERYTHING)
    jacobian = point_jacobian(model, fingertip_model(model), state)
    rows = energy.points(jacobian.wrist, jacobian.points, extra)
    return assembly.normal_equations(
        jacobian, rows, energy.fingers(jacobian.points), energy.prior(newton.Unknowns(state, extra))
    )


EVERYTHING = RefineSettings(
    pose=5.0, shape=3.0, twist=1.0, limit=40.0, robust_px=20.0, space=0.5, bone=2.0, focal=30.0, unknown_focal=True
)


def drawn_to(state: HandState) -> HandState:
    """A target that is not where the hand is."""
    return HandState(state.root, 0.0 * state.fingers + 0.1, 0.0 * state.betas - 0.2, state.transl)


def test_the_assembled_gradient_equals_the_automatic_one_of_the_whole_energy(plain_hand, some_params):
    rng = np.random.default_rng(8)
    params = some_params._replace(transl=some_params.transl * 0.1 + jnp.array([[0.0, 0.0, 0.6]]))
    points = keypoints(plain_hand, params)
    extra = jnp.asarray(rng.normal(size=(1, BATCH)) * 0.1, jnp.float32)
    evidence = Evidence(
        project(CAMERA, points) + jnp.asarray(rng.normal(size=(BATCH, 21, 2)) * 5, jnp.float32),
        jnp.asarray(rng.random((BATCH, 21)), jnp.float32),
        *cameras(),
        points + jnp.asarray(rng.normal(size=points.shape) * 0.003, jnp.float32),
        jnp.full(BATCH, 0.08),
    )
    state = state_from_params(params)
    equations = assembled(plain_hand, state, extra, evidence)
    wrist, order = keypoint_order(plain_hand)

    def whole(steps):
        """Steps (62, B) -> the sum of energies, through `keypoints` and not the closed form."""
        moved = jax.vmap(moved_points, (None, 0, 1))(plain_hand, params, steps[:61]).transpose(2, 1, 0)
        fingers = state.fingers + steps[:45].reshape(5, 9, BATCH).transpose(1, 0, 2)
        hand = HandState(state.root, fingers, state.betas + steps[48:58], state.transl)
        energy = terms(plain_hand, drawn_to(state), evidence, EVERYTHING)
        with_extra = newton.Unknowns(hand, extra + steps[61:])
        rows = energy.points(moved[:, wrist], moved[:, order], with_extra.extra)
        return (rows.energy + energy.fingers(moved[:, order]).energy + energy.prior(with_extra).energy).sum()

    expected = np.asarray(quick_jit(jax.grad(whole))(jnp.zeros((62, BATCH))))
    _, gradient = dense(equations)
    np.testing.assert_allclose(2 * gradient.T, expected, atol=2e-4 * np.abs(expected).max())


def test_the_assembled_matrix_is_that_of_all_residuals_stacked(plain_hand, some_params, automatic):
    confidence = np.random.default_rng(9).random((BATCH, 21))
    measured = jnp.zeros((BATCH, 21, 3))

    @quick_jit
    def equations(params):
        state = state_from_params(params)
        jacobian = point_jacobian(plain_hand, fingertip_model(plain_hand), state)
        term = distance_rows(plain_hand, measured, jnp.asarray(confidence, jnp.float32))
        rows = term(jacobian.wrist, jacobian.points, jnp.zeros((0, BATCH)))
        zero = jnp.zeros((16, BATCH))
        none = assembly.Prior(
            zero[0], jnp.zeros((9, 5, BATCH)), jnp.zeros((3, 3, 3, 5, BATCH)), zero, jnp.zeros((16, 16, 1))
        )
        return dense(assembly.normal_equations(jacobian, rows, None, none))

    matrix, gradient = equations(some_params)
    rows = 1e3 * np.sqrt(confidence / 21)[:, :, None, None] * automatic.astype(np.float64)
    rows = rows.reshape(BATCH, 63, 61)
    points = np.asarray(keypoints(plain_hand, some_params), np.float64)
    residual = (1e3 * np.sqrt(confidence / 21)[..., None] * points).reshape(BATCH, 63)
    expected = np.einsum("bri,brj->bij", rows, rows)
    np.testing.assert_allclose(matrix, expected, atol=1e-4 * expected.max())
    expected = np.einsum("bri,br->bi", rows, residual)
    np.testing.assert_allclose(gradient, expected, atol=1e-4 * np.abs(expected).max())


directions = arrays_of.arrays(np.float32, (3, 5), elements=strategies.floats(-1, 1, width=32))


@given(directions, directions)
def test_a_swing_turns_one_direction_onto_the_other(source, target):
    lengths = np.linalg.norm(source, axis=0), np.linalg.norm(target, axis=0)
    turned = rotations.matrix_from_axis_angle(swing(jnp.asarray(source), jnp.asarray(target)).T)
    assert np.isfinite(turned).all()
    cosine = (source * target).sum(0) / (lengths[0] * lengths[1] + 1e-30)
    # Opposite directions have no shortest turn, tiny ones no direction.
    decided = (lengths[0] > 0.05) & (lengths[1] > 0.05) & (cosine > -0.99)
    found = np.einsum("nij,jn->in", turned, source) / np.maximum(lengths[0], 1e-9)
    np.testing.assert_allclose(found[:, decided], (target / np.maximum(lengths[1], 1e-9))[:, decided], atol=1e-3)


def test_a_rigid_alignment_finds_the_motion_and_never_a_reflection():
    rng = np.random.default_rng(10)
    source = rng.normal(size=(6, 3))
    turn = reference.rodrigues([0.5, -2.0, 1.0])
    moved = source @ turn.T + [0.1, 0.2, 0.3]
    mirrored = source * [1, 1, -1]
    both = jnp.asarray(np.stack([moved, mirrored]), jnp.float32)
    rotation, shift = jax.jit(rigid_alignment)(jnp.asarray(source, jnp.float32), both, jnp.ones((2, 6)))
    np.testing.assert_allclose(rotation[0], turn, atol=1e-5)
    np.testing.assert_allclose(shift[0], [0.1, 0.2, 0.3], atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(rotation), 1.0, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 4, 5, 9])
def test_tiles_give_every_hand_its_own_result(batch):
    values = {"a": jnp.arange(batch, dtype=jnp.float32), "b": jnp.ones((batch, 2))}
    result = in_tiles(lambda some: {"sum": some["a"][:, None] + some["b"]}, values, tile=4)
    np.testing.assert_array_equal(result["sum"], np.arange(batch)[:, None] + np.ones((batch, 2)))


@quick_jit
def fitted_joints(points, confidence):
    return mano.fit_joints_batch(free_hand(), points, confidence)


@pytest.fixture(scope="module")
def joints() -> jax.Array:
    return keypoints(free_hand(), sample(50, seed=11))


def test_hands_are_fitted_to_their_joints_within_half_a_millimetre(joints):
    fit = fitted_joints(joints, jnp.ones((50, 21)))
    found = keypoints(free_hand(), fit.params)
    assert distance_mm(found, joints).mean() < 0.5
    np.testing.assert_allclose(fit.error, np.linalg.norm(found - joints, axis=-1), atol=1e-5)
    assert np.mean(fit.converged) >= 0.95


def test_joints_that_are_not_finite_or_not_trusted_count_for_nothing(joints):
    rng = np.random.default_rng(12)
    hidden = np.zeros((50, 21), bool)
    hidden[np.arange(50), rng.integers(1, 21, 50)] = True
    hidden[np.arange(50), rng.integers(1, 21, 50)] = True
    absent = fitted_joints(jnp.where(hidden[..., None], jnp.nan, joints), jnp.ones((50, 21)))
    wild = fitted_joints(jnp.where(hidden[..., None], joints + 0.5, joints), jnp.asarray(~hidden, jnp.float32))
    for fit in (absent, wild):
        apart = 1e3 * np.linalg.norm(keypoints(free_hand(), fit.params) - joints, axis=-1)
        assert apart[~hidden].mean() < 0.5
        assert np.median(apart[hidden]) < 15.0


def test_a_hand_without_any_joint_seen_is_finite(joints):
    fit = fitted_joints(jnp.full_like(joints, jnp.nan), jnp.ones((50, 21)))
    assert all(np.isfinite(field).all() for field in fit.params)


def test_one_hand_is_fitted_as_it_is_in_a_batch(joints):
    alone = quick_jit(mano.fit_joints)(free_hand(), joints[3])
    together = fitted_joints(joints, jnp.ones((50, 21)))
    np.testing.assert_allclose(
        keypoints(free_hand(), jax.tree.map(lambda field: field[None], alone.params)),
        keypoints(free_hand(), together.params)[3:4],
        atol=2e-4,
    )
    assert alone.error.shape == (21,) and alone.converged.shape == ()


def test_fitted_joints_stay_within_their_limits(joints):
    fit = fitted_joints(joints, jnp.ones((50, 21)))
    fingers = fit.params.hand_pose.reshape(50, 5, 9).transpose(2, 1, 0)
    assert np.rad2deg(np.abs(limit_excess(free_hand(), fingers)).max()) < 5.0


@pytest.mark.parametrize(
    ("name", "joints", "confidence"),
    [
        ("joints", np.zeros((2, 20, 3)), None),
        ("joints", np.zeros((21, 3)), None),
        ("confidence", np.zeros((2, 21, 3)), np.ones((2, 20))),
    ],
)
def test_a_wrong_shape_names_the_argument(name, joints, confidence):
    with pytest.raises(ValueError, match=f"^{name} must have shape"):
        mano.fit_joints_batch(free_hand(), jnp.asarray(joints), confidence)


def test_a_batch_given_for_one_hand_is_refused():
    with pytest.raises(ValueError, match="^joints must have shape"):
        mano.fit_joints(free_hand(), jnp.zeros((2, 21, 3)))


def test_hands_without_manos_tree_or_with_joint_frames_are_refused():
    other = mano.build(**toy.arrays(vertices=60, faces=10, parents=np.array([-1, 0, 1, 2])))
    framed = dataclasses.replace(free_hand(), joint_frames=jnp.tile(jnp.eye(3), (16, 1, 1)))
    for model in (other, framed):
        with pytest.raises(ValueError, match="^model must have MANO's joint tree"):
            mano.fit_joints_batch(model, jnp.zeros((1, 21, 3)))
