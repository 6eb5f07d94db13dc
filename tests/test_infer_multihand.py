"""The multi-hand network from full images to meshes: against NumPy steps on its maps, in batches; and bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax.camera import Camera
from handjax.infer import infer_multihand
from handjax.models import multihand
from handjax.torch_weights import template
from tests import cheap, crop_steps, reference
from tests.tiny_pipelines import RAW

SIZE, COUNT, THRESHOLD = 64, 5, 0.3
NETWORK = multihand.PRESETS["tiny"].clone(keypoints=False, texture_vertices=60, light=True, per_side=True)
CAMERA = Camera(jnp.array([700.0, 720.0]), jnp.array([50.0, 33.0]))
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
RNG = np.random.default_rng(2)
WIDE, TALL = (RNG.integers(0, 256, (*shape, 3)).astype(np.uint8) for shape in ((60, 90), (100, 70)))


@pytest.fixture(scope="module")
def variables():
    """With heads that find hands of both sides, some of them sure and some not, at plausible places."""
    drawn = cheap.filled(template(NETWORK, jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), jnp.float32)), 5)
    for head in ("params.2", "texture.2", "light.2"):
        drawn["params"][head]["kernel"] *= 0.1
    return drawn


@pytest.fixture(scope="module")
def infer(variables, small_model):
    """All calls share one compiled network."""
    sizes = {"size": SIZE, "count": COUNT, "threshold": THRESHOLD, "batch_size": 2}
    return partial(infer_multihand, NETWORK, variables, model=small_model, **sizes)


@pytest.fixture(scope="module")
def maps(variables):
    """The network's maps of one crop (S, S, 3) in [0, 1]."""
    shape = jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), jnp.float32)
    network = cheap.compiled(NETWORK.apply, variables, shape)
    return lambda crop: {
        name: np.asarray(values[0], float)
        for name, values in network(variables, jnp.float32((crop - MEAN) / STD)[None]).items()
    }


def sigmoid(logits):
    return np.clip(1 / (1 + np.exp(-logits)), 1e-4, 1 - 1e-4)


def peaks(centers):
    """(row, column) of cells that are the largest of their 5 x 5 neighbours and above the threshold, best first."""
    found = []
    for row, column in np.ndindex(*centers.shape):
        window = centers[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
        if centers[row, column] == window.max() and sigmoid(centers[row, column]) > THRESHOLD:
            found.append((row, column))
    return sorted(found, key=lambda cell: -centers[cell])[:COUNT]


def step_by_step(maps, image, camera, model):
    """Each hand as (side, score, vertices, keypoints, pixels of the full image); camera (focal, center) or None."""
    height, width = image.shape[:2]
    if camera is None:
        # 512 px for the square's pixels, in those of the image; the middle is the middle.
        camera = np.full(2, 512 * max(height, width) / SIZE), np.array([width / 2, height / 2])
    focal, center = (np.asarray(values, float) for values in camera)
    view = crop_steps.cut(image, np.array([0.0, 0, width, height]), 0.0, focal, center, SIZE, 1.0)
    said = maps(view.crop)
    for row, column in peaks(said["centers"][..., 0]):
        side = int(said["sides"][row, column].argmax())
        numbers = said["params"][row, column][61 * side :][:61]
        orient, pose, betas, (a, b, c) = np.split(numbers, [3, 48, 58])
        depth = (c + 0.8) * view.focal.mean() / 512
        spot = np.array([8 * column + a, 8 * row + b])
        transl = np.append((spot - view.center) / view.focal * depth, depth)
        posed = crop_steps.posed_of_side(RAW, (betas, orient, pose, transl), side)
        points = reference.keypoints(posed, RAW["fingertip_ids"], model.keypoint_ids)
        pixels = focal * points[:, :2] / points[:, 2:] + center
        yield side, sigmoid(said["centers"][row, column, 0]), posed["vertices"], points, pixels


@pytest.mark.parametrize("camera", [CAMERA, None], ids=["camera", "published camera"])
def test_hands_agree_with_the_steps_from_the_picture_to_the_meshes(infer, maps, small_model, camera):
    found = infer([WIDE, TALL, WIDE], [camera] * 3)
    sides = set()
    for image, hands in zip([WIDE, TALL, WIDE], found, strict=True):
        expected = list(step_by_step(maps, image, camera, small_model))
        assert len(hands.vertices) == len(expected) > 1
        for index, (side, score, vertices, points, pixels) in enumerate(expected):
            sides.add(side)
            assert hands.sides[index] == side
            assert hands.scores[index] == pytest.approx(score, abs=1e-4)
            np.testing.assert_allclose(hands.vertices[index], vertices, rtol=1e-3, atol=1e-5)
            np.testing.assert_allclose(hands.joints[index], points, rtol=1e-3, atol=1e-5)
            if (points[:, 2] > 0.01).all():
                np.testing.assert_allclose(hands.keypoints_2d[index], pixels, rtol=1e-3, atol=0.05)
            params = [values[index] for values in hands.params]
            again = crop_steps.posed_of_side(RAW, params, side)["vertices"]
            np.testing.assert_allclose(again, hands.vertices[index], rtol=1e-3, atol=1e-5)
            faces = np.asarray(small_model.faces)
            np.testing.assert_array_equal(hands.faces[index], faces if side == 1 else faces[:, ::-1])
        assert hands.albedo.shape == (len(expected), 60, 3) and hands.light.shape == (len(expected), 27)
    assert sides == {0, 1}


def test_a_picture_gives_the_same_alone_and_among_others(infer):
    together = infer([WIDE, TALL, WIDE], [CAMERA, None, None])
    for index, (image, camera) in enumerate([(WIDE, CAMERA), (TALL, None)]):
        (alone,) = infer([image], [camera])
        for got, want in zip(jax.tree.leaves(alone), jax.tree.leaves(together[index]), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)
    assert infer([]) == []


def test_blue_may_come_first(infer, variables, small_model):
    swapped = np.ascontiguousarray(WIDE[..., ::-1])
    (usual,), (blue,) = infer([WIDE]), infer([swapped], bgr=True)
    np.testing.assert_allclose(blue.vertices, usual.vertices, rtol=1e-3, atol=1e-5)


def test_a_picture_in_which_nothing_is_sure_gives_no_rows(infer):
    (found,) = infer([WIDE], threshold=1.0)
    assert found.vertices.shape == (0, 60, 3) and found.faces.shape == (0, 100, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": [WIDE, TALL / 255.0]}, r"images\[1\] must be uint8 RGB, got float64"),
        ({"images": [WIDE[..., :1]]}, r"images\[0\] must have shape \(H, W, 3\), .*: grey"),
        ({"images": [WIDE.transpose(2, 0, 1)]}, r"images\[0\] must have shape \(H, W, 3\), .*: channels come last"),
        ({"images": [np.insert(WIDE, 3, 255, -1)]}, r"images\[0\] must have shape \(H, W, 3\), .*: has an alpha"),
        ({"cameras": [CAMERA, None]}, "cameras must have 1 entries, one for each image, got 2"),
        ({"cameras": [CAMERA._replace(center=jnp.full(2, jnp.nan))]}, r"cameras\[0\].center must be finite"),
        ({"size": 100}, "size must be a positive multiple of 32, got 100"),
        ({"count": 0}, "count must be a positive whole number"),
        ({"count": 65}, r"count must lie in \[1, 64\], got 65"),
        ({"threshold": np.nan}, r"threshold must lie in \[0, 1\]"),
        ({"side": "both"}, "side must be one of"),
        ({"batch_size": 0}, "batch_size must be a positive"),
    ],
)
def test_bad_pictures_and_numbers_are_named(infer, change, message):
    with pytest.raises(ValueError, match=message):
        infer(**({"images": [WIDE]} | change))
