"""A mesh with named joints for DeepHandMesh to pose: a hand model's, or anyone's own."""

import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array
from numpy.typing import ArrayLike

from handjax.checks import check_shape
from handjax.mano import DETAILED_JOINTS, HandModel

PREFIXES = ("b_r_", "b_l_")
"""Before each joint's name in the files of DeepHandMesh's authors."""

ORTHONORMAL = 1e-3
"""How far the frames of a template may be from rotations: its files are written with few digits."""


@struct.dataclass
class HandTemplate:
    """A hand at rest, metres. A pytree whose leaves are the arrays; joints come before their children, the root first.

    A joint's angles are about the axes of its frame: x along the bone, z the flexion axis, positive towards the palm.
    """

    vertices: Array  # (V, 3)
    faces: Array  # (F, 3) int32, counter-clockwise seen from outside
    lbs_weights: Array  # (V, J)
    joints: Array  # (J, 3)
    frames: Array  # (J, 3, 3) columns x, y, z
    names: tuple[str, ...] = struct.field(pytree_node=False)
    parents: tuple[int, ...] = struct.field(pytree_node=False)

    def places(self, names: tuple[str, ...]) -> np.ndarray:
        """(n,) where the joints of these names stand. Raises ValueError for a name that the template has not."""
        if missing := [name for name in names if name not in self.names]:
            raise ValueError(f"template must have the joints {', '.join(missing)}, it has {', '.join(self.names)}")
        return np.array([self.names.index(name) for name in names])


def template_of(
    model: HandModel, betas: ArrayLike | None = None, names: tuple[str, ...] = DETAILED_JOINTS
) -> HandTemplate:
    """The rest hand of a model whose joints have these names: `mano.detailed(...)`, or any built with `joint_frames`.

    betas: (S,) the person's shape; the mean without it. Correctives of the model's own are left out.
    Raises ValueError for names or betas that do not fit the model.
    """
    betas = np.zeros(model.num_betas) if betas is None else np.asarray(betas, np.float64)
    check_shape("betas", betas, (model.num_betas,))
    count = model.num_joints
    frames = np.tile(np.eye(3), (count, 1, 1)) if model.joint_frames is None else model.joint_frames
    return build_template(
        vertices=np.asarray(model.v_template) + np.asarray(model.shapedirs) @ betas,
        faces=model.faces,
        lbs_weights=model.lbs_weights,
        joints=np.asarray(model.joint_template) + np.asarray(model.joint_shapedirs) @ betas,
        frames=frames,
        names=names,
        parents=model.parents,
    )


def build_template(
    *,
    vertices: ArrayLike,
    faces: ArrayLike,
    lbs_weights: ArrayLike,
    joints: ArrayLike,
    frames: ArrayLike,
    names: tuple[str, ...],
    parents: tuple[int, ...],
) -> HandTemplate:
    """Checks a template and puts its joints in order; arrays as in `HandTemplate`, metres, joints in any order.

    parents: of each joint, -1 for the root. Names lose a `b_r_` or `b_l_` before them.
    Raises ValueError for shapes, names or parents that do not go together, weights that do not sum to 1, frames that
    are no rotations, or numbers that are not finite.
    """
    count = len(names)
    vertices, weights = np.asarray(vertices, np.float32), np.asarray(lbs_weights, np.float32)
    joints, frames, faces = np.asarray(joints, np.float32), np.asarray(frames, np.float32), np.asarray(faces, np.int32)
    check_shape("vertices", vertices, ("V", 3))
    check_shape("faces", faces, ("F", 3))
    check_shape("lbs_weights", weights, (len(vertices), count))
    check_shape("joints", joints, (count, 3))
    check_shape("frames", frames, (count, 3, 3))
    check_shape("parents", parents, (count,))
    for name, array in (("vertices", vertices), ("lbs_weights", weights), ("joints", joints), ("frames", frames)):
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite")
    if faces.size and not (0 <= faces.min() and faces.max() < len(vertices)):
        raise ValueError(f"faces must lie in [0, {len(vertices)}), got {faces.min()} to {faces.max()}")
    if (weights < 0).any() or not np.allclose(weights.sum(1), 1, atol=1e-3):
        raise ValueError("lbs_weights must be at least 0 and sum to 1 for each vertex")
    products = np.einsum("jba,jbc->jac", frames, frames)
    if np.abs(products - np.eye(3)).max() > ORTHONORMAL or (np.linalg.det(frames) < 0).any():
        raise ValueError("frames must be rotations")
    short = [_without_prefix(name) for name in names]
    if len(set(short)) != count:
        raise ValueError(f"names must differ, got {', '.join(names)}")
    order = _parents_first(tuple(int(parent) for parent in parents))
    place = {joint: number for number, joint in enumerate(order)}
    return HandTemplate(
        vertices=jnp.asarray(vertices),
        faces=jnp.asarray(faces),
        lbs_weights=jnp.asarray(weights[:, order] / weights.sum(1, keepdims=True)),
        joints=jnp.asarray(joints[order]),
        frames=jnp.asarray(frames[order]),
        names=tuple(short[joint] for joint in order),
        parents=tuple(place.get(int(parents[joint]), -1) for joint in order),
    )


def _without_prefix(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _parents_first(parents: tuple[int, ...]) -> list[int]:
    """An order of the joints, the root first. Raises ValueError unless they are one tree with one root."""
    if sum(parent == -1 for parent in parents) != 1:
        raise ValueError(f"parents must have one root, -1, got {parents}")
    order = [parents.index(-1)]
    # The first whose parent is there: joints that stand in such an order keep it.
    while ready := [joint for joint, parent in enumerate(parents) if parent in order and joint not in order]:
        order.append(ready[0])
    if len(order) != len(parents):
        raise ValueError(f"parents must form one tree, got {parents}")
    return order
