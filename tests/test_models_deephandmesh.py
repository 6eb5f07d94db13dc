"""DeepHandMesh: its angles, how a template is posed and moved, templates by name, and the variant with MANO."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano
from handjax.models import deephandmesh_decode as decode
from handjax.models.deephandmesh import PRESETS, identity_code
from handjax.models.hand_template import build_template, template_of
from handjax.models.layers import Compute
from tests import cheap

TINY = PRESETS["tiny"].clone(vertices=60)
IMAGE = np.random.default_rng(1).uniform(0, 1, (2, 64, 64, 3)).astype(np.float32)
CODE = np.random.default_rng(2).normal(size=32).astype(np.float32)
NAMES = TINY.joints


def proper(rotations):
    return rotations * np.linalg.det(rotations).reshape(-1, 1, 1)


@pytest.fixture(scope="module")
def arrays():
    """A template in the published order and units but metres, with frames of its own: as the authors' files have it."""
    random = np.random.default_rng(0)
    count = len(NAMES)
    parents = [-1] * count
    for joint, name in enumerate(NAMES):
        if name != "wrist":
            inner = joint + 1
            parents[joint] = inner if inner < count and NAMES[inner][:4] == name[:4] else count - 1
    return {
        "vertices": random.normal(scale=0.05, size=(60, 3)),
        "faces": random.integers(0, 60, (100, 3)),
        "lbs_weights": random.dirichlet(np.full(count, 0.2), 60),
        "joints": random.normal(scale=0.05, size=(count, 3)),
        "frames": proper(np.linalg.qr(random.normal(size=(count, 3, 3)))[0]),
        "names": tuple(f"b_r_{name}" for name in NAMES),
        "parents": tuple(parents),
    }


@pytest.fixture(scope="module")
def template(arrays):
    return build_template(**arrays)


@pytest.fixture(scope="module")
def outputs():
    """What a network might say for one picture."""
    random = np.random.default_rng(4)
    angles = np.zeros(66)
    angles[TINY.angle_slots] = random.normal(scale=0.6, size=28)
    drawn = {
        "angles": angles.reshape(22, 3),
        "skeleton_mm": random.normal(scale=3, size=(22, 3)),
        "pose_skin_mm": random.normal(size=(60, 3)),
        "identity_skin_mm": random.normal(size=(60, 3)),
    }
    return jax.tree.map(jnp.float32, drawn)


@jax.jit
def posed(template, outputs):
    return decode.decode(template, outputs, TINY)


def reference(arrays, outputs):
    """The published forward pass, 4 x 4 matrices in float64: vertices, joints in the published order."""
    outputs = {name: np.asarray(value, np.float64) for name, value in outputs.items()}
    parents = arrays["parents"]
    rest = np.tile(np.eye(4), (22, 1, 1))
    rest[:, :3, :3], rest[:, :3, 3] = arrays["frames"], arrays["joints"]
    posed: dict[int, np.ndarray] = {}

    def place(joint):
        if joint in posed:
            return posed[joint]
        x, y, z = outputs["angles"][joint]
        turn = np.eye(4)
        about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
        about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
        about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
        turn[:3, :3] = about_z @ about_y @ about_x
        if parents[joint] < 0:
            posed[joint] = rest[joint] @ turn
        else:
            local = np.linalg.inv(rest[parents[joint]]) @ rest[joint]
            local[:3, 3] += outputs["skeleton_mm"][joint] / 1000
            posed[joint] = place(parents[joint]) @ local @ turn
        return posed[joint]

    skinning = np.stack([place(joint) @ np.linalg.inv(rest[joint]) for joint in range(22)])
    surface = arrays["vertices"] + (outputs["pose_skin_mm"] + outputs["identity_skin_mm"]) / 1000
    homogeneous = np.concatenate([surface, np.ones((60, 1))], 1)
    vertices = np.einsum("vj,jab,vb->va", arrays["lbs_weights"], skinning, homogeneous)[:, :3]
    return vertices, np.stack([posed[joint][:3, 3] for joint in range(22)])


def test_a_posed_template_is_the_published_forward_pass(arrays, template, outputs):
    vertices, joints = reference(arrays, outputs)
    hand = posed(template, outputs)
    np.testing.assert_allclose(hand.vertices, vertices, atol=2e-6)
    np.testing.assert_allclose(hand.joints, joints, atol=2e-6)


def test_without_correctives_it_is_our_own_kinematics_and_skinning(small_model, outputs):
    bare = dataclasses.replace(small_model, blend_basis=small_model.blend_basis.at[small_model.num_betas :].set(0.0))
    model = jax.tree.map(jnp.asarray, mano.detailed(bare))
    angles = outputs["angles"].reshape(-1)[TINY.angle_slots]
    zeros = {name: jnp.zeros_like(value) for name, value in outputs.items()}
    hand = posed(template_of(model), {**zeros, "angles": outputs["angles"]})
    local = mano.detailed_rotations(angles)
    expected = jax.jit(mano.forward_rotations)(model, jnp.zeros(model.num_betas), local, jnp.zeros(3))
    np.testing.assert_allclose(hand.vertices, expected.vertices, atol=2e-5)
    order = [mano.DETAILED_JOINTS.index(name) for name in NAMES]
    np.testing.assert_allclose(hand.joints, np.asarray(expected.joints)[order], atol=2e-5)


def test_betas_shape_the_template(small_model):
    model = mano.detailed(small_model)
    betas = np.random.default_rng(5).normal(size=model.num_betas)
    shaped = np.asarray(model.v_template) + np.asarray(model.shapedirs) @ betas
    template = template_of(model, betas)
    np.testing.assert_allclose(template.vertices, shaped, atol=1e-6)
    np.testing.assert_allclose(template.joints, np.asarray(model.J_regressor) @ shaped, atol=1e-5)


def test_the_root_is_not_moved_by_its_corrective_and_what_hangs_on_a_joint_is(template, outputs):
    zeros = {name: jnp.zeros_like(value) for name, value in outputs.items()}
    rest = posed(template, zeros)
    wrist, middle = NAMES.index("wrist"), NAMES.index("middle2")
    rooted = posed(template, {**zeros, "skeleton_mm": zeros["skeleton_mm"].at[wrist].set(9.0)})
    np.testing.assert_array_equal(rooted.vertices, rest.vertices)
    longer = posed(template, {**zeros, "skeleton_mm": zeros["skeleton_mm"].at[middle].set(jnp.array([5.0, 0, 0]))})
    moved = np.linalg.norm(np.asarray(longer.joints - rest.joints), axis=1)
    expected = [5e-3 if name in ("middle2", "middle3", "middle_null") else 0 for name in NAMES]
    np.testing.assert_allclose(moved, expected, atol=1e-6)


def test_the_unbent_hand_has_the_correctives_and_no_angles(arrays, template, outputs):
    rest = jax.jit(lambda *given: decode.decode_rest(*given, TINY))(template, outputs)
    vertices, joints = reference(arrays, {**outputs, "angles": np.zeros((22, 3))})
    np.testing.assert_allclose(rest.vertices, vertices, atol=2e-6)
    np.testing.assert_allclose(rest.joints, joints, atol=2e-6)


def test_in_the_frame_of_the_wrist_the_wrist_is_the_origin(arrays, template, outputs):
    hand = jax.jit(lambda *given: decode.decode(*given, TINY, decode.wrist_frame(template)))(template, outputs)
    vertices, joints = reference(arrays, outputs)
    np.testing.assert_allclose(hand.joints[-1], 0, atol=1e-7)
    np.testing.assert_allclose(hand.vertices, (vertices - joints[-1]) @ arrays["frames"][-1], atol=2e-6)


def test_alignment_finds_a_motion_from_the_palm_alone_and_passes_no_gradient(template, outputs):
    random = np.random.default_rng(6)
    rotation = proper(np.linalg.qr(random.normal(size=(1, 3, 3)))[0])[0]
    translation = random.normal(size=3)
    rest = jax.jit(lambda *given: decode.decode_rest(*given, TINY))(template, outputs)
    target = np.asarray(rest.joints) @ rotation.T + translation
    valid = np.isin(NAMES, decode.ALIGNMENT_JOINTS)
    target[~valid] = np.nan
    valid[NAMES.index("ring1")] = False
    target[NAMES.index("ring1")] = np.nan

    @jax.jit
    def motion(skeleton):
        return decode.aligned(template, {**outputs, "skeleton_mm": skeleton}, TINY, jnp.float32(target), valid)

    found = motion(outputs["skeleton_mm"])
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-4)
    np.testing.assert_allclose(found.translation, translation, atol=1e-4)
    slope = jax.jit(jax.grad(lambda skeleton: sum(part.sum() for part in motion(skeleton))))(outputs["skeleton_mm"])
    assert not slope.any()


def test_there_are_28_angles_at_the_published_places():
    assert [(NAMES[slot // 3], "xyz"[slot % 3]) for slot in TINY.angle_slots] == list(mano.DETAILED_ANGLES)


def test_a_hand_without_the_extra_joint_of_the_thumb_has_25(arrays):
    assert len(TINY.clone(joints=tuple(name for name in NAMES if name != "thumb0")).angle_slots) == 25


def test_euler_angles_turn_about_x_then_y_then_z():
    quarter = jnp.pi / 2
    turn = jax.jit(decode.matrix_from_euler)(jnp.array([[quarter, 0, quarter], [0, quarter, 0]]))
    np.testing.assert_allclose(turn[0] @ jnp.array([0.0, 1, 0]), [0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(turn[0] @ jnp.array([1.0, 0, 0]), [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(turn[1] @ jnp.array([0.0, 0, 1]), [1, 0, 0], atol=1e-6)


@pytest.fixture(scope="module")
def tiny():
    variables = cheap.filled(cheap.shapes(TINY, IMAGE, CODE))
    return variables, cheap.compiled(TINY.apply, variables, IMAGE, CODE)(variables, IMAGE, CODE)


def test_only_free_angles_move_and_correctives_of_the_person_are_the_same_for_all_pictures(tiny):
    _, outputs = tiny
    flat = np.asarray(outputs["angles"]).reshape(2, 66)
    free = np.zeros(66, bool)
    free[TINY.angle_slots] = True
    assert not flat[:, ~free].any()
    assert (flat[:, free] != 0).all()
    assert np.abs(flat).max() < np.pi
    for name in ("skeleton_mm", "identity_skin_mm"):
        np.testing.assert_array_equal(outputs[name][0], outputs[name][1])
    assert (np.asarray(outputs["pose_skin_mm"])[0] != np.asarray(outputs["pose_skin_mm"])[1]).any()


def test_each_picture_may_have_its_own_person(tiny):
    variables, outputs = tiny
    codes = np.stack([CODE, -CODE])
    both = cheap.compiled(TINY.apply, variables, IMAGE, codes)(variables, IMAGE, codes)
    np.testing.assert_allclose(both["skeleton_mm"][0], outputs["skeleton_mm"][0], atol=1e-5)
    assert jnp.abs(both["skeleton_mm"][1] - outputs["skeleton_mm"][1]).max() > 0.1


def test_bfloat16_is_of_the_activations_only_and_changes_little(tiny):
    variables, exact = tiny
    network = TINY.clone(compute=Compute(jnp.bfloat16))
    for name, output in cheap.compiled(network.apply, variables, IMAGE, CODE)(variables, IMAGE, CODE).items():
        assert output.dtype == jnp.float32
        np.testing.assert_allclose(output, exact[name], atol=0.06 * float(jnp.abs(exact[name]).max()))


def test_a_step_lowers_the_loss_gradients_are_finite_and_correctives_do_not_bend_the_pose(tiny, template):
    variables, _ = tiny

    def loss(params):
        outputs = TINY.apply({**variables, "params": params}, IMAGE, CODE)
        joints = jax.vmap(lambda one: decode.decode(template, one, TINY).joints)(outputs)
        correctives = (outputs["pose_skin_mm"] ** 2).mean()
        return jnp.abs(joints - 0.05).mean() + correctives, (jnp.abs(joints).mean(), correctives)

    def of_correctives(params):
        return loss(params)[1][1]

    def both(params):
        through = jax.grad(of_correctives)(params)
        looked_at = [through[name]["kernel"] for name in ("pose_net.fc.0", "skin_refine_net.fc_pose.0")]
        return jax.value_and_grad(loss, has_aux=True)(params), looked_at

    step = cheap.compiled(both, variables["params"])
    ((value, _), gradients), (to_pose, to_skin) = step(variables["params"])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    assert not to_pose.any()
    assert to_skin.any()
    length = np.sqrt(sum(np.square(leaf).sum() for leaf in jax.tree.leaves(gradients)))
    stepped = jax.tree.map(lambda leaf, slope: leaf - 1e-3 / length * slope, variables["params"], gradients)
    assert step(stepped)[0][0][0] < value


def test_before_training_fully_connected_layers_are_small_and_the_code_is_standard_normal():
    network = TINY.clone(features=256, skin_hidden=64)
    image = np.zeros((1, 32, 32, 3), np.float32)
    names = ("backbone_net.fc.0", "skin_refine_net.fc_id.2")
    start = cheap.initialised(network, lambda params: {name: params[name] for name in names}, image, CODE)
    for layer in start.values():
        assert np.std(layer["kernel"]) == pytest.approx(0.01, rel=0.02)
        assert not layer["bias"].any()
    code = identity_code(jax.random.key(0), 2000)
    assert np.std(code) == pytest.approx(1, rel=0.1)


def test_with_the_mano_decoder_pose_and_shape_of_the_hand_model_come_out(small_model):
    network = TINY.clone(decoder="mano")
    variables = cheap.filled(cheap.shapes(network, IMAGE, CODE))
    outputs = cheap.compiled(network.apply, variables, IMAGE, CODE)(variables, IMAGE, CODE)
    assert {name: output.shape for name, output in outputs.items()} == {
        "features": (2, 32),
        "hand_pose": (2, 45),
        "betas": (2, 10),
    }
    first = jax.tree.map(lambda output: output[0], outputs)
    hand = jax.jit(decode.decode_mano)(small_model, first)
    params = mano.zero_params(small_model)._replace(betas=first["betas"], hand_pose=first["hand_pose"])
    np.testing.assert_allclose(hand.vertices, jax.jit(mano.forward)(small_model, params).vertices, atol=1e-5)


def test_joints_of_a_template_may_come_in_any_order(arrays, template, outputs):
    order = np.random.default_rng(7).permutation(22)
    place = np.argsort(order)
    shuffled = build_template(
        **arrays
        | {
            "lbs_weights": arrays["lbs_weights"][:, order],
            "joints": arrays["joints"][order],
            "frames": arrays["frames"][order],
            "names": tuple(arrays["names"][joint] for joint in order),
            "parents": tuple(int(place[arrays["parents"][j]]) if arrays["parents"][j] >= 0 else -1 for j in order),
        }
    )
    np.testing.assert_allclose(posed(shuffled, outputs).vertices, posed(template, outputs).vertices, atol=1e-6)


def looped(arrays):
    parents = list(arrays["parents"])
    parents[0], parents[1] = 1, 0
    return tuple(parents)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {"joints": a["joints"][:5]}, r"joints must have shape \(22, 3\)"),
        (lambda a: {"lbs_weights": a["lbs_weights"] * 2}, "lbs_weights must be at least 0 and sum to 1"),
        (lambda a: {"frames": -a["frames"]}, "frames must be rotations"),
        (lambda a: {"vertices": a["vertices"] * np.nan}, "vertices must be finite"),
        (lambda a: {"faces": a["faces"] + 60}, r"faces must lie in \[0, 60\)"),
        (lambda a: {"names": ("wrist",) * 22}, "names must differ"),
        (lambda a: {"parents": (-1,) * 22}, "parents must have one root"),
        (lambda a: {"parents": looped(a)}, "parents must form one tree"),
    ],
)
def test_a_template_that_does_not_hold_together_is_refused(arrays, change, message):
    with pytest.raises(ValueError, match=message):
        build_template(**arrays | change(arrays))


def test_a_template_without_a_joint_of_the_network_is_refused(arrays, outputs):
    names = tuple("b_r_palm" if name == "b_r_thumb0" else name for name in arrays["names"])
    other = build_template(**arrays | {"names": names})
    with pytest.raises(ValueError, match="template must have the joints thumb0"):
        decode.decode(other, outputs, TINY)
    with pytest.raises(ValueError, match="22 joints"):
        decode.decode(other, outputs, TINY.clone(joints=("wrist", "palm")))


def test_a_template_of_other_vertices_is_refused(template, outputs):
    short = {**outputs, "pose_skin_mm": jnp.zeros((50, 3)), "identity_skin_mm": jnp.zeros((50, 3))}
    with pytest.raises(ValueError, match=r"template.vertices must have shape \(50, 3\), got \(60, 3\)"):
        decode.decode(template, short, TINY)


@pytest.mark.parametrize(
    ("network", "image", "code", "message"),
    [
        (TINY, IMAGE[:, :, :50], CODE, "image must have sides that are multiples of 32"),
        (TINY, IMAGE, CODE[:5], r"identity_code must have shape \(32,\), got \(5,\)"),
        (TINY, IMAGE, np.stack([CODE] * 3), r"identity_code must have shape \(2, 32\), got \(3, 32\)"),
        (TINY.clone(decoder="smpl"), IMAGE, CODE, "decoder must be one of"),
        (TINY.clone(axes=((True, True, True),)), IMAGE, CODE, "axes must have 22 entries, got 1"),
    ],
)
def test_wrong_pictures_codes_and_options_are_named(network, image, code, message):
    with pytest.raises(ValueError, match=message):
        cheap.shapes(network, image, code)
