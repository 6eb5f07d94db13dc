"""DeepHandMesh on full images: against NumPy steps, placed and not, mirrored, padded; and bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from handjax import mano
from handjax.infer import infer_deephandmesh
from handjax.infer.detailed import DETAILED_MARGIN, KEYPOINT_NAMES
from handjax.models import deephandmesh_decode
from handjax.models.deephandmesh import PRESETS
from handjax.models.hand_template import template_of
from tests import boxed_hands, cheap, crop_steps
from tests.boxed_hands import HANDS, PICTURE, rows

SIZE = 32
NETWORK = PRESETS["tiny"].clone(vertices=60)
CODE = np.random.default_rng(2).normal(size=32).astype(np.float32)
PALM = [KEYPOINT_NAMES.index(name) for name in deephandmesh_decode.ALIGNMENT_JOINTS]
MIRROR = crop_steps.MIRROR


@pytest.fixture(scope="module")
def template(small_model):
    return template_of(jax.tree.map(jnp.asarray, mano.detailed(small_model)))


@pytest.fixture(scope="module")
def variables():
    return cheap.filled(cheap.shapes(NETWORK, jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), jnp.float32), CODE), 3)


@pytest.fixture(scope="module")
def infer(template, variables):
    """Boxed hands of several images -> results; all calls share one compiled network."""
    given = {"identity_code": CODE, "template": template, "crop_size": SIZE, "batch_size": 4}
    return partial(infer_deephandmesh, NETWORK, variables, **given)


@pytest.fixture(scope="module")
def joints():
    """Of the four hands, in front of the camera: a palm of noise, as another network may see it."""
    return np.random.default_rng(8).normal(scale=0.05, size=(4, 21, 3)) + [0, 0, 0.6]


def stretched(hands):
    """Each hand's crop (SIZE, SIZE, 3): the box in the picture, turned about its centre and stretched."""
    places = np.stack(np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5), -1) / SIZE - 0.5
    for box, side, rotation in zip(hands.boxes, hands.sides, hands.rotations, strict=True):
        image, box, rotation, *_ = crop_steps.as_right(hands.image, box, rotation, np.ones(2), np.zeros(2), side)
        middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * DETAILED_MARGIN
        ends = [image.shape[1], image.shape[0]]
        low, high = np.clip(middle - half, 0, ends), np.clip(middle + half, 0, ends)
        turn = np.array([[np.cos(rotation), -np.sin(rotation)], [np.sin(rotation), np.cos(rotation)]])
        source = places * (high - low) @ turn + (low + high) / 2 - 0.5
        channels = [
            ndimage.map_coordinates(channel.astype(float), source[..., ::-1].T, order=1, mode="grid-constant").T
            for channel in np.moveaxis(image, -1, 0)
        ]
        yield np.stack(channels, -1) / 255


def laid_over(points, target):
    """(3, 3), (3,) the rigid motion that brings points (n, 3) nearest to target: Kabsch 1976."""
    left, _, right = np.linalg.svd((target - target.mean(0)).T @ (points - points.mean(0)))
    rotation = left @ np.diag([1, 1, np.sign(np.linalg.det(left @ right))]) @ right
    return rotation, target.mean(0) - rotation @ points.mean(0)


@pytest.fixture(scope="module")
def steps(variables, template):
    """For each of `HANDS`, as right ones: angles, and joints unbent, joints and vertices where the template stands."""
    crops = jnp.float32(np.stack(list(stretched(HANDS))))

    def run(variables, crops):
        outputs = NETWORK.apply(variables, crops, CODE)
        decode = (deephandmesh_decode.decode_rest, deephandmesh_decode.decode)
        rest, bent = (jax.vmap(lambda one, to=to: to(template, one, NETWORK))(outputs) for to in decode)
        return outputs["angles"], rest.joints, bent.joints, bent.vertices

    found = cheap.compiled(run, variables, crops)(variables, crops)
    return [[np.float64(array[index]) for array in found] for index in range(4)]


def test_without_joints_it_agrees_with_cutting_and_posing_in_the_frame_of_the_wrist(infer, template, steps):
    (found,) = infer([HANDS])
    assert not found.placed.any()
    frame, wrist = np.float64(template.frames[0]), np.float64(template.joints[0])
    for index, (angles, _, joints, vertices) in enumerate(steps):
        mirror = 1 if HANDS.sides[index] else MIRROR
        np.testing.assert_allclose(found.angles[index], angles, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found.vertices[index], (vertices - wrist) @ frame * mirror, atol=2e-5)
        np.testing.assert_allclose(found.joints[index], (joints - wrist) @ frame * mirror, atol=2e-5)
        outward = template.faces if HANDS.sides[index] else np.asarray(template.faces)[:, ::-1]
        np.testing.assert_array_equal(found.faces[index], outward)


def test_over_known_joints_it_agrees_with_aligning_the_palm_step_by_step(infer, steps, joints):
    known = joints.copy()
    known[1, PALM[2]] = np.nan
    known[:, 4] = np.nan
    bones = np.array([np.nan, 0.08, 0.1, np.nan])
    (found,) = infer([HANDS._replace(bones=bones)], joints=[known])
    assert found.placed.all()
    palm = [NETWORK.joints.index(name) for name in deephandmesh_decode.ALIGNMENT_JOINTS]
    ends = [NETWORK.joints.index(name) for name in ("wrist", "middle1")]
    for index, (_, rest, bent, vertices) in enumerate(steps):
        mirror = 1 if HANDS.sides[index] else MIRROR
        own = np.linalg.norm(rest[ends[0]] - rest[ends[1]])
        scale = 1 if np.isnan(bones[index]) else bones[index] / own
        target = known[index, PALM] * mirror
        seen = np.isfinite(target).all(-1)
        rotation, translation = laid_over(scale * rest[palm][seen], target[seen])
        np.testing.assert_allclose(found.scale[index], scale, rtol=1e-4)
        for got, points in ((found.vertices, vertices), (found.joints, bent)):
            expected = (scale * points @ rotation.T + translation) * mirror
            np.testing.assert_allclose(got[index], expected, rtol=1e-3, atol=1e-4)


def test_a_square_crop_is_not_stretched(infer, template, variables, joints):
    (found,) = infer([HANDS], joints=[joints], stretch=False)
    views = boxed_hands.views(HANDS, np.ones(2), np.zeros(2), SIZE, DETAILED_MARGIN)
    crops = jnp.float32(np.stack([view.crop for view in views]))
    angles = cheap.compiled(NETWORK.apply, variables, crops, CODE)(variables, crops, CODE)["angles"]
    np.testing.assert_allclose(found.angles, angles, rtol=1e-3, atol=1e-4)


def test_the_mirrored_picture_with_the_other_sides_gives_the_mirrored_meshes(infer, joints):
    one, other = infer([HANDS, boxed_hands.mirrored(HANDS)], joints=[joints, joints * MIRROR])
    np.testing.assert_allclose(other.angles, one.angles, rtol=1e-3, atol=2e-4)
    np.testing.assert_allclose(other.vertices, one.vertices * MIRROR, atol=1e-4)
    np.testing.assert_array_equal(other.faces, one.faces[:, :, ::-1])


def test_hands_in_padded_and_several_batches_are_the_same_as_alone(infer, joints):
    (together,) = infer([HANDS], joints=[joints])
    three, two, none = infer(
        [rows(HANDS, [0, 1, 2]), rows(HANDS, [3, 1]), rows(HANDS, [])], joints=[joints[:3], joints[[3, 1]], joints[:0]]
    )
    np.testing.assert_allclose(three.vertices, together.vertices[:3], atol=1e-5)
    np.testing.assert_allclose(two.joints, together.joints[[3, 1]], atol=1e-5)
    assert none.vertices.shape == (0, 60, 3) and none.faces.shape[0] == 0
    assert infer([]) == []


def test_images_with_and_without_joints_go_together(infer, joints):
    placed, free = infer([HANDS, HANDS], joints=[joints, None])
    assert placed.placed.all() and not free.placed.any()
    np.testing.assert_allclose(placed.angles, free.angles, atol=1e-5)
    wrist = NETWORK.joints.index("wrist")
    np.testing.assert_allclose(free.joints[:, wrist], 0, atol=1e-6)
    assert (placed.joints[:, wrist, 2] > 0.3).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": PICTURE / 255}, r"hands\[1\].image must be uint8 RGB, got float64"),
        ({"image": PICTURE[..., 0]}, r"hands\[1\].image must have shape \(H, W, 3\), got \(48, 64\): grey"),
        ({"image": PICTURE.transpose(2, 0, 1)}, r"image must have shape .* got \(3, 48, 64\): channels come last"),
        ({"image": np.insert(PICTURE, 3, 255, -1)}, r"image must have shape .* got \(48, 64, 4\): has an alpha"),
        ({"root_depths": [0.5] * 4}, r"hands\[1\].root_depths must be None: hands are placed by `joints`"),
        ({"bones": [80.0] * 4}, r"hands\[1\].bones must be in metres"),
        ({"camera": np.eye(3)}, r"hands\[1\].camera must be a handjax.camera.Camera or None"),
    ],
)
def test_bad_hands_are_named(infer, change, message):
    with pytest.raises(ValueError, match=message):
        infer([HANDS, HANDS._replace(**change)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joints": []}, "joints must have 1 entries, one for each image, got 0"),
        ({"joints": [np.zeros((4, 22, 3))]}, r"joints\[0\] must have shape \(4, 21, 3\)"),
        ({"joints": [np.full((4, 21, 3), np.nan)]}, r"joints\[0\] must have 3 known joints of the palm"),
        ({"identity_code": CODE[:5]}, r"identity_code must have shape \(32,\), got \(5,\)"),
        ({"crop_size": 30}, "image must have sides that are multiples of 32"),
        ({"margin": -1.0}, "margin must be a positive number"),
        ({"batch_size": 0}, "batch_size must be a positive"),
    ],
)
def test_bad_arguments_are_named(infer, change, message):
    with pytest.raises(ValueError, match=message):
        infer([HANDS], **change)


def test_a_template_of_other_vertices_and_another_decoder_are_refused(template, variables):
    given = {"identity_code": CODE, "template": template, "crop_size": SIZE}
    with pytest.raises(ValueError, match=r"template.vertices must have shape \(50, 3\), got \(60, 3\)"):
        network = NETWORK.clone(vertices=50)
        image = jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), jnp.float32)
        infer_deephandmesh(network, cheap.shapes(network, image, CODE), [HANDS], **given)
    with pytest.raises(ValueError, match="network must have decoder='template', got 'mano'"):
        infer_deephandmesh(NETWORK.clone(decoder="mano"), variables, [HANDS], **given)
