"""HAMR on full images: against NumPy steps, for networks of either side, mirrored, padded; and bad input."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano
from handjax.camera import project
from handjax.infer import infer_hamr
from handjax.infer.hamr import HAMR_MARGIN
from handjax.models.hamr import PRESETS
from tests import boxed_hands, cheap, crop_steps
from tests.boxed_hands import BOXES, CAMERA, HANDS, PICTURE, WIDTH, assert_same, pick, rows
from tests.tiny_pipelines import RAW

NETWORK = PRESETS["tiny"].clone(stacks=1, maps=8, encoder=(24, 24, 32))
RELEASED = NETWORK.clone(pca=12, start_camera=(1.0, 1.0, 1.0), camera_scale=1.0)
"""What differs in the released preset, but for pooling and sizes."""


def weights(network):
    image = jax.ShapeDtypeStruct((1, network.size, network.size, 3), jnp.float32)
    variables = cheap.filled(cheap.shapes(network, image), 5)
    # Steps that would carry an untrained network far away are made small.
    variables["params"]["regressor"]["6"] = jax.tree.map(
        lambda leaf: 0.05 * leaf, variables["params"]["regressor"]["6"]
    )
    return variables


@pytest.fixture(scope="module")
def infer(small_model):
    """Boxed hands of several images -> results; all calls share one compiled network."""
    return partial(infer_hamr, NETWORK, weights(NETWORK), model=small_model, batch_size=4)


@cache
def apply_of(network):
    return jax.jit(network.apply)


@pytest.mark.parametrize("camera", [CAMERA, None], ids=["known", "assumed"])
@pytest.mark.parametrize(("network", "side"), [(NETWORK, "right"), (RELEASED, "left")], ids=["paper", "released"])
def test_it_agrees_with_cutting_regressing_and_placing_step_by_step(small_model, network, side, camera):
    known = 1 if side == "right" else 0
    variables = weights(network)
    hands = HANDS._replace(camera=camera)
    (found,) = infer_hamr(network, variables, [hands], model=small_model, network_side=side, batch_size=4)
    focal, center = (np.asarray(values, float) for values in found.camera)
    as_known = hands._replace(sides=[one if known else 1 - one for one in hands.sides])
    cut = list(boxed_hands.views(as_known, focal, center, network.size, HAMR_MARGIN))
    crops = jnp.float32(np.stack([view.crop for view in cut])) - 0.5
    said = jax.tree.map(np.float64, apply_of(network)(variables, crops))
    model = small_model if known else mano.mirror(small_model)
    for index, view in enumerate(cut):
        pose = said["pca"][index] @ np.float64(model.hands_components[: network.pca]) + np.float64(model.hands_mean)
        shape = (said["betas"][index], said["global_orient"][index], pose, np.zeros(3))
        posed = crop_steps.posed_of_side(RAW, shape, known)
        tips = posed["vertices"][RAW["fingertip_ids"]]
        chain, regressed = (
            np.concatenate([joints, tips])[list(model.keypoint_ids)]
            for joints in (posed["joints"], RAW["J_regressor"] @ posed["vertices"])
        )
        wrist = regressed[0]
        scale, tx, ty = said["camera"][index]
        scale = scale * network.camera_scale * network.size / 2
        pixels = scale * ((regressed - wrist)[:, :2] + [tx, ty]) + network.size / 2
        place = scale * np.array([tx, ty]) + network.size / 2
        mirrored = HANDS.sides[index] == known
        _, place = crop_steps.to_full(view, np.zeros((1, 3)), place[None], WIDTH, mirrored)
        weak_scale = scale / np.sqrt(np.linalg.det(view.linear))
        np.testing.assert_allclose(found.weak.scale[index], weak_scale, rtol=1e-4)
        np.testing.assert_allclose(found.weak.translation[index], place[0], atol=2e-3)
        depth = focal.mean() / weak_scale
        offset = np.append((place[0] - center) / focal * depth, depth)
        for got, points in (
            (found.vertices, posed["vertices"]),
            (found.joints, chain),
            (found.predicted_joints, regressed),
        ):
            points, in_full = crop_steps.to_full(view, points - wrist, pixels, WIDTH, mirrored)
            np.testing.assert_allclose(got[index], points + offset, rtol=1e-3, atol=5e-5)
        np.testing.assert_allclose(found.keypoints_2d[index], in_full, atol=2e-3)
        again = crop_steps.posed_of_side(RAW, [values[index] for values in found.params], HANDS.sides[index])
        np.testing.assert_allclose(again["vertices"], found.vertices[index], rtol=1e-3, atol=5e-5)
        outside = small_model if HANDS.sides[index] else mano.mirror(small_model)
        np.testing.assert_array_equal(found.faces[index], outside.faces)


def test_the_camera_sees_the_wrist_where_the_network_did(infer):
    (found,) = infer([HANDS])
    np.testing.assert_allclose(project(CAMERA, found.predicted_joints)[:, 0], found.keypoints_2d[:, 0], atol=1e-2)


def test_the_mirrored_picture_with_the_other_sides_gives_the_mirrored_meshes(infer):
    one, other = infer([HANDS, boxed_hands.mirrored(HANDS)])
    for name in ("vertices", "joints", "predicted_joints"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name) * crop_steps.MIRROR, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(other.keypoints_2d, np.array([WIDTH, 0]) + one.keypoints_2d * [-1, 1], atol=1e-3)


def test_hands_in_padded_and_several_batches_are_the_same_as_alone(infer):
    (together,) = infer([HANDS])
    (alone,) = infer([rows(HANDS, [2])])
    assert_same(alone.vertices, together.vertices[[2]])
    three, two, none = infer([rows(HANDS, [0, 1, 2]), rows(HANDS, [3, 1]), rows(HANDS, [])])
    assert_same(three, pick(together, [0, 1, 2])._replace(weak=three.weak))
    assert_same(two.weak, jax.tree.map(lambda values: values[[3, 1]], together.weak))
    assert none.vertices.shape == (0, *together.vertices.shape[1:])
    assert infer([]) == []


def test_a_hand_behind_the_camera_stays_finite(small_model):
    variables = weights(NETWORK)
    bias = variables["params"]["regressor"]["6"]["bias"]
    variables["params"]["regressor"]["6"]["bias"] = bias.at[0].set(-5.0)
    (found,) = infer_hamr(NETWORK, variables, [HANDS], model=small_model, batch_size=4)
    assert all(np.isfinite(values).all() for values in jax.tree.leaves(found))
    assert (found.vertices[..., 2].mean(1) > 1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": PICTURE / 255}, r"hands\[1\].image must be uint8 RGB, got float64"),
        ({"image": PICTURE[..., 0]}, r"hands\[1\].image must have shape \(H, W, 3\), got \(48, 64\): grey"),
        ({"image": PICTURE.transpose(2, 0, 1)}, r"image must have shape .* got \(3, 48, 64\): channels come last"),
        ({"image": np.insert(PICTURE, 3, 255, -1)}, r"image must have shape .* got \(48, 64, 4\): has an alpha"),
        ({"boxes": BOXES * np.nan}, r"hands\[1\].boxes must be finite"),
        ({"camera": np.eye(3)}, r"hands\[1\].camera must be a handjax.camera.Camera or None, got ndarray"),
        ({"bones": [0.1] * 4}, r"hands\[1\].bones must be None"),
        ({"root_depths": [0.5] * 4}, r"hands\[1\].root_depths must be None"),
    ],
)
def test_bad_hands_are_named(infer, change, message):
    with pytest.raises(ValueError, match=message):
        infer([HANDS, HANDS._replace(**change)])


def test_a_network_without_a_mesh_and_an_unknown_side_are_refused():
    with pytest.raises(ValueError, match="network must have a mesh"):
        infer_hamr(NETWORK.clone(mesh=False), {}, [HANDS])
    with pytest.raises(ValueError, match="network_side must be one of"):
        infer_hamr(NETWORK, {}, [HANDS], network_side="both")
