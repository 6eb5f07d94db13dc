"""What DeepHandMesh is trained on (Moon, Shiratori and Lee 2020, sections 6 and 8.4) and what it is measured by.

A batch is of pictures of right hands: image (B, S, S, 3) uint8; joints (B, J, 3) metres in the network's order, in any
frame, and joints_valid (B, J), which is 0 for `thumb0` of published labels. The model's own stage also reads depth (B,
C, H, W) metres, 0 where there is none, of C cameras: focal and center (B, C, 2) px, rotation (B, C, 3, 3) and
translation (B, C, 3) from the frame of the joints. angles (B, J, 3), if known, make the best constant answer.

Nothing predicts where a hand is: its palm is laid over the labels, as published. The person's code is among the
variables: `variables["identity"]["deephandmesh"]["code"]`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import render
from handjax.camera import Camera
from handjax.losses import CountedSum, terms
from handjax.losses import deephandmesh as losses
from handjax.models.deephandmesh import DeepHandMesh, identity_code
from handjax.models.deephandmesh_decode import (
    DetailedHand,
    Motion,
    aligned,
    decode,
    decode_rest,
    moved,
)
from handjax.models.hand_template import HandTemplate
from handjax.models.objective import Batch, Outcome, Tree, counted, initialised, run

NAME = "deephandmesh"
ENCODER = ("backbone_net", "pose_net")
"""Its modules; all others are the decoder's."""

REFERENCE = ("wrist", "middle1")
"""The ends of the bone that tells how large a hand is."""

MILLIMETRES = 1000.0


class Touching(NamedTuple):
    """What of a template the terms on its surface read, made once on the host. released: in the forms of the code."""

    parts: losses.PenetrationParts
    neighbours: losses.Neighbours
    released: bool

    @property
    def fractions(self) -> tuple[float, ...]:
        return losses.RELEASED_FRACTIONS if self.released else losses.PAPER_FRACTIONS


def touching(template: HandTemplate, network: DeepHandMesh, *, released: bool = True) -> Touching:
    """Of the template's joints in the order of the network."""
    places = template.places(network.joints)
    back = {int(place): joint for joint, place in enumerate(places)}
    parents = [back.get(template.parents[place], -1) for place in places]
    chosen = {"fingers": losses.RELEASED_FINGERS, "skins": losses.RELEASED_SKINS} if released else {}
    parts = losses.penetration_parts(network.joints, parents, np.asarray(template.lbs_weights)[:, places], **chosen)
    return Touching(parts, losses.neighbours_of(template.faces, len(template.vertices)), released)


def variables_of(network: DeepHandMesh, key: Array, image: Array) -> Tree:
    """Fresh ones, with the code of a new person."""
    code_key, key = jax.random.split(key)
    code = identity_code(code_key, network.identity)
    return {**initialised(network, NAME, key, image, code), "identity": {NAME: {"code": code}}}


def with_decoder(fresh: Tree, trained: Tree) -> Tree:
    """A new image encoder before the decoder of `trained` and for its person, as section 8.4 begins."""
    params = {
        module: (fresh if module.startswith(ENCODER) else trained)["params"][NAME][module]
        for module in fresh["params"][NAME]
    }
    return {**fresh, "params": {NAME: params}, "identity": trained["identity"]}


def model(
    network: DeepHandMesh,
    template: HandTemplate,
    surface: Touching,
    variables: Tree,
    batch: Batch,
    key: Array,
    *,
    train: bool,
) -> Outcome:
    """All terms of section 6. outputs: the network's, `joints` (B, J, 3) and `vertices` (B, V, 3) over the labels, and
    `depth` (B, C, H, W) as rendered."""
    outputs, moved_stats = _run(network, variables, batch, train, key)

    def lay(outputs: dict[str, Array], joints: Array, valid: Array) -> DetailedHand:
        return decode(template, outputs, network, aligned(template, outputs, network, joints, valid > 0))

    hands = jax.vmap(lay)(outputs, batch["joints"], batch["joints_valid"])
    rest = jax.vmap(lambda outputs: decode_rest(template, outputs, network))(outputs)
    depth, complete = depths(template, hands.vertices, batch)
    seen = jnp.where(complete[..., None, None] > 0, batch["depth"], 0.0)
    form = "released" if surface.released else "paper"

    def touch(hand: DetailedHand, rest: DetailedHand) -> tuple[CountedSum, CountedSum]:
        options: dict[str, Any] = {"fractions": surface.fractions}
        radii = losses.sphere_radii(rest.joints, rest.vertices, surface.parts, **options)
        return (
            losses.rigid_penetration(hand.joints, radii, surface.parts, **options),
            losses.nonrigid_penetration(hand.joints, hand.vertices, radii, surface.parts, form=form, **options),
        )

    rigid, nonrigid = jax.vmap(touch)(hands, rest)
    found = {
        "pose": jax.vmap(losses.pose)(hands.joints, batch["joints"], batch["joints_valid"].astype(jnp.float32)),
        "depth": jax.vmap(losses.depth)(depth, seen),
        "rigid_penetration": rigid,
        "nonrigid_penetration": nonrigid,
        "laplacian": jax.vmap(lambda vertices: losses.laplacian(vertices, surface.neighbours))(hands.vertices),
    }
    outputs |= {"joints": hands.joints, "vertices": hands.vertices, "depth": depth}
    return Outcome(found, moved_stats, outputs)


def encoder(
    network: DeepHandMesh, template: HandTemplate, variables: Tree, batch: Batch, key: Array, *, train: bool
) -> Outcome:
    """L_pose of hands of anybody, each as large as its labels say, for an encoder before a decoder that is frozen.
    outputs: the network's, and `joints` (B, J, 3) over the labels."""
    outputs, moved_stats = _run(network, variables, batch, train, key)

    def lay(outputs: dict[str, Array], joints: Array, valid: Array) -> Array:
        scale = size_of(template, outputs, network, joints, valid)
        motion = aligned(template, outputs, network, joints / scale, valid > 0)
        return scale * decode(template, outputs, network, motion).joints

    joints = jax.vmap(lay)(outputs, batch["joints"], batch["joints_valid"])
    pose = jax.vmap(losses.pose)(joints, batch["joints"], batch["joints_valid"].astype(jnp.float32))
    return Outcome({"pose": pose}, moved_stats, outputs | {"joints": joints})


def size_of(
    template: HandTemplate, outputs: dict[str, Array], network: DeepHandMesh, joints: Array, valid: Array
) -> Array:
    """() how many times as long the labelled reference bone is as the person's; 1 where it is not labelled."""
    start, end = (network.joints.index(name) for name in REFERENCE)
    rest = jax.lax.stop_gradient(decode_rest(template, outputs, network).joints)
    known = valid[start] * valid[end] > 0
    ratio = terms.length(joints[start] - joints[end]) / jnp.maximum(terms.length(rest[start] - rest[end]), 1e-6)
    return jnp.where(known & (ratio > 0), ratio, 1.0)


def depths(template: HandTemplate, vertices: Array, batch: Batch) -> tuple[Array, Array]:
    """(B, V, 3) -> (B, C, H, W) metres, what the batch's cameras see of the hands; (B, C), 1 where there was room."""
    topology = render.topology(np.asarray(template.faces))
    _, views, height, width = batch["depth"].shape
    size = (height, width)

    def draw(view: tuple[Camera, Motion, Array]) -> render.DepthMap:
        camera, motion, vertices = view
        return render.depth_map(camera, moved(vertices, motion), topology, size=size)

    each = jnp.broadcast_to(vertices[:, None], (len(vertices), views, *vertices.shape[1:]))
    given = Camera(batch["focal"], batch["center"]), Motion(batch["rotation"], batch["translation"]), each
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), given)
    # One after the other is twice as fast on a CPU.
    together = None if jax.default_backend() == "cpu" else len(flat[2])
    drawn = jax.lax.map(draw, flat, batch_size=together)
    lead = (len(vertices), views)
    return drawn.depth.reshape(*lead, *size), 1.0 - drawn.overflow.reshape(lead)


def score(outputs: dict[str, Any], batch: Batch) -> dict[str, CountedSum]:
    """joint_error_mm of labelled joints (P_err) once the palm is laid over theirs; depth_error_mm where rendered and
    measured depth both are."""
    valid = batch["joints_valid"].astype(jnp.float32)
    scores = {"joint_error_mm": counted(MILLIMETRES * terms.length(outputs["joints"] - batch["joints"]), valid)}
    if "depth" in outputs:
        common = (outputs["depth"] > 0) & (batch["depth"] > 0)
        away = jnp.abs(outputs["depth"] - batch["depth"])
        scores["depth_error_mm"] = counted(MILLIMETRES * away, common.astype(jnp.float32))
    return scores


def prior(network: DeepHandMesh, template: HandTemplate, batch: Batch) -> dict[str, Array]:
    """Of one batch, whose mean over many `constant` answers with: joints (J, 3) where the template stands, as large as
    it is, and angles (J, 3) where they are known, else those at rest."""
    valid = batch["joints_valid"].astype(jnp.float32)

    def back(joints: Array, valid: Array) -> Array:
        scale, motion = _laid(network, template, joints, valid)
        return jnp.matmul(joints / scale - motion.translation[None], motion.rotation, precision="highest")

    joints = jnp.where(valid[..., None] > 0, jax.vmap(back)(batch["joints"], valid), 0.0)
    mean = joints.sum(0) / jnp.maximum(valid.sum(0), 1.0)[:, None]
    return {"joints": mean, "angles": batch.get("angles", jnp.zeros_like(batch["joints"])).mean(0)}


def constant(network: DeepHandMesh, template: HandTemplate, mean: dict[str, Array], batch: Batch) -> dict[str, Any]:
    """The best answer that does not look, as outputs: mean joints, and for depth the template in the mean pose, as
    large as the labels say, laid over them as the network's hands are."""
    outputs = _plain(template) | {"angles": mean["angles"]}
    mesh = decode(template, outputs, network).vertices

    def lay(joints: Array, valid: Array) -> DetailedHand:
        scale, motion = _laid(network, template, joints, valid)
        return DetailedHand(scale * moved(mesh, motion), scale * moved(mean["joints"], motion))

    hands = jax.vmap(lay)(batch["joints"], batch["joints_valid"])
    found = {"joints": hands.joints}
    return found | ({"depth": depths(template, hands.vertices, batch)[0]} if "depth" in batch else {})


def _laid(network: DeepHandMesh, template: HandTemplate, joints: Array, valid: Array) -> tuple[Array, Motion]:
    """How much larger than the template a labelled hand is, and where its palm is once made as large."""
    outputs = _plain(template)
    scale = size_of(template, outputs, network, joints, valid)
    return scale, aligned(template, outputs, network, joints / scale, valid > 0)


def _plain(template: HandTemplate) -> dict[str, Array]:
    """Outputs of a network that leaves the template as it is."""
    joint, vertex = jnp.zeros_like(template.joints), jnp.zeros_like(template.vertices)
    return {"angles": joint, "skeleton_mm": joint, "pose_skin_mm": vertex, "identity_skin_mm": vertex}


def _run(
    network: DeepHandMesh, variables: Tree, batch: Batch, train: bool, key: Array
) -> tuple[dict[str, Array], Tree]:
    image = batch["image"].astype(jnp.float32) / 255
    code = jax.lax.stop_gradient(variables["identity"][NAME]["code"])
    return run(network, NAME, variables, image, code, train=train, key=key)
