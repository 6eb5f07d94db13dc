"""DeepHandMesh's terms: values by hand, spheres against loops over them, gradients against differences."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import losses, mano
from handjax.losses import deephandmesh as dhm
from tests.loss_checks import assert_finite, assert_gradient_of_differences, assert_nothing, mean

RNG = np.random.default_rng(4)
NAMES = mano.PUBLISHED_JOINTS
CHAINS = {"thumb": ("thumb0", "thumb1", "thumb2", "thumb3", "thumb_null")}
CHAINS |= {f: (f"{f}1", f"{f}2", f"{f}3", f"{f}_null") for f in ("index", "middle", "ring", "pinky")}


def published_parents() -> list[int]:
    parents = [-1] * len(NAMES)
    for chain in CHAINS.values():
        for start, end in itertools.pairwise(("wrist", *chain)):
            parents[NAMES.index(end)] = NAMES.index(start)
    return parents


def flat_hand() -> np.ndarray:
    """(22, 3) metres: fingers that fan out in a plane."""
    joints = np.zeros((22, 3))
    for place, chain in enumerate(CHAINS.values()):
        turn = 0.4 * (place - 2)
        for step, name in enumerate(chain):
            joints[NAMES.index(name)] = np.array([np.sin(turn), np.cos(turn), 0]) * (0.05 + 0.03 * step)
    return joints


def skin_weights(vertices: int) -> np.ndarray:
    """Each vertex to one joint in turn."""
    return np.eye(22)[np.arange(vertices) % 22]


PARENTS, JOINTS = published_parents(), flat_hand()
PARTS = dhm.penetration_parts(NAMES, PARENTS, skin_weights(44))
RELEASED_PARTS = dhm.penetration_parts(
    NAMES, PARENTS, skin_weights(44), fingers=dhm.RELEASED_FINGERS, skins=dhm.RELEASED_SKINS
)
VERTICES = RNG.normal(scale=0.05, size=(44, 3)) + [0, 0.08, 0]
BENT = JOINTS + RNG.normal(scale=0.02, size=JOINTS.shape)
RADII = RNG.uniform(0.004, 0.02, size=(21, 10))


def spheres(joints: np.ndarray, fractions: tuple[float, ...]) -> dict[str, np.ndarray]:
    """Name of the child joint -> (10, 3)."""
    found = {}
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            found[NAMES[joint]] = np.array([(1 - f) * joints[parent] + f * joints[joint] for f in fractions])
    return found


def test_pose_loss_is_the_mean_over_joints_of_the_l1_norm():
    moved = JOINTS.copy()
    moved[3] += [0.001, -0.002, 0.003]
    assert mean(dhm.pose, moved, JOINTS) == pytest.approx(0.006 / 22, rel=1e-3)
    assert mean(dhm.pose, moved, JOINTS, np.arange(22) != 4) == pytest.approx(0.006 / 21, rel=1e-3)
    assert mean(dhm.pose, JOINTS, JOINTS) == 0
    released = np.mean(np.abs(1000 * (moved - JOINTS)))
    assert dhm.RELEASED.pose * mean(dhm.pose, moved, JOINTS) == pytest.approx(released, rel=1e-3)


def test_depth_loss_is_published_in_millimetres_over_all_pixels():
    depths_mm, target_mm = np.array([[[600.0, 600.5]], [[0.0, 500.0]]]), np.array([[[603.0, 600.0]], [[600.0, 500.0]]])
    found = mean(dhm.depth, depths_mm / 1000, target_mm / 1000)
    assert dhm.PAPER.depth * found == pytest.approx((2.5 + 0.125) / 4, rel=1e-3)
    common = losses.mean_of(dhm.depth(depths_mm / 1000, target_mm / 1000, mean="common"))
    assert common == pytest.approx(found * 4 / 3, rel=1e-5)
    assert mean(dhm.depth, depths_mm, depths_mm) == 0


def test_the_published_hand_has_184_pairs_of_bones():
    assert PARTS.bones.shape == (21, 2) and len(PARTS.pairs) == 184
    named = {frozenset(NAMES[PARTS.bones[b, 1]] for b in pair) for pair in PARTS.pairs}
    # Bones from the wrist begin together; the next follow on them.
    assert frozenset(("thumb0", "index1")) not in named and frozenset(("index1", "index2")) not in named
    assert frozenset(("thumb0", "index2")) in named and frozenset(("index1", "index3")) in named


def test_the_bundled_detailed_template_has_parts_too():
    model = mano.detailed(mano.default(resolution="low"))
    parts = dhm.penetration_parts(mano.DETAILED_JOINTS, model.parents, model.lbs_weights, skins=dhm.RELEASED_SKINS)
    assert len(parts.pairs) == 184 and len(parts.skins) == 2
    radii = dhm.sphere_radii(model.joint_template, model.v_template, parts)
    rigid = dhm.rigid_penetration(model.joint_template, radii, parts)
    assert radii.shape == (21, 10) and np.isfinite(rigid.total)


def test_radii_reach_the_nearest_vertex_and_have_no_gradient():
    radii = dhm.sphere_radii(JOINTS, VERTICES, PARTS, dhm.RELEASED_FRACTIONS)
    centers = spheres(JOINTS, dhm.RELEASED_FRACTIONS)
    for bone, (_, child) in enumerate(PARTS.bones):
        expected = [np.linalg.norm(VERTICES - c, axis=1).min() for c in centers[NAMES[child]]]
        np.testing.assert_allclose(radii[bone], expected, rtol=1e-4)
    slope = jax.grad(lambda v: dhm.sphere_radii(JOINTS, v, PARTS).sum())(jnp.asarray(VERTICES))
    assert not np.any(slope)


@pytest.mark.parametrize("fractions", [dhm.PAPER_FRACTIONS, dhm.RELEASED_FRACTIONS], ids=["paper", "released"])
def test_rigid_penetration_is_the_loop_over_spheres(fractions):
    centers = spheres(BENT, fractions)
    total = 0.0
    for a, b in PARTS.pairs:
        first, second = (centers[NAMES[PARTS.bones[bone, 1]]] for bone in (a, b))
        for k, m in itertools.product(range(10), range(10)):
            total += max(0.0, RADII[a, k] + RADII[b, m] - np.linalg.norm(first[k] - second[m]))
    assert total > 0.1
    found = dhm.rigid_penetration(BENT, RADII, PARTS, fractions=fractions)
    assert losses.mean_of(found) == pytest.approx(total, rel=1e-4)


def test_rigid_penetration_of_two_spheres_by_hand():
    joints = np.array([[0.0, 0, 0], [1.0, 0, 0], [0, 0.3, 0], [1.0, 0.3, 0]])
    parts = dhm.PenetrationParts(np.array([[0, 1], [2, 3]]), np.array([[0, 1]]), np.array([0]), ())
    radii = np.full((2, 2), 0.2)
    # Both ends overlap by 0.1; crosswise they are 1.04 apart.
    assert losses.mean_of(dhm.rigid_penetration(joints, radii, parts, fractions=(0.0, 1.0))) == pytest.approx(0.2)
    assert losses.mean_of(dhm.rigid_penetration(joints, 0.7 * radii, parts, fractions=(0.0, 1.0))) == 0


def test_nonrigid_penetration_by_hand():
    joints = np.array([[0.0, 0, 0], [0.0, 0, 1.0]])
    parts = dhm.PenetrationParts(np.array([[0, 1]]), np.zeros((0, 2), int), np.array([0]), (np.array([0]),))
    vertices = np.array([[0.0, 0.0, 0.5], [5.0, 5.0, 5.0]])
    fractions, radii = (0.0, 0.5, 1.0), np.full((1, 3), 0.2)
    # d is 0.5, 0 and 0.5: from the middle sphere on, |0 - 0.2| + |0.5 - 0.2|.
    arguments = (joints, vertices, radii, parts)
    assert losses.mean_of(dhm.nonrigid_penetration(*arguments, fractions=fractions)) == pytest.approx(0.5)
    released = dhm.nonrigid_penetration(*arguments, fractions=fractions, form="released")
    # Of the mean the signs cancel: |(-0.2 + 0.3) / 2|.
    assert losses.mean_of(released) == pytest.approx(0.05)
    away = dhm.nonrigid_penetration(joints, vertices + 1.0, radii, parts, fractions=fractions)
    assert losses.mean_of(away) == 0


@pytest.mark.parametrize("form", ["paper", "released"])
def test_nonrigid_penetration_is_the_loop_over_tips_and_skins(form):
    parts = RELEASED_PARTS
    centers, total = spheres(BENT, dhm.PAPER_FRACTIONS), 0.0
    for tip, skin in itertools.product(parts.tips, parts.skins):
        away = [
            np.linalg.norm(VERTICES[skin] - c, axis=1).min() - r
            for c, r in zip(centers[NAMES[parts.bones[tip, 1]]], 2 * RADII[tip], strict=True)
        ]
        entered = [k for k, d in enumerate(away) if d < 0]
        if entered:
            rest = np.array(away[entered[0] :])
            total += np.abs(rest).sum() if form == "paper" else abs(rest.mean())
    assert total > 0.01
    found = dhm.nonrigid_penetration(BENT, VERTICES, 2 * RADII, parts, form=form)
    assert losses.mean_of(found) == pytest.approx(total, rel=1e-4)


def test_parts_of_the_paper_and_of_the_code():
    assert [NAMES[PARTS.bones[tip, 1]] for tip in PARTS.tips] == [f"{finger}_null" for finger in CHAINS]
    assert len(RELEASED_PARTS.tips) == 4 and len(RELEASED_PARTS.skins) == 2
    np.testing.assert_array_equal(PARTS.skins[0], [21, 43])


def test_neighbours_are_those_of_the_edges():
    neighbours = dhm.neighbours_of(np.array([[0, 1, 2], [0, 2, 3]]), 5)
    np.testing.assert_array_equal(neighbours.counts, [3, 2, 3, 2, 0])
    assert [set(row) - {v} for v, row in enumerate(neighbours.ids.tolist())] == [
        {1, 2, 3},
        {0, 2},
        {0, 1, 3},
        {0, 2},
        set(),
    ]


def test_laplacian_by_hand_and_against_a_matrix():
    neighbours = dhm.neighbours_of(np.array([[0, 1, 2], [0, 2, 3]]), 5)
    vertices = RNG.normal(size=(5, 3))
    expected = 0.0
    for vertex, others in enumerate([[1, 2, 3], [0, 2], [0, 1, 3], [0, 2]]):
        expected += ((vertices[vertex] - vertices[others].mean(0)) ** 2).sum()
    assert losses.mean_of(dhm.laplacian(vertices, neighbours)) == pytest.approx(expected / 5, rel=1e-5)
    line = np.array([[0.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0]])
    # The ends are 1.5 from the mean of the others, the middle at theirs.
    assert losses.mean_of(dhm.laplacian(line, dhm.neighbours_of(np.array([[0, 1, 2]]), 3))) == pytest.approx(
        2 * 1.5**2 / 3
    )
    assert losses.mean_of(dhm.laplacian(np.ones((5, 3)), neighbours)) == 0


GRADIENTS = {
    "pose": (dhm.pose, BENT, JOINTS),
    "rigid": (lambda j: dhm.rigid_penetration(j, RADII, PARTS), BENT),
    "nonrigid": (lambda j, v: dhm.nonrigid_penetration(j, v, 2 * RADII, RELEASED_PARTS), BENT, VERTICES),
    "skin": (lambda v, j: dhm.nonrigid_penetration(j, v, 2 * RADII, PARTS, form="released"), VERTICES, BENT),
    "laplacian": (
        lambda v: dhm.laplacian(v, dhm.neighbours_of(np.array([[0, 1, 2], [0, 2, 3], [3, 2, 4]]), 44)),
        VERTICES,
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_those_of_differences(name):
    assert_gradient_of_differences(*GRADIENTS[name])


def test_gradients_are_finite_where_everything_falls_together():
    zeros = np.zeros((22, 3))
    assert_finite(lambda j: dhm.rigid_penetration(j, RADII, PARTS), zeros)
    assert_finite(lambda j: dhm.nonrigid_penetration(j, np.zeros((44, 3)), RADII, PARTS), zeros)
    assert_finite(lambda v: dhm.laplacian(v, dhm.neighbours_of(np.zeros((0, 3), int), 44)), np.zeros((44, 3)))
    assert_nothing(dhm.pose, BENT, np.full((22, 3), np.nan), np.zeros(22))
    assert assert_finite(dhm.depth, np.zeros((2, 3, 3)), np.full((2, 3, 3), np.inf)) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dhm.pose(JOINTS[:, :2], JOINTS), r"joints must have shape \(J, 3\)"),
        (lambda: dhm.pose(JOINTS, JOINTS[:21]), "target must have shape"),
        (lambda: dhm.depth(np.zeros((3, 4)), np.zeros((3, 4))), r"depths must have shape \(C, H, W\)"),
        (lambda: dhm.depth(np.zeros((1, 3, 4)), np.zeros((2, 3, 4))), "target must have shape"),
        (lambda: dhm.depth(np.zeros((1, 3, 4)), np.zeros((1, 3, 4)), mean="all"), "mean must be one of"),
        (lambda: dhm.penetration_parts(NAMES, PARENTS[:5], skin_weights(44)), r"parents must have shape \(22,\)"),
        (lambda: dhm.penetration_parts(NAMES, PARENTS, np.eye(21)), r"lbs_weights must have shape \(V, 22\)"),
        (lambda: dhm.penetration_parts(NAMES, PARENTS, skin_weights(44), skins=("arm",)), "names must hold arm"),
        (lambda: dhm.penetration_parts(NAMES, PARENTS, skin_weights(5)), "lbs_weights must give vertices to wrist"),
        (lambda: dhm.sphere_radii(JOINTS, VERTICES[:, 0], PARTS), r"rest_vertices must have shape \(V, 3\)"),
        (lambda: dhm.rigid_penetration(JOINTS, RADII[:, :9], PARTS), r"radii must have shape \(21, 10\)"),
        (lambda: dhm.nonrigid_penetration(JOINTS, VERTICES, RADII.T, PARTS), "radii must have shape"),
        (lambda: dhm.nonrigid_penetration(JOINTS, VERTICES, RADII, PARTS, form="sum"), "form must be one of"),
        (lambda: dhm.neighbours_of(np.array([[0, 1]]), 3), r"faces must have shape \(F, 3\)"),
        (lambda: dhm.neighbours_of(np.array([[0, 1, 3]]), 3), r"faces must lie in \[0, 3\)"),
        (
            lambda: dhm.laplacian(VERTICES, dhm.neighbours_of(np.array([[0, 1, 2]]), 3)),
            r"vertices must have shape \(3, 3\)",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
