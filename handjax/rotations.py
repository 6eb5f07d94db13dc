"""Rotations as axis-angle, unit quaternion (w, x, y, z), 6D and matrix, each to and from a matrix.

All work on the last axes and take any leading ones. First and second derivatives are exact at the zero rotation and
finite everywhere: each singular point is a `where` whose unused branch is kept finite as well.
"""

import jax.numpy as jnp
from jax import Array, lax

from handjax.checks import check_last_axes

# Below this squared angle the series are exact to float32, also in their second derivatives.
SERIES_BELOW = 1e-2
VANISHING = 1e-12
"""Vectors shorter than this have no direction. Second derivatives of those longer still fit in float32."""
PARALLEL = 1e-6
"""Sine of the angle below which two vectors span no plane: their difference is rounding errors."""


def _sine_coefficients(theta_sq: Array) -> tuple[Array, Array]:
    """sin(t) / t and (1 - cos(t)) / t^2 as functions of t^2, smooth at 0."""
    small = theta_sq < SERIES_BELOW
    # Both branches of `where` are differentiated: keep the unused one finite.
    safe = jnp.where(small, 1.0, theta_sq)
    theta = jnp.sqrt(safe)
    # 1 - cos(t) written as a square: the difference loses all digits of float32 below 3e-4 rad.
    half = jnp.sin(0.5 * theta)
    series_sin = 1 - theta_sq / 6 * (1 - theta_sq / 20 * (1 - theta_sq / 42))
    series_cos = 0.5 - theta_sq / 24 * (1 - theta_sq / 30 * (1 - theta_sq / 56))
    return (
        jnp.where(small, series_sin, jnp.sin(theta) / theta),
        jnp.where(small, series_cos, 2 * half * half / safe),
    )


def planes_from_axis_angle(axis_angle: Array) -> Array:
    """(3, ...) radians -> (3, 3, ...): Rodrigues' formula in the squared angle.

    Components lead here and in the kernels: the batch is then the innermost axis, which a CPU runs as vectors.
    """
    theta_sq = _squared(axis_angle)
    sine, versine = _sine_coefficients(theta_sq)
    return _from_parts(axis_angle, 1 - theta_sq * versine, sine, versine)


def left_jacobian_planes(axis_angle: Array) -> Array:
    """(3, ...) radians -> (3, 3, ...): J with exp(v + d) ~ exp(J d) exp(v), the left Jacobian of SO(3).

    Chirikjian 2012, eq. 10.86. Right up to a full turn, where it is singular.
    """
    theta_sq = _squared(axis_angle)
    sine, versine = _sine_coefficients(theta_sq)
    small = theta_sq < SERIES_BELOW
    series = 1 / 6 - theta_sq / 120 * (1 - theta_sq / 42)
    cubic = jnp.where(small, series, (1 - sine) / jnp.where(small, 1.0, theta_sq))
    return _from_parts(axis_angle, sine, versine, cubic)


def _squared(vector: Array) -> Array:
    x, y, z = vector
    return x * x + y * y + z * z


def _from_parts(vector: Array, diagonal: Array, skew: Array, outer: Array) -> Array:
    """diagonal I + skew [v]x + outer v v^T, (3, 3, ...). Entry by entry: whole matrices cost the backward pass a third
    more."""
    x, y, z = vector
    sx, sy, sz = skew * x, skew * y, skew * z
    ox, oy = outer * x, outer * y
    xy, xz, yz = ox * y, ox * z, oy * z
    entries = [diagonal + ox * x, xy - sz, xz + sy]
    entries += [xy + sz, diagonal + oy * y, yz - sx]
    entries += [xz - sy, yz + sx, diagonal + outer * z * z]
    return jnp.stack(entries).reshape(3, 3, *vector.shape[1:])


def matrix_from_axis_angle(axis_angle: Array) -> Array:
    """(..., 3) radians -> (..., 3, 3)."""
    check_last_axes("axis_angle", axis_angle, (3,))
    return jnp.moveaxis(planes_from_axis_angle(jnp.moveaxis(axis_angle, -1, 0)), (0, 1), (-2, -1))


def axis_angle_from_matrix(matrix: Array) -> Array:
    """(..., 3, 3) rotation -> (..., 3) radians, angle in [0, pi]."""
    return axis_angle_from_quaternion(quaternion_from_matrix(matrix))


def quaternion_from_axis_angle(axis_angle: Array) -> Array:
    """(..., 3) radians -> (..., 4) unit quaternion (w, x, y, z)."""
    check_last_axes("axis_angle", axis_angle, (3,))
    quarter_sq = 0.25 * (axis_angle * axis_angle).sum(-1, keepdims=True)
    sine, versine = _sine_coefficients(quarter_sq)
    # cos(t) = 1 - t^2 (1 - cos(t)) / t^2, which has no square root at t = 0.
    return jnp.concatenate([1 - quarter_sq * versine, 0.5 * sine * axis_angle], -1)


def axis_angle_from_quaternion(quaternion: Array) -> Array:
    """(..., 4) (w, x, y, z) of any length but 0 -> (..., 3) radians, angle in [0, pi]. Zero length gives 0."""
    check_last_axes("quaternion", quaternion, (4,))
    quaternion, vanishing = _without_length(quaternion, VANISHING)
    # q and -q are one rotation; w >= 0 is the one with an angle up to pi.
    signed = jnp.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    w, vector = signed[..., :1], signed[..., 1:]
    sine_sq = (vector * vector).sum(-1, keepdims=True)
    small = sine_sq < SERIES_BELOW * w * w
    sine = jnp.sqrt(jnp.where(small | vanishing, 1.0, sine_sq))
    w_safe = jnp.where(small, w, 1.0)
    t = jnp.where(small, sine_sq, 0.0) / (w_safe * w_safe)
    series = 2 / w_safe * (1 - t * (1 / 3 - t * (1 / 5 - t * (1 / 7 - t / 9))))
    factor = jnp.where(small, series, 2 * jnp.arctan2(sine, jnp.where(small, 1.0, w)) / sine)
    return jnp.where(vanishing, 0.0, factor) * vector


def matrix_from_quaternion(quaternion: Array) -> Array:
    """(..., 4) (w, x, y, z) of any length -> (..., 3, 3). A quaternion of length 0 gives the identity."""
    check_last_axes("quaternion", quaternion, (4,))
    quaternion, vanishing = _without_length(quaternion, VANISHING)
    zero = vanishing[..., 0]
    s = jnp.where(zero, 0.0, 2 / jnp.where(zero, 1.0, (quaternion * quaternion).sum(-1)))
    w, x, y, z = (quaternion[..., i] for i in range(4))
    entries = [1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)]
    entries += [s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x)]
    entries += [s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)]
    return jnp.stack(entries, -1).reshape(*quaternion.shape[:-1], 3, 3)


def multiply_quaternions(left: Array, right: Array) -> Array:
    """Hamilton's product of (..., 4) (w, x, y, z): turns as `right` does and then as `left`; of any lengths."""
    check_last_axes("left", left, (4,))
    check_last_axes("right", right, (4,))
    w, v, x, u = left[..., :1], left[..., 1:], right[..., :1], right[..., 1:]
    return jnp.concatenate([w * x - (v * u).sum(-1, keepdims=True), w * u + x * v + jnp.cross(v, u)], -1)


def quaternion_from_matrix(matrix: Array) -> Array:
    """(..., 3, 3) rotation -> (..., 4) unit quaternion (w, x, y, z), w >= 0.

    Of the four ways to divide, the one with the largest divisor (Shepperd 1978), so that pi is no special case.
    """
    check_last_axes("matrix", matrix, (3, 3))
    m = matrix
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    # Four times the square of each component, then each product with the others.
    four = jnp.stack([1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz], -1)
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    rows = jnp.stack(
        [
            jnp.stack([four[..., 0], wx, wy, wz], -1),
            jnp.stack([wx, four[..., 1], xy, xz], -1),
            jnp.stack([wy, xy, four[..., 2], yz], -1),
            jnp.stack([wz, xz, yz, four[..., 3]], -1),
        ],
        -2,
    )
    # Prefer w: its branch is the smooth one around the identity, where an arg-max would be a tie between noise.
    best = jnp.where(four[..., 0] > 1.0, 0, jnp.argmax(four, -1))
    row = jnp.take_along_axis(rows, best[..., None, None], -2)[..., 0, :]
    row = jnp.where(row[..., :1] < 0, -row, row)
    # The largest of four squares that sum to 4 is no smaller than 1, so there is no zero to guard.
    return row / jnp.sqrt((row * row).sum(-1, keepdims=True))


def matrix_from_6d(six: Array) -> Array:
    """(..., 6) -> (..., 3, 3): two columns one after the other, made orthonormal (Zhou et al. 2019, eq. 15).

    Vectors that are zero or parallel, where that is undefined, fall back to a coordinate axis: always a rotation.
    """
    check_last_axes("six", six, (6,))
    first = _unit_or(six[..., :3], jnp.broadcast_to(jnp.array([1.0, 0.0, 0.0]), six[..., :3].shape), VANISHING)
    # The coordinate axis least along `first` is never parallel to it.
    spare = _reject(jnp.eye(3)[jnp.argmin(jnp.abs(first), -1)], first)
    second, _ = _without_length(six[..., 3:], VANISHING)
    second = _unit_or(_reject(second, first), spare, PARALLEL)
    # Once more: of nearly parallel vectors the first pass leaves much rounding error along `first`.
    second = _reject(second, first)
    second = second / jnp.sqrt((second * second).sum(-1, keepdims=True))
    return jnp.stack([first, second, jnp.cross(first, second)], -1)


def sixd_from_matrix(matrix: Array) -> Array:
    """(..., 3, 3) -> (..., 6): the first column, then the second."""
    check_last_axes("matrix", matrix, (3, 3))
    return jnp.concatenate([matrix[..., :, 0], matrix[..., :, 1]], -1)


def _reject(vector: Array, unit: Array) -> Array:
    """The part of `vector` that is orthogonal to `unit`."""
    return vector - (unit * vector).sum(-1, keepdims=True) * unit


def _unit_or(vector: Array, fallback: Array, shortest: float) -> Array:
    scaled, short = _without_length(vector, shortest)
    scaled = jnp.where(short, fallback, scaled)
    return scaled / jnp.sqrt((scaled * scaled).sum(-1, keepdims=True))


def _without_length(vector: Array, shortest: float) -> tuple[Array, Array]:
    """(..., n) -> the vector with a largest entry of 1, and (..., 1) whether it was shorter than `shortest`.

    For functions that do not depend on the length: to their derivatives the scale is a constant. Without it squares
    of 1e-20 or 1e20 leave the range of float32.
    """
    largest = lax.stop_gradient(jnp.abs(vector).max(-1, keepdims=True))
    short = largest < shortest
    return vector / jnp.where(short, 1.0, largest), short
