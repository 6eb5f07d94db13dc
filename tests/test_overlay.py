"""Hands drawn over photographs."""

import jax.numpy as jnp
import numpy as np
import pytest

from handjax.camera import Camera, WeakCamera, assumed_camera, project
from handjax.overlay import CANVAS_SIDES, SIDE_COLORS, OverlayHand, canvas_sides, draw_overlay
from handjax.skeleton import FINGER_COLORS, draw_keypoints, draw_rings

GREY = 60
SIZES = [(32, 32), (33, 57), (240, 320), (700, 900)]


def block(depth: float, center=(0.0, 0.0), width=0.1, height=0.16) -> tuple[np.ndarray, np.ndarray]:
    """A closed box, whose faces are counter-clockwise seen from outside."""
    unit = np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)])
    vertices = unit * np.array([width, height, 0.02]) / 2 + np.array([*center, depth])
    quads = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]]
    faces = [corner for a, b, c, d in quads for corner in ([a, b, c], [a, c, d])]
    return vertices.astype(np.float32), np.array(faces, np.int32)


def keypoints(vertices: np.ndarray, camera: Camera) -> np.ndarray:
    """21 points spread over the mesh's picture."""
    pixels = np.asarray(project(camera, vertices))
    share = np.linspace(0.1, 0.9, 21)[:, None]
    wave = 0.5 + 0.4 * np.sin(np.arange(21))[:, None]
    low, high = pixels.min(0), pixels.max(0)
    return low + np.concatenate([share, wave], axis=1) * (high - low)


def grey(size: tuple[int, int]) -> np.ndarray:
    return np.full((*size, 3), GREY, np.uint8)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(axis=-1)


@pytest.mark.parametrize("size", SIZES)
def test_mesh_lies_where_it_projects_in_images_of_every_size(size):
    camera = assumed_camera(*size)
    vertices, faces = block(0.4)
    image = grey(size)
    drawn = draw_overlay(image, [OverlayHand(vertices, faces)], camera)
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    assert (image == GREY).all()
    rows, columns = np.nonzero(changed(image, drawn))
    front = np.asarray(project(camera, vertices[:4]))
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(seen, [*front.min(0), *front.max(0)], atol=1.5)


def test_opacity_one_hides_the_photo_and_zero_keeps_it():
    camera = assumed_camera(240, 320)
    hand = OverlayHand(*block(0.4))
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    np.testing.assert_allclose(draw_overlay(noise, [hand], camera, opacity=0.0), noise, atol=1)
    solid = draw_overlay(noise, [hand], camera, opacity=1.0)
    assert solid[110:130, 150:170].std(axis=(0, 1)).max() < 6
    mixed = draw_overlay(noise, [hand], camera, opacity=0.75)
    expected = 0.25 * noise[120, 160] + 0.75 * solid[120, 160].astype(float)
    np.testing.assert_allclose(mixed[120, 160], expected, atol=2)


def test_edges_are_soft():
    camera = assumed_camera(240, 320)
    vertices, faces = block(0.4)
    drawn = draw_overlay(grey((240, 320)), [OverlayHand(vertices, faces)], camera, opacity=1.0)
    row = drawn[120, :, 2].astype(int)
    edge = float(project(camera, vertices[0])[0])
    share = 1 - (edge - np.floor(edge))
    left = int(np.floor(edge))
    between = (row[left] - GREY) / (row[left + 3] - GREY)
    assert abs(between - share) < 0.3


def test_sides_have_their_own_colors():
    camera = assumed_camera(240, 320)
    vertices, faces = block(0.4)
    for side, color in SIDE_COLORS.items():
        drawn = draw_overlay(grey((240, 320)), [OverlayHand(vertices, faces, side)], camera, opacity=1.0)
        assert np.argsort(drawn[120, 160]).tolist() == np.argsort(color).tolist()


def test_the_nearer_of_two_crossing_hands_is_in_front_whatever_their_order():
    camera = assumed_camera(240, 320)
    near = OverlayHand(*block(0.4, center=(-0.02, 0)), side="right")
    far = OverlayHand(*block(0.6, center=(0.05, 0)), side="left")
    first = draw_overlay(grey((240, 320)), [near, far], camera)
    second = draw_overlay(grey((240, 320)), [far, near], camera)
    alone = draw_overlay(grey((240, 320)), [near], camera)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first[120, 150], alone[120, 150], atol=2)
    assert changed(alone, first).sum() > 500


def test_distant_hands_are_drawn_apart_and_three_touching_ones_together():
    camera = assumed_camera(240, 320)
    places = [(-0.2, -0.1), (0.2, 0.1)]
    apart = [OverlayHand(*block(0.6, center=place, width=0.05, height=0.05)) for place in places]
    image = grey((240, 320))
    both = changed(image, draw_overlay(image, apart, camera))
    single = [changed(image, draw_overlay(image, [hand], camera)) for hand in apart]
    np.testing.assert_array_equal(both, single[0] | single[1])
    row = [OverlayHand(*block(0.5 + x, center=(x, 0), width=0.1, height=0.1)) for x in (-0.08, 0.0, 0.08)]
    rows, columns = np.nonzero(changed(image, draw_overlay(image, row, camera)))
    pixels = np.concatenate([np.asarray(project(camera, hand.vertices)) for hand in row])
    np.testing.assert_allclose([columns.min(), columns.max() + 1], [pixels[:, 0].min(), pixels[:, 0].max()], atol=1.5)


@pytest.mark.parametrize(
    "vertices",
    [
        block(-0.5)[0],
        block(0.5, center=(9.0, 0))[0],
        np.full((8, 3), np.nan, np.float32),
        np.full((8, 3), np.inf, np.float32),
    ],
    ids=["behind", "outside", "nan", "infinite"],
)
def test_meshes_that_cannot_be_seen_leave_the_photo_as_it_is(vertices):
    image = grey((240, 320))
    drawn = draw_overlay(image, [OverlayHand(vertices, block(1.0)[1])], assumed_camera(240, 320))
    np.testing.assert_array_equal(drawn, image)


def test_a_hand_partly_outside_or_around_the_whole_image_is_cut_at_the_border():
    camera = assumed_camera(240, 320)
    image = grey((240, 320))
    partly = draw_overlay(image, [OverlayHand(*block(0.4, center=(0.25, 0.15)))], camera)
    assert changed(image, partly)[-1, -1] and not changed(image, partly)[0, 0]
    around = draw_overlay(image, [OverlayHand(*block(0.05, width=0.3, height=0.3))], camera)
    assert changed(image, around).all()


def test_keypoints_are_drawn_in_their_finger_color_at_their_pixel():
    camera = assumed_camera(240, 320)
    points = keypoints(block(0.3)[0], camera)
    drawn = draw_overlay(grey((240, 320)), [OverlayHand(keypoints_2d=points)], camera)
    for joint in range(1, 21):
        x, y = np.floor(points[joint]).astype(int)
        np.testing.assert_allclose(drawn[y, x], FINGER_COLORS[(joint - 1) // 4], atol=40)


def test_a_dot_is_centred_on_its_continuous_pixel():
    for target in ([40.0, 30.0], [40.5, 30.5], [40.25, 30.75]):
        points = np.full((21, 2), np.nan)
        points[4] = target
        points[8] = [140, 130]
        picture = np.zeros((160, 160, 3), np.uint8)
        draw_keypoints(picture, points)
        weight = picture[:80, :80].astype(float).sum(axis=-1)
        rows, columns = np.mgrid[:80, :80] + 0.5
        seen = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
        np.testing.assert_allclose(seen, target, atol=0.15)


def test_unsure_and_missing_keypoints_are_left_out():
    points = keypoints(block(0.3)[0], assumed_camera(240, 320))
    confidence = np.ones(21)
    confidence[20] = 0
    points[16] = np.nan
    points[12] = [1e30, -1e30]
    picture = grey((240, 320))
    draw_keypoints(picture, points, confidence)
    x, y = np.floor(points[20]).astype(int)
    assert (picture[y, x] == GREY).all()
    nothing = grey((240, 320))
    draw_keypoints(nothing, np.full((21, 2), np.nan))
    draw_keypoints(nothing, points, np.zeros(21))
    draw_rings(nothing, np.full((21, 2), np.inf))
    assert (nothing == GREY).all()


def test_rings_surround_their_pixel_and_leave_it_open():
    points = np.full((21, 2), np.nan)
    points[0], points[9] = [60, 60], [260, 160]
    picture = grey((240, 320))
    draw_rings(picture, points)
    assert (picture[60, 60] == GREY).all()
    assert changed(grey((240, 320)), picture)[50:70, 50:70].sum() > 8


def test_canvas_sides_come_from_the_list_and_hold_the_extent():
    for extent in (1, 5, 64, 65, 128, 200, 256, 257, 512, 600, 700, 4000):
        side, canvas = canvas_sides(extent)
        assert side >= extent and canvas in CANVAS_SIDES
        if extent <= 256:
            assert canvas == 2 * side


def test_nothing_to_draw_returns_a_copy():
    image = grey((32, 32))
    for hands in ([], [OverlayHand()]):
        drawn = draw_overlay(image, hands, assumed_camera(32, 32))
        np.testing.assert_array_equal(drawn, image)
        assert drawn is not image and drawn.flags.writeable


def test_images_that_are_views_are_taken():
    image = np.asfortranarray(grey((240, 320)))[::-1]
    drawn = draw_overlay(image, [OverlayHand(*block(0.4))], assumed_camera(240, 320))
    assert changed(image, drawn).any()


VERTICES, FACES = block(0.4)
POINTS = np.zeros((21, 2))


@pytest.mark.parametrize(
    ("image", "hand", "error", "message"),
    [
        (np.zeros((8, 8), np.uint8), OverlayHand(), ValueError, r"image must have shape \(H, W, 3\)"),
        (np.zeros((8, 8, 4), np.uint8), OverlayHand(), ValueError, "image must have shape"),
        (np.zeros((8, 8, 3), np.float32), OverlayHand(), TypeError, "image must be uint8, got float32"),
        (grey((8, 8)), OverlayHand(VERTICES[:, :2], FACES), ValueError, "vertices must have shape"),
        (grey((8, 8)), OverlayHand(VERTICES, FACES.T), ValueError, "faces must have shape"),
        (grey((8, 8)), OverlayHand(VERTICES, FACES, side="both"), ValueError, "side must be one of"),
        (grey((8, 8)), OverlayHand(VERTICES, None), ValueError, "faces must come with vertices"),
        (grey((8, 8)), OverlayHand(keypoints_2d=POINTS[:20]), ValueError, "keypoints_2d must have shape"),
        (grey((8, 8)), OverlayHand(reprojected=POINTS[:20]), ValueError, "reprojected must have shape"),
        (
            grey((8, 8)),
            OverlayHand(keypoints_2d=POINTS, confidence=np.ones(20)),
            ValueError,
            "confidence must have shape",
        ),
    ],
)
def test_wrong_input_is_named(image, hand, error, message):
    with pytest.raises(error, match=message):
        draw_overlay(image, [hand], assumed_camera(8, 8))


def test_wrong_opacity_and_camera_are_named():
    with pytest.raises(ValueError, match=r"opacity must lie in \[0, 1\], got 2"):
        draw_overlay(grey((8, 8)), [], assumed_camera(8, 8), opacity=2)
    with pytest.raises(TypeError, match="camera must be a Camera, got WeakCamera"):
        draw_overlay(grey((8, 8)), [], WeakCamera(jnp.ones(()), jnp.ones(2)))
