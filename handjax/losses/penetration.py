"""Penetration of DeepHandMesh's hand: bones as rows of spheres, and the palm's skin that fingertips must not enter.

Moon, Shiratori and Lee 2020, section 6, eqs. 2 to 4. One hand a call, metres; joints in the order of the names that
`penetration_parts` was given.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from handjax.checks import check_choice, check_shape
from handjax.losses import terms
from handjax.losses.sums import CountedSum

PAPER_FRACTIONS = tuple(k / 9 for k in range(10))
"""Where along a bone its spheres are, from parent to child: both ends, K = 10."""

RELEASED_FRACTIONS = tuple(k / 10 for k in range(10))
"""The code leaves out the child's end."""

FINGERS = ("thumb", "index", "middle", "ring", "pinky")
PALM = ("wrist",)

RELEASED_FINGERS = FINGERS[1:]
RELEASED_SKINS = ("thumb1", "wrist")

NON_RIGID = ("paper", "released")


class PenetrationParts(NamedTuple):
    """What of a hand may touch what; made once on the host.

    bones (B, 2): parent and child joint; pairs (P, 2): bones that must stay apart; tips (T,): bones that end in a
    fingertip; skins: the vertices of each part of the skin that tips must not enter.
    """

    bones: np.ndarray
    pairs: np.ndarray
    tips: np.ndarray
    skins: tuple[np.ndarray, ...]


def penetration_parts(
    names: Sequence[str],
    parents: Sequence[int],
    lbs_weights: ArrayLike,
    *,
    fingers: Sequence[str] = FINGERS,
    skins: Sequence[str] = PALM,
) -> PenetrationParts:
    """Of a template with these joint names, parents (-1 of the root) and weights (V, J), all in one order.

    Pairs are all but of bones that begin at one joint or follow on each other: 184 of the published 21 bones. fingers:
    those whose last bone, to the joint `<finger>_null`, is kept out of the skins; a skin is the vertices that follow a
    joint most. As published; the released code has `RELEASED_FINGERS` and `RELEASED_SKINS`.
    Raises ValueError for shapes that do not go together, a joint that is missing, or a skin without vertices.
    """
    names, count = list(names), len(names)
    check_shape("parents", parents, (count,))
    weights = np.asarray(lbs_weights)
    check_shape("lbs_weights", weights, ("V", count))
    wanted = [f"{finger}_null" for finger in fingers] + list(skins)
    if missing := [name for name in wanted if name not in names]:
        raise ValueError(f"names must hold {', '.join(missing)}, got {', '.join(names)}")
    bones = np.array([(parent, joint) for joint, parent in enumerate(parents) if parent >= 0])
    pairs = [(a, b) for a in range(len(bones)) for b in range(a + 1, len(bones)) if _apart(bones[a], bones[b])]
    tips = [int(np.flatnonzero(bones[:, 1] == names.index(f"{finger}_null"))[0]) for finger in fingers]
    owner = weights.argmax(1)
    parts = tuple(np.flatnonzero(owner == names.index(skin)) for skin in skins)
    if empty := [skin for skin, part in zip(skins, parts, strict=True) if not len(part)]:
        raise ValueError(f"lbs_weights must give vertices to {', '.join(empty)}")
    return PenetrationParts(bones, np.array(pairs, np.int64).reshape(-1, 2), np.array(tips), parts)


def sphere_centers(joints: Array, parts: PenetrationParts, fractions: Sequence[float] = PAPER_FRACTIONS) -> Array:
    """(J, 3) -> (B, K, 3)."""
    start, end = joints[parts.bones[:, 0], None], joints[parts.bones[:, 1], None]
    return start + jnp.asarray(fractions, joints.dtype)[None, :, None] * (end - start)


def sphere_radii(
    rest_joints: ArrayLike,
    rest_vertices: ArrayLike,
    parts: PenetrationParts,
    fractions: Sequence[float] = PAPER_FRACTIONS,
) -> Array:
    """(J, 3) and (V, 3) of the unbent hand with its correctives -> (B, K): to the nearest vertex. No gradient."""
    joints = jax.lax.stop_gradient(terms.floats("rest_joints", rest_joints, ("J", 3)))
    vertices = jax.lax.stop_gradient(terms.floats("rest_vertices", rest_vertices, ("V", 3)))

    def of_bone(centers: Array) -> Array:
        return jnp.sqrt(((centers[:, None] - vertices[None]) ** 2).sum(-1).min(-1))

    # Bone by bone: all at once would be B K V distances.
    return jax.lax.map(of_bone, sphere_centers(joints, parts, fractions))


def rigid_penetration(
    joints: ArrayLike,
    radii: ArrayLike,
    parts: PenetrationParts,
    *,
    fractions: Sequence[float] = PAPER_FRACTIONS,
) -> CountedSum:
    """L_penet^r, eq. 2: sum over pairs of bones and their spheres of max(0, r + r' - |c - c'|), metres; counts hands.

    joints (J, 3) of the posed hand; radii (B, K) by `sphere_radii`, of the same fractions. Raises ValueError for shapes
    that do not go together, as all terms here.
    """
    joints = terms.floats("joints", joints, ("J", 3))
    radii = terms.floats("radii", radii, (len(parts.bones), len(fractions)))
    centers = sphere_centers(joints, parts, fractions)
    first, second = parts.pairs.T
    distances = terms.length(centers[first][:, :, None] - centers[second][:, None])
    overlaps = radii[first][:, :, None] + radii[second][:, None] - distances
    return CountedSum(jnp.maximum(overlaps, 0.0).sum(), jnp.ones(()))


def nonrigid_penetration(
    joints: ArrayLike,
    vertices: ArrayLike,
    radii: ArrayLike,
    parts: PenetrationParts,
    *,
    fractions: Sequence[float] = PAPER_FRACTIONS,
    form: str = "paper",
) -> CountedSum:
    """L_penet^nr, eqs. 3 and 4: sum over fingertips and skins of g, metres; counts hands.

    With d_k the distance of a tip's sphere k from the nearest vertex of the skin and l the first, seen from the parent,
    with d_l < r_l: g = sum_{k >= l} |d_k - r_k|, 0 if there is none. As released: |mean_{k >= l} (d_k - r_k)|.

    joints (J, 3) and vertices (V, 3) of the posed hand; radii (B, K) by `sphere_radii`; form: "paper" or "released".
    """
    check_choice("form", form, NON_RIGID)
    joints = terms.floats("joints", joints, ("J", 3))
    vertices = terms.floats("vertices", vertices, ("V", 3))
    radii = terms.floats("radii", radii, (len(parts.bones), len(fractions)))[parts.tips]
    centers = sphere_centers(joints, parts, fractions)[parts.tips]
    total = jnp.zeros((), joints.dtype)
    for skin in parts.skins:
        away = _nearest_distances(centers, vertices[skin]) - radii
        entered = (jnp.cumsum(away < 0, axis=1) > 0).astype(away.dtype)
        if form == "paper":
            each = (entered * jnp.abs(away)).sum(1)
        else:
            each = jnp.abs((entered * away).sum(1) / jnp.maximum(entered.sum(1), 1.0))
        total += each.sum()
    return CountedSum(total, jnp.ones(()))


def _apart(first: np.ndarray, second: np.ndarray) -> bool:
    return first[0] != second[0] and first[1] != second[0] and second[1] != first[0]


def _nearest_distances(centers: Array, vertices: Array) -> Array:
    """(T, K, 3), (V, 3) -> (T, K). Only the nearest vertex has a gradient."""
    squares = ((centers[:, :, None] - vertices[None, None]) ** 2).sum(-1)
    nearest = jax.lax.stop_gradient(squares).argmin(-1)
    return terms.length(centers - vertices[nearest])
