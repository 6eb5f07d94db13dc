"""BiHand and HandTailor from the crop to the mesh: against NumPy steps, their geometry, gradients and bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano
from handjax.camera import Camera, project
from handjax.pipelines import root_depth_of, run_bihand, run_handtailor
from tests import cheap, crop_steps, tiny_pipelines
from tests.tiny_pipelines import BIHAND, HANDTAILOR, RAW, SIZE

CAMERA = Camera(jnp.array([[30.0, 31.0], [40.0, 40.0]]), jnp.array([[8.5, 7.0], [-3.0, 20.0]]))
BONE = jnp.array([0.09, 0.07])
IMAGE = jnp.asarray(np.random.default_rng(0).uniform(-0.5, 0.5, (2, SIZE, SIZE, 3)), jnp.float32)


@pytest.fixture(scope="module")
def bihand(small_model):
    """Compiled for root depths, variables, model, image, camera and bone; and variables."""
    variables = tiny_pipelines.bihand_variables()

    def run(depth, *given):
        return run_bihand(BIHAND, *given, root_depth=depth)

    return cheap.compiled(run, BONE, variables, small_model, IMAGE, CAMERA, BONE), variables


@pytest.fixture(scope="module")
def handtailor(small_model):
    variables = tiny_pipelines.handtailor_variables()

    def both(variables, model, image, camera):
        return [run_handtailor(HANDTAILOR, variables, model, image, given) for given in (camera, None)]

    return cheap.compiled(both, variables, small_model, IMAGE, CAMERA), variables


@pytest.fixture(scope="module")
def by_bihand(bihand, small_model):
    run, variables = bihand
    return run(jnp.array([0.5, jnp.nan]), variables, small_model, IMAGE, CAMERA, BONE)


@pytest.fixture(scope="module")
def by_handtailor(handtailor, small_model):
    run, variables = handtailor
    return run(variables, small_model, IMAGE, CAMERA)


@pytest.fixture(scope="module")
def siknet(bihand):
    _, variables = bihand
    seen = jax.ShapeDtypeStruct((1, 21, 3), jnp.float32)
    network = cheap.compiled(BIHAND.siknet.apply, variables["siknet"], seen)
    return lambda seen: network(variables["siknet"], jnp.float32(seen)[None])


def camera_of(index):
    """Size, focal and center of a crop, and the shift from pixels that count from 0."""
    return SIZE, np.asarray(CAMERA.focal[index], float), np.asarray(CAMERA.center[index], float), 0.5


def assert_mesh(hands, index, found, root, bone, model):
    """`found` are the outputs that the mesh is made from."""
    betas, axis_angle = (np.asarray(found[name][index], float) for name in ("betas", "axis_angle"))
    vertices, joints = crop_steps.mesh(RAW, model, betas, axis_angle, root, bone)
    np.testing.assert_allclose(hands.vertices[index], vertices, rtol=1e-4, atol=2e-6)
    np.testing.assert_allclose(hands.joints[index], joints, rtol=1e-4, atol=2e-6)


def test_bihand_is_its_networks_with_the_steps_between_them(by_bihand, siknet, small_model):
    hands = by_bihand
    for index, given in enumerate([0.5, None]):
        uvd, bone, camera = (
            np.asarray(hands.outputs["liftnet"]["uvd"][index, -1], float),
            float(BONE[index]),
            camera_of(index),
        )
        depth = crop_steps.solved_depth(uvd, bone, *camera) if given is None else given
        joints = crop_steps.joints(uvd, bone, depth, *camera)
        np.testing.assert_allclose(hands.predicted_joints[index], joints, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(hands.keypoints_2d[index], uvd[:, :2] * SIZE + 0.5, rtol=1e-5)
        found = siknet(crop_steps.relative(joints, joints[9]))
        for name in ("betas", "axis_angle"):
            np.testing.assert_allclose(hands.outputs["siknet"][name][index], found[name][0], rtol=1e-2, atol=1e-3)
        assert_mesh(hands, index, hands.outputs["siknet"], joints[9], bone, small_model)


def test_handtailor_with_a_camera_stands_where_and_as_large_as_its_keypoints(by_handtailor, small_model):
    hands, _ = by_handtailor
    found = hands.outputs["handnet"]
    for index in range(2):
        uvd = np.asarray(found["uvd"][index], float)
        camera = camera_of(index)
        joints = crop_steps.joints(uvd, float(found["bone"][index]), float(found["root_depth"][index]), *camera)
        np.testing.assert_allclose(hands.predicted_joints[index], joints, rtol=1e-4, atol=1e-6)
        assert_mesh(hands, index, found, joints[9], np.linalg.norm(joints[0] - joints[9]), small_model)
    assert hands.weak is None


def test_handtailor_without_a_camera_is_of_its_own_size_under_a_camera_that_sees_its_keypoints(
    by_handtailor, small_model
):
    _, hands = by_handtailor
    assert hands.weak is not None
    found = hands.outputs["handnet"]
    for index in range(2):
        assert_mesh(hands, index, found, np.zeros(3), None, small_model)
        uvd = np.asarray(found["uvd"][index], float)
        own = np.linalg.norm(hands.joints[index, 0] - hands.joints[index, 9])
        scale = float(found["scale"][index])
        np.testing.assert_allclose(hands.weak.scale[index] * own, scale * SIZE, rtol=1e-4)
        deep = 3 * (uvd[:, 2] - uvd[9, 2]) * own
        np.testing.assert_allclose(hands.predicted_joints[index, :, 2], deep, rtol=1e-3, atol=1e-6)
    seen = project(hands.weak, hands.predicted_joints)
    np.testing.assert_allclose(seen, hands.keypoints_2d, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(hands.scale, 1.0)


def test_the_mesh_is_the_scaled_hand_of_the_parameters_and_those_alone_look_the_same(by_bihand, small_model):
    posed = cheap.compiled(mano.forward_batch, small_model, by_bihand.params)(small_model, by_bihand.params)
    scale = by_bihand.scale[:, None, None]
    np.testing.assert_allclose(by_bihand.vertices, scale * posed.vertices, rtol=1e-5, atol=1e-6)
    joints = mano.keypoints_of(small_model, posed)
    np.testing.assert_allclose(project(CAMERA, joints), project(CAMERA, by_bihand.joints), rtol=1e-4, atol=1e-3)
    between = np.linalg.norm(by_bihand.joints[:, 0] - by_bihand.joints[:, 9], axis=-1)
    np.testing.assert_allclose(between, BONE, rtol=1e-5)


def test_weights_that_count_pixels_from_a_half_place_half_a_pixel_further_up_and_left(bihand, by_bihand, small_model):
    _, variables = bihand
    shifted = CAMERA._replace(center=CAMERA.center - 0.5)
    run = partial(run_bihand, BIHAND, opencv_pixels=False)
    given = (variables, small_model, IMAGE, shifted, BONE)
    hands = cheap.compiled(run, *given)(*given)
    np.testing.assert_allclose(hands.keypoints_2d, by_bihand.keypoints_2d - 0.5, atol=1e-4)
    np.testing.assert_allclose(hands.predicted_joints[1], by_bihand.predicted_joints[1], rtol=1e-3)


def test_a_given_root_is_where_the_middle_mcp_comes_to_stand_and_what_bihand_measures_from(
    bihand, by_bihand, siknet, small_model
):
    _, variables = bihand
    root = jnp.array([[0.1, -0.05, 0.5], [0.0, 0.1, 0.9]])
    given = (variables, small_model, IMAGE, CAMERA, BONE)
    hands = cheap.compiled(lambda root, *given: run_bihand(BIHAND, *given, root=root), root, *given)(root, *given)
    np.testing.assert_allclose(hands.joints[:, 9], root, atol=1e-5)
    # At the same depth, the keypoints of the first hand are the same, though not what SIKNet sees of them.
    np.testing.assert_allclose(hands.predicted_joints[0], by_bihand.predicted_joints[0], rtol=1e-5, atol=1e-6)
    found = siknet(crop_steps.relative(np.asarray(hands.predicted_joints[0]), np.asarray(root[0])))
    np.testing.assert_allclose(hands.outputs["siknet"]["betas"][0], found["betas"][0], rtol=1e-3, atol=1e-4)


def coded(points, camera, size):
    """Keypoints in front of the camera, as LiftNet codes them for weights that count as we do; bone and root depth."""
    bone = np.linalg.norm(points[0] - points[9])
    pixels = np.asarray(project(camera, points))
    deep = ((points[:, 2] - points[9, 2]) / bone + 1.5) / 3
    return jnp.float32(np.concatenate([pixels / size, deep[:, None]], -1)), bone, points[9, 2]


@pytest.mark.parametrize("transl", [(0.0, 0.0, 0.5), (0.1, -0.2, 0.7), (-0.05, 0.02, 0.4)])
def test_the_roots_depth_follows_from_the_bones_length(transl):
    points = np.random.default_rng(0).normal(size=(21, 3)) * 0.05 + transl
    camera = Camera(jnp.array([[300.0, 310.0]]), jnp.array([[120.0, 140.0]]))
    uvd, bone, depth = coded(points, jax.tree.map(lambda values: values[0], camera), 256)
    np.testing.assert_allclose(root_depth_of(uvd[None], camera, jnp.float32([bone]), 256), [depth], rtol=1e-4)


@jax.jit
@jax.value_and_grad
def solved_with_gradient(uvd, camera):
    return root_depth_of(uvd, camera, jnp.array([0.1]), 256)[0]


@pytest.mark.parametrize(("across", "along"), [(0.0, 0.0), (0.0, 1 / 3), (0.0, 0.6), (0.1, 0.6), (1e-6, 0.1)])
def test_the_roots_depth_and_its_gradients_stay_finite_where_the_bone_spans_no_angle(across, along):
    uvd = jnp.full((1, 21, 3), 0.4).at[0, 9].add(jnp.array([across, 0.0, along]))
    camera = Camera(jnp.array([[300.0, 300.0]]), jnp.array([[128.0, 128.0]]))
    value, gradient = solved_with_gradient(uvd, camera)
    assert jnp.isfinite(value) and jnp.isfinite(gradient).all()
    both = value + 0.1 * (3 * uvd[0, jnp.array([0, 9]), 2] - 1.5)
    assert (both > 0).all()


def all_finite_and_some_not_zero(gradients):
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        assert jnp.isfinite(leaf).all(), path
    return {name: any(bool(leaf.any()) for leaf in jax.tree.leaves(part)) for name, part in gradients.items()}


def test_gradients_of_bihands_mesh_reach_the_picture_and_all_three_networks(bihand, small_model):
    _, variables = bihand

    def loss(given):
        hands = run_bihand(BIHAND, given["variables"], small_model, given["image"], CAMERA, given["bone"])
        return jnp.square(hands.vertices).sum()

    given = {"variables": variables, "image": IMAGE, "bone": BONE}
    gradients = cheap.compiled(jax.grad(loss), given)(given)
    networks = {name: part["params"] for name, part in gradients.pop("variables").items()}
    assert all(all_finite_and_some_not_zero(gradients | networks).values())


def test_gradients_of_handtailors_mesh_reach_the_picture_and_its_parts(handtailor, small_model):
    _, variables = handtailor

    def loss(given):
        hands = run_handtailor(HANDTAILOR, given["variables"], small_model, given["image"], CAMERA)
        return jnp.square(hands.vertices).sum()

    given = {"variables": variables, "image": IMAGE}
    gradients = cheap.compiled(jax.grad(loss), given)(given)
    parts = gradients["variables"]["params"] | {"image": gradients["image"]}
    assert all(all_finite_and_some_not_zero(parts).values())


def test_without_a_camera_mesh_and_scale_change_with_the_picture(handtailor, small_model):
    _, variables = handtailor

    def seen(image):
        hands = run_handtailor(HANDTAILOR, variables, small_model, image, None)
        assert hands.weak is not None
        return hands.vertices, hands.weak

    changes = cheap.compiled(lambda image: jax.jvp(seen, (image,), (image,))[1], IMAGE)(IMAGE)
    for change in jax.tree.leaves(changes):
        assert jnp.isfinite(change).all() and change.any()


NO_VARIABLES = {"seednet": {}, "liftnet": {}, "siknet": {}}
BAD = {
    "of 255": (lambda given: given | {"image": 255 * IMAGE}, r"image must lie in \[-0.5, 0.5\]"),
    "not a number": (lambda given: given | {"image": IMAGE * jnp.nan}, r"image must lie in"),
    "uint8": (lambda given: given | {"image": jnp.zeros((2, SIZE, SIZE, 3), jnp.uint8)}, "image must be floating"),
    "not square": (lambda given: given | {"image": IMAGE[:, 4:]}, "image must be square"),
    "channels first": (lambda given: given | {"image": IMAGE.transpose(0, 3, 1, 2)}, "image must have shape"),
    "one image": (lambda given: given | {"image": IMAGE[0]}, "image must have shape"),
    "one camera": (
        lambda given: given | {"camera": Camera(jnp.ones(2), jnp.ones(2))},
        r"camera.focal must have shape \(2, 2\)",
    ),
    "focal 0": (lambda given: given | {"camera": CAMERA._replace(focal=jnp.zeros((2, 2)))}, "camera.focal must be pos"),
    "center nan": (
        lambda given: given | {"camera": CAMERA._replace(center=CAMERA.center * jnp.nan)},
        "camera.center must be finite",
    ),
}


@pytest.mark.parametrize("change", BAD)
@pytest.mark.parametrize("pipeline", ["bihand", "handtailor"])
def test_bad_crops_and_cameras_are_named(change, pipeline, small_model):
    changed, message = BAD[change]
    given = changed({"image": IMAGE, "camera": CAMERA})
    with pytest.raises(ValueError, match=message):
        if pipeline == "bihand":
            run_bihand(BIHAND, NO_VARIABLES, small_model, given["image"], given["camera"], BONE)
        else:
            run_handtailor(HANDTAILOR, {}, small_model, given["image"], given["camera"])


def test_variables_that_lack_a_network_are_named(small_model):
    with pytest.raises(ValueError, match=r"variables must hold those of liftnet, got \['seednet', 'siknet'\]"):
        run_bihand(BIHAND, {"seednet": {}, "siknet": {}}, small_model, IMAGE, CAMERA, BONE)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"camera": None}, "camera must be given"),
        ({"bone": 1000 * BONE}, "bone must be in metres"),
        ({"bone": BONE[:1]}, r"bone must have shape \(2,\)"),
        ({"bone": BONE.at[0].set(jnp.nan)}, "bone must be in metres"),
        ({"root": jnp.zeros((2, 3)), "root_depth": jnp.ones(2)}, "root_depth must be None"),
        ({"root": jnp.zeros(3)}, "root must have shape"),
        ({"root": jnp.full((2, 3), jnp.inf)}, "root must be finite"),
        ({"root_depth": jnp.ones(3)}, "root_depth must have shape"),
    ],
)
def test_what_bihand_needs_beyond_the_picture_is_named(given, message, small_model):
    given = {"camera": CAMERA, "bone": BONE} | given
    with pytest.raises(ValueError, match=message):
        run_bihand(BIHAND, NO_VARIABLES, small_model, IMAGE, **given)


def test_a_bone_that_the_network_predicts_or_needs_is_named(small_model):
    variables = tiny_pipelines.handtailor_variables()
    with pytest.raises(ValueError, match="bone must be None"):
        run_handtailor(HANDTAILOR, variables, small_model, IMAGE, CAMERA, BONE)
    with pytest.raises(ValueError, match="bone must be given"):
        run_handtailor(HANDTAILOR.clone(predicts_bone=False), variables, small_model, IMAGE, CAMERA)
