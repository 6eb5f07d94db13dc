"""Where pictures of a set come to lie: warped in part, or decoded at a part of their size, as if whole."""

import math

import cv2
import numpy as np
import pytest

pytest.importorskip("tensorflow")

from datasets.decoding import Record, read_picture, reduction
from datasets.placing import place_image, shrinkage, stretched

# Neither side is a multiple of what it is divided by.
WIDTH, HEIGHT, SIZE = 603, 461, 64


@pytest.fixture(scope="module")
def picture():
    """BGR; smooth, so that a shift shows and what is averaged does not."""
    coarse = np.random.default_rng(0).uniform(0, 255, (12, 16, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def affine_of(scale, angle, middle):
    """Shows what lies around `middle` in the picture, turned, as OpenCV counts pixels."""
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.column_stack([turn, SIZE / 2 - 0.5 - turn @ (np.array(middle) - 0.5)]).astype(np.float32)


def placed(image, affine):
    out = np.full((SIZE, SIZE, 3), 77, np.uint8)
    place_image(image, affine, out)
    return out


@pytest.mark.parametrize("scale", [0.6, 1.0, 2.5])
@pytest.mark.parametrize("angle", [0.0, 0.7, -2.0])
@pytest.mark.parametrize("middle", [(300, 230), (5, 20), (600, 455)])
def test_the_part_that_is_seen_is_warped_as_the_whole_would_be(picture, scale, angle, middle):
    affine = affine_of(scale, angle, middle)
    expected = cv2.warpAffine(picture, affine.astype(np.float64), (SIZE, SIZE), flags=cv2.INTER_LINEAR)[..., ::-1]
    found = placed(picture, affine).astype(int)
    assert np.abs(found - expected).max() <= 1 and (found != expected).mean() < 0.02


def test_a_square_beside_the_picture_is_black(picture):
    for middle in [(-200, 200), (300, 700), (2000, -2000)]:
        assert not placed(picture, affine_of(1.0, 0.4, middle)).any()


@pytest.mark.parametrize("shrink", [2.2, 4.5, 9.0])
@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_a_picture_decoded_at_a_part_of_its_size_lies_where_the_whole_does(picture, shrink, angle):
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    record = Record("", {}, {"image": data}, (WIDTH, HEIGHT))
    affine = affine_of(1 / shrink, angle, (290, 240))
    reduced = reduction(record, shrinkage(affine))
    assert reduced == {2.2: 2, 4.5: 4, 9.0: 8}[shrink]
    small = read_picture(record, "image", reduced)
    assert small is not None and small.shape == (-(-HEIGHT // reduced), -(-WIDTH // reduced), 3)
    averaged = cv2.GaussianBlur(picture, (0, 0), 0.3 * shrink)
    expected = cv2.warpAffine(averaged, affine.astype(np.float64), (SIZE, SIZE))[..., ::-1].astype(float)
    found = placed(small, stretched(affine, reduced))
    # A row of pixels at the border of the picture may differ.
    inside = cv2.erode((expected.sum(-1) > 0).astype(np.uint8), np.ones((5, 5)), borderValue=0) > 0
    difference = (found - expected)[inside].ravel()
    assert inside.mean() > 0.5 and np.abs(difference).mean() < 3
    slopes = np.stack([slope[inside].ravel() for slope in np.gradient(expected, axis=(0, 1))], -1)
    shift = np.linalg.lstsq(slopes, -difference)[0]
    np.testing.assert_allclose(shift, 0, atol=0.05)


def test_only_jpeg_files_that_shrink_are_decoded_at_a_part_of_their_size(picture):
    def record(kind):
        return Record("", {}, {"image": cv2.imencode(kind, picture)[1].tobytes()}, (WIDTH, HEIGHT))

    assert [reduction(record(".jpg"), shrink) for shrink in (1, 2, 3, 4, 7, 8, 100)] == [1, 2, 2, 4, 4, 8, 8]
    assert reduction(record(".png"), 8) == 1


def test_a_jpeg_file_that_is_cut_off_is_no_picture_and_one_with_bytes_after_its_end_is(picture):
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    for cut in (data[: len(data) // 2], data[:-2]):
        with pytest.raises(ValueError, match="image must be a whole picture"):
            read_picture(Record("", {}, {"image": cut}, (WIDTH, HEIGHT)), "image")
    assert read_picture(Record("", {}, {"image": data + b"\0\0\0"}, (WIDTH, HEIGHT)), "image") is not None
