"""Losses on images against float64 loops over pixels, and where there is nothing to compare."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handjax import losses

HEIGHT, WIDTH = 13, 22
PAIRS = [losses.silhouette_l1, losses.silhouette_pyramid, losses.depth_smooth_l1]


def random_masks(seed: int = 0) -> list[np.ndarray]:
    """Mask, target, weight, some pixels of each exactly 0."""
    rng = np.random.default_rng(seed)
    values, kept = rng.uniform(size=(2, 3, HEIGHT, WIDTH))
    return list((values * (kept > 0.3)).astype(np.float32))


def disc(center: tuple[float, float], radius: float, side: int = 64) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side] + 0.5
    return ((rows - center[0]) ** 2 + (columns - center[1]) ** 2 < radius**2).astype(np.float32)


def test_silhouette_l1_is_the_mean_over_pixels():
    mask, target, weight = random_masks()
    total = 0.0
    for row in range(HEIGHT):
        for column in range(WIDTH):
            total += weight[row, column] * abs(float(mask[row, column]) - float(target[row, column]))
    assert losses.silhouette_l1(mask, target, weight) == pytest.approx(total / (HEIGHT * WIDTH), rel=1e-6)
    assert losses.silhouette_l1(mask, target) == pytest.approx(np.abs(mask - target).mean(), rel=1e-6)


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_pyramid_is_the_mean_over_levels_of_pooled_squares(levels):
    mask, target, weight = random_masks()
    # Squares of 2^l px from the first pixel on, zeros beyond the picture.
    difference = np.zeros((64, 64))
    difference[:HEIGHT, :WIDTH] = weight.astype(np.float64) * (mask.astype(np.float64) - target)
    means = []
    for level in range(levels):
        side = 2**level
        height, width = -(-HEIGHT // side), -(-WIDTH // side)
        squares = 0.0
        for row in range(height):
            for column in range(width):
                block = difference[row * side : (row + 1) * side, column * side : (column + 1) * side]
                squares += (block.sum() / side**2) ** 2
        means.append(squares / (height * width))
    found = losses.silhouette_pyramid(mask, target, weight, levels=levels)
    assert found == pytest.approx(np.mean(means), rel=1e-5)


def test_pyramid_goes_down_to_four_pixels_unless_told():
    mask, target = disc((20, 20), 9), disc((40, 44), 9)
    assert losses.silhouette_pyramid(mask, target) == losses.silhouette_pyramid(mask, target, levels=5)
    assert losses.silhouette_pyramid(mask[:3], target[:3]) == losses.silhouette_pyramid(mask[:3], target[:3], levels=1)


def test_pyramid_tells_apart_discs_that_do_not_touch_and_plain_l1_does_not():
    # Over all places on the grid: what one place says depends on how blocks happen to cut the discs.
    fixed = np.stack([disc((20, place), 6) for place in range(12, 28)])
    losses_at = {}
    for gap in (2, 4, 8, 12, 16):
        moved = np.stack([disc((20, place + 12 + gap), 6) for place in range(12, 28)])
        assert (jax.vmap(losses.silhouette_l1)(moved, fixed) == 2 * fixed[0].mean()).all()
        losses_at[gap] = float(jax.vmap(losses.silhouette_pyramid)(moved, fixed).mean())
    assert sorted(losses_at, key=losses_at.__getitem__) == sorted(losses_at)


@pytest.mark.parametrize("mean", losses.MEANS)
@pytest.mark.parametrize("step", [1e-3, 0.2])
def test_depth_loss_is_smooth_l1_over_common_pixels(mean, step):
    depth, target, _ = random_masks()
    target[0, :3] = [np.nan, np.inf, -1.0]
    depth[0, :3], depth[1, 0] = 0.5, np.nan
    total, common = 0.0, 0
    for d, t in zip(depth.ravel().astype(np.float64), target.ravel().astype(np.float64), strict=True):
        if np.isfinite(d) and np.isfinite(t) and d > 0 and t > 0:
            distance, common = abs(d - t), common + 1
            total += distance**2 / (2 * step) if distance < step else distance - step / 2
    pixels = common if mean == "common" else HEIGHT * WIDTH
    assert losses.depth_smooth_l1(depth, target, step=step, mean=mean) == pytest.approx(total / pixels, rel=1e-5)


def test_depth_loss_in_millimetres_is_the_published_one():
    depth_mm, target_mm = np.array([[600.0, 600.5, 0.0]]), np.array([[603.0, 600.0, 600.0]])
    published = (2.5 + 0.125 + 0.0) / 3
    found = losses.depth_smooth_l1(depth_mm / 1000, target_mm / 1000, mean="image")
    assert 1000 * found == pytest.approx(published, abs=1e-4)


def test_photometric_loss_is_the_masked_mean_of_colour_distances():
    rng = np.random.default_rng(1)
    image, target = rng.uniform(size=(2, HEIGHT, WIDTH, 3)).astype(np.float32)
    mask = random_masks()[0]
    total = 0.0
    for row in range(HEIGHT):
        for column in range(WIDTH):
            total += float(mask[row, column]) * np.linalg.norm(image[row, column] - target[row, column].astype(float))
    found = losses.photometric(image, target, mask)
    assert found == pytest.approx(total / mask.sum(dtype=np.float64), rel=1e-5)


@pytest.mark.parametrize("loss", PAIRS, ids=lambda loss: loss.__name__)
def test_an_empty_mask_gives_a_finite_loss_and_gradient(loss):
    empty, some = np.zeros((8, 8), np.float32), np.full((8, 8), 0.5, np.float32)
    for first, second in [(empty, empty), (empty, some), (some, empty), (some, some)]:
        value, slope = jax.value_and_grad(loss)(first, second)
        assert np.isfinite(value) and np.isfinite(slope).all()
    assert loss(empty, empty) == 0


def test_photometric_loss_without_mask_or_difference_has_no_gradient():
    image = np.full((4, 4, 3), 0.5, np.float32)
    for mask, target in [(np.zeros((4, 4)), image - 0.2), (np.ones((4, 4)), image)]:
        value, slope = jax.value_and_grad(losses.photometric)(image, target, mask)
        assert value == 0 and not np.any(slope)


def test_pixels_that_are_masked_out_may_hold_anything():
    image, target = np.full((2, 3, 4, 3), 0.5, np.float32)
    target[0, 0], target[1, 1] = np.nan, 0.25
    mask = np.ones((3, 4))
    mask[0, 0] = 0
    value, slope = jax.value_and_grad(losses.photometric)(image, target, mask)
    assert value == pytest.approx(np.sqrt(3) * 0.25 / 11, rel=1e-5) and np.isfinite(slope).all()
    unknown = np.array([[np.nan, 1.0]])
    for loss in (losses.silhouette_l1, losses.silhouette_pyramid):
        value, slope = jax.value_and_grad(loss)(np.array([[0.3, 0.5]]), unknown, np.array([[0.0, 1.0]]))
        assert np.isfinite(value) and slope[0, 0] == 0


@pytest.mark.parametrize("loss", [*PAIRS, losses.photometric], ids=lambda loss: loss.__name__)
def test_gradients_are_those_of_differences(loss):
    rng = np.random.default_rng(2)
    channels = (3,) if loss is losses.photometric else ()
    image, target, direction = rng.uniform(0.2, 0.8, size=(3, 6, 7, *channels)).astype(np.float32)
    more = [np.float32(rng.uniform(size=(6, 7)))] if channels else []

    def along(distance):
        return loss(image + distance * direction, target, *more)

    slope = jax.grad(along)(0.0)
    assert float(slope) == pytest.approx(float(along(0.004) - along(-0.004)) / 0.008, rel=2e-2)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_losses_are_zero_only_between_equal_images(seed):
    mask, target, _ = random_masks(seed)
    for loss in PAIRS:
        assert loss(mask, mask) == 0 < loss(mask, target)


def test_images_map_over_a_batch():
    masks, targets = np.stack([random_masks(seed)[:2] for seed in range(3)], 1)
    for loss in PAIRS:
        looped = [loss(mask, target) for mask, target in zip(masks, targets, strict=True)]
        np.testing.assert_allclose(jax.vmap(loss)(masks, targets), looped, rtol=1e-6)


def test_a_batch_and_its_devices_weigh_every_pixel_alike():
    depth, target = np.full((2, 4, 4), 0.5, np.float32), np.full((2, 4, 4), 0.52, np.float32)
    target[1], target[1, 0, 0] = 0.0, 0.6
    sums = jax.vmap(losses.depth_sums)(depth, target)
    whole = (16 * 0.0195 + 0.0995) / 17
    assert losses.mean_of(sums) == pytest.approx(whole, rel=1e-4)
    spread = jax.vmap(lambda one: losses.mean_of(one, "devices"), axis_name="devices")(sums)
    np.testing.assert_allclose(spread, [whole, whole], rtol=1e-4)
    assert losses.mean_of(losses.PixelSum(jnp.zeros(2), jnp.zeros(2))) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.silhouette_l1(np.zeros((4, 5)), np.zeros((4, 4))), r"target must have shape \(4, 5\)"),
        (lambda: losses.silhouette_l1(np.zeros((4, 5, 1)), np.zeros((4, 5))), "mask must have shape"),
        (lambda: losses.silhouette_l1(np.zeros((0, 5)), np.zeros((0, 5))), "mask must have at least one pixel"),
        (lambda: losses.silhouette_l1(np.zeros((4, 5)), np.zeros((4, 5)), np.zeros(5)), "weight must have shape"),
        (lambda: losses.silhouette_pyramid(np.zeros((4, 5)), np.zeros((4, 5)), levels=0), "levels must be at least 1"),
        (lambda: losses.depth_smooth_l1(np.zeros((4, 5)), np.zeros(5)), "target must have shape"),
        (lambda: losses.depth_smooth_l1(np.zeros((4, 5)), np.zeros((4, 5)), step=0.0), "step must be positive"),
        (lambda: losses.depth_smooth_l1(np.zeros((4, 5)), np.zeros((4, 5)), mean="all"), "mean must be one of"),
        (lambda: losses.photometric(np.zeros((4, 5)), np.zeros((4, 5, 3)), np.zeros((4, 5))), "image must have shape"),
        (lambda: losses.photometric(np.zeros((4, 5, 3)), np.zeros((4, 5)), np.zeros((4, 5))), "target must have shape"),
        (lambda: losses.photometric(np.zeros((4, 5, 3)), np.zeros((4, 5, 3)), np.zeros((5, 4))), "image must have"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
