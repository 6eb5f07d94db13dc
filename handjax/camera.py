"""Cameras, crops and pixel conventions; the only crop code of the project.

Pixels are continuous: the image spans [0, W] x [0, H] and the centre of its first pixel is (0.5, 0.5). Axes are
OpenCV's: x right, y down, z forward, metres. Leading axes of a camera, box or affine are the first axes of the points
that go with it: a camera with focal (B, 2) takes points (B, 21, 3).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

from handjax.checks import check_last_axes

MIN_DEPTH = 1e-4
"""Metres. Points nearer than this, or behind the camera, are projected as if they were at this depth."""

ASSUMED_FOCAL_OVER_DIAGONAL = 0.6
"""26 mm over the 43.27 mm diagonal of the 35 mm frame: the main camera of most phones (24 to 28 mm)."""

ASSUMED_FOCAL_OVER_HAND = 3.0
"""An open hand is then half a metre away. One that fills the picture was sooner cut out of a larger one."""


class Camera(NamedTuple):
    """Perspective camera: focal (..., 2) and center (..., 2), both x then y, in pixels."""

    focal: Array
    center: Array


class WeakCamera(NamedTuple):
    """Scaled orthography: scale (...) pixels per metre, translation (..., 2) pixel where (0, 0, z) falls."""

    scale: Array
    translation: Array


def project(camera: Camera | WeakCamera, points: ArrayLike) -> Array:
    """(..., 3) metres -> (..., 2) pixels: focal (x, y) / z + center, or scale (x, y) + translation.

    Depth is floored at `MIN_DEPTH`, so values and gradients stay finite; compare z with it to tell such points.
    """
    check_last_axes("points", points, (3,))
    points = jnp.asarray(points, jnp.float32)
    if isinstance(camera, WeakCamera):
        scale = _fit_axes(jnp.asarray(camera.scale)[..., None], points.ndim)
        return scale * points[..., :2] + _fit_axes(camera.translation, points.ndim)
    depth = jnp.maximum(points[..., 2:], MIN_DEPTH)
    return _fit_axes(camera.focal, points.ndim) * (points[..., :2] / depth) + _fit_axes(camera.center, points.ndim)


def unproject(camera: Camera | WeakCamera, pixels: ArrayLike, depth: ArrayLike) -> Array:
    """(..., 2) pixels and (...) depth in metres -> (..., 3) metres: the inverse of `project`."""
    check_last_axes("pixels", pixels, (2,))
    pixels = jnp.asarray(pixels, jnp.float32)
    depth = jnp.broadcast_to(jnp.asarray(depth, jnp.float32), pixels.shape[:-1])[..., None]
    if isinstance(camera, WeakCamera):
        scale = _fit_axes(jnp.asarray(camera.scale)[..., None], pixels.ndim)
        xy = (pixels - _fit_axes(camera.translation, pixels.ndim)) / scale
    else:
        xy = (pixels - _fit_axes(camera.center, pixels.ndim)) / _fit_axes(camera.focal, pixels.ndim) * depth
    return jnp.concatenate([xy, depth], axis=-1)


def transl_from_weak(weak: WeakCamera, camera: Camera) -> Array:
    """(..., 3): where to move points, centred on their root, so that `camera` sees them as `weak` does.

    depth = focal / scale, with the mean of both focal lengths, and the root falls exactly on `weak.translation`. Points
    at the root's depth then agree; others differ by the share (their depth from the root) / distance.
    """
    depth = jnp.mean(jnp.asarray(camera.focal, jnp.float32), axis=-1) / jnp.asarray(weak.scale, jnp.float32)
    return unproject(camera, weak.translation, depth)


def weak_from_transl(transl: ArrayLike, camera: Camera) -> WeakCamera:
    """The inverse of `transl_from_weak`: scale = focal / depth, translation = the projected root."""
    check_last_axes("transl", transl, (3,))
    depth = jnp.maximum(jnp.asarray(transl, jnp.float32)[..., 2], MIN_DEPTH)
    return WeakCamera(jnp.mean(jnp.asarray(camera.focal, jnp.float32), axis=-1) / depth, project(camera, transl))


def intrinsics_matrix(camera: Camera) -> Array:
    """(..., 3, 3): [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]."""
    focal, center = jnp.asarray(camera.focal, jnp.float32), jnp.asarray(camera.center, jnp.float32)
    check_last_axes("camera.focal", focal, (2,))
    check_last_axes("camera.center", center, (2,))
    zero, one = jnp.zeros_like(focal[..., 0]), jnp.ones_like(focal[..., 0])
    rows = [
        [focal[..., 0], zero, center[..., 0]],
        [zero, focal[..., 1], center[..., 1]],
        [zero, zero, one],
    ]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def camera_from_matrix(matrix: ArrayLike) -> Camera:
    """(..., 3, 3) -> Camera. Concrete values are checked: ValueError for skew, focal <= 0 or a last row not (0, 0, 1).

    For a matrix whose first pixel centre is (0, 0), as OpenCV calibrates, shift `center` by `from_opencv_pixels`.
    """
    check_last_axes("matrix", matrix, (3, 3))
    if not isinstance(matrix, Tracer):
        _check_intrinsics(np.asarray(matrix, np.float64))
    matrix = jnp.asarray(matrix, jnp.float32)
    return Camera(jnp.stack([matrix[..., 0, 0], matrix[..., 1, 1]], axis=-1), matrix[..., :2, 2])


def assumed_camera(height: float, width: float, focal: float | None = None, hand_px: float = 0.0) -> Camera:
    """The camera of an image about which nothing is known: principal point in the middle, square pixels.

    `focal` defaults to 0.6 image diagonals (`ASSUMED_FOCAL_OVER_DIAGONAL`), 0.75 of the longer side at 4:3, or to three
    times `hand_px`, the longer side of the largest hand's box, if that is more. Webcams and cropped photographs have
    longer ones, so depths come out too near by that factor; shapes hardly change.
    """
    if height <= 0 or width <= 0:
        raise ValueError(f"height and width must be positive, got {height} and {width}")
    if focal is None:
        focal = max(ASSUMED_FOCAL_OVER_DIAGONAL * float(np.hypot(height, width)), ASSUMED_FOCAL_OVER_HAND * hand_px)
    if not (np.isfinite(focal) and focal > 0):
        raise ValueError(f"focal must be a positive number of pixels, got {focal}")
    return Camera(jnp.full(2, focal, jnp.float32), jnp.array([width / 2, height / 2], jnp.float32))


def mirror_camera(camera: Camera, width: ArrayLike) -> Camera:
    """The camera of the left-right mirrored image, in which points have -x: cx' = width - cx."""
    center = jnp.asarray(camera.center, jnp.float32)
    return Camera(jnp.asarray(camera.focal, jnp.float32), mirror_pixels(center, width))


def mirror_pixels(pixels: ArrayLike, width: ArrayLike) -> Array:
    """(..., 2) -> (..., 2) in the left-right mirrored image: u' = width - u."""
    check_last_axes("pixels", pixels, (2,))
    pixels = jnp.asarray(pixels, jnp.float32)
    return jnp.stack([width - pixels[..., 0], pixels[..., 1]], axis=-1)


def from_opencv_pixels(pixels: ArrayLike) -> Array:
    """(..., 2) with the first pixel centre at (0, 0), as OpenCV and several datasets count, -> ours."""
    return jnp.asarray(pixels, jnp.float32) + 0.5


def to_opencv_pixels(pixels: ArrayLike) -> Array:
    """(..., 2) ours -> the first pixel centre at (0, 0), for OpenCV's drawing and warping."""
    return jnp.asarray(pixels, jnp.float32) - 0.5


def to_opencv_affine(affine: ArrayLike) -> Array:
    """(..., 2, 3) between our pixels -> the matrix that does the same in `cv2.warpAffine`."""
    check_last_axes("affine", affine, (2, 3))
    affine = jnp.asarray(affine, jnp.float32)
    shift = affine[..., :2].sum(-1) * 0.5 + affine[..., 2] - 0.5
    return jnp.concatenate([affine[..., :2], shift[..., None]], axis=-1)


def square_box(box: ArrayLike, scale: ArrayLike = 1.0) -> Array:
    """(..., 4) x0 y0 x1 y1 -> the square box of the same centre with side scale * max(width, height), at least 1 px."""
    check_last_axes("box", box, (4,))
    box = jnp.asarray(box, jnp.float32)
    center = (box[..., :2] + box[..., 2:]) * 0.5
    half = jnp.maximum(scale * jnp.max(box[..., 2:] - box[..., :2], axis=-1), 1.0)[..., None] * 0.5
    return jnp.concatenate([center - half, center + half], axis=-1)


def crop_affine(box: ArrayLike, rotation: ArrayLike, size: float) -> Array:
    """(..., 2, 3): full-image pixels -> pixels of the size x size crop of `square_box(box)`.

    `rotation` (...) radians turns the picture about the centre of the box, from +x towards +y, which is clockwise to
    the eye. Raises ValueError for a wrong shape or a size that is not positive.
    """
    if size <= 0:
        raise ValueError(f"size must be positive, got {size}")
    square = square_box(box)
    center = (square[..., :2] + square[..., 2:]) * 0.5
    zoom = size / (square[..., 2] - square[..., 0])
    rotation = jnp.broadcast_to(jnp.asarray(rotation, jnp.float32), zoom.shape)
    cosine, sine = zoom * jnp.cos(rotation), zoom * jnp.sin(rotation)
    linear = _rotation_like(cosine, sine)
    shift = size / 2 - jnp.einsum("...ij,...j->...i", linear, center, precision="highest")
    return jnp.concatenate([linear, shift[..., None]], axis=-1)


def apply_affine(affine: ArrayLike, points: ArrayLike) -> Array:
    """(..., 2, 3) and (..., 2) pixels -> (..., 2)."""
    check_last_axes("affine", affine, (2, 3))
    check_last_axes("points", points, (2,))
    points = jnp.asarray(points, jnp.float32)
    affine = jnp.asarray(affine, jnp.float32)
    extra = points.ndim - 1 - (affine.ndim - 2)
    if extra < 0:
        raise ValueError(f"points must have the leading axes of affine {affine.shape}, got {points.shape}")
    affine = affine.reshape(affine.shape[:-2] + (1,) * extra + (2, 3))
    # Written out: two columns are too few for a matmul to pay.
    return affine[..., 0] * points[..., :1] + affine[..., 1] * points[..., 1:] + affine[..., 2]


def invert_affine(affine: ArrayLike) -> Array:
    """(..., 2, 3) -> (..., 2, 3)."""
    check_last_axes("affine", affine, (2, 3))
    affine = jnp.asarray(affine, jnp.float32)
    a, b, c, d = affine[..., 0, 0], affine[..., 0, 1], affine[..., 1, 0], affine[..., 1, 1]
    determinant = a * d - b * c
    rows = [jnp.stack([d, -b], axis=-1), jnp.stack([-c, a], axis=-1)]
    linear = jnp.stack(rows, axis=-2) / determinant[..., None, None]
    shift = -jnp.einsum("...ij,...j->...i", linear, affine[..., 2], precision="highest")
    return jnp.concatenate([linear, shift[..., None]], axis=-1)


def crop_camera(camera: Camera, affine: ArrayLike) -> tuple[Camera, Array]:
    """The camera of a crop, and the rotation R_z (..., 3, 3) that its points need: the identity where it is upright.

    project(cropped, R_z @ X) = apply_affine(affine, project(camera, X)). Since R_z turns about the optical axis,
    u' = L (f x / z + c) + t = (k f) (R_z X)_xy / z + (L c + t) for L = k R: exact whatever point the picture was turned
    about, if fx = fy or the crop is upright. Else a rotated K has skew, and what is left out is k |fx - fy| / 2 times
    the tangent of the viewing angle. Mirrored affines are not meant: see `mirror_camera`.
    """
    check_last_axes("affine", affine, (2, 3))
    affine = jnp.asarray(affine, jnp.float32)
    focal = jnp.asarray(camera.focal, jnp.float32)
    linear = affine[..., :2]
    # The rotation nearest to `linear` (polar decomposition in two dimensions).
    cosine = linear[..., 0, 0] + linear[..., 1, 1]
    sine = linear[..., 1, 0] - linear[..., 0, 1]
    norm = jnp.sqrt(cosine**2 + sine**2)
    turn = _rotation_like(cosine / norm, sine / norm)
    cropped_focal = jnp.einsum("...ij,...j,...ij->...i", linear, focal, turn, precision="highest")
    rotation = jnp.broadcast_to(jnp.eye(3), (*turn.shape[:-2], 3, 3)).at[..., :2, :2].set(turn)
    return Camera(cropped_focal, apply_affine(affine, camera.center)), rotation


def _rotation_like(cosine: Array, sine: Array) -> Array:
    rows = [jnp.stack([cosine, -sine], axis=-1), jnp.stack([sine, cosine], axis=-1)]
    return jnp.stack(rows, axis=-2)


def _fit_axes(values: ArrayLike, ndim: int) -> Array:
    """(*lead, k) -> (*lead, 1, ..., k) with `ndim` axes."""
    values = jnp.asarray(values, jnp.float32)
    if values.ndim > ndim:
        raise ValueError(f"points must have the leading axes of the camera {values.shape[:-1]}, got {ndim - 1} axes")
    return values.reshape(values.shape[:-1] + (1,) * (ndim - values.ndim) + values.shape[-1:])


def _check_intrinsics(matrix: np.ndarray) -> None:
    focal = np.stack([matrix[..., 0, 0], matrix[..., 1, 1]], axis=-1)
    if not (np.isfinite(matrix).all() and (focal > 0).all()):
        raise ValueError(f"matrix must be finite with positive focal lengths, got {matrix.tolist()}")
    skew = np.abs([matrix[..., 0, 1], matrix[..., 1, 0]]).max()
    if skew > 1e-3 * focal.max():
        raise ValueError(f"matrix must have no skew, got {matrix.tolist()}")
    if not np.allclose(matrix[..., 2, :], [0, 0, 1], atol=1e-6):
        raise ValueError(f"matrix must have the last row (0, 0, 1), got {matrix.tolist()}")
