"""What SIKNet is trained on (Yang et al. 2020, eq. 5) and what it is measured by.

A batch: `joints` (B, 21, 3) metres, of any origin; `quaternions` (B, 16, 4) w x y z with w >= 0 and `betas` (B, 10),
needed by the terms that carry their names alone; `seen` (B, 21, 3), what the network is given instead of `joints`, with
the errors of what will find them; `quaternions_valid` (B,) where not all have rotations, `joints_valid` (B, 21).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from handjax.losses import CountedSum, bihand
from handjax.mano import HandModel, HandParams, keypoints
from handjax.models import liftnet_objective
from handjax.models.liftnet import LiftNet
from handjax.models.objective import Batch, Outcome, Tree, counted, initialised, run
from handjax.models.seednet import SeedNet
from handjax.models.siknet import REFERENCE_BONE, SIKNet, length, relative_joints
from handjax.rotations import axis_angle_from_quaternion, multiply_quaternions

ROOT = 9
MILLIMETRES = 1000.0
FIRST_STEP = 0.01
"""Of what they are usually drawn by, the weights of the layer that puts rotations out."""


def siknet(network: SIKNet, model: HandModel, variables: Tree, batch: Batch, key: Array, *, train: bool) -> Outcome:
    """L_IK: rotations, the rebuilt hand's joints and its shape. outputs: the network's, and `joints` (B, 21, 3) metres
    of the rebuilt hand about its middle finger's base, in the reference bone that the labels have.

    Terms of labels that the batch has not are left out: without `quaternions` there is their norm alone.
    """
    seen = batch.get("seen", batch["joints"])
    return _siknet(network, model, variables, relative_joints(seen, seen[:, ROOT]), batch, key, train)


def siknet_fine_tuning(
    seednet: SeedNet,
    liftnet: LiftNet,
    network: SIKNet,
    model: HandModel,
    variables: Tree,
    batch: Batch,
    key: Array,
    *,
    train: bool,
) -> Outcome:
    """The same on what SeedNet and LiftNet find in pictures, both frozen: `batch` as for `liftnet_objective`.

    Joints are seen from the labels' root, as published, so that LiftNet's error in placing it is learnt, too.
    """
    found = liftnet_objective.liftnet(seednet, liftnet, variables, batch, key, train=False).outputs
    target, valid = liftnet_objective.joints_of(batch)
    seen = relative_joints(found["joints"][:, -1], target[:, ROOT])
    labels = {"joints": target, "joints_valid": valid}
    outcome = _siknet(network, model, variables, seen, labels, key, train)
    return outcome._replace(outputs={**outcome.outputs, "heatmaps": found["heatmaps"]})


def flat_at_first(layers: Tree) -> Tree:
    """Fresh layers that put quaternions out, such that they begin with the flat hand.

    As layers are usually drawn rotations begin anywhere; keypoints then pull each bone to its place by the shortest
    way, and leave it twisted about itself.
    """
    last = max(layers, key=int)
    kernel, bias = layers[last]["kernel"], layers[last]["bias"]
    nothing = jnp.tile(jnp.array([1.0, 0.0, 0.0, 0.0], bias.dtype), bias.size // 4)
    return {**layers, last: {"kernel": FIRST_STEP * kernel, "bias": nothing}}


def fresh_siknet(network: SIKNet, key: Array) -> Tree:
    """Its variables, nested by its name, `flat_at_first`."""
    variables = initialised(network, "siknet", key, jnp.zeros((2, 21, 3)))
    params = variables["params"]["siknet"]
    flat = {**params, "invk_layers": flat_at_first(params["invk_layers"])}
    return {**variables, "params": {"siknet": flat}}


def _siknet(
    network: SIKNet, model: HandModel, variables: Tree, seen: Array, batch: Batch, key: Array, train: bool
) -> Outcome:
    target = batch["joints"] - batch["joints"][:, ROOT : ROOT + 1]
    outputs, moved = run(network, "siknet", variables, seen, train=train, key=key)
    joints = rebuilt(model, outputs, bone_of(target))
    valid = batch.get("joints_valid", jnp.ones(target.shape[:2]))
    terms = {
        "quaternion_norm": jax.vmap(bihand.quaternion_norm)(outputs["quaternions"]),
        "joint": jax.vmap(bihand.joint)(joints[:, None], target, valid),
        "bone_length": jax.vmap(bihand.bone_length)(joints, target, valid),
        "betas": jax.vmap(bihand.betas)(outputs["betas"]),
    }
    if "quaternions" in batch:
        known = batch.get("quaternions_valid", jnp.ones(len(target)))
        for name, term in (("quaternion_cosine", bihand.quaternion_cosine), ("quaternion_l2", bihand.quaternion_l2)):
            terms[name] = jax.vmap(term)(outputs["quaternions"], batch["quaternions"], known)
    return Outcome(terms, moved, {**outputs, "joints": joints})


def rebuilt(model: HandModel, outputs: dict[str, Array], bone: Array) -> Array:
    """The hands (B, 21, 3) of a SIKNet's rotations and shape, about the middle finger's base, of `bone` (B,) metres."""

    def one(axis_angle: Array, betas: Array) -> Array:
        joints = keypoints(model, HandParams(betas, axis_angle[:3], axis_angle[3:], jnp.zeros(3)))
        return relative_joints(joints, joints[ROOT])

    return bone[:, None, None] * jax.vmap(one)(outputs["axis_angle"], outputs["betas"])


def bone_of(joints: Array) -> Array:
    """(B, 21, 3) -> (B,) from the wrist to the middle finger's base."""
    start, end = REFERENCE_BONE
    return length(joints[:, start] - joints[:, end])[:, 0]


def score(model: HandModel, outputs: dict[str, Any], batch: Batch) -> dict[str, CountedSum]:
    """joint_error_mm, of the 21 keypoints about the middle finger's base; rotation_error_deg, of the 16 joints, each
    against its parent; twist_error_deg, the part of it about the bone, of the 15 joints of fingers. The last two are of
    a batch with `quaternions` alone."""
    target = batch["joints"] - batch["joints"][:, ROOT : ROOT + 1]
    valid = batch.get("joints_valid", jnp.ones(target.shape[:2]))
    valid = valid * valid[:, ROOT : ROOT + 1]
    scores = {"joint_error_mm": counted(MILLIMETRES * jnp.linalg.norm(outputs["joints"] - target, axis=-1), valid)}
    if "quaternions" in batch:
        known = batch.get("quaternions_valid", jnp.ones(len(target)))[:, None]
        apart = _between(_unit(outputs["quaternions"]), batch["quaternions"])
        turned = _degrees(jnp.linalg.norm(apart[..., 1:], axis=-1), apart[..., 0])
        about = (apart[:, 1:, 1:] * jnp.asarray(model.joint_axes)[None, :, 2]).sum(-1)
        scores["rotation_error_deg"] = counted(turned, known)
        scores["twist_error_deg"] = counted(_degrees(about, apart[:, 1:, 0]), known)
    return scores


def fine_tuning_score(model: HandModel, outputs: dict[str, Any], batch: Batch) -> dict[str, CountedSum]:
    """`score` of a batch of pictures: joint_error_mm."""
    target, valid = liftnet_objective.joints_of(batch)
    return score(model, outputs, {"joints": target, "joints_valid": valid})


def fine_tuning_constant(mean: dict[str, Array], batch: Batch) -> dict[str, Array]:
    """The best answer that does not look, to pictures: `mean` is `liftnet_objective.prior`'s."""
    target, _ = liftnet_objective.joints_of(batch)
    return {"joints": bone_of(target)[:, None, None] * mean["joints"][None]}


def prior(batch: Batch) -> dict[str, Array]:
    """Of one batch, whose mean over many `constant` answers with."""
    known = batch.get("quaternions_valid", jnp.ones(len(batch["joints"])))
    share = known / jnp.maximum(known.sum(), 1.0)
    return {name: jnp.tensordot(share, batch[name], 1) for name in ("quaternions", "betas")}


def constant(model: HandModel, mean: dict[str, Array], batch: Batch) -> dict[str, Array]:
    """The best answer that does not look: mean rotations and mean shape, as outputs to be scored. The hand is turned
    as it would be best, which no constant could know."""
    count = len(batch["joints"])
    quaternions = jnp.broadcast_to(_unit(mean["quaternions"]), (count, 16, 4))
    target = batch["joints"] - batch["joints"][:, ROOT : ROOT + 1]
    quaternions = quaternions.at[:, 0].set(batch["quaternions"][:, 0])
    outputs = {
        "quaternions": quaternions,
        "axis_angle": axis_angles(quaternions),
        "betas": jnp.broadcast_to(mean["betas"], (count, len(mean["betas"]))),
    }
    return outputs | {"joints": rebuilt(model, outputs, bone_of(target))}


def axis_angles(quaternions: Array) -> Array:
    """(B, 16, 4) -> (B, 48)."""
    return axis_angle_from_quaternion(quaternions).reshape(len(quaternions), -1)


def _unit(quaternions: Array) -> Array:
    return quaternions / jnp.maximum(jnp.linalg.norm(quaternions, axis=-1, keepdims=True), 1e-12)


def _between(found: Array, true: Array) -> Array:
    """true^-1 found, (..., 4): the error in the frame that the true rotation turns to."""
    return multiply_quaternions(jnp.concatenate([true[..., :1], -true[..., 1:]], -1), found)


def _degrees(sine: Array, cosine: Array) -> Array:
    """Of the half angle, of either sign -> the angle in [0, 180]."""
    return jnp.degrees(2.0 * jnp.arctan2(jnp.abs(sine), jnp.abs(cosine)))
