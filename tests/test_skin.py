"""Skin: one atlas for all meshes, layers where anatomy has them, colours that people have, light that behaves."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano, skin
from handjax.camera import Camera, WeakCamera
from handjax.mano.pose_library import named_pose
from handjax.skin import noise
from handjax.skin.atlas import chart
from handjax.skin.frame import INDEX, LITTLE, THUMB, hand_frame, rest_surface
from handjax.skin.light import harmonics, irradiance
from handjax.skin.occlusion import ambient_occlusion
from handjax.skin.place import place
from handjax.skin.render import texture_level
from handjax.skin.shading import as_srgb, to_display
from handjax.skin.shadow import light_reaching, shadow_map
from handjax.skin.texture import CHANNELS, MASKS, STEEPEST, pack

SIZE = (64, 64)
FACING_PALM = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], np.float32)


@functools.cache
def hand() -> mano.HandModel:
    return mano.default()


@functools.cache
def texture() -> skin.SkinTexture:
    return skin.bake_skin(hand(), 128)


@functools.cache
def mesh() -> skin.SkinMesh:
    return skin.skin_mesh(hand())


@functools.cache
def vertex_layers() -> skin.SkinLayers:
    frame = hand_frame(hand())
    points, normals = (jnp.asarray(part, jnp.float32) for part in rest_surface(hand(), frame))
    arrays = jax.tree.map(lambda part: jnp.asarray(part, jnp.float32), frame)
    return skin.skin_layers(arrays, points, normals, 0)


@functools.cache
def people_of_all_kinds() -> skin.SkinParams:
    return jax.jit(jax.vmap(skin.sample_skin))(jax.random.split(jax.random.key(0), 200))


COLOR = jax.jit(skin.skin_color)
READ = jax.jit(skin.read_texture)
OCCLUSION = jax.jit(ambient_occlusion)


def posed(palm: bool = True, model: mano.HandModel | None = None) -> mano.HandOutput:
    """A flat hand half a metre away, palm or back to the camera."""
    model = model or hand()
    turn = jnp.asarray(FACING_PALM if palm else np.diag([-1.0, 1.0, -1.0]) @ FACING_PALM, jnp.float32)
    output = mano.forward(model, mano.zero_params(model))
    vertices, joints = (jnp.matmul(part, turn.T, precision="highest") for part in output[:2])
    away = jnp.array([[0.0, 0.0, 0.5]]) - 0.5 * (vertices.min(axis=0) + vertices.max(axis=0))[None]
    transforms = jnp.concatenate([jnp.matmul(turn, output.transforms[..., :3]), output.transforms[..., 3:]], axis=-1)
    return mano.HandOutput(vertices + away, joints + away, transforms)


CAMERA = Camera(jnp.array([130.0, 130.0]), jnp.array([32.0, 32.0]))


def drawn(output: mano.HandOutput, params: skin.SkinParams | None = None, **options):
    return skin.render_skin(CAMERA, hand(), output, mesh(), texture(), params, size=SIZE, supersample=1, **options)


def uv_area(corner_uv) -> np.ndarray:
    edge1, edge2 = corner_uv[:, 1] - corner_uv[:, 0], corner_uv[:, 2] - corner_uv[:, 0]
    return edge1[:, 1] * edge2[:, 0] - edge1[:, 0] * edge2[:, 1]


def test_charts_fit_the_picture_and_hardly_any_face_is_turned_over():
    atlas = skin.skin_atlas(hand())
    assert atlas.corner_uv.min() > 0.0 and atlas.corner_uv.max() < 1.0
    # The fold of skin beside the thumb is the only place that no chart lays flat.
    assert (uv_area(atlas.corner_uv) <= 0.0).mean() < 0.01
    assert (atlas.corner_uv[~atlas.is_palm][..., 0] < 0.5).all() and (
        atlas.corner_uv[atlas.is_palm][..., 0] > 0.5
    ).all()


def test_faces_do_not_overlap_in_the_atlas():
    corner_uv = skin.skin_atlas(hand()).corner_uv.astype(np.float64)
    area = np.maximum(uv_area(corner_uv), 0.0).sum() / 2.0
    size = 256
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    covered = np.zeros((size, size), bool)
    for corners in corner_uv:
        sides = [
            (corners[k - 2, 0] - corners[k, 0]) * (y - corners[k, 1])
            - (corners[k - 2, 1] - corners[k, 1]) * (x - corners[k, 0])
            for k in range(3)
        ]
        covered |= np.minimum.reduce(sides) >= 0.0
        covered |= np.maximum.reduce(sides) <= 0.0
    # Twice covered skin would show in the sum of areas and not in their union.
    np.testing.assert_allclose(covered.mean(), area, rtol=0.02)


def test_the_atlas_is_a_function_of_the_place_on_the_hand_and_not_of_the_mesh():
    model = hand()
    frame = hand_frame(model)
    points, normals = rest_surface(model, frame)
    faces = np.asarray(model.faces)[::7]
    middles, their_normals = points[faces].mean(axis=1), normals[faces].mean(axis=1)
    their_normals /= np.linalg.norm(their_normals, axis=-1, keepdims=True)
    spots = place(frame, jnp.asarray(middles, jnp.float32), jnp.asarray(their_normals, jnp.float32))
    atlas = skin.skin_atlas(model)
    found = np.where(atlas.is_palm[::7, None], chart(frame, spots, True), chart(frame, spots, False))
    off = np.linalg.norm(found - atlas.corner_uv[::7].mean(axis=1), axis=-1)
    assert np.median(off) < 0.004 and np.quantile(off, 0.95) < 0.015


def test_a_left_hand_shares_the_right_hands_picture():
    left = mano.mirror(hand())
    right_atlas, left_atlas = skin.skin_atlas(hand()), skin.skin_atlas(left)
    np.testing.assert_allclose(left_atlas.corner_uv[:, ::-1], right_atlas.corner_uv, atol=2e-5)


def test_places_name_the_finger_the_joint_and_the_side():
    frame = hand_frame(hand())
    middle_joint = frame.joints[INDEX, 1]
    back = frame.bones[INDEX, 1, 2]
    points = jnp.asarray(np.stack([middle_joint + 9.0 * back, middle_joint - 9.0 * back]), jnp.float32)
    spot = place(frame, points, jnp.asarray(np.stack([back, -back]), jnp.float32))
    np.testing.assert_array_equal(spot.finger, INDEX)
    np.testing.assert_allclose(spot.along, 1.0, atol=0.05)
    np.testing.assert_allclose(spot.facing, [1.0, -1.0], atol=0.01)
    np.testing.assert_allclose(np.abs(spot.angle), [0.0, np.pi], atol=0.1)
    np.testing.assert_allclose(spot.radius, 9.0, atol=0.1)


def test_other_trees_than_manos_are_refused():
    short = mano.build(
        v_template=np.eye(3),
        shapedirs=np.zeros((3, 3, 1)),
        posedirs=np.zeros((3, 3, 9)),
        J_regressor=np.eye(2, 3),
        lbs_weights=np.array([[1.0, 0.0]] * 3),
        faces=np.array([[0, 1, 2]]),
        parents=(-1, 0),
        fingertip_ids=(2,),
    )
    with pytest.raises(ValueError, match="model must have 16 joints"):
        skin.skin_atlas(short)
    with pytest.raises(ValueError, match="size must be one of"):
        skin.bake_skin(hand(), 100)


def test_layers_stay_in_their_range_and_lie_where_anatomy_has_them():
    layers = vertex_layers()
    for name, values in zip(layers._fields[:-2], layers, strict=False):
        assert np.isfinite(values).all() and values.min() >= -1e-6 and values.max() <= 1.0 + 1e-6, name
    model = hand()
    frame = hand_frame(model)
    points, normals = rest_surface(model, frame)
    back, palm = normals[:, 2] > 0.8, normals[:, 2] < -0.8
    hollow = palm & (points[:, 1] > 20.0) & (points[:, 1] < 70.0)
    assert np.asarray(layers.palmar)[hollow].min() > 0.6 and np.asarray(layers.palmar)[back].max() < 0.2
    assert np.asarray(layers.hair)[palm].max() < 1e-3 and np.asarray(layers.vein)[palm].max() < 1e-3
    nailed = np.asarray(layers.nail) > 0.5
    assert (np.asarray(layers.reach)[nailed] > 0.75).all()


def test_every_finger_has_a_nail_of_its_own_size():
    channels, _ = READ(texture(), *np.meshgrid((np.arange(128) + 0.5) / 128, (np.arange(128) + 0.5) / 128))
    plate = np.asarray(channels.nail) > 0.5
    finger = np.round(np.asarray(channels.digit) * 8.0 - 1.0)
    counts = [int((plate & (finger == k)).sum()) for k in range(5)]
    assert min(counts) > 8 and counts[THUMB] > counts[INDEX] > counts[LITTLE]


def test_a_texture_gives_back_what_was_packed():
    rng = np.random.default_rng(0)
    channels = rng.uniform(size=(len(CHANNELS), 16, 16)).astype(np.float32)
    channels[len(MASKS) :] = STEEPEST * (2.0 * channels[len(MASKS) :] - 1.0)
    packed = pack(jnp.asarray(channels))
    u, v = np.meshgrid((np.arange(1, 15) + 0.5) / 16, (np.arange(1, 15) + 0.5) / 16)
    layers, slopes = READ(packed, jnp.asarray(u), jnp.asarray(v))
    np.testing.assert_allclose(jnp.stack(layers[:-2]), channels[: len(MASKS), 1:15, 1:15], atol=0.6 / 255)
    np.testing.assert_allclose(jnp.stack(slopes), channels[len(MASKS) :, 1:15, 1:15], atol=0.01 * STEEPEST)
    # Between two texels: their mean. At a smaller copy: the mean of four.
    between, _ = READ(packed, jnp.array([6.0 / 16]), jnp.array([4.5 / 16]))
    np.testing.assert_allclose(between.palmar, channels[0, 4, 5:7].mean(), atol=1 / 255)
    smaller, _ = READ(packed, jnp.array([2.5 / 8]), jnp.array([3.5 / 8]), 1)
    np.testing.assert_allclose(smaller.palmar, channels[0, 6:8, 4:6].mean(), atol=1 / 255)


def test_noise_is_smooth_bounded_and_its_own_for_each_seed():
    points = jnp.asarray(np.random.default_rng(0).uniform(-50, 50, (4000, 3)), jnp.float32)
    values = noise.value_noise(points, 5.0, 3)
    assert np.abs(values).max() <= 1.0 and abs(float(values.mean())) < 0.1 and values.std() > 0.2
    nearby = noise.value_noise(points + 0.01, 5.0, 3)
    assert np.abs(nearby - values).max() < 0.05
    assert abs(np.corrcoef(values, noise.value_noise(points, 5.0, 4))[0, 1]) < 0.1


def test_more_melanin_is_darker_everywhere_but_least_on_palms():
    layers = vertex_layers()
    tones = [jnp.stack(COLOR(layers, skin.SkinParams(melanin=m)).albedo, -1) for m in skin.TONES.values()]
    on_back, on_palm = np.asarray(layers.palmar) < 0.01, np.asarray(layers.palmar) > 0.95
    back = np.array([np.asarray(tone)[on_back].mean() for tone in tones])
    palm = np.array([np.asarray(tone)[on_palm].mean() for tone in tones])
    assert (np.diff(back) < 0).all() and (np.diff(palm) < 0).all()
    assert back[-1] < 0.12 < 0.5 < back[0]
    assert palm[-1] > 2.5 * back[-1] and abs(palm[0] / back[0] - 1.0) < 0.25


def test_skin_is_always_redder_than_green_and_greener_than_blue():
    layers = vertex_layers()
    people = people_of_all_kinds()
    people = people._replace(polish=0 * people.polish, tattoo=0 * people.tattoo, rings=0 * people.rings)
    people = people._replace(bracelet=0 * people.bracelet, hair=0 * people.hair)
    albedo = jax.jit(jax.vmap(lambda one: jnp.stack(skin.skin_color(layers, one).albedo)))(people)
    assert np.isfinite(albedo).all() and albedo.min() > 0.0 and albedo.max() < 1.0
    assert (albedo[:, 0] > albedo[:, 1]).all() and (albedo.mean(-1)[:, 1] > albedo.mean(-1)[:, 2]).all()


def test_rings_and_polish_are_where_they_were_put_on():
    layers = vertex_layers()
    plain = COLOR(layers, skin.SkinParams())
    ringed = COLOR(layers, skin.SkinParams(rings=np.eye(5, dtype=np.float32)[3]))
    metal = np.asarray(ringed.metal) > 0.5
    fingers = np.asarray(layers.digit) * 8.0 - 1.0
    assert metal.any() and (np.abs(fingers[metal] - 3) < 0.1).all() and not (np.asarray(plain.metal) > 0).any()
    red = COLOR(layers, skin.SkinParams(polish=np.array([0.5, 0.0, 0.0, 1.0], np.float32)))
    changed = np.abs(np.asarray(red.albedo[1]) - np.asarray(plain.albedo[1])) > 1e-3
    assert changed.any() and (np.asarray(layers.nail)[changed] > 0).all()


def test_a_smaller_copy_is_read_when_the_hand_is_small():
    baked = skin.SkinTexture(jnp.zeros((5, 1), jnp.uint32), 512)
    levels = [
        int(texture_level(jnp.float32(pixels_per_metre), baked)) for pixels_per_metre in (4000.0, 1000.0, 400.0, 50.0)
    ]
    assert levels == sorted(levels) and levels[0] == 0 and levels[-1] == 3


def test_constant_surroundings_light_all_sides_alike():
    even = irradiance(skin.around((0.5, 0.4, 0.3), (0.5, 0.4, 0.3)))
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(50, 3))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    basis = jnp.stack(harmonics(*normals.T.astype(np.float32)), -1)
    np.testing.assert_allclose(jnp.matmul(basis, even), np.tile([[0.5, 0.4, 0.3]], (50, 1)), atol=1e-4)


def test_harmonics_are_orthonormal_on_the_sphere():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(200_000, 3))
    points /= np.linalg.norm(points, axis=-1, keepdims=True)
    basis = np.stack(harmonics(*points.T.astype(np.float32)), -1)
    np.testing.assert_allclose(4.0 * np.pi * basis.T @ basis / len(points), np.eye(9), atol=0.03)


def test_a_board_throws_its_shadow_on_the_board_behind_it():
    square = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
    behind, before = 0.1 * square + [[0, 0, 0.5]], 0.03 * square + [[0, 0, 0.45]]
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]], np.int32)
    vertices = jnp.asarray(np.concatenate([behind, before]), jnp.float32)
    lamp = shadow_map(vertices, jnp.asarray(faces), jnp.array([0.0, 0.0, -1.0]))
    x = jnp.array([0.0, 0.01, 0.06, 0.08])
    point, normal = [x, 0.0 * x, 0.0 * x + 0.5], [0.0 * x, 0.0 * x, 0.0 * x - 1.0]
    lit, between = light_reaching(lamp, point, normal, jnp.float32(0.05), 0.0 * x, 0.001)
    np.testing.assert_allclose(lit, [0.0, 0.0, 1.0, 1.0], atol=0.05)
    np.testing.assert_allclose(between[:2], 0.05, atol=0.003)


def test_less_light_reaches_the_palm_of_a_fist_than_of_a_flat_hand():
    model = hand()
    palm = []
    for name in ("flat", "fist"):
        output = mano.forward(model, mano.zero_params(model)._replace(hand_pose=named_pose(model, name)))
        middle = 0.5 * (output.joints[0] + output.joints[4])
        point = middle + jnp.array([0.0, -0.02, 0.0])
        palm.append(float(OCCLUSION(model, output, point[None], jnp.array([[0.0, -1.0, 0.0]]))[0]))
    assert palm[0] > 0.8 and palm[1] < 0.75 * palm[0]


def test_displayed_light_rises_and_never_clips():
    light = jnp.linspace(0.0, 20.0, 2001)
    shown = to_display(light)
    assert (np.diff(shown) >= 0).all() and float(shown[0]) == 0.0 and float(shown.max()) <= 1.0
    np.testing.assert_allclose(as_srgb(jnp.array([0.0, 0.21404, 1.0])), [0.0, 0.5, 1.0], atol=1e-3)


def test_a_render_shows_the_hand_on_its_background_and_is_the_same_twice():
    output = posed()
    first = drawn(output, background=np.array([0.2, 0.4, 0.6]))
    assert np.isfinite(first.image).all() and first.image.min() >= 0.0 and first.image.max() <= 1.0
    outside = np.asarray(first.mask) == 0.0
    assert outside.any() and (~outside).any()
    np.testing.assert_allclose(
        np.asarray(first.image)[outside], np.tile([[0.2, 0.4, 0.6]], (outside.sum(), 1)), atol=1e-6
    )
    assert (np.asarray(first.depth)[~outside] > 0.4).all() and not bool(first.overflow)
    np.testing.assert_array_equal(first.image, drawn(output, background=np.array([0.2, 0.4, 0.6])).image)


def test_dark_hands_are_drawn_darker_and_paler_on_the_palm_than_on_the_back():
    dark = skin.SkinParams(melanin=skin.TONES["dark"])
    brightness = {}
    for palm in (True, False):
        for name, params in (("dark", dark), ("light", skin.SkinParams(melanin=0.2))):
            picture = drawn(posed(palm), params)
            inside = np.asarray(picture.mask) > 0.99
            brightness[palm, name] = float(np.asarray(picture.image)[inside].mean())
    assert brightness[True, "dark"] < brightness[True, "light"]
    assert brightness[False, "dark"] < 0.75 * brightness[False, "light"]
    assert brightness[True, "dark"] > 1.15 * brightness[False, "dark"]


def test_a_lamp_lights_the_side_that_it_shines_on():
    sums = []
    for x in (-1.0, 1.0):
        light = skin.WINDOW._replace(directions=np.array([[x, 0.0, -0.4], [0.0, 0.0, -1.0]], np.float32))
        picture = drawn(posed(), light=light)
        shown = np.asarray(picture.image).sum(-1) * (np.asarray(picture.mask) > 0.99)
        sums.append([shown[:, :32].sum(), shown[:, 32:].sum()])
    assert sums[0][0] / sums[0][1] > 1.05 * sums[1][0] / sums[1][1]


def test_a_sleeve_covers_the_forearm_and_leaves_the_fingers_alone():
    green = np.array([0.02, 0.5, 0.02], np.float32)
    far = CAMERA._replace(focal=jnp.array([90.0, 90.0]))
    bare, dressed = (
        skin.render_skin(
            far,
            hand(),
            posed(),
            mesh(),
            texture(),
            arm=skin.Arm(sleeve=share, cloth=green),
            size=SIZE,
            supersample=1,
        )
        for share in (0.0, 1.0)
    )
    bare_image, dressed_image = np.asarray(bare.image), np.asarray(dressed.image)
    assert (np.abs(dressed_image[:32] - bare_image[:32]).max(axis=-1) > 0.02).mean() < 0.02
    lowest = np.asarray(dressed.mask)[-4:] > 0.99
    assert lowest.any() and (dressed_image[-4:][lowest][:, 1] > dressed_image[-4:][lowest][:, 0]).all()


def test_vertex_colors_suit_a_mesh_of_any_model_with_manos_joints(toy_model):
    for model in (hand(), toy_model):
        colors = skin.vertex_colors(model, skin.SkinParams(melanin=1.9))
        assert colors.shape == (model.num_vertices, 3)
        assert np.isfinite(colors).all() and colors.min() >= 0.0 and colors.max() <= 1.0


def test_samples_differ_and_keep_to_their_ranges():
    keys = jax.random.split(jax.random.key(1), 200)
    people = people_of_all_kinds()
    lights, arms = (jax.jit(jax.vmap(draw))(keys) for draw in (skin.sample_light, skin.sample_arm))
    for bundle in (people, lights, arms):
        assert all(np.isfinite(leaf).all() for leaf in bundle)
    assert people.melanin.min() < 0.2 and people.melanin.max() > 2.5
    assert lights.directions.shape == (200, 2, 3) and (lights.directions[:, 0, 1] < 0.0).all()
    assert 0.3 < (arms.sleeve > 0).mean() < 0.7


def test_wrong_inputs_are_named():
    output = posed()
    with pytest.raises(TypeError, match="camera must be a Camera"):
        skin.render_skin(WeakCamera(jnp.ones(()), jnp.zeros(2)), hand(), output, mesh(), texture(), size=SIZE)
    with pytest.raises(ValueError, match="output.vertices must have shape"):
        drawn(output._replace(vertices=output.vertices[:-1]))
    with pytest.raises(ValueError, match="background must have shape"):
        drawn(output, background=np.zeros((3, 3, 3)))
    with pytest.raises(ValueError, match="supersample must be at least 1"):
        skin.render_skin(CAMERA, hand(), output, mesh(), texture(), size=SIZE, supersample=0)
