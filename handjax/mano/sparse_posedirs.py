"""Pose correctives as a file keeps them: a joint's turn moves few vertices, and only those are written.

Three arrays: `posedirs_vertex` (N,) and `posedirs_joint` (N,), which joint's turn moves which vertex, by joint and
then by vertex; `posedirs_block` (N, 3, 9) float16 metres per entry of vec(R - I), row-major.
"""

import numpy as np

from handjax.checks import check_shape

NAMES = ("posedirs_vertex", "posedirs_joint", "posedirs_block")
MAX_VALUES = 1 << 27
"""Of the dense array: two integers in a file cannot ask for more memory."""


def to_sparse(posedirs: np.ndarray) -> dict[str, np.ndarray]:
    """(V, 3, 9 (J - 1)) metres -> the three arrays. What float16 rounds to nothing is left out.

    Raises ValueError for another shape, a value that is not finite or too large for float16.
    """
    check_shape("posedirs", posedirs, ("V", 3, "9 (J - 1)"))
    vertices, _, columns = np.shape(posedirs)
    if columns % 9:
        raise ValueError(f"posedirs must have shape (V, 3, 9 (J - 1)), got {np.shape(posedirs)}")
    with np.errstate(over="ignore"):
        blocks = np.asarray(posedirs).reshape(vertices, 3, -1, 9).transpose(2, 0, 1, 3).astype(np.float16)
    if not np.isfinite(blocks).all():
        raise ValueError("posedirs must be finite and fit in float16, got NaN, infinity or a value beyond 65504")
    joint, vertex = np.nonzero(blocks.any(axis=(2, 3)))
    return dict(zip(NAMES, (vertex.astype(np.uint32), joint.astype(np.uint8), blocks[joint, vertex]), strict=True))


def from_sparse(arrays: dict[str, np.ndarray], num_vertices: int, num_joints: int) -> np.ndarray:
    """The three arrays -> (V, 3, 9 (J - 1)) float32, zero wherever they name no block.

    num_joints counts the root, which has no block; joint 0 of the file is the first after it.
    Raises ValueError naming the array that is missing, of a wrong shape or type, not finite, out of range or out of
    order (a block named twice is), or if the dense array would have more than `MAX_VALUES` values.
    """
    missing = [name for name in NAMES if name not in arrays]
    if missing:
        raise ValueError(f"posedirs need {', '.join(NAMES)}, got no {', '.join(missing)}")
    vertex, joint, block = (np.asarray(arrays[name]) for name in NAMES)
    joints = num_joints - 1
    if num_vertices * joints * 27 > MAX_VALUES:
        raise ValueError(f"posedirs must have at most {MAX_VALUES} values, got {num_vertices} x 3 x {9 * joints}")
    check_shape("posedirs_vertex", vertex, ("N",))
    check_shape("posedirs_joint", joint, (len(vertex),))
    check_shape("posedirs_block", block, (len(vertex), 3, 9))
    _check_ids("posedirs_vertex", vertex, num_vertices)
    _check_ids("posedirs_joint", joint, joints)
    if block.dtype.kind != "f":
        raise ValueError(f"posedirs_block must hold real numbers, got {block.dtype}")
    if not np.isfinite(block).all():
        raise ValueError(f"posedirs_block must be finite, got {np.count_nonzero(~np.isfinite(block))} NaN or infinity")
    place = joint.astype(np.int64) * num_vertices + vertex.astype(np.int64)
    if (np.diff(place) <= 0).any():
        raise ValueError("posedirs_joint and posedirs_vertex must rise, joint first, and name no block twice")
    dense = np.zeros((num_vertices, 3, joints, 9), np.float32)
    dense[vertex.astype(np.int64), :, joint.astype(np.int64)] = block
    return dense.reshape(num_vertices, 3, 9 * joints)


def _check_ids(name: str, ids: np.ndarray, count: int) -> None:
    if ids.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold whole numbers, got {ids.dtype}")
    if ids.size and not (ids.min() >= 0 and ids.max() < count):
        raise ValueError(f"{name} must lie in [0, {count}), got {ids.min()} to {ids.max()}")
