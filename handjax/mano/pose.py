"""Finger poses in the codings people hold them in: mean-relative or flat, axis-angle, PCA, quaternion, 6D, matrix."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from handjax import rotations
from handjax.checks import check_choice, check_last_axes, check_shape
from handjax.mano.types import HandModel, HandParams

CODINGS = ("axis_angle", "quaternion", "6d", "matrix")


def pose_from_pca(model: HandModel, coefficients: Array, *, flat_hand_mean: bool = False) -> Array:
    """(..., n) coefficients of the first n components -> (..., P) axis-angle, flat hand = 0.

    smplx and manopth: `pca @ hands_components[:n] + hands_mean`, the mean left out if `flat_hand_mean`.
    """
    count = coefficients.shape[-1]
    if count > model.hands_components.shape[0]:
        raise ValueError(f"coefficients must have at most {model.hands_components.shape[0]} entries, got {count}")
    pose = jnp.einsum("...c,cp->...p", coefficients, model.hands_components[:count], precision="highest")
    return pose if flat_hand_mean else pose + jnp.broadcast_to(model.hands_mean, pose.shape)


def pca_from_pose(model: HandModel, hand_pose: Array, num_pca_comps: int, *, flat_hand_mean: bool = False) -> Array:
    """(..., P) axis-angle, flat hand = 0 -> (..., num_pca_comps): the nearest pose that n components can make.

    A least-squares solve: the components of the released file are not quite orthonormal.
    Raises ValueError for a wrong shape or more components than the model has.
    """
    check_last_axes("hand_pose", hand_pose, model.hands_mean.shape)
    if not 1 <= num_pca_comps <= len(model.hands_components):
        raise ValueError(f"num_pca_comps must lie in [1, {len(model.hands_components)}], got {num_pca_comps}")
    relative = hand_pose if flat_hand_mean else hand_pose - jnp.broadcast_to(model.hands_mean, hand_pose.shape)
    components = model.hands_components[:num_pca_comps]
    gram = jnp.matmul(components, components.T, precision="highest")
    # One solve with a column a component, not one a pose.
    inverse = jnp.linalg.solve(gram, components)
    return jnp.einsum("cp,...p->...c", inverse, relative, precision="highest")


def hand_params(
    model: HandModel,
    *,
    betas: ArrayLike | None = None,
    global_orient: ArrayLike | None = None,
    hand_pose: ArrayLike | None = None,
    transl: ArrayLike | None = None,
    rotation: str = "axis_angle",
    use_pca: bool = False,
    num_pca_comps: int | None = None,
    flat_hand_mean: bool = True,
) -> HandParams:
    """Parameters of one hand from any coding; what is left out is zero (the flat hand, or the mean pose).

    Args:
      betas: up to S numbers. transl: (3,) metres.
      global_orient: one rotation: (3,) radians, (4,) quaternion w first, (6,) or (3, 3), as `rotation` says.
      hand_pose: J - 1 rotations in the same coding, flat or one a row; or PCA coefficients if `use_pca`.
      rotation: axis_angle, quaternion, 6d or matrix.
      use_pca, num_pca_comps: as in smplx; `num_pca_comps` checks the length of `hand_pose`.
      flat_hand_mean: False adds `hands_mean` to the finger pose, as smplx does by default and this library does not.
        Matrices, quaternions and 6D are whole poses everywhere, so False is refused for them.

    Raises ValueError for wrong sizes or a coding that does not go with the other arguments.
    """
    check_choice("rotation", rotation, CODINGS)
    if not (flat_hand_mean or use_pca or rotation == "axis_angle"):
        raise ValueError(f"flat_hand_mean=False needs rotation='axis_angle' or use_pca, got rotation={rotation!r}")
    pose_size = 3 * (model.num_joints - 1)
    given = jnp.zeros(0) if betas is None else jnp.asarray(betas)
    if given.ndim != 1 or given.shape[0] > model.num_betas:
        raise ValueError(f"betas must have shape (n,), n <= {model.num_betas}, got {given.shape}")
    betas = jnp.pad(given, (0, model.num_betas - given.shape[0]))
    orient = jnp.zeros(3) if global_orient is None else _to_axis_angle("global_orient", global_orient, rotation)
    if use_pca:
        count = num_pca_comps if num_pca_comps is not None else model.hands_components.shape[0]
        if hand_pose is None:
            hand_pose = jnp.zeros(count)
        if num_pca_comps is not None and jnp.shape(hand_pose) != (count,):
            raise ValueError(f"hand_pose must have shape ({count},), got {jnp.shape(hand_pose)}")
        pose = pose_from_pca(model, jnp.asarray(hand_pose), flat_hand_mean=flat_hand_mean)
    else:
        pose = jnp.zeros(pose_size) if hand_pose is None else _to_axis_angle("hand_pose", hand_pose, rotation)
        if not flat_hand_mean:
            pose = pose + model.hands_mean
    if orient.shape != (3,) or pose.shape != (pose_size,):
        raise ValueError(
            f"global_orient and hand_pose must hold 1 and {model.num_joints - 1} rotations, "
            f"got {orient.size / 3:g} and {pose.size / 3:g}"
        )
    transl = jnp.zeros(3) if transl is None else jnp.asarray(transl)
    check_shape("transl", transl, (3,))
    return HandParams(betas, orient, pose, transl)


def _to_axis_angle(name: str, values: ArrayLike, rotation: str) -> Array:
    values = jnp.asarray(values)
    width = {"axis_angle": 3, "quaternion": 4, "6d": 6, "matrix": 9}[rotation]
    if values.size % width:
        raise ValueError(f"{name} must hold {rotation} rotations of {width} numbers, got shape {values.shape}")
    rows = values.reshape(-1, width)
    if rotation == "quaternion":
        return rotations.axis_angle_from_quaternion(rows).reshape(-1)
    if rotation == "6d":
        return rotations.axis_angle_from_matrix(rotations.matrix_from_6d(rows)).reshape(-1)
    if rotation == "matrix":
        return rotations.axis_angle_from_matrix(rows.reshape(-1, 3, 3)).reshape(-1)
    return rows.reshape(-1)
