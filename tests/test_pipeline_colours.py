"""What augmentations do to colours, against values worked by hand."""

import numpy as np
import pytest

from datasets.augment import PRESETS, Augmentation
from datasets.colours import GREY, recolour


def recoloured(image, seed=0, **changes):
    out = image.copy()
    recolour(out, Augmentation(**changes), np.random.default_rng(seed))
    return out


@pytest.fixture(scope="module")
def picture():
    """Colours that no change of the tests cuts off."""
    return np.random.default_rng(0).integers(90, 140, (32, 32, 3), np.uint8)


def test_without_changes_a_picture_stays_as_it_is(picture):
    np.testing.assert_array_equal(recoloured(picture), picture)
    np.testing.assert_array_equal(recoloured(picture, brightness=(0.0, 0.0), colour_share=0.0), picture)


def test_brightness_multiplies(picture):
    np.testing.assert_allclose(recoloured(picture, brightness=(1.5, 1.5)), 1.5 * picture, atol=1)
    assert (recoloured(picture, brightness=(9.0, 9.0)) == 255).all()


def test_without_saturation_all_is_grey_and_without_contrast_all_is_the_mean_grey(picture):
    grey = picture @ GREY
    np.testing.assert_allclose(recoloured(picture, saturation=(0.0, 0.0)), grey[..., None].repeat(3, -1), atol=1)
    np.testing.assert_allclose(recoloured(picture, contrast=(0.0, 0.0)), grey.mean(), atol=1.5)


def test_contrast_is_from_the_mean_grey_of_what_came_before(picture):
    both = recoloured(picture, brightness=(1.5, 1.5), contrast=(0.5, 0.5))
    # In either order.
    np.testing.assert_allclose(both, 0.75 * picture + 0.75 * (picture @ GREY).mean(), atol=2)


def test_a_turn_of_the_hue_keeps_greys_and_their_luminance(picture):
    turned = recoloured(picture, hue=(1 / 3, 1 / 3))
    np.testing.assert_allclose(turned @ GREY, picture @ GREY, atol=2)
    assert np.abs(turned.astype(int) - picture).mean() > 5
    grey = np.full((4, 4, 3), 100, np.uint8)
    np.testing.assert_allclose(recoloured(grey, hue=(0.2, 0.2)), 100, atol=1)
    red = np.tile(np.array([160, 80, 80], np.uint8), (4, 4, 1))
    # Red, green, blue.
    assert recoloured(red, hue=(1 / 3, 1 / 3))[0, 0].argmax() == 1
    assert recoloured(red, hue=(-1 / 3, -1 / 3))[0, 0].argmax() == 2
    np.testing.assert_allclose(recoloured(red, hue=(1.0, 1.0)), red, atol=1)


def test_a_factor_on_the_hue_moves_reds_towards_yellow():
    # 30 of 360 degrees, twice that.
    orange = np.tile(np.array([200, 100, 0], np.uint8), (4, 4, 1))
    np.testing.assert_allclose(recoloured(orange, hue_factor=(2.0, 2.0))[0, 0], [200, 200, 0], atol=6)


def test_gains_and_offsets_are_each_channels_own(picture):
    changed = recoloured(picture, gain=(0.9, 1.1), offset=0.02)
    slopes = [np.polyfit(picture[..., c].ravel(), changed[..., c].ravel(), 1)[0] for c in range(3)]
    assert 0.88 < min(slopes) < max(slopes) < 1.12 and np.ptp(slopes) > 0.01


def test_noise_has_its_deviation_and_another_seed_gives_other_noise():
    grey = np.full((64, 64, 3), 128, np.uint8)
    noise = recoloured(grey, noise=0.02) - 128.0
    np.testing.assert_allclose(noise.std(), 5.1, rtol=0.05)
    assert abs(noise.mean()) < 0.3
    np.testing.assert_array_equal(recoloured(grey, noise=0.02) - 128.0, noise)
    other = recoloured(grey, seed=1, noise=0.02) - 128.0
    assert abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) < 0.1


def test_blur_keeps_the_mean_and_lowers_the_detail(picture):
    blurred = recoloured(picture, blur=(1.0, 1.0))
    np.testing.assert_allclose(blurred.mean((0, 1)), picture.mean((0, 1)), atol=1)
    assert blurred.std() < 0.5 * picture.std()


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_draws_another_picture_for_another_seed_or_none(preset, picture):
    outputs = []
    for seed in range(8):
        out = picture.copy()
        recolour(out, PRESETS[preset], np.random.default_rng(seed))
        outputs.append(out.tobytes())
    assert (len(set(outputs)) > 1) == (preset not in ("none", "deephandmesh"))
