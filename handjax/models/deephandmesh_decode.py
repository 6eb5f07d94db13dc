"""From the outputs of DeepHandMesh to a posed mesh. One hand a call; `jax.vmap` over outputs for more.

A network's order of joints is its field `joints`, a template's its own: they meet by name.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import mano
from handjax.checks import check_last_axes, check_shape
from handjax.mano import kinematics
from handjax.mano.inverse.start import rigid_alignment
from handjax.models.deephandmesh import DeepHandMesh
from handjax.models.hand_template import HandTemplate

MM = 1e-3
ALIGNMENT_JOINTS = ("index1", "middle1", "ring1", "pinky1", "wrist")
"""Those that hardly move against each other: by them training lays the hand over its labels."""


class Motion(NamedTuple):
    """x -> rotation (3, 3) x + translation (3,), metres."""

    rotation: Array
    translation: Array


class DetailedHand(NamedTuple):
    """A posed hand, metres: vertices (V, 3) and joints (J, 3) in the order of the network."""

    vertices: Array
    joints: Array


def matrix_from_euler(angles: Array) -> Array:
    """(..., 3) radians about x, y, z -> (..., 3, 3) = Rz Ry Rx."""
    check_last_axes("angles", angles, (3,))
    (sx, sy, sz), (cx, cy, cz) = jnp.moveaxis(jnp.sin(angles), -1, 0), jnp.moveaxis(jnp.cos(angles), -1, 0)
    entries = [cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz]
    entries += [cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz]
    entries += [-sy, sx * cy, cx * cy]
    return jnp.stack(entries, -1).reshape(*angles.shape, 3)


def decode(
    template: HandTemplate, outputs: dict[str, Array], network: DeepHandMesh, motion: Motion | None = None
) -> DetailedHand:
    """Outputs of `DeepHandMesh` for one picture, without the batch axis -> the hand where the template stands.

    motion: moves it from there: `wrist_frame(template)`, where the authors' code leaves it, or what `aligned` found.
    Raises ValueError for a template without the network's joints or vertices.
    """
    places = _places(template, network)
    correctives = outputs["pose_skin_mm"] + outputs["identity_skin_mm"]
    check_shape("template.vertices", template.vertices, correctives.shape)
    vertices, joints = pose_template(
        template,
        matrix_from_euler(_reordered(outputs["angles"], places)),
        MM * _reordered(outputs["skeleton_mm"], places),
        MM * correctives,
    )
    if motion is not None:
        vertices, joints = moved(vertices, motion), moved(joints, motion)
    return DetailedHand(vertices, joints[places])


def decode_rest(template: HandTemplate, outputs: dict[str, Array], network: DeepHandMesh) -> DetailedHand:
    """The same hand unbent, with its correctives: what the penetration loss takes its radii from."""
    return decode(template, {**outputs, "angles": jnp.zeros_like(outputs["angles"])}, network)


def decode_mano(model: mano.HandModel, outputs: dict[str, Array]) -> mano.HandOutput:
    """Outputs of a network with the MANO decoder for one picture -> the hand of the model, its root unturned."""
    params = mano.hand_params(model, betas=outputs["betas"], hand_pose=outputs["hand_pose"])
    return mano.forward(model, params)


def pose_template(template: HandTemplate, rotations: Array, skeleton: Array, surface: Array) -> tuple[Array, Array]:
    """rotations (J, 3, 3) in the joints' frames, skeleton (J, 3) in their parents', surface (V, 3), metres ->
    vertices (V, 3), joints (J, 3); joints in the template's order.

    As the authors' code has it: the joints are moved, then turned, but the skin is bound to where they
    stood in the template, so that a longer bone stretches the skin. The root is not moved.
    """
    rest = refined_joints(template, skeleton)
    frames = jnp.moveaxis(jnp.asarray(template.frames), 0, -1)
    turns = jnp.moveaxis(rotations, 0, -1)
    local = kinematics.multiply(kinematics.multiply(frames, turns), frames.swapaxes(0, 1))
    turned, joints = kinematics.chain(local, rest.T, template.parents)
    offsets = joints - kinematics.rotate(turned, jnp.asarray(template.joints).T)
    transforms = jnp.concatenate([turned, offsets[:, None]], 1)
    blended = jnp.einsum("vj,rcj->rcv", template.lbs_weights, transforms, precision="highest")
    vertices = kinematics.rotate(blended[:, :3], (template.vertices + surface).T) + blended[:, 3]
    return vertices.T, joints.T


def refined_joints(template: HandTemplate, skeleton: Array) -> Array:
    """(J, 3) correctives in the parents' frames, metres -> (J, 3) joints of the unbent hand, the template's order."""
    check_shape("skeleton", skeleton, template.joints.shape)
    parents = np.array(template.parents)
    steps = jnp.einsum("jab,jb->ja", template.frames[parents], skeleton, precision="highest")
    return template.joints + jnp.einsum("ji,ic->jc", _moved_by(template.parents), steps, precision="highest")


def aligned(
    template: HandTemplate,
    outputs: dict[str, Array],
    network: DeepHandMesh,
    target: Array,
    valid: Array,
    names: tuple[str, ...] = ALIGNMENT_JOINTS,
) -> Motion:
    """The motion that lays the unbent palm over labels: for training, where nothing predicts the hand's place.

    target (J, 3) metres and valid (J,) bool in the order of `network.joints`; only the joints `names` count. Least
    squares, without a gradient: that of a rotation is not defined where points lie on a line. With fewer than three
    valid joints the motion is some rotation.
    """
    check_shape("target", target, (len(network.joints), 3))
    check_shape("valid", valid, (len(network.joints),))
    places = _places(template, network)
    chosen = np.array([network.joints.index(name) for name in names])
    rest = refined_joints(template, MM * _reordered(outputs["skeleton_mm"], places))[places]
    known = jnp.where(valid[chosen, None], target[chosen], 0.0)
    rotation, translation = rigid_alignment(rest[chosen], known[None], valid[chosen][None].astype(jnp.float32))
    return jax.lax.stop_gradient(Motion(rotation[0], translation[0]))


def wrist_frame(template: HandTemplate) -> Motion:
    """From where the template stands to the frame of its root."""
    inverse = jnp.asarray(template.frames[0]).T
    return Motion(inverse, -jnp.matmul(inverse, template.joints[0], precision="highest"))


def moved(points: Array, motion: Motion) -> Array:
    """(n, 3) -> (n, 3)."""
    return jnp.matmul(points, motion.rotation.T, precision="highest") + motion.translation[None]


def _places(template: HandTemplate, network: DeepHandMesh) -> np.ndarray:
    places = template.places(network.joints)
    if len(places) != len(template.names):
        raise ValueError(
            f"joints of the network must name the template's {len(template.names)} joints, got {len(places)}"
        )
    return places


def _reordered(of_network: Array, places: np.ndarray) -> Array:
    """(J, 3) in the order of the network -> the template's."""
    return of_network[np.argsort(places)]


def _moved_by(parents: tuple[int, ...]) -> np.ndarray:
    """(J, J) float32: 1 where the corrective of a joint (column) moves another (row): itself and what hangs on it."""
    chain = np.zeros((len(parents), len(parents)), np.float32)
    for joint, parent in enumerate(parents):
        if parent >= 0:
            chain[joint] = chain[parent]
            chain[joint, joint] = 1
    return chain
