"""Targets made from examples: values worked by hand, invalid labels that count for nothing, crops that stay true."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import camera, losses, mano, targets
from handjax.camera import Camera
from handjax.losses import bihand, multihand
from handjax.models.liftnet import joints_from_uvd
from handjax.targets import HeatmapForm

CROP = 64
MAPS = HeatmapForm(size=16, sigma=1.5)


def hand_labels(hands=2, seed=0):
    """Labels of hands of MANO's mean shape before a camera with fx != fy, right then left, as a data set gives them."""
    random = np.random.default_rng(seed)
    camera = Camera(jnp.array([150.0, 156.0]), jnp.array([52.0, 47.0]))
    points = random.normal(size=(hands, 21, 3)) * 0.03 + [0.02, -0.01, 0.6]
    points = points.astype(np.float32)
    pixels = np.asarray(project(camera, points))
    every = np.ones((hands, 21), bool)
    return jax.tree.map(
        jnp.asarray,
        {
            "valid": np.ones(hands, bool),
            "side": 1 - np.arange(hands) % 2,
            "side_valid": np.ones(hands, bool),
            "box": np.concatenate([pixels.min(1) - 2, pixels.max(1) + 2], -1),
            "keypoints_2d": pixels,
            "keypoints_2d_valid": every,
            "keypoints_3d": points,
            "keypoints_3d_valid": every,
            "keypoints_visible": every,
            "keypoints_visible_valid": every,
            "betas": np.zeros((hands, 10), np.float32),
            "global_orient": random.normal(size=(hands, 3)).astype(np.float32),
            "hand_pose": np.zeros((hands, 45), np.float32),
            "transl": points[:, 0] - np.float32([[0.09, 0.005, 0.002]]),
            "mano_valid": np.ones(hands, bool),
            "vertices_valid": np.ones(hands, bool),
            "intrinsics": np.array([[150.0, 0, 52], [0, 156, 47], [0, 0, 1]], np.float32),
            "intrinsics_valid": np.array(True),
            "mask_valid": np.array(True),
            "depth_valid": np.array(True),
        },
    )


def pictures(labels, front, height=96, width=112):
    """A dot at every keypoint, mask and depth there too; the hand of slot `front` over the others."""
    image = np.zeros((height, width, 3), np.uint8)
    mask, depth = np.zeros((height, width), np.int8), np.zeros((height, width), np.float32)
    points, depths = np.asarray(labels["keypoints_2d"]).astype(int), np.asarray(labels["keypoints_3d"])[..., 2]
    for slot in sorted(range(len(points)), key=lambda slot: slot == front):
        for (x, y), z in zip(points[slot], depths[slot], strict=True):
            image[y - 1 : y + 2, x - 1 : x + 2] = 255
            mask[y - 1 : y + 2, x - 1 : x + 2] = slot + 1
            depth[y - 1 : y + 2, x - 1 : x + 2] = z
    return {"image": jnp.asarray(image), "mask": jnp.asarray(mask), "depth": jnp.asarray(depth)}


crop_labels = jax.jit(targets.crop_labels, static_argnums=2)
turned_affine = jax.jit(targets.crop.turned_affine, static_argnums=2)
mirror_labels = jax.jit(targets.mirror_labels, static_argnums=1)
hand_affine = jax.jit(targets.hand_affine, static_argnums=1)
rotations = jax.jit(targets.rotations)
uvd_of = jax.jit(targets.uvd)
placed_by = jax.jit(joints_from_uvd, static_argnums=4)
project = jax.jit(camera.project)
normalised_depth = jax.jit(targets.normalised_depth, static_argnums=2)
relative_joints = jax.jit(targets.relative_joints, static_argnames=("root", "unit"))
heatmaps = jax.jit(targets.heatmaps, static_argnames=("crop", "form"))
center_maps = jax.jit(targets.center_maps, static_argnames=("size", "stride", "channels"))


@jax.jit
def posed(model, params):
    output = mano.forward(model, params)
    return mano.keypoints_of(model, output), output.vertices


@jax.jit
def cropped(example, slot, rotation, shift):
    return targets.crop_example(example, slot, CROP, margin=1.5, rotation=rotation, shift=shift)


def camera_of(labels):
    matrix = np.asarray(labels["intrinsics"])
    return Camera(jnp.array([matrix[0, 0], matrix[1, 1]]), jnp.asarray(matrix[:2, 2]))


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("rotation", [0.0, 1.3, -2.9])
def test_a_crop_keeps_keypoints_camera_picture_mask_and_depth_together(slot, rotation):
    labels = hand_labels()
    example = labels | pictures(labels, slot)
    crop = cropped(example, slot, rotation, jnp.array([0.1, -0.05]))
    assert crop["side"] == targets.crop.RIGHT
    np.testing.assert_allclose(project(camera_of(crop), crop["keypoints_3d"]), crop["keypoints_2d"], atol=2e-3)
    pixels = np.asarray(crop["keypoints_2d"])
    inside = ((pixels > 1) & (pixels < CROP - 1)).all(-1)
    assert inside.sum() > 10
    x, y = pixels[inside].astype(int).T
    image = np.asarray(crop["image"])
    assert (image[y, x] > 100).all()
    assert (np.asarray(crop["mask"])[y, x] == 1).all()
    # Its own dots may cover each other.
    near = np.abs(np.asarray(crop["depth"])[y, x] - np.asarray(crop["keypoints_3d"])[inside, 2]) < 1e-4
    assert near.mean() > 0.5


def test_a_turned_crop_turns_the_mesh_as_it_turns_the_keypoints(small_model):
    params = mano.HandParams(
        jnp.zeros(small_model.num_betas), jnp.array([0.3, -1.2, 0.8]), 0.2 * jnp.ones(45), jnp.array([0.0, 0.05, 0.7])
    )
    labels = hand_labels(1)
    points, vertices = posed(small_model, params)
    labels |= {name: getattr(params, name)[None] for name in params._fields}
    labels |= {"keypoints_3d": points[None], "keypoints_2d": project(camera_of(labels), points)[None]}
    affine = hand_affine(targets.one_hand(labels, 0), CROP, rotation=0.9)
    moved = crop_labels(labels, affine, CROP)
    again, turned = posed(small_model, mano.HandParams(*(moved[name][0] for name in params._fields)))
    np.testing.assert_allclose(again, moved["keypoints_3d"][0], atol=1e-5)
    cosine, sine = np.cos(0.9), np.sin(0.9)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    np.testing.assert_allclose(turned, np.asarray(vertices) @ turn.T, atol=1e-5)


def test_mirroring_twice_changes_nothing():
    labels = hand_labels()
    once = mirror_labels(labels, 112)
    assert (once["side"] == 1 - labels["side"]).all()
    for name, value in mirror_labels(once, 112).items():
        np.testing.assert_allclose(value, labels[name], atol=1e-5, err_msg=name)


def test_without_the_wrist_a_turned_hand_has_no_mano_parameters_and_an_upright_one_keeps_them():
    labels = hand_labels()
    labels["keypoints_3d_valid"] = labels["keypoints_3d_valid"].at[0, 0].set(False)
    box = jnp.array([0.0, 0.0, 96.0, 96.0])
    turned = crop_labels(labels, turned_affine(box, 0.5, CROP, labels), CROP)
    assert turned["mano_valid"].tolist() == turned["vertices_valid"].tolist() == [False, True]
    assert (turned["transl"][0] == 0).all()
    upright = crop_labels(labels, turned_affine(box, 0.0, CROP, labels), CROP)
    assert upright["mano_valid"].all()
    np.testing.assert_array_equal(upright["transl"], labels["transl"])


def test_a_hand_outside_the_crop_is_none_and_leaves_zeros():
    labels = hand_labels()
    box = labels["box"][0] + jnp.array([500.0, 0, 500, 0])
    away = crop_labels(labels, turned_affine(box, 0.0, CROP, labels), CROP)
    assert not away["valid"].any()
    for name, flag in targets.crop.FLAGS.items():
        if name in away and name != "intrinsics":
            assert not away[flag].any() and not away[name].any(), name


def test_an_unknown_camera_stays_unknown():
    labels = hand_labels() | {"intrinsics": jnp.zeros((3, 3)), "intrinsics_valid": jnp.array(False)}
    affine = turned_affine(jnp.array([0.0, 0.0, 96.0, 96.0]), 0.4, CROP, labels)
    moved = crop_labels(labels, affine, CROP)
    assert not moved["intrinsics_valid"] and (moved["intrinsics"] == 0).all()
    assert np.isfinite(moved["keypoints_2d"]).all() and np.isfinite(moved["keypoints_3d"]).all()


def test_a_heatmap_is_1_at_its_keypoint_and_falls_off_as_a_gaussian():
    # Cells of 4 px: index 5 stands at 22 px, index 8 at 34 px.
    maps, valid = heatmaps(jnp.array([[22.0, 34.0], [24.0, 34.0]]), crop=CROP, form=MAPS)
    assert maps.shape == (16, 16, 2) and valid.tolist() == [1.0, 1.0]
    assert maps[8, 5, 0] == 1.0
    np.testing.assert_allclose(maps[8, 7, 0], np.exp(-4 / 4.5), rtol=1e-6)
    np.testing.assert_allclose(maps[8, 5, 1], np.exp(-0.25 / 4.5), rtol=1e-6)


@pytest.mark.parametrize("form", [targets.BIHAND, targets.BIHAND_PAPER, targets.HANDTAILOR])
def test_the_mean_under_a_heatmap_is_the_pixel_that_the_networks_read(form):
    maps, _ = heatmaps(jnp.array([[100.3, 140.9]]), form=form)
    share = maps[..., 0] / maps.sum()
    u = (share.sum(0) * jnp.arange(64)).sum() / 64 * 256
    # Networks count from a first centre at (0, 0): half a pixel less.
    np.testing.assert_allclose(u, 99.8, atol=1e-3)


def test_whole_cells_put_exactly_1_into_the_cell_of_the_keypoint():
    maps, _ = heatmaps(jnp.array([[23.9, 33.1]]), crop=CROP, form=MAPS._replace(first_px=0.0, whole_cells=True))
    assert maps[8, 5, 0] == 1.0 and (maps == 1.0).sum() == 1


def test_keypoints_that_are_invalid_or_far_outside_leave_no_heat():
    points = jnp.array([[jnp.nan, 3.0], [20.0, 20.0], [-30.0, 20.0], [-10.0, 20.0]])
    maps, valid = heatmaps(points, jnp.array([False, True, True, True]), crop=CROP, form=MAPS)
    assert valid.tolist() == [0.0, 1.0, 0.0, 1.0]
    assert (maps[..., 0] == 0).all() and (maps[..., 2] == 0).all() and maps[..., 3].max() > 0
    sums = bihand.heatmap(maps[None], maps, valid)
    assert sums.total == 0 and sums.number == 16 * 16 * 2


def test_uvd_is_what_liftnet_places():
    camera = Camera(jnp.full(2, 480.0), jnp.full(2, 128.0))
    joints = np.random.default_rng(0).normal(size=(21, 3)) * 0.03 + [0, 0, 0.6]
    joints = jnp.asarray(joints, jnp.float32)
    uvd, valid = uvd_of(project(camera, joints), joints)
    relative = relative_joints(joints)
    counted = camera._replace(center=camera.center - 0.5)
    placed = placed_by(uvd, counted, relative.bone, relative.root[2], 256)
    np.testing.assert_allclose(placed, joints, atol=1e-6)
    assert valid.all()


def test_relative_joints_have_their_root_at_0_and_a_bone_of_1():
    joints = jnp.asarray(np.random.default_rng(1).normal(size=(21, 3)), jnp.float32)
    relative = relative_joints(joints)
    np.testing.assert_allclose(relative.joints[9], 0, atol=1e-7)
    np.testing.assert_allclose(jnp.linalg.norm(relative.joints[0]), 1, rtol=1e-6)
    metric = relative_joints(joints, root=0, unit="metres")
    np.testing.assert_allclose(metric.joints, joints - joints[:1], atol=1e-6)


def test_without_its_unit_no_relative_joint_is_valid_and_without_its_root_neither():
    joints = jnp.asarray(np.random.default_rng(1).normal(size=(21, 3)), jnp.float32).at[9].set(jnp.nan)
    valid = jnp.ones(21).at[9].set(0.0)
    bones = relative_joints(joints, valid)
    assert not bones.valid.any() and not bones.joints.any() and bones.placed == 0
    metres = relative_joints(joints, valid, root=0, unit="metres")
    assert metres.valid.sum() == 20 and np.isfinite(metres.joints).all()


def test_rotations_are_quaternions_of_one_sign_and_the_identity_where_unknown():
    angles = jnp.asarray(np.random.default_rng(2).normal(size=48) * 3, jnp.float32)
    quaternions, valid = rotations(angles[:3], angles[3:])
    assert (quaternions[:, 0] >= 0).all() and valid == 1
    np.testing.assert_allclose(jnp.linalg.norm(quaternions, axis=-1), 1, rtol=1e-5)
    unknown, _ = rotations(jnp.full(3, jnp.nan), jnp.zeros(45), False)
    np.testing.assert_array_equal(unknown, jnp.tile(jnp.array([1.0, 0, 0, 0]), (16, 1)))


def test_normalised_depth_is_near_1_far_0_and_background_0():
    depth = np.zeros((8, 8), np.float32)
    depth[2:4, 2:4], depth[4:6, 4:6], depth[0, 0] = 0.5, 0.6, 0.9
    keypoints = jnp.zeros((21, 3)).at[:, 2].set(jnp.linspace(0.5, 0.58, 21))
    maps, valid = normalised_depth(depth, keypoints, 4)
    assert valid == 1
    np.testing.assert_allclose(maps[1, 1], 0.101 / 0.102, rtol=1e-4)
    np.testing.assert_allclose(maps[2, 2], 0.001 / 0.102, rtol=1e-2)
    # 0.9 m is out of the hand's reach.
    assert maps[0, 0] == 0
    only_far, _ = normalised_depth(depth, keypoints, 4, mask=depth > 0.55)
    assert only_far[1, 1] == 0 and only_far[2, 2] > 0


@pytest.mark.parametrize("case", ["no label", "no keypoint", "nothing near", "not finite"])
def test_depth_that_is_not_known_gives_zeros(case):
    depth = np.full((8, 8), np.nan if case == "not finite" else 3.0 if case == "nothing near" else 0.5, np.float32)
    keypoints = jnp.full((21, 3), jnp.nan if case == "no keypoint" else 0.5)
    known = jnp.full(21, case != "no keypoint")
    maps, valid = normalised_depth(depth, keypoints, 4, case != "no label", known)
    assert valid == 0 and (maps == 0).all()


def test_a_silhouette_is_the_covered_share_of_each_cell():
    mask = jnp.zeros((4, 4), jnp.int8).at[:2, :2].set(1).at[2, 2].set(1)
    shares, valid = targets.silhouette(mask, 2)
    np.testing.assert_allclose(shares, [[1, 0], [0, 0.25]])
    assert valid == 1 and not targets.silhouette(mask, 2, False)[0].any()


@pytest.mark.parametrize(
    ("height", "width", "radius"),
    [(10, 10, 2.733), (20, 20, 5.466), (24, 30, 7.296), (40, 40, 10.933), (80, 60, 18.773)],
)
def test_radii_are_the_published_ones(height, width, radius):
    np.testing.assert_allclose(targets.center_radius(height, width), radius, atol=6e-4)


def maps_of(labels, **changes):
    names = ("keypoints_2d", "keypoints_2d_valid", "box", "side", "valid")
    return center_maps(
        *(labels[name] for name in names), size=(96, 112), **{"side_valid": labels["side_valid"], **changes}
    )


def test_each_hand_has_one_cell_of_1_in_the_centre_map_and_in_that_of_its_side():
    labels = hand_labels()
    shift = jnp.array([[[-20.0, -15]], [[25.0, 20]]])
    labels |= {"keypoints_2d": labels["keypoints_2d"] + shift, "box": labels["box"] + jnp.tile(shift[:, 0], 2)}
    maps = maps_of(labels)
    assert maps.centers.shape == (12, 14, 1) and maps.sides.shape == (12, 14, 2)
    assert maps.keypoint_maps.shape == (48, 56, 21)
    assert (maps.centers == 1).sum() == 2 and maps.valid.tolist() == [1.0, 1.0]
    for slot, side in enumerate([1, 0]):
        column, row = maps.cells[slot]
        assert maps.centers[row, column, 0] == maps.sides[row, column, side] == 1
        middle = labels["keypoints_2d"][slot].mean(0)
        np.testing.assert_array_equal(maps.cells[slot], jnp.floor(middle / 8))
    assert ((maps.keypoint_maps == 1).sum((0, 1)) == 2).all()
    np.testing.assert_array_equal(maps_of(labels, channels=2).centers, maps.sides)


def test_empty_slots_leave_no_trace_in_the_maps():
    labels = hand_labels()
    labels["valid"] = jnp.array([True, False])
    labels["keypoints_2d"] = labels["keypoints_2d"].at[1].set(jnp.nan)
    maps = maps_of(labels)
    alone = maps_of({name: value[:1] for name, value in labels.items() if jnp.ndim(value)})
    for name in ("centers", "sides", "keypoint_maps"):
        np.testing.assert_allclose(getattr(maps, name), getattr(alone, name), atol=1e-6, err_msg=name)
    nothing = maps_of(labels | {"valid": jnp.zeros(2, bool)})
    assert not any(getattr(nothing, name).any() for name in ("centers", "sides", "keypoint_maps"))
    sums = multihand.center(jnp.zeros((12, 14, 1)), nothing.centers)
    assert np.isfinite(sums.total) and sums.number == 1


def test_maps_say_when_a_side_or_a_keypoint_is_not_known():
    labels = hand_labels()
    assert maps_of(labels).sides_valid == maps_of(labels).keypoint_maps_valid == 1
    unknown = labels | {"side_valid": jnp.array([True, False])}
    assert maps_of(unknown).sides_valid == 0
    labels["keypoints_2d_valid"] = labels["keypoints_2d_valid"].at[1, 3].set(False)
    assert maps_of(labels).keypoint_maps_valid == 0


def test_perfect_predictions_of_the_maps_cost_next_to_nothing():
    maps = maps_of(hand_labels())
    found = jnp.where(maps.centers == 1, 20.0, -20.0)
    assert losses.mean_of(multihand.center(found, maps.centers)) < 1e-6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: targets.heatmaps(jnp.zeros((21, 3))), "keypoints_2d must have shape"),
        (lambda: targets.heatmaps(jnp.zeros((21, 2)), crop=0), "must be positive"),
        (lambda: targets.shrink(jnp.zeros((6, 6)), 4), "size must divide"),
        (lambda: targets.relative_joints(jnp.zeros((21, 3)), root=21), "root must be one of"),
        (lambda: targets.relative_joints(jnp.zeros((21, 3)), unit="feet"), "unit must be one of"),
        (lambda: maps_of(hand_labels(), stride=5), "multiples of both strides"),
        (lambda: maps_of(hand_labels(), channels=3), "channels must be one of"),
        (lambda: targets.crop_example({"image": jnp.zeros((4, 4))}, 0), "image must have shape"),
    ],
)
def test_bad_input_gets_a_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
