"""What is known of a hand before anything is seen: near a start, inside its joints' range, of a plausible shape."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from handjax.mano.inverse.assembly import Prior
from handjax.mano.inverse.jacobian import FINGERS, SEGMENTS
from handjax.mano.types import HandModel

MM_PER_METRE = 1e3


class PriorTerms(NamedTuple):
    """Weights of squares, and what they are taken from. Energies add to those of the points, in the same unit.

    pose: of each angle's difference from pose_target (9, 5, B). limit: of each radian past a joint's limit. shape: of
    each coefficient's from betas_target (S, B). extra: (E, 1), of the camera unknowns.
    """

    pose: float
    pose_target: Array
    limit: float
    shape: float
    betas_target: Array
    extra: Array


def limit_excess(model: HandModel, fingers: Array) -> Array:
    """Finger angles (9, 5, B) -> (3 segments, 3 axes, 5, B) radians past the limits, signed; 0 inside them.

    A joint's angle about an axis is the part of its rotation vector along it.
    """
    axes, limits = _by_segment(model)
    angles = fingers.reshape(SEGMENTS, 3, FINGERS, -1)
    turned = sum(axes[:, :, component, :, None] * angles[:, None, component] for component in range(3))
    return jnp.maximum(turned - limits[:, :, 1, :, None], 0.0) - jnp.maximum(limits[:, :, 0, :, None] - turned, 0.0)


def prior(model: HandModel, terms: PriorTerms, fingers: Array, betas: Array, extra: Array) -> Prior:
    """Value and halved derivatives of the prior energy. fingers (9, 5, B), betas (S, B), extra (E, B)."""
    from_target = fingers - terms.pose_target
    from_shape = betas - terms.betas_target
    excess = limit_excess(model, fingers)
    axes, _ = _by_segment(model)
    pushed = (axes[..., None] * excess[:, :, None]).sum(1)
    energy = terms.pose * (from_target * from_target).sum((0, 1)) + terms.limit * (excess * excess).sum((0, 1, 2))
    energy = energy + terms.shape * (from_shape * from_shape).sum(0) + (terms.extra * extra * extra).sum(0)
    weights = jnp.concatenate(
        [jnp.zeros((3, 1)), jnp.full((betas.shape[0], 1), terms.shape), jnp.zeros((3, 1)), terms.extra]
    )
    values = jnp.concatenate([jnp.zeros_like(betas[:3]), from_shape, jnp.zeros_like(betas[:3]), extra])
    active = (excess != 0.0).astype(excess.dtype)
    # Past a limit only the part along that axis is held: a a^T.
    held = sum(
        axes[:, axis, :, None, :, None] * axes[:, axis, None, :, :, None] * active[:, axis, None, None]
        for axis in range(3)
    )
    return Prior(
        energy=energy,
        finger_gradient=terms.pose * from_target + terms.limit * pushed.reshape(9, FINGERS, -1),
        joint=terms.pose * jnp.eye(3)[None, :, :, None, None] + terms.limit * held,
        border_gradient=weights * values,
        border=jnp.eye(weights.shape[0])[:, :, None] * weights[None],
    )


def with_bone_length(model: HandModel, known: Prior, betas: Array, length: Array, weight: float) -> Prior:
    """Adds weight (wrist to middle-finger base - length)^2 in mm^2; length (B,) metres. Only shape changes it."""
    base = model.keypoint_ids[9]
    template = (model.joint_template[base] - model.joint_template[0])[:, None]
    slopes = model.joint_shapedirs[base] - model.joint_shapedirs[0]  # (3, S)
    bone = template + jnp.matmul(slopes, betas, precision="highest")
    size = jnp.sqrt((bone * bone).sum(0))
    residual = MM_PER_METRE * weight**0.5 * (size - length)
    row = MM_PER_METRE * weight**0.5 * jnp.matmul(slopes.T, bone / size[None], precision="highest")
    rest = known.border_gradient.shape[0] - 3 - row.shape[0]
    row = jnp.pad(row, [(3, rest), (0, 0)])
    return known._replace(
        energy=known.energy + residual * residual,
        border_gradient=known.border_gradient + row * residual[None],
        border=known.border + row[:, None] * row[None],
    )


def _by_segment(model: HandModel) -> tuple[Array, Array]:
    """-> axes (3 segments, 3 axes, 3, 5) and limits (3 segments, 3 axes, 2, 5)."""
    axes = model.joint_axes.reshape(FINGERS, SEGMENTS, 3, 3).transpose(1, 2, 3, 0)
    limits = model.joint_limits.reshape(FINGERS, SEGMENTS, 3, 2).transpose(1, 2, 3, 0)
    return axes, limits
