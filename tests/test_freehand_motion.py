"""The free hand bends as a hand does: joints keep their width, parts their volume, and nothing enters anything."""

import dataclasses

import numpy as np
import pytest

from handjax import mano
from handjax.mano import anatomy, sparse_posedirs
from handjax.mano.default import FILES
from handjax.mano.pose_library import named_angles
from handjax.mano.types import MANO_KEYPOINT_IDS
from launch.freehand.anatomy import FINGERS
from launch.freehand.limits import LIMITS

trimesh = pytest.importorskip("trimesh")
from launch.freehand import contact, touch, volume  # noqa: E402 - they need trimesh

REFERENCE_POSES = (
    *("flat", "relaxed", "spread", "fist", "point", "victory", "thumbs_up", "okay", "claw", "hook"),
    *("pinch", "pinch_middle", "pinch_ring", "pinch_little", "lateral", "medium_wrap"),
    *("european_one", "european_two", "european_three", "european_four"),
)
PINCHES = {  # where to start from, one after the other until one leads there
    "index": ("pinch", "palmar_pinch", "okay", "prismatic_2_finger", "tip_pinch", "asl_f"),
    "middle": ("pinch_middle", "pinch", "tripod"),
    "ring": ("pinch_ring", "pinch_middle"),
    "little": ("pinch_little", "pinch_ring"),
}
CLOSEST = [("medium", name) for name in ("fist", "point", "pinch_ring", "european_two")]
THUMB_END = 15


@pytest.fixture(
    scope="module", params=["low", *(pytest.param(finer, marks=pytest.mark.slow) for finer in ("medium", "high"))]
)
def resolution(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def hand(resolution) -> mano.HandModel:
    return mano.default(resolution=resolution)


def skin_mm(hand, angles) -> np.ndarray:
    return 1000.0 * np.asarray(touch.posed(hand, np.zeros(hand.num_betas, np.float32), angles), float)


def owners(hand) -> np.ndarray:
    return np.asarray(hand.lbs_weights).argmax(axis=1)


def bent(joint: int, *degrees: float) -> np.ndarray:
    angles = np.zeros((15, 3))
    angles[joint - 1, : len(degrees)] = np.deg2rad(degrees)
    return angles


def section_at(hand, vertices, joint: int, normal) -> contact.Section:
    """Across the finger where its bones meet."""
    first = joint - (joint - 1) % 3
    of_finger = np.asarray(hand.lbs_weights)[:, first : first + 3].sum(axis=1) > 0.5
    faces = np.asarray(hand.faces)
    faces = faces[of_finger[faces].all(axis=1)]
    centre = 1000.0 * np.asarray(hand.joint_template)[joint]
    near = np.linalg.norm(vertices[faces].mean(axis=1) - centre, axis=1) < 25.0
    return contact.section(vertices, faces[near], centre, normal)


@pytest.mark.parametrize("joint", [2, 3, 5, 6, 8, 9, 11, 12, 14, 15])
def test_a_hinge_keeps_its_girth_and_its_area_when_it_bends_and_when_it_twists(hand, joint):
    flexion, _, bone = np.asarray(hand.joint_axes, float)[joint - 1]
    rest = section_at(hand, skin_mm(hand, np.zeros((15, 3))), joint, bone)
    upper = min(90.0, np.rad2deg(float(hand.joint_limits[joint - 1, 0, 1])))
    half = np.deg2rad(upper / 2.0)
    halving = np.cos(half) * bone + np.sin(half) * np.cross(flexion, bone)
    bend = section_at(hand, skin_mm(hand, bent(joint, upper)), joint, halving)
    twist = section_at(hand, skin_mm(hand, bent(joint, 0.0, 0.0, 20.0)), joint, bone)
    assert bend.area > 0.85 * rest.area and bend.girth > 0.9 * rest.girth
    assert twist.area > 0.92 * rest.area


@pytest.fixture(scope="module")
def flesh(hand):
    """The bones' parts of the skin and what each holds at rest, cubic mm."""
    parts = volume.parts_of(np.asarray(hand.faces), np.asarray(hand.lbs_weights, float))
    return parts, volume.part_volumes(parts, skin_mm(hand, np.zeros((15, 3))))


def test_full_flexion_keeps_the_volume_of_every_phalanx(hand, flesh):
    angles = np.zeros((15, 3))
    angles[:12, 0] = np.tile(np.deg2rad([88.0, 100.0, 70.0]), 4)
    angles[12:, 0] = np.asarray(hand.joint_limits)[12:, 0, 1]
    angles[[0, 6, 9], 1] = np.deg2rad([4.0, -5.0, -3.0])
    parts, rest = flesh
    np.testing.assert_allclose((volume.part_volumes(parts, skin_mm(hand, angles)) / rest)[1:], 1.0, atol=0.08)


@pytest.mark.parametrize("joint", range(1, 16))
def test_a_joint_that_bends_alone_keeps_the_volume_of_its_bone(hand, flesh, joint):
    parts, rest = flesh
    for bound in np.rad2deg(np.asarray(hand.joint_limits[joint - 1, 0])):
        bent_volume = volume.volume(parts[joint], skin_mm(hand, bent(joint, float(bound))))
        assert bent_volume / rest[joint] == pytest.approx(1.0, abs=0.05)


def test_bones_hold_the_same_flesh_at_every_resolution():
    held = []
    for name in FILES:
        mesh = mano.default(resolution=name)
        parts = volume.parts_of(np.asarray(mesh.faces), np.asarray(mesh.lbs_weights, float))
        held.append(volume.part_volumes(parts, 1000.0 * np.asarray(mesh.v_template, float)))
    np.testing.assert_allclose(held[1], held[2], rtol=0.03)
    np.testing.assert_allclose(held[0], held[2], rtol=0.08)


def deepest_mm(hand, angles) -> float:
    rest = skin_mm(hand, np.zeros((15, 3)))
    return float(contact.penetration(skin_mm(hand, angles), np.asarray(hand.faces), rest).max())


def meshes_and_poses() -> list:
    """Every reference pose at every resolution; on finer meshes, seconds a pose, only the closest are always run."""
    return [
        pytest.param(mesh, name, marks=() if mesh == "low" or (mesh, name) in CLOSEST else pytest.mark.slow)
        for mesh in FILES
        for name in REFERENCE_POSES
    ]


@pytest.mark.parametrize(("mesh", "name"), meshes_and_poses())
def test_no_part_enters_another_by_more_than_a_millimetre(mesh, name):
    assert deepest_mm(mano.default(resolution=mesh), named_angles(name)) <= 1.0


def pinched(hand, finger: str, betas=None) -> touch.Settled:
    """Thumb and finger turn more willingly than the others; where that does not lead there, all are loose."""
    end = 3 + 3 * FINGERS.index(finger)
    free = np.full((15, 3), 0.3)
    free[12:], free[end - 3 : end] = 1.0, 1.0
    pulps = touch.patch(hand, THUMB_END), touch.patch(hand, end)
    tried = []
    for start in PINCHES[finger]:
        for willing in (free, np.full((15, 3), 3.0)):
            tried.append(touch.settle_touch(hand, named_angles(start), (pulps,), betas, willing))
            if meets(tried[-1]):
                return tried[-1]
    return min(tried, key=touch.badness)


def meets(settled: touch.Settled) -> bool:
    return settled.gap_mm <= 2.0 and settled.entered_mm <= 1.0


@pytest.mark.parametrize("finger", PINCHES)
def test_the_thumb_meets_every_fingers_pulp_inside_the_limits(finger):
    hand = mano.default()
    settled = pinched(hand, finger)
    assert meets(settled), settled[1:]
    lower, upper = np.moveaxis(np.asarray(hand.joint_limits, float), -1, 0)
    assert (settled.angles >= lower - 1e-6).all() and (settled.angles <= upper + 1e-6).all()


@pytest.mark.slow
@pytest.mark.parametrize("person", range(20))
def test_the_thumb_meets_every_fingers_pulp_on_twenty_hands(person):
    hand = mano.default()
    betas = np.clip(np.random.default_rng(person).normal(size=hand.num_betas), -2.5, 2.5).astype(np.float32)
    for finger in PINCHES:
        settled = pinched(hand, finger, betas)
        assert meets(settled), finger


def test_a_key_is_held_between_thumb_and_the_side_of_the_index_finger():
    hand = mano.default()
    patches = touch.patch(hand, THUMB_END), touch.patch(hand, 2, "radial")
    settled = touch.settle_touch(hand, named_angles("lateral"), (patches,))
    assert meets(settled), settled[1:]


def test_fingers_that_cross_are_turned_out_of_each_other():
    hand = mano.default()
    crossing = bent(1, 60.0, -14.0) + bent(4, 60.0, 9.0)
    rest = skin_mm(hand, np.zeros((15, 3)))
    assert contact.penetration(skin_mm(hand, crossing), np.asarray(hand.faces), rest).max() > 1.5
    settled = touch.clear_of_itself((hand,), crossing)
    left_mm = contact.penetration(skin_mm(hand, settled.angles), np.asarray(hand.faces), rest).max()
    assert left_mm == pytest.approx(settled.entered_mm, abs=1e-3) and left_mm <= 1.0
    assert np.rad2deg(np.abs(settled.angles - crossing)).max() < 25.0


def test_pinching_a_hand_that_cannot_reach_says_so():
    hand = mano.default()
    stiff = dataclasses.replace(hand, joint_limits=hand.joint_limits * 0.1)
    settled = touch.settle_touch(stiff, np.zeros((15, 3)), ((touch.patch(hand, 15), touch.patch(hand, 9)),), rounds=2)
    assert settled.gap_mm > 10.0


def test_a_patch_without_skin_is_refused():
    with pytest.raises(ValueError, match="joint must have skin on its palmar side, got none for 3"):
        touch.patch(mano.default(), 3, start=0.5, end=0.5)


def test_correctives_keep_to_the_skin_near_their_joint(hand):
    moved = np.abs(np.asarray(hand.posedirs)).reshape(hand.num_vertices, 3, 15, 9).max(axis=(1, 3)) > 0.0
    assert 0.01 < moved.mean() < 0.12
    owner = owners(hand)
    for joint in range(1, 16):
        finger = (joint - 1) // 3
        assert moved[:, joint - 1].any()
        own = {1 + 3 * finger, 2 + 3 * finger, 3 + 3 * finger}
        if (joint - 1) % 3:
            own |= {0} if joint == 14 else set()  # the ball of the thumb reaches past its middle joint
            # Where two fingers' skin meets, one point of the finest mesh may be its neighbour's.
            assert np.isin(owner[moved[:, joint - 1]], list(own), invert=True).mean() < 0.002
        else:
            ends = np.flatnonzero(moved[:, joint - 1] & np.isin(owner % 3, (0, 2)) & (owner > 0))
            assert set(owner[ends].tolist()) <= own, "another finger's middle or end moves"


def test_flexed_ring_and_little_fingers_deepen_the_palm_and_raise_its_ball(hand):
    angles = bent(7, 85.0) + bent(10, 85.0)
    fall = skin_mm(hand, np.zeros((15, 3)))[:, 1] - skin_mm(hand, angles)[:, 1]  # towards the palm, MANO's -y
    rest = 1000.0 * np.asarray(hand.v_template)
    front = (owners(hand) == 0) & (rest[:, 1] < -10.0)
    ball = front & (rest[:, 2] < -15.0) & (rest[:, 0] > -60.0) & (rest[:, 0] < -20.0)
    hollow = front & (np.abs(rest[:, 2]) < 8.0) & (rest[:, 0] > -60.0) & (rest[:, 0] < -40.0)
    assert fall[ball].mean() > 0.5 and fall[hollow].mean() < -0.2


def test_ranges_of_mano_files_hold_those_of_the_free_hand():
    theirs = np.rad2deg(anatomy.joint_limits(mano.MANO_PARENTS, MANO_KEYPOINT_IDS))
    ours = LIMITS.reshape(15, 3, 2)
    assert (theirs[..., 0] <= ours[..., 0] + 1e-6).all() and (theirs[..., 1] >= ours[..., 1] - 1e-6).all()


def test_depth_is_how_far_one_ball_enters_another():
    ball = trimesh.creation.icosphere(subdivisions=2, radius=10.0)
    faces = np.concatenate([ball.faces, ball.faces + len(ball.vertices)])

    def two(apart):
        return np.concatenate([ball.vertices, ball.vertices + [apart, 0.0, 0.0]])

    assert contact.penetration(two(21.0), faces, two(40.0)).max() == 0.0
    depth = contact.penetration(two(17.0), faces, two(40.0))
    assert depth.max() == pytest.approx(3.0, abs=0.3)
    assert (depth > 0.0).sum() == 2 * (ball.vertices[:, 0] > 8.5).sum()
    assert contact.penetration(two(17.0), faces, two(17.0)).max() == 0.0, "what overlaps at rest does not count"


def test_winding_numbers_of_a_cut_ball_are_those_of_a_closed_one():
    ball = trimesh.creation.icosphere(subdivisions=3, radius=10.0)
    open_faces = ball.faces[ball.triangles_center[:, 2] < 6.0]
    closed = contact.capped(np.asarray(ball.vertices), open_faces)
    points = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 12.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]])
    np.testing.assert_allclose(contact.winding_number(points, *closed), [1.0, 0.0, 1.0, 0.0], atol=0.03)


def test_parts_are_cut_through_faces_where_turns_are_shared_half_and_half():
    ball = trimesh.creation.icosphere(subdivisions=3, radius=10.0)
    vertices, weights = np.asarray(ball.vertices), np.zeros((len(ball.vertices), 16))
    weights[:, 1] = np.clip(0.5 + (vertices[:, 0] - 4.0) / 7.0, 0.0, 1.0)
    weights[:, 0] = 1.0 - weights[:, 1]
    parts = volume.parts_of(np.asarray(ball.faces), weights)
    cap = np.pi * 6.0**2 * (3.0 * 10.0 - 6.0) / 3.0
    volumes = [volume.volume(part, vertices) for part in parts[:2]]
    np.testing.assert_allclose(volumes, [ball.volume - cap, cap], rtol=0.03)
    np.testing.assert_allclose(sum(volumes), ball.volume, rtol=1e-6)
    assert np.all(volume.part_volumes(parts, vertices)[2:] == 0.0)


def test_a_section_has_the_girth_and_area_of_its_circle():
    rod = trimesh.creation.cylinder(radius=8.0, height=60.0, sections=64)
    found = contact.section(np.asarray(rod.vertices), np.asarray(rod.faces), np.array([0.5, 0.2, 3.0]), np.eye(3)[2])
    assert found.girth == pytest.approx(16.0 * np.pi, rel=0.01) and found.area == pytest.approx(64.0 * np.pi, rel=0.01)


@pytest.fixture
def correctives() -> np.ndarray:
    rng = np.random.default_rng(3)
    dense = np.zeros((40, 3, 15, 9))
    dense[rng.integers(0, 40, 60), :, rng.integers(0, 15, 60)] = rng.normal(0.0, 0.003, (60, 3, 9))
    return dense.reshape(40, 3, 135)


def test_sparse_correctives_come_back_as_they_went(correctives):
    sparse = sparse_posedirs.to_sparse(correctives)
    assert len(sparse["posedirs_vertex"]) < 61 and sparse["posedirs_block"].dtype == np.float16
    back = sparse_posedirs.from_sparse(sparse, 40, 16)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, correctives, rtol=1e-3, atol=1e-7)
    np.testing.assert_array_equal(back != 0.0, correctives.astype(np.float16) != 0.0)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("posedirs_vertex", lambda ids: ids + 40, r"posedirs_vertex must lie in \[0, 40\)"),
        ("posedirs_vertex", lambda ids: -1 - ids.astype(int), r"posedirs_vertex must lie in \[0, 40\)"),
        ("posedirs_vertex", lambda ids: ids.astype(float), "posedirs_vertex must hold whole numbers"),
        ("posedirs_vertex", lambda ids: ids[:, None], "posedirs_vertex must have shape"),
        ("posedirs_vertex", lambda ids: ids[:-1], "posedirs_joint must have shape"),
        ("posedirs_joint", lambda ids: ids + 15, r"posedirs_joint must lie in \[0, 15\)"),
        ("posedirs_joint", lambda ids: ids[::-1], "must rise"),
        ("posedirs_joint", lambda ids: ids * 0, "must rise"),
        ("posedirs_block", lambda block: block[:, :2], "posedirs_block must have shape"),
        ("posedirs_block", lambda block: block * np.nan, "posedirs_block must be finite"),
        ("posedirs_block", lambda block: block.astype(complex), "posedirs_block must hold real numbers"),
    ],
)
def test_damaged_sparse_correctives_are_refused_by_name(correctives, name, change, message):
    sparse = sparse_posedirs.to_sparse(correctives)
    with pytest.raises(ValueError, match=message):
        sparse_posedirs.from_sparse({**sparse, name: change(sparse[name])}, 40, 16)


def test_sparse_correctives_refuse_what_is_missing_too_large_or_not_finite(correctives):
    sparse = sparse_posedirs.to_sparse(correctives)
    with pytest.raises(ValueError, match="got no posedirs_joint"):
        sparse_posedirs.from_sparse({key: sparse[key] for key in sparse if key != "posedirs_joint"}, 40, 16)
    with pytest.raises(ValueError, match="at most"):
        sparse_posedirs.from_sparse(sparse, 10**9, 16)
    for bad in (np.nan, 1e6):
        with pytest.raises(ValueError, match="posedirs must be finite"):
            sparse_posedirs.to_sparse(np.where(correctives == 0.0, bad, correctives))
    with pytest.raises(ValueError, match="posedirs must have shape"):
        sparse_posedirs.to_sparse(correctives[:, :, :100])
