"""Synthesis: labels that agree with each other and with the hand model, mirror images, switches, bad settings."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from datasets import synthetic
from datasets.synthetic import labels
from datasets.synthetic.assets import make_assets
from datasets.synthetic.batch import _batch
from datasets.synthetic.draws import Draws
from datasets.synthetic.hands import random_pose
from datasets.synthetic.layout import laid_out, strewn
from datasets.synthetic.pairs import PRESSED_M, second_place
from datasets.synthetic.settings import Settings
from datasets.synthetic.views import crop_view, full_camera, place_at
from handjax import mano, skin
from handjax.camera import camera_from_matrix, project
from handjax.mano import HandParams
from handjax.mano.capsules import segment_distance
from handjax.render import rasterize
from handjax.skin.texture import CHANNELS, LEVELS, stack_textures

SIZE, COUNT = 64, 6
# What others draw is compiled once, in their own tests.
BARE = synthetic.single(SIZE, backgrounds=None, occluders=None, degrade=None)


@functools.cache
def assets() -> synthetic.Assets:
    """With a skin of noise: what is baked into skins has its own tests, and takes long."""
    return make_assets(mano.default(), skin_of_noise(0))


def skin_of_noise(seed: int, size: int = 128) -> skin.SkinTexture:
    texels = sum((size >> level) ** 2 for level in range(LEVELS))
    words = np.random.default_rng(seed).integers(0, 2**32, (len(CHANNELS) // 4, texels), np.uint32)
    return skin.SkinTexture(jnp.asarray(words), size)


@functools.cache
def drawn(settings: Settings = BARE, seed: int = 0) -> dict[str, np.ndarray]:
    return jax.tree.map(np.asarray, synthetic.batch(jax.random.key(seed), COUNT, settings, assets()))


def posed(example: dict[str, np.ndarray], index: int, slot: int = 0) -> tuple[mano.HandModel, mano.HandOutput]:
    model = mano.default("right" if example["side"][index, slot] == labels.RIGHT else "left")
    params = HandParams(*(jnp.asarray(example[name][index, slot]) for name in HandParams._fields))
    return model, mano.forward(model, params)


def test_an_example_has_the_fields_that_every_dataset_has():
    example, slots = drawn(), (COUNT, 1)
    shapes = {
        "image": (COUNT, SIZE, SIZE, 3),
        "intrinsics": (COUNT, 3, 3),
        "intrinsics_valid": (COUNT,),
        "valid": slots,
        "side": slots,
        "side_valid": slots,
        "box": (*slots, 4),
        "keypoints_2d": (*slots, 21, 2),
        "keypoints_2d_valid": (*slots, 21),
        "keypoints_3d": (*slots, 21, 3),
        "keypoints_3d_valid": (*slots, 21),
        "keypoints_visible": (*slots, 21),
        "keypoints_visible_valid": (*slots, 21),
        "betas": (*slots, 10),
        "global_orient": (*slots, 3),
        "hand_pose": (*slots, 45),
        "transl": (*slots, 3),
        "mano_valid": slots,
        "vertices_valid": slots,
        "mask": (COUNT, SIZE, SIZE),
        "mask_valid": (COUNT,),
        "depth": (COUNT, SIZE, SIZE),
        "depth_valid": (COUNT,),
    }
    assert {name: value.shape for name, value in example.items()} == shapes
    assert example["image"].dtype == np.uint8 and example["mask"].dtype == np.int8
    assert example["valid"].all() and len(set(example["side"].ravel())) == 2


def test_projected_keypoints_are_the_ones_in_the_picture():
    example = drawn()
    for index in range(COUNT):
        pixels = project(camera_from_matrix(example["intrinsics"][index]), example["keypoints_3d"][index, 0])
        np.testing.assert_allclose(pixels, example["keypoints_2d"][index, 0], atol=0.01)


def test_hand_parameters_give_the_keypoints():
    example = drawn()
    for index in range(COUNT):
        model, output = posed(example, index)
        np.testing.assert_allclose(mano.keypoints_of(model, output), example["keypoints_3d"][index, 0], atol=1e-5)


def test_the_mask_is_where_depth_is_and_where_the_hand_model_is():
    example = drawn()
    np.testing.assert_array_equal(example["mask"] > 0, example["depth"] > 0)
    for index in range(COUNT):
        model, output = posed(example, index)
        pixels = project(camera_from_matrix(example["intrinsics"][index]), output.vertices)
        ids = np.asarray(rasterize(pixels, output.vertices[:, 2], model.faces, (SIZE, SIZE)).face_ids)
        mask, alone = example["mask"][index] == 1, ids >= 0
        # Parts of the hand may be behind its forearm.
        assert (mask & alone).sum() > 0.95 * mask.sum() > 0
        nearest = output.vertices[model.faces[np.maximum(ids, 0)], 2]
        low, high = np.asarray(nearest.min(axis=-1)) - 0.004, np.asarray(nearest.max(axis=-1)) + 0.004
        both = mask & alone
        within = (example["depth"][index] > low) & (example["depth"][index] < high)
        assert within[both].mean() > 0.9


def test_boxes_hold_what_the_mask_shows():
    example = drawn()
    for index in range(COUNT):
        rows, columns = np.nonzero(example["mask"][index])
        x0, y0, x1, y1 = example["box"][index, 0]
        assert x0 - 1 <= columns.min() and columns.max() <= x1 and y0 - 1 <= rows.min() and rows.max() <= y1
        assert 0 <= x0 < x1 <= SIZE and 0 <= y0 < y1 <= SIZE


def test_visible_keypoints_lie_on_the_mask():
    example = drawn()
    visible = example["keypoints_visible"][:, 0]
    assert 0.4 < visible.mean() < 0.99
    for index in range(COUNT):
        columns, rows = np.floor(example["keypoints_2d"][index, 0][visible[index]]).astype(int).T
        assert (example["mask"][index, rows, columns] == 1).all()


def test_a_left_draw_is_the_mirror_image_of_the_right_one():
    right, left = (drawn(dataclasses.replace(BARE, sides=side)) for side in ("right", "left"))
    assert (right["side"] == labels.RIGHT).all() and (left["side"] == labels.LEFT).all()
    for name in ("image", "mask", "depth"):
        np.testing.assert_array_equal(left[name], right[name][:, :, ::-1])
    np.testing.assert_allclose(left["keypoints_2d"], right["keypoints_2d"] * [-1, 1] + [SIZE, 0], atol=1e-4)
    np.testing.assert_array_equal(left["keypoints_3d"], right["keypoints_3d"] * np.float32([-1, 1, 1]))
    np.testing.assert_array_equal(left["transl"], right["transl"] * np.float32([-1, 1, 1]))
    np.testing.assert_array_equal(left["global_orient"], right["global_orient"] * np.float32([1, -1, -1]))
    for name in ("betas", "keypoints_visible", "valid"):
        np.testing.assert_array_equal(left[name], right[name])
    np.testing.assert_allclose(left["intrinsics"][:, 0, 2], SIZE - right["intrinsics"][:, 0, 2], atol=1e-4)
    np.testing.assert_allclose(left["box"][..., [2, 0]], SIZE - right["box"][..., [0, 2]], atol=1e-4)


def test_the_same_key_gives_the_same_bits_and_another_key_another_batch():
    again = synthetic.batch(jax.random.key(0), COUNT, BARE, assets())
    for name, value in drawn().items():
        np.testing.assert_array_equal(value, again[name], err_msg=name)
    assert (drawn()["image"] != drawn(seed=1)["image"]).mean() > 0.1


@pytest.mark.parametrize(
    "switch, same, other",
    [
        ({"skin": False}, ["hand_pose", "global_orient"], ["image"]),
        ({"lights": False}, ["keypoints_2d", "mask"], ["image"]),
        ({"forearms": False}, ["keypoints_2d"], ["image"]),
        ({"ground_shadows": 1.0}, ["keypoints_2d", "mask"], ["image"]),
        ({"poses": False}, ["global_orient", "betas"], ["hand_pose"]),
        ({"views": False}, ["hand_pose", "betas"], ["global_orient"]),
        ({"betas_spread": 0.0}, ["hand_pose", "global_orient"], ["betas"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_switch_changes_its_own_draw_alone_and_needs_no_compiling(switch, same, other):
    usual, compiled = drawn(), _batch._cache_size()
    changed = drawn(dataclasses.replace(BARE, **switch))
    assert _batch._cache_size() == compiled
    for name in same:
        np.testing.assert_array_equal(changed[name], usual[name], err_msg=name)
    for name in other:
        assert (changed[name] != usual[name]).any(), name


@functools.cache
def poses() -> tuple[np.ndarray, np.ndarray]:
    """(400, 45), and how deep their fingers overlap, in metres."""
    hand = assets()
    many = jax.jit(jax.vmap(lambda key: random_pose(key, hand, BARE)))
    return jax.tree.map(np.asarray, many(jax.random.split(jax.random.key(3), 400)))


def test_few_poses_sink_into_themselves_and_all_stay_inside_the_limits():
    pose, deepest = poses()
    assert (deepest > BARE.deepest_m).mean() < 0.01
    limits = np.asarray(assets().model.joint_limits)
    angles = np.asarray(mano.angles_from_pose(assets().model, pose))
    assert (angles > limits[..., 0] - 1e-4).all() and (angles < limits[..., 1] + 1e-4).all()


def test_a_hand_placed_in_a_picture_has_its_size_and_its_place():
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32) * 0.04
    camera = full_camera(Draws(jnp.full(3, 0.5)), synthetic.many())
    for side, center in ((96.0, (100.0, 400.0)), (320.0, (256.0, 256.0))):
        offset = place_at(camera, jnp.asarray(points), jnp.asarray(points), jnp.array(center), jnp.array(side))
        pixels = np.asarray(project(camera, points + offset[None]))
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        np.testing.assert_allclose((high - low).max(), side, rtol=2e-3)
        np.testing.assert_allclose((low + high) / 2, center, atol=0.5)


def test_a_crop_is_filled_as_asked_and_keeps_all_skin_before_the_camera():
    points = jnp.asarray(np.random.default_rng(1).normal(size=(50, 3)), jnp.float32) * 0.04
    behind = jnp.concatenate([points, jnp.array([[0.0, 0.0, -0.6]])])
    settings = synthetic.single(128, hand_fill=(0.8, 0.8), off_centre=0.0, distance_m=(0.3, 0.3))
    camera, offset = crop_view(Draws(jnp.full(6, 0.3)), points, behind, settings)
    assert (behind + offset[None])[:, 2].min() > 0.099
    pixels = np.asarray(project(camera, points + offset[None]))
    np.testing.assert_allclose((pixels.max(axis=0) - pixels.min(axis=0)).max(), 0.8 * 128, rtol=1e-3)
    np.testing.assert_allclose((pixels.max(axis=0) + pixels.min(axis=0)) / 2, 64.0, atol=0.1)


def test_many_hands_are_laid_out_in_the_picture_from_its_lower_right():
    settings = synthetic.many()
    shapes = jnp.asarray(np.random.default_rng(0).uniform(0.05, 0.1, (10, 2)), jnp.float32)
    place = jax.jit(lambda key, wanted: laid_out(key, shapes, wanted, settings))
    counts = []
    for seed in range(40):
        centres, sides, found = (np.asarray(part) for part in place(jax.random.key(seed), 10))
        half = 0.5 * sides[:, None] * np.asarray(shapes / shapes.max(axis=1, keepdims=True))
        counts.append(found.sum())
        assert found[0] and (sides[found] >= 96).all() and (sides[found] <= 320.01).all()
        assert (centres[found, 0] + half[found, 0] <= 512.01).all() and (centres[found] - half[found] > -60.0).all()
        assert centres[0, 0] + half[0, 0] > 0.8 * 512 and centres[0, 1] + half[0, 1] > 0.5 * 512
        assert place(jax.random.key(seed), 2)[2].sum() == min(2, counts[-1])
    assert 3 <= np.mean(counts) <= 10


def test_strewn_hands_overlap_less_than_by_chance():
    settings = synthetic.frame()
    shapes = jnp.full((4, 2), 0.1)
    place = jax.jit(lambda key: strewn(key, shapes, 4, settings))
    hidden, by_chance = [], []
    for seed in range(60):
        centres, sides, found = (np.asarray(part) for part in place(jax.random.key(seed)))
        assert found.all()
        hidden.append(_common_area(centres, sides))
        by_chance.append(_common_area(np.random.default_rng(seed).uniform(0.06, 0.94, (4, 2)) * [384, 288], sides))
    assert np.mean(hidden) < 0.4 * np.mean(by_chance)


def _common_area(centres: np.ndarray, sides: np.ndarray) -> float:
    low, high = centres - sides[:, None] / 2, centres + sides[:, None] / 2
    across = np.minimum(high[:, None], high[None]) - np.maximum(low[:, None], low[None])
    return float((np.maximum(across, 0.0).prod(axis=-1) * (1 - np.eye(len(sides)))).sum())


def test_two_hands_touch_without_sinking_into_each_other():
    rng = np.random.default_rng(0)
    settings = synthetic.two(touching=1.0)
    place = jax.jit(lambda numbers, first, second: second_place(Draws(numbers), first, second, settings))
    touching = 0
    for _ in range(30):
        first, second = (
            (rng.normal(size=(20, 3)) * 0.04, rng.normal(size=(20, 3)) * 0.04, rng.uniform(0.006, 0.012, 20))
            for _ in range(2)
        )
        first, second = jax.tree.map(lambda part: jnp.asarray(part, jnp.float32), (first, second))
        offset = np.asarray(place(jnp.asarray(rng.uniform(size=14), jnp.float32), first, second))
        starts, ends = np.asarray(second[0]) + offset, np.asarray(second[1]) + offset
        apart = segment_distance(first[0][:, None], first[1][:, None], starts[None], ends[None])
        gap = float((apart - (first[2][:, None] + second[2][None])).min())
        assert gap > -PRESSED_M - 1e-4
        touching += gap < 0.003
    assert touching > 20


@pytest.mark.slow
def test_left_hands_beside_right_ones_have_the_model_of_their_side():
    settings = synthetic.two(SIZE, backgrounds=None, occluders=None, degrade=None)
    example = drawn(settings)
    assert (example["side"][:, 0] != example["side"][:, 1]).any()
    for index, slot in np.argwhere(example["valid"]):
        model, output = posed(example, index, slot)
        np.testing.assert_allclose(mano.keypoints_of(model, output), example["keypoints_3d"][index, slot], atol=1e-5)
        mask = example["mask"][index] == slot + 1
        pixels = project(camera_from_matrix(example["intrinsics"][index]), output.vertices)
        ids = rasterize(pixels, output.vertices[:, 2], model.faces, (SIZE, SIZE)).face_ids
        assert (mask & (np.asarray(ids) >= 0)).sum() >= 0.9 * mask.sum()


def test_each_person_of_stacked_skins_is_read_as_alone():
    alone = [skin_of_noise(seed) for seed in (1, 2)]
    both = stack_textures(alone)
    assert make_assets(mano.default(), both).people == 2
    u, v = jnp.asarray(np.random.default_rng(0).uniform(size=(2, 20)), jnp.float32)
    read = jax.jit(skin.read_texture)
    for person, texture in enumerate(alone):
        np.testing.assert_array_equal(read(both, u, v, 1, person)[0].redness, read(texture, u, v, 1)[0].redness)
    with pytest.raises(ValueError, match="textures"):
        stack_textures([skin_of_noise(0), skin_of_noise(0, 256)])


@pytest.mark.slow
def test_everything_at_once_is_drawn_with_baked_skins():
    for settings in (synthetic.single(SIZE), synthetic.many(128), synthetic.frame((96, 128))):
        example = jax.tree.map(np.asarray, synthetic.batch(jax.random.key(0), COUNT, settings))
        np.testing.assert_array_equal(example["mask"] > 0, example["depth"] > 0)
        assert example["valid"].any() and example["image"].std() > 10
        camera = camera_from_matrix(example["intrinsics"])
        pixels = np.asarray(project(camera, example["keypoints_3d"]))
        np.testing.assert_allclose(pixels[example["valid"]], example["keypoints_2d"][example["valid"]], atol=0.01)


@pytest.mark.parametrize(
    "name, value",
    [
        ("size", (128,)),
        ("size", (8, 128)),
        ("size", (128.0, 128.0)),
        ("scene", "crowd"),
        ("sides", "up"),
        ("betas_spread", -1.0),
        ("betas_spread", float("nan")),
        ("named_poses", 1.5),
        ("pose_candidates", 0),
        ("deepest_m", -0.1),
        ("distance_m", (1.0, 0.5)),
        ("distance_m", (0.3, float("inf"))),
        ("hand_fill", (0.0, 0.5)),
        ("focal", 1.0),
        ("hands", (1, 0)),
        ("hands", (0.5, 2)),
        ("hand_px", (1.0, 20.0)),
        ("skin", 1),
        ("backgrounds", True),
        ("degrade", False),
    ],
)
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        synthetic.Settings(**{name: value})


def test_shares_of_poses_that_exceed_all_are_refused():
    with pytest.raises(ValueError, match="open_poses"):
        synthetic.Settings(named_poses=0.8, open_poses=0.5)


@pytest.mark.parametrize("count", [0, -3, 2.0, True])
def test_a_count_that_is_none_is_refused(count):
    with pytest.raises(ValueError, match="count"):
        synthetic.batch(jax.random.key(0), count, BARE, assets())


def test_other_arguments_that_do_not_fit_are_refused():
    with pytest.raises(TypeError, match="settings"):
        synthetic.batch(jax.random.key(0), 1, 128)
    with pytest.raises(ValueError, match="together"):
        synthetic.batch(jax.random.key(0), 1, BARE, assets(), together=0)
    with pytest.raises(ValueError, match="texture"):
        synthetic.assets(texture=100)
    with pytest.raises(ValueError, match="people"):
        synthetic.assets(people=0)
