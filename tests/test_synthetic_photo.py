"""Backgrounds, occluders and what cameras do: in range, repeatable, switched off by name, right where one can tell."""

import dataclasses
from functools import cache

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from datasets.synthetic.backgrounds import Backgrounds, background
from datasets.synthetic.degrade import UNTOUCHED, Degradation, beyond_edge, degrade
from datasets.synthetic.draws import Draws
from datasets.synthetic.fields import enlarging, pixel_grid, smooth_noise
from datasets.synthetic.jpeg import TRANSFORM, as_jpeg
from datasets.synthetic.occluders import Occluders, occluder
from datasets.synthetic.parts import Parts
from datasets.synthetic.patterns import palette
from datasets.synthetic.photographs import photograph, read_photos
from datasets.synthetic.resample import gaussian, low_resolution, sharpening
from datasets.synthetic.shapes import BOX, ELLIPSE, POLYGON, TUBE, paint

SIZE = (40, 52)
KEYS = jax.random.split(jax.random.key(3), 12)
BARE = Backgrounds(
    ramp=0.0, noise=0.0, tiles=0.0, stripes=0.0, shapes=0.0, indoor=0.0, blur=0.0, light=0.0, skin_like=0.0,
    photograph=0.0,
)  # fmt: skip
LEVEL = (0.02, 0.02)
SWITCHES = ("defocus", "motion", "resolution", "sharpen", "vignette", "noise", "color", "grey", "jpeg", "border")


Y, X = np.mgrid[: SIZE[0], : SIZE[1]] / 50.0
PICTURE = np.stack([0.2 + 0.5 * X, 0.3 + 0.4 * Y, 0.5 + 0.3 * np.sin(20.0 * X * Y)], axis=-1).astype(np.float32)
EVEN = np.full((*SIZE, 3), 0.4, np.float32)


@cache
def background_drawer(settings: Backgrounds):
    return jax.jit(lambda keys: jax.lax.map(lambda key: background(key, SIZE, settings), keys))


def backgrounds(**chances) -> np.ndarray:
    """With no ingredient but those named."""
    return np.asarray(background_drawer(dataclasses.replace(BARE, **chances))(KEYS))


@cache
def occluders() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    keys = jax.random.split(jax.random.key(8), 80)
    boxes = np.random.default_rng(0).uniform([2, 2, 24, 20], [12, 10, 52, 40], (80, 4)).astype(np.float32)
    settings = Occluders(chance=0.6)
    draw = jax.jit(lambda *some: jax.lax.map(lambda one: occluder(one[0], SIZE, one[1], settings), some))
    rgb, alpha = draw(keys, jnp.asarray(boxes))
    return np.asarray(rgb), np.asarray(alpha), boxes


@cache
def degrader(settings: Degradation):
    return jax.jit(lambda keys, image: jax.lax.map(lambda key: degrade(key, image, settings), keys))


def degraded(switch: str, image: np.ndarray = PICTURE) -> np.ndarray:
    return np.asarray(degrader(dataclasses.replace(UNTOUCHED, **{switch: 1.0}, noise_level=LEVEL))(KEYS, image))


def test_backgrounds_are_colours_and_differ():
    made = np.asarray(background_drawer(Backgrounds())(KEYS))
    assert made.shape == (12, *SIZE, 3) and made.dtype == np.float32
    assert made.min() >= 0.0 and made.max() <= 1.0
    flat = made.reshape(12, -1)
    assert np.unique(flat.mean(axis=1).round(4)).size == 12


def test_a_background_is_the_same_bits_for_the_same_key():
    draw = background_drawer(Backgrounds())
    assert np.array_equal(np.asarray(draw(KEYS[::-1]))[::-1], np.asarray(draw(KEYS)))


def test_without_ingredients_a_background_is_one_colour_or_as_often_as_asked_a_photograph():
    bank = jnp.full((1, 50, 50, 3), 255, jnp.uint8).at[0, ::2].set(254)
    half = dataclasses.replace(BARE, photograph=0.5)
    draw = jax.jit(lambda keys: jax.lax.map(lambda key: background(key, SIZE, half, bank), keys))
    made = np.asarray(draw(jax.random.split(jax.random.key(0), 60)))
    taken = made.min(axis=(1, 2, 3)) > 0.99
    assert 15 < taken.sum() < 45
    plain = made[~taken]
    np.testing.assert_allclose(plain, np.broadcast_to(plain[:, :1, :1], plain.shape), atol=2e-3)
    assert np.ptp(plain[:, 0, 0], axis=0).min() > 0.1


@pytest.mark.parametrize("ingredient", [{"tiles": 1.0}, {"people": 2}])
def test_an_ingredient_shows_by_itself(ingredient):
    made = backgrounds(**ingredient)
    assert (np.abs(made - made[:, :1, :1]).max(axis=(1, 2, 3)) > 0.05).mean() > 0.6


def test_shapes_cover_what_geometry_says():
    """An ellipse, a box with corners rounded by a quarter of the shorter half axis, a square of half-planes, a tube."""
    a, b, side = 0.3, 0.2, 100
    parts = Parts(jnp.array([0.5, 0.5]), 1.0, 0.4)
    for kind in (ELLIPSE, BOX, POLYGON, TUBE):
        parts.add(kind, (0.0, 0.0), (a, b if kind != TUBE else 0.1), jnp.ones(3))
    shapes = parts.shapes(soft=0.01, present=True, shadow=0.0)
    square = 0.5 * jnp.pi * jnp.array([[0.0, 1.0, 2.0, 3.0, 3.0]] * 4)
    shapes = shapes._replace(angles=square, far_color=shapes.color, texture=jnp.zeros(4))
    x, y = pixel_grid((side, side))
    black, flat = jnp.zeros((3, side, side)), jnp.zeros((side, side))
    one = jax.jit(lambda shape: paint(black, x, y, flat, jax.tree.map(lambda leaf: leaf[None], shape))[0])
    covered = [float(one(jax.tree.map(lambda leaf, k=k: leaf[k], shapes)).mean()) for k in range(4)]
    corners = (4.0 - np.pi) * (0.25 * b) ** 2
    expected = [np.pi * a * b, 4 * a * b - corners, 4 * a * b, 4 * a * 0.1 + np.pi * 0.1**2]
    np.testing.assert_allclose(covered, expected, rtol=0.02)


def test_skin_like_colours_have_the_hue_of_skin():
    red, green, blue = np.asarray(palette(Draws.of(KEYS[0], 120), 16, 1.0)).T
    assert (red > green - 0.02).all() and (green > blue - 0.06).all() and red.max() - red.min() > 0.3


def test_a_photograph_is_cut_to_scale():
    """Colours that tell row and column come back as straight ramps of one step, inside the photograph."""
    height, width = 60, 90
    rows, columns = np.mgrid[:height, :width]
    bank = np.stack([rows, columns, 0 * rows], -1).astype(np.uint8)[None]
    cut = np.asarray(jax.jit(jax.vmap(lambda key: photograph(key, SIZE, jnp.asarray(bank))))(KEYS)) * 255.0
    down, across = np.diff(cut[..., 0], axis=1), np.diff(cut[..., 1], axis=2)
    np.testing.assert_allclose(down, np.broadcast_to(down[:, 5:6, 5:6], down.shape), atol=2e-3)
    np.testing.assert_allclose(np.abs(across[:, 5, 5]), down[:, 5, 5], atol=2e-3)
    assert {-1.0, 1.0} == set(np.sign(across[:, 5, 5]))
    assert cut[..., 0].min() >= 0.0 and cut[..., 0].max() <= height - 1


def test_a_folder_is_read_and_its_bad_files_are_named(tmp_path):
    for name, shape in (("a.png", (30, 80, 3)), ("b.jpg", (200, 100, 3))):
        assert cv2.imwrite(str(tmp_path / name), np.full(shape, 90, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    (tmp_path / ".hidden").write_text("")
    bank = read_photos(tmp_path, (48, 64))
    assert bank.photos.shape == (2, 48, 64, 3) and bank.photos.dtype == np.uint8
    assert np.abs(bank.photos.astype(int) - 90).max() <= 2
    assert len(bank.unreadable) == 2
    assert "cut.png" in bank.unreadable[0] and "notes.txt" in bank.unreadable[1]
    assert len(read_photos(tmp_path, (48, 64), limit=1).photos) == 1


def test_folders_without_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="folder must hold at least one readable image"):
        read_photos(tmp_path)
    with pytest.raises(ValueError, match="folder must be a folder"):
        read_photos(tmp_path / "none")
    with pytest.raises(ValueError, match="limit must be at least 1"):
        read_photos(tmp_path, limit=0)


def test_an_occluder_covers_no_more_of_the_box_than_it_may():
    rgb, alpha, boxes = occluders()
    assert rgb.min() >= 0.0 and rgb.max() <= 1.0 and alpha.min() >= 0.0 and alpha.max() <= 1.0
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    shares = []
    for one, (left, top, right, bottom) in zip(alpha, boxes, strict=True):
        shares.append(one[(x > left) & (x < right) & (y > top) & (y < bottom)].mean())
    assert max(shares) <= 0.3 + 1e-5
    assert np.mean(np.array(shares) > 0.01) > 0.4


def test_there_is_no_occluder_where_none_is_wanted():
    for settings in (Occluders(chance=0.0), Occluders(largest_share=0.0)):
        assert not np.asarray(occluder(KEYS[0], SIZE, jnp.array([1.0, 1, 30, 30]), settings)[1]).any()
    _, alpha, _ = occluders()
    assert 30 < (alpha.max(axis=(1, 2)) > 0).sum() < 62


def test_an_untouched_picture_is_the_same():
    assert np.array_equal(np.asarray(degrader(UNTOUCHED)(KEYS[:1], PICTURE))[0], PICTURE)


def test_a_degraded_picture_is_in_range_and_repeatable():
    once, again = (np.asarray(degrader(Degradation())(KEYS, PICTURE)) for _ in range(2))
    assert once.shape == (12, *SIZE, 3) and np.isfinite(once).all()
    assert once.min() >= 0.0 and once.max() <= 1.0
    assert np.array_equal(once, again)


@pytest.mark.parametrize("switch", SWITCHES)
def test_each_degradation_works_by_itself(switch):
    moved = np.abs(degraded(switch) - PICTURE[None]).mean(axis=(1, 2, 3))
    assert (moved > 1e-4).mean() > 0.8 and moved.max() < 0.4


def test_grey_pictures_have_no_colour():
    np.testing.assert_allclose(degraded("grey"), degraded("grey")[..., :1].repeat(3, -1), atol=1e-5)


@pytest.mark.parametrize("switch", ["motion", "defocus", "resolution", "sharpen"])
def test_what_spreads_light_keeps_an_even_picture(switch):
    np.testing.assert_allclose(degraded(switch, EVEN), 0.4, atol=1e-5)


def test_a_blur_matrix_spreads_a_point_by_sigma():
    weights = np.asarray(gaussian(41, jnp.asarray(2.5)), np.float64)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
    place = np.arange(41) - 20.0
    assert abs(np.sqrt((weights[20] * place**2).sum()) - 2.5) < 0.01
    np.testing.assert_allclose(gaussian(41, jnp.asarray(0.0)), np.eye(41), atol=1e-6)


def test_low_resolution_is_the_mean_of_wide_pixels_joined_by_lines():
    side, count = 30, 12
    reduce = jax.jit(low_resolution, static_argnums=0)
    row = np.random.default_rng(1).uniform(size=side)
    wide = side / count
    fine = np.repeat(row, 1000)
    means = fine.reshape(count, -1).mean(axis=1)
    expected = np.interp(np.arange(side) + 0.5, (np.arange(count) + 0.5) * wide, means)
    np.testing.assert_allclose(reduce(side, 0.4) @ row, expected, atol=1e-5)
    np.testing.assert_allclose(reduce(side, 1.0), np.eye(side), atol=1e-6)
    np.testing.assert_allclose(sharpening(side, jnp.asarray(0.0)), np.eye(side), atol=1e-6)


def test_the_block_transform_is_orthonormal():
    np.testing.assert_allclose(TRANSFORM @ TRANSFORM.T, np.eye(64), atol=1e-5)


@pytest.mark.parametrize("quality", [15, 50, 90])
def test_jpeg_of_a_grey_picture_is_what_libjpeg_makes_of_it(quality):
    y, x = np.mgrid[:48, :64]
    grey = (120 + 60 * np.sin(x / 5.0) + 40 * np.cos(y * x / 90.0)).clip(0, 255).astype(np.uint8)
    _, file = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(file, cv2.IMREAD_GRAYSCALE)
    assert decoded is not None
    planes = jnp.asarray(np.stack([grey] * 3) / 255.0, jnp.float32)
    ours = np.asarray(jax.jit(as_jpeg)(planes, jnp.asarray(float(quality)))) * 255.0
    # The file's decoder rounds to whole levels.
    assert np.abs(ours - decoded[None].astype(float)).mean() < 0.5
    assert np.abs(ours - grey[None]).mean() > 0.5


def test_noise_has_the_deviation_asked_for_and_is_stronger_in_the_dark():
    bright, dark = (degraded("noise", (value / 0.4) * EVEN) - value for value in (0.8, 0.2))
    assert abs(bright.mean()) < 2e-3 and abs(dark.mean()) < 2e-3
    # Green carries the least grain of colour: level times 1.35 - 0.7 value.
    assert 0.9 < bright[..., 1].std() / (0.02 * 0.79) < 1.3
    assert 0.9 < dark[..., 1].std() / (0.02 * 1.21) < 1.3


def test_a_border_repeats_the_last_pixels_or_is_one_colour():
    changed = degraded("border")
    same = np.abs(PICTURE[None] - changed).max(axis=-1) < 1e-6
    for one, kept in zip(changed, same, strict=True):
        rows, columns = kept.any(axis=1), kept.any(axis=0)
        assert kept[np.ix_(rows, columns)].all() and 0.7 < rows.mean() <= 1.0 and 0.7 < columns.mean() <= 1.0
        beyond = one[:, ~columns]
        repeated = np.allclose(beyond, beyond[:, :1], atol=1e-6)
        assert repeated or np.ptp(beyond) < 1e-6


def test_beyond_the_edge_is_where_a_border_shows_something_else():
    settings = dataclasses.replace(UNTOUCHED, border=1.0)
    hidden = np.asarray(jax.lax.map(lambda key: beyond_edge(key, PICTURE.shape[:2], settings), KEYS))
    changed = np.abs(PICTURE[None] - degraded("border")).max(axis=-1) > 1e-6
    assert (hidden | ~changed).all() and 0.05 < hidden.mean() < 0.4 and changed[hidden].mean() > 0.9
    assert not np.asarray(beyond_edge(KEYS[0], (8, 9), UNTOUCHED)).any()


def test_smooth_noise_has_unit_deviation_and_its_cells_do_not_show():
    field = np.asarray(jax.jit(lambda key: smooth_noise(key, (96, 96), jnp.eye(5)))(KEYS[0]))
    assert (np.abs(field[2:].std(axis=(1, 2)) - 1.0) < 0.35).all()
    weights = enlarging(30, 7)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)


def test_numbers_are_used_once():
    draws = Draws(jnp.arange(4.0) / 4.0)
    assert np.array_equal(draws.uniform(3), [0.0, 0.25, 0.5])
    assert float(draws.uniform()) == 0.75
    with pytest.raises(ValueError, match="numbers must be at least 5, got 4"):
        draws.uniform()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Backgrounds(noise=1.5), "noise must lie in"),
        (lambda: Backgrounds(people=-1), "people must be at least 0"),
        (lambda: Occluders(chance=-0.1), "chance must lie in"),
        (lambda: Degradation(jpeg=2.0), "jpeg must lie in"),
        (lambda: Degradation(jpeg_quality=(0.0, 50.0)), "jpeg_quality must lie in"),
        (lambda: Degradation(defocus_px=(2.0, 1.0)), "defocus_px must be"),
        (lambda: Degradation(gain=(0.5, float("nan"))), "gain must be"),
        (lambda: Degradation(gamma=(0.0, 1.0)), "gamma must be positive"),
        (lambda: Degradation(border_share=(0.0, 0.6)), "border_share at most 0.4"),
        (lambda: background(KEYS[0], (4, 40)), "size must be"),
        (lambda: background(KEYS[0], SIZE, photos=jnp.zeros((2, 9, 9), jnp.uint8)), "photos must have shape"),
        (lambda: background(KEYS[0], SIZE, photos=jnp.zeros((2, 9, 9, 3))), "photos must be uint8"),
        (lambda: background(KEYS[0], SIZE, photos=jnp.zeros((0, 9, 9, 3), jnp.uint8)), "photos must be uint8"),
        (lambda: occluder(KEYS[0], SIZE, jnp.zeros(3)), "box must have shape"),
        (lambda: occluder(KEYS[0], (40, 0), jnp.zeros(4)), "size must be"),
        (lambda: degrade(KEYS[0], jnp.zeros((20, 20))), "image must have shape"),
        (lambda: degrade(KEYS[0], jnp.zeros((4, 20, 3))), "image must be at least 8"),
    ],
)
def test_bad_input_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_settings_are_hashable():
    assert len({Degradation(), Degradation(), UNTOUCHED}) == 2 and hash(Backgrounds()) == hash(Backgrounds())
