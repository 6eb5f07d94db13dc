"""DeepHandMesh (Moon, Shiratori and Lee, ECCV 2020), section 6:

    L = L_pose + L_depth + L_penet + lambda_lap L_lap,    L_penet = L_penet^r + lambda_nr L_penet^nr

The paper's lengths are millimetres, ours metres: weights of lengths are 1,000 times as large, of squares 1e6 times.
Penetration is in `losses.penetration`, and here as well.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from handjax.checks import check_choice, check_shape
from handjax.losses import image, terms
from handjax.losses.penetration import (
    FINGERS,
    PALM,
    PAPER_FRACTIONS,
    RELEASED_FINGERS,
    RELEASED_FRACTIONS,
    RELEASED_SKINS,
    PenetrationParts,
    nonrigid_penetration,
    penetration_parts,
    rigid_penetration,
    sphere_radii,
)
from handjax.losses.sums import CountedSum, PixelSum

__all__ = [
    "FINGERS",
    "PALM",
    "PAPER",
    "PAPER_FRACTIONS",
    "RELEASED",
    "RELEASED_FINGERS",
    "RELEASED_FRACTIONS",
    "RELEASED_SKINS",
    "DeepHandMeshWeights",
    "Neighbours",
    "PenetrationParts",
    "depth",
    "laplacian",
    "neighbours_of",
    "nonrigid_penetration",
    "penetration_parts",
    "pose",
    "rigid_penetration",
    "sphere_radii",
]


class DeepHandMeshWeights(NamedTuple):
    """Of the terms' means; the defaults are the paper's, whose penetration of rigid parts is a sum over 18,400 pairs of
    spheres: thousands for a flat hand at rest."""

    pose: float = 1e3
    depth: float = 1e3
    rigid_penetration: float = 1e3
    nonrigid_penetration: float = 5.0 * 1e3
    laplacian: float = 5.0 * 1e6


PAPER = DeepHandMeshWeights()
RELEASED = DeepHandMeshWeights(
    pose=1e3 / 3,
    rigid_penetration=1e3 / (184 * 100),
    nonrigid_penetration=5.0 * 1e3 / 8,
)
"""Means where the paper has sums: over coordinates, over the spheres of 184 pairs of bones, over two skins and four
fingers. With `RELEASED_FRACTIONS`, `RELEASED_FINGERS`, `RELEASED_SKINS` and the non-rigid form "released"."""


class Neighbours(NamedTuple):
    """Of each vertex: ids (V, D) int32, its own where it has fewer than D; counts (V,)."""

    ids: np.ndarray
    counts: np.ndarray


def pose(joints: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> CountedSum:
    """L_pose: sum_j |P_j - P*_j|_1, metres; counts joints. joints, target (J, 3); valid (J,): `thumb0` has no label.

    Raises ValueError for shapes that do not go together, as all terms here.
    """
    joints = terms.floats("joints", joints, ("J", 3))
    target = terms.floats("target", target, joints.shape)
    valid = terms.flags(valid, joints.shape[:1])
    return CountedSum((valid * jnp.abs(terms.difference(joints, target, valid)).sum(-1)).sum(), valid.sum())


def depth(depths: ArrayLike, target: ArrayLike, *, mean: str = "image") -> PixelSum:
    """L_depth: sum of smooth L1 over the pixels of all views that have a depth in both, metres; counts pixels.

    depths (C, H, W), `render.depth_map` of each view; target (C, H, W); 0 for none. mean: "image" counts all pixels,
    as released; "common" those that are compared.
    """
    check_choice("mean", mean, image.MEANS)
    check_shape("depths", depths, ("C", "H", "W"))
    check_shape("target", target, np.shape(depths))
    sums = jax.vmap(image.depth_sums)(jnp.asarray(depths), jnp.asarray(target))
    pixels = sums.pixels.sum() if mean == "common" else jnp.asarray(float(np.prod(np.shape(depths))))
    return PixelSum(sums.total.sum(), pixels)


def neighbours_of(faces: ArrayLike, count: int) -> Neighbours:
    """The vertices that share an edge with each of `count`; once for a topology, on the host.

    faces (F, 3). Raises ValueError for faces of another shape or beyond `count`.
    """
    faces = np.asarray(faces)
    check_shape("faces", faces, ("F", 3))
    if faces.size and not (0 <= faces.min() and faces.max() < count):
        raise ValueError(f"faces must lie in [0, {count}), got {faces.min()} to {faces.max()}")
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    edges = edges[edges[:, 0] != edges[:, 1]]
    counts = np.bincount(edges[:, 0], minlength=count)
    first = np.cumsum(counts) - counts
    ids = np.tile(np.arange(count, dtype=np.int32)[:, None], (1, max(int(counts.max(initial=0)), 1)))
    ids[edges[:, 0], np.arange(len(edges)) - first[edges[:, 0]]] = edges[:, 1]
    return Neighbours(ids, counts.astype(np.int32))


def laplacian(vertices: ArrayLike, neighbours: Neighbours) -> CountedSum:
    """L_lap: sum_v |m_v - mean of its neighbours|^2, square metres; counts vertices.

    The square is the code's; the paper prints the bare difference, whose mean says nothing. vertices (V, 3).
    """
    vertices = terms.floats("vertices", vertices, (len(neighbours.ids), 3))
    # Where a vertex has fewer neighbours its own place fills up: it adds nothing to a sum of differences.
    steps = vertices[neighbours.ids] - vertices[:, None]
    mean_step: Array = steps.sum(1) / jnp.maximum(neighbours.counts, 1).astype(vertices.dtype)[:, None]
    return CountedSum((mean_step**2).sum(), jnp.asarray(float(len(vertices))))
