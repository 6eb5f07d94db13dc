"""What each network puts out is what its losses take: names and shapes, without running anything."""

import jax
import jax.numpy as jnp

from handjax import losses
from handjax.camera import Camera
from handjax.losses import bihand, deephandmesh, hamr, handtailor, multihand
from handjax.models import deephandmesh as deephandmesh_network
from handjax.models import hamr as hamr_network
from handjax.models import handtailor as handtailor_network
from handjax.models import liftnet, multihand_decode, seednet, siknet
from handjax.models import multihand as multihand_network

BATCH = 2
KEY = jax.random.key(0)


def outputs_of(network, *inputs):
    """The shapes that a network returns for inputs of these shapes."""
    return jax.eval_shape(lambda *given: network.init_with_output(KEY, *given)[0], *inputs)


def assert_loss(terms_of, weights, outputs) -> None:
    """terms_of(outputs) are terms that `weights` has weights for."""
    loss = jax.eval_shape(lambda found: losses.weighted(losses.means_of(terms_of(found)), weights), outputs)
    assert loss.shape == ()


def each(term, *batches):
    return jax.vmap(term)(*batches)


def image(side: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((BATCH, side, side, 3), jnp.float32)


def test_bihand_upstream():
    seed = outputs_of(seednet.PRESETS["tiny"], image(32))

    def of_seed(found):
        heatmaps, mask = found["heatmaps"], found["mask"]
        return {
            "heatmap": each(bihand.heatmap, heatmaps, heatmaps[:, 0]),
            "silhouette": each(bihand.silhouette, mask, mask[:, 0]),
        }

    assert_loss(of_seed, bihand.PAPER, seed)
    last = {name: jax.eval_shape(lambda maps: maps[:, -1], seed[name]) for name in ("heatmaps", "mask")}
    lift = outputs_of(liftnet.PRESETS["tiny"], last["heatmaps"], last["mask"], seed["encoding"])

    def of_lift(found):
        uvd, depth = found["uvd"], found["depth"]
        return {"joint": each(bihand.joint, uvd, uvd[:, 0]), "depth": each(bihand.depth, depth, depth[:, 0])}

    assert_loss(of_lift, bihand.PAPER, lift)


def test_siknet():
    def terms(found):
        turned = found["quaternions"]
        return {
            "quaternion_cosine": each(bihand.quaternion_cosine, turned, turned),
            "quaternion_l2": each(bihand.quaternion_l2, turned, turned),
            "quaternion_norm": each(bihand.quaternion_norm, turned),
            "betas": each(bihand.betas, found["betas"]),
        }

    hand = outputs_of(siknet.PRESETS["tiny"], jax.ShapeDtypeStruct((BATCH, 21, 3), jnp.float32))
    assert_loss(terms, bihand.RELEASED_FINE_TUNING, hand)


def test_hamr():
    def terms(found):
        return {
            "heatmap": each(hamr.heatmap, found["heatmaps"], found["heatmaps"][:, 0, ..., :21]),
            "camera": each(hamr.camera, found["camera"], found["camera"]),
            "betas": each(hamr.betas, found["betas"]),
        }

    assert_loss(terms, hamr.HamrWeights(), outputs_of(hamr_network.PRESETS["tiny"], image(32)))


def test_handtailor():
    def terms(found):
        stacks = jnp.concatenate([found["heatmaps_2d"], found["heatmaps"]], 1)
        joints, turned = found["joints"], found["quaternions"]
        return {
            "heatmap": each(handtailor.heatmap, stacks, stacks[:, 0]),
            "joint_3d": each(handtailor.joint_3d, joints, joints),
            "root": each(handtailor.root, found["root_depth"], found["root_depth"]),
            "ik": each(handtailor.ik, turned, turned),
            "betas": each(handtailor.betas, found["betas"]),
        }

    camera = Camera(jnp.ones((BATCH, 2)), jnp.ones((BATCH, 2)))
    assert_loss(terms, handtailor.PAPER, outputs_of(handtailor_network.PRESETS["tiny"], image(32), camera))


def test_multihand():
    network = multihand_network.PRESETS["tiny"]

    def terms(found):
        one = {name: maps[0] for name, maps in found.items()}
        hands = multihand_decode.detect_hands(one, stride=network.stride, count=3)
        pose, sides, valid = hands.params.hand_pose, hands.sides, hands.valid
        return {
            "center": each(multihand.center, found["centers"], found["centers"]),
            "side": each(multihand.side, found["sides"], found["sides"]),
            "keypoint_maps": each(multihand.keypoint_maps, found["keypoint_maps"], found["keypoint_maps"]),
            "pose_range": multihand.pose_range_raw(pose, sides, valid),
            "shape": multihand.shape(hands.params.betas, valid),
            "consistency": multihand.consistency(one["keypoint_maps"], jnp.ones((3, 21, 2)), valid),
        }

    assert_loss(terms, multihand.PAPER, outputs_of(network, image(64)))


def test_deephandmesh():
    network = deephandmesh_network.PRESETS["tiny"]
    neighbours = deephandmesh.neighbours_of(jnp.zeros((0, 3), int), network.vertices)

    def terms(found):
        return {
            "pose": each(deephandmesh.pose, found["skeleton_mm"], found["angles"]),
            "laplacian": each(lambda mesh: deephandmesh.laplacian(mesh, neighbours), found["pose_skin_mm"]),
        }

    code = jax.ShapeDtypeStruct((network.identity,), jnp.float32)
    assert_loss(terms, deephandmesh.PAPER, outputs_of(network, image(32), code))
