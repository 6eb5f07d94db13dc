"""Photos of every common kind come out upright, 8-bit and RGB; anything else is a clear error."""

import math
import os

import cv2
import image_files as files
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handjax import exif
from handjax.images import ImageError, exif_focal_px, read_image, read_photo
from handjax.inputs import Input, input_kind, list_inputs

# EXIF 2.32, tag 274: the side of the upright picture on which the first stored row and the first column lie.
ORIENTATIONS = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def write(tmp_path, data: bytes, name: str = "photo.jpg"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """Pixel by pixel: what a camera held that way would have stored."""
    height, width = upright.shape[:2]
    rows, columns = (height, width) if orientation < 5 else (width, height)
    stored = np.empty((rows, columns, 3), np.uint8)
    for r in range(rows):
        for c in range(columns):
            place = {}
            for index, side in zip((r, c), ORIENTATIONS[orientation], strict=True):
                length = height if side in ("top", "bottom") else width
                axis = "y" if side in ("top", "bottom") else "x"
                place[axis] = index if side in ("top", "left") else length - 1 - index
            stored[r, c] = upright[place["y"], place["x"]]
    return stored


@pytest.mark.parametrize("name", files.whole_images())
def test_every_format_is_read_as_rgb_whatever_the_file_is_called(tmp_path, name):
    image = read_image(write(tmp_path, files.whole_images()[name], "photo.txt"))
    assert image.dtype == np.uint8 and image.flags["C_CONTIGUOUS"]
    np.testing.assert_allclose(image.astype(int), files.sample_rgb(), atol=12 if "j" in name or "pro" in name else 0)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_orientation_is_honoured_in_jpeg(tmp_path, orientation, order):
    upright = files.sample_rgb()
    stored = files.encoded(".jpg", as_stored(upright, orientation))
    tiff = files.tiff_block({0x112: (3, orientation)}, order=order)
    image = read_image(write(tmp_path, files.with_exif(stored, tiff)))
    assert image.shape == upright.shape
    np.testing.assert_allclose(image.astype(int), upright, atol=12)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("form", ["png", "webp", "tiff"])
def test_orientation_is_honoured_in_other_formats(tmp_path, orientation, form):
    upright = files.sample_rgb()
    stored = as_stored(upright, orientation)
    tags = {0x112: (3, orientation)}
    if form == "png":
        data = files.png(stored, files.RGB, [(b"eXIf", files.tiff_block(tags))])
    elif form == "webp":
        lossless = files.encoded(".webp", stored, cv2.IMWRITE_WEBP_QUALITY, 101)
        data = files.webp_with_exif(lossless, stored.shape[1], stored.shape[0], files.tiff_block(tags))
    else:
        data = files.raw_tiff(stored, tags)
    np.testing.assert_array_equal(read_image(write(tmp_path, data)), upright)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_senseless_orientation_leaves_the_pixels_as_stored(tmp_path, orientation):
    tiff = files.tiff_block({0x112: (3, orientation)})
    data = files.png(files.sample_rgb(), files.RGB, [(b"eXIf", tiff)])
    np.testing.assert_array_equal(read_image(write(tmp_path, data)), files.sample_rgb())


def test_grey_is_repeated_and_16_bits_are_rounded(tmp_path):
    grey = np.array([[0, 127, 128, 129, 65406, 65407, 65535]], np.uint16)
    image = read_image(write(tmp_path, files.png(grey, files.GREY)))
    np.testing.assert_array_equal(image[0, :, 0], np.round(grey[0] / 257))
    np.testing.assert_array_equal(image[..., 0], image[..., 2])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_transparent_pixels_show_white(tmp_path, dtype):
    full = np.iinfo(dtype).max
    pixels = np.array([[[200, 100, 50, 0], [200, 100, 50, 255], [200, 100, 50, 128]]], np.int64)
    image = read_image(write(tmp_path, files.png((pixels * (full // 255)).astype(dtype), files.RGBA)))
    half = np.round((np.array([200, 100, 50]) * 128 + 255 * 127) / 255)
    np.testing.assert_array_equal(image[0], [[255, 255, 255], [200, 100, 50], half])


def test_grey_with_alpha_and_transparent_palettes_show_white(tmp_path):
    grey_alpha = np.array([[[30, 0], [30, 255]]], np.uint8)
    image = read_image(write(tmp_path, files.png(grey_alpha, files.GREY_ALPHA)))
    np.testing.assert_array_equal(image[0], [[255] * 3, [30] * 3])
    palette = [(b"PLTE", bytes([1, 2, 3, 40, 50, 60])), (b"tRNS", bytes([0, 255]))]
    image = read_image(write(tmp_path, files.png(np.array([[0, 1]], np.uint8), files.PALETTE, palette)))
    np.testing.assert_array_equal(image[0], [[255] * 3, [40, 50, 60]])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("meaning", ["unsaid", "multiplied already", "straight"])
def test_alpha_of_tiff_is_applied_once(tmp_path, dtype, meaning):
    colour, alpha = np.array([200, 100, 50]), 128
    stored = np.append(colour * alpha // 255 if meaning == "multiplied already" else colour, alpha)
    pixels = np.broadcast_to(stored * (np.iinfo(dtype).max // 255), (6, 5, 4)).astype(dtype)
    tags = {"unsaid": {}, "multiplied already": {0x152: (3, 1)}, "straight": {0x152: (3, 2)}}[meaning]
    image = read_image(write(tmp_path, files.raw_tiff(pixels, tags)))
    expected = (colour * alpha + 255 * (255 - alpha)) / 255
    np.testing.assert_allclose(image, np.broadcast_to(expected, image.shape), atol=1.5)


def test_cmyk_jpeg_has_the_colours_of_its_inks(tmp_path):
    cyan, magenta, yellow, black = ink = (200, 40, 10, 51)
    image = read_image(write(tmp_path, files.cmyk_jpeg(ink)))
    expected = np.array([255 - cyan, 255 - magenta, 255 - yellow]) * (255 - black) / 255
    assert image.shape == (16, 16, 3)
    np.testing.assert_allclose(image, np.broadcast_to(expected, image.shape), atol=2)


@pytest.mark.parametrize("name", files.broken_images())
def test_broken_image_is_an_error_that_names_the_file(tmp_path, name, capfd):
    path = write(tmp_path, files.broken_images()[name], f"{name}.jpg")
    with pytest.raises(ImageError) as error:
        read_photo(path)
    assert str(path) in str(error.value)
    if name != "png_too_little_data":  # libpng speaks to stderr itself when only the pixel data is short
        assert capfd.readouterr().err == ""


def test_there_are_fifty_broken_images():
    assert len(files.broken_images()) >= 50


@pytest.mark.parametrize("name", [name for name in files.broken_images() if name.endswith("_huge")])
def test_size_limit_is_checked_before_decoding(tmp_path, name):
    resource = pytest.importorskip("resource", reason="memory is measured as Unix does")
    path = write(tmp_path, files.broken_images()[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageError, match="pixels are more than the limit of 100000000"):
        read_image(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_size_limit_can_be_changed(tmp_path):
    path = write(tmp_path, files.whole_images()["png"])
    assert read_image(path, max_pixels=48 * 40).shape == (48, 40, 3)
    with pytest.raises(ImageError, match="40 x 48 pixels"):
        read_image(path, max_pixels=48 * 40 - 1)


def test_reasons_are_told_apart(tmp_path):
    whole = files.whole_images()
    with pytest.raises(ImageError, match="the JPEG file is truncated"):
        read_image(write(tmp_path, whole["jpeg"][:-40]))
    with pytest.raises(ImageError, match="is empty"):
        read_image(write(tmp_path, b""))
    with pytest.raises(ImageError, match="not an image of a known format"):
        read_image(write(tmp_path, b"hello"))
    with pytest.raises(ImageError, match="convert it to JPEG"):
        read_image(write(tmp_path, files.broken_images()["heic"]))
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="No such file"):
        read_image(tmp_path / "missing.jpg")
    with pytest.raises(ImageError, match="must be 8 or 16-bit integers, got float32"):
        read_image(write(tmp_path, files.broken_images()["tiff_of_floats"]))
    with pytest.raises(ImageError, match="null"):
        read_image("a\0b.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_and_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="not a regular file"):
        read_image(tmp_path / "pipe.jpg")
    assert input_kind(tmp_path / "pipe.jpg") == "image"


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(tmp_path):
    image = read_image(write(tmp_path, files.whole_images()["jpeg"] + b"\x00trailer of a phone" * 20))
    assert image.shape == files.sample_rgb().shape


def test_mutated_images_give_an_image_or_an_error(tmp_path):
    rng = np.random.default_rng(0)
    for data in files.whole_images().values():
        for _ in range(30):
            mutated = bytearray(data)
            for _ in range(rng.integers(1, 5)):
                mutated[rng.integers(len(mutated)) % rng.choice([40, len(mutated)])] = rng.integers(256)
            try:
                image = read_photo(write(tmp_path, bytes(mutated))).image
            except ImageError:
                continue
            assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


def test_focal_length_is_the_35_mm_equivalent_over_the_diagonal(tmp_path):
    jpeg = files.encoded(".jpg", np.zeros((30, 40, 3), np.uint8))
    for orientation in ORIENTATIONS:
        tiff = files.tiff_block({0x112: (3, orientation)}, {0xA405: (3, 26)})
        path = write(tmp_path, files.with_exif(jpeg, tiff))
        expected = 26 * 50 / math.hypot(36, 24)
        assert read_photo(path).focal_px == pytest.approx(expected)
        assert exif_focal_px(path) == pytest.approx(expected)


def test_focal_length_from_the_sensor_follows_a_resize():
    # 5 mm behind a sensor of 4000 pixels of 1.25 micrometres: 4000 pixels, at half size 2000.
    tags = {0x920A: 5.0, 0xA20E: 8000.0, 0xA210: 4, 0xA002: 4000, 0xA003: 3000}
    assert exif.focal_px(tags, 4000, 3000) == pytest.approx(40000.0)
    tags[0xA20E] = 800.0
    assert exif.focal_px(tags, 4000, 3000) == pytest.approx(4000.0)
    assert exif.focal_px(tags, 1500, 2000) == pytest.approx(2000.0)


def test_focal_length_is_none_where_exif_does_not_tell(tmp_path):
    assert read_photo(write(tmp_path, files.whole_images()["jpeg"])).focal_px is None
    assert exif.focal_px({0xA405: 0}, 40, 30) is None
    assert exif.focal_px({0xA405: 26, 0xA002: 4000, 0xA003: 3000}, 40, 40) is None  # cropped
    assert exif.focal_px({0xA405: 60000}, 40, 30) is None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"II*\x00\x08\x00\x00\x00", b"MM\x00*\x00\x00\x00\x08"]))
def test_garbage_exif_never_raises(garbage, head):
    tags = exif.read_tags(head + garbage)
    assert 1 <= exif.orientation(tags) <= 8
    focal = exif.focal_px(tags, 640, 480)
    assert focal is None or focal > 0


def test_exif_folder_that_points_at_itself_ends():
    assert exif.read_tags(files.tiff_block({0x112: (3, 6), 0x8769: (4, 8)}))[0x112] == 6


def test_folder_lists_images_and_videos_by_content_then_suffix(tmp_path):
    (tmp_path / "subfolder.jpg").mkdir()
    write(tmp_path, files.whole_images()["png"], "b.dat")
    write(tmp_path, b"broken", "a.jpg")
    write(tmp_path, b"RIFF\x00\x00\x00\x00AVI LIST", "c.jpg")
    write(tmp_path, b"", "d.MP4")
    write(tmp_path, b"{}", "a.json")
    write(tmp_path, files.whole_images()["png"], ".hidden.png")
    assert list_inputs(tmp_path) == [
        Input(tmp_path / "a.jpg", "image"),
        Input(tmp_path / "b.dat", "image"),
        Input(tmp_path / "c.jpg", "video"),
        Input(tmp_path / "d.MP4", "video"),
    ]


def test_single_file_is_listed_even_when_it_is_nothing_known(tmp_path):
    path = write(tmp_path, b"hello", "notes.txt")
    assert list_inputs(path) == [Input(path, "image")]


def test_missing_path_and_empty_folder_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        list_inputs(tmp_path / "missing")
    with pytest.raises(ValueError, match="holds no image and no video"):
        list_inputs(tmp_path)
