"""How much of the surroundings' light reaches the skin between fingers and in the palm: a hand made of balls."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax.mano import HandModel, HandOutput
from handjax.mano.landmarks import keypoints_of

# Balls between two keypoints each: (first, second, share of the way, radius over the hand's size). The size is the
# distance from the wrist to the middle knuckle, 83.5 mm on the mean hand.
_MM = 1.0 / 83.5
_FINGER_RADII = {1: 10.5, 5: 9.2, 9: 9.4, 13: 8.8, 17: 7.6}


def _balls() -> np.ndarray:
    rows = []
    for base, radius in _FINGER_RADII.items():
        for segment in range(3):
            thickness = radius * (1.0 - 0.09 * segment) * _MM
            for share in (0.1, 0.4, 0.7) if segment < 2 else (0.1, 0.45, 0.75):
                rows.append((base + segment, base + segment + 1, share, thickness))
        if base > 1:
            rows += [(0, base, share, 12.0 * _MM) for share in (0.3, 0.55, 0.78, 0.96)]
    return np.array(rows)


BALLS = _balls()


def ambient_occlusion(model: HandModel, output: HandOutput, points: Array, normals: Array) -> Array:
    """(N, 3) points near the posed skin and their unit normals -> (N,) share of the light that comes through.

    Each ball hides the cosine-weighted share of the half sphere that it fills (Quilez's formula for spheres); balls
    behind the tangent plane, such as a finger's own, hide nothing. Smooth in the pose.
    """
    keypoints = keypoints_of(model, output)
    size = jnp.linalg.norm(keypoints[9] - keypoints[0])
    first, second = BALLS[:, 0].astype(int), BALLS[:, 1].astype(int)
    share, radius = jnp.asarray(BALLS[:, 2:3], jnp.float32), jnp.asarray(BALLS[:, 3], jnp.float32) * size
    centres = keypoints[first] + share * (keypoints[second] - keypoints[first])
    offset = centres[None] - points[:, None]
    square = (offset**2).sum(axis=-1)
    distance = jnp.sqrt(square + 1e-12)
    cosine = jnp.einsum("nbx,nx->nb", offset, normals, precision="highest") / distance
    # Inside a ball or half below the horizon the formula has no meaning: fade instead of jumping.
    fill = jnp.minimum(radius[None] ** 2 / (square + 1e-12), 1.0)
    above = jnp.clip(cosine + 0.25 * jnp.sqrt(fill), 0.0, 1.0)
    hidden = jnp.clip(fill * above, 0.0, 0.95)
    own = jnp.clip((distance / radius[None] - 0.9) / 0.3, 0.0, 1.0)
    return jnp.exp(jnp.log1p(-hidden * own).sum(axis=-1))
