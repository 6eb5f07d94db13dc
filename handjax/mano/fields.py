"""The field names and shapes of other people's hand files, and `build`'s own."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from handjax.checks import check_shape
from handjax.mano.stored_arrays import as_array, whole_numbers
from handjax.mano.types import MANO_PARENTS

NAMES = {
    # Ours first, then MANO's and SMPL-X's, then those of widespread conversions.
    "v_template": ("v_template", "mesh_template"),
    "shapedirs": ("shapedirs", "mesh_shape_basis"),
    "posedirs": ("posedirs", "mesh_pose_basis"),
    "J_regressor": ("J_regressor",),
    "lbs_weights": ("lbs_weights", "weights", "skinning_weights"),
    "faces": ("faces", "f"),
    "parents": ("parents", "kintree_table", "parent"),
    "hands_mean": ("hands_mean", "pose_pca_mean"),
    "hands_components": ("hands_components", "pose_pca_basis"),
    "hands_coeffs": ("hands_coeffs",),
    "pose_std": ("pose_std",),
    "joint_axes": ("joint_axes",),
    "joint_limits": ("joint_limits",),
    "joint_frames": ("joint_frames",),
    "fingertip_ids": ("fingertip_ids",),
    "keypoint_ids": ("keypoint_ids",),
    "joint_template": ("joint_template",),
    "joint_shapedirs": ("joint_shapedirs",),
    "side": ("side",),
}
REQUIRED = ("v_template", "shapedirs", "posedirs", "J_regressor", "lbs_weights", "faces")
WHOLE_NUMBERS = ("faces", "fingertip_ids", "keypoint_ids")
BY_SIDE = ("hands_mean", "hands_components", "hands_coeffs")
"""Fields that SMPL-X's files hold for each hand, with an l or an r behind the name."""

WANTED = frozenset(itertools.chain.from_iterable(NAMES.values())) | {
    field + letter for field in BY_SIDE for letter in "lr"
}

BODY_MODELS = {(6890, 24): "SMPL", (6890, 52): "SMPL+H", (10475, 55): "SMPL-X", (5023, 5): "FLAME"}
SIDE_LETTERS = {"left": "l", "right": "r"}


def keys_of_fields(present: list[str], side: str | None) -> dict[str, str]:
    """-> the file's key for each field it has. Raises ValueError naming what is missing or not to be told apart."""
    keys = {field: next((name for name in names if name in present), "") for field, names in NAMES.items()}
    for field in BY_SIDE:
        sides = [letter for letter in "lr" if field + letter in present]
        if sides and not keys[field]:
            letter = SIDE_LETTERS[side] if side else sides[0]
            if len(sides) > 1 and side is None:
                raise ValueError(f"holds `{field}` of both hands: pass side='left' or side='right'")
            keys[field] = field + letter if letter in sides else ""
    missing = [NAMES[field] for field in REQUIRED if not keys[field]]
    if missing:
        wanted = ", ".join("`" + "` or `".join(names) + "`" for names in missing)
        raise ValueError(f"has no {wanted} (it has: {', '.join(sorted(present))[:300] or 'nothing'})")
    return {field: key for field, key in keys.items() if key}


def side_of_keys(present: list[str]) -> str | None:
    """The side whose pose fields the file has, if it names one side alone."""
    sides = [
        side for side, letter in SIDE_LETTERS.items() if any(field + letter in present for field in BY_SIDE)
    ]
    return sides[0] if len(sides) == 1 else None


def arrays_of_fields(stored: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """-> `build`'s arguments but `side`, in its shapes. Raises ValueError naming the file's key."""
    fields: dict[str, Any] = {}
    for field, key in keys.items():
        if field == "side":
            continue
        try:
            if field == "parents":
                fields[field] = _parents(stored[key])
            elif field in WHOLE_NUMBERS:
                fields[field] = whole_numbers(as_array(stored[key]))
            else:
                fields[field] = as_array(stored[key])
        except ValueError as error:
            raise ValueError(f"`{key}` {error}") from error
    check_shape("v_template", fields["v_template"], ("V", 3))
    _refuse_body(fields)
    vertices, joints = len(fields["v_template"]), len(fields.get("parents", MANO_PARENTS))
    fields["shapedirs"] = _directions("shapedirs", fields["shapedirs"], vertices, None)
    fields["posedirs"] = _directions("posedirs", fields["posedirs"], vertices, 9 * (joints - 1))
    coefficients = fields.pop("hands_coeffs", None)
    if coefficients is not None and "pose_std" not in fields and "hands_components" in fields:
        fields["pose_std"] = _deviations(coefficients, len(fields["hands_components"]))
    if "fingertip_ids" not in fields and vertices != 778:
        fields["fingertip_ids"] = _farthest_vertices(fields)
    return fields


def _parents(stored: Any) -> tuple[int, ...]:
    """Of a list of parents, or of a kintree_table (2, J): parents above joint ids."""
    if isinstance(stored, list | tuple) and len(stored) and stored[0] is None:
        stored = [-1, *stored[1:]]
    table = whole_numbers(as_array(stored))
    if table.ndim == 2 and len(table) == 2:
        if not np.array_equal(table[1], np.arange(table.shape[1])):
            raise ValueError("must number the joints 0, 1, 2, ... in its second row")
        table = table[0]
    if table.ndim != 1 or not table.size:
        raise ValueError(f"must have shape (J,) or (2, J), got {table.shape}")
    # The root's parent is 2^32 - 1 in MANO's files, which is -1 read as an unsigned number.
    root = -1 if table[0] >= 2**31 else int(table[0])
    return (root, *table[1:].tolist())


def _refuse_body(fields: Mapping[str, Any]) -> None:
    vertices = len(fields["v_template"])
    weights = fields["lbs_weights"]
    name = BODY_MODELS.get((vertices, weights.shape[-1])) if weights.ndim else None
    if name:
        raise ValueError(
            f"is a {name} model ({vertices} vertices, {weights.shape[-1]} joints), not a hand: expected a file such as "
            f"MANO_RIGHT.pkl (778 vertices, 16 joints)"
        )


def _directions(name: str, array: np.ndarray, vertices: int, count: int | None) -> np.ndarray:
    """(V, 3, N), (3 V, N), (N, 3 V) or (N, V, 3) -> (V, 3, N)."""

    def fits(*shape: int | None) -> bool:
        return len(shape) == array.ndim and all(
            want in (None, got) for want, got in zip(shape, array.shape, strict=True)
        )

    if fits(vertices, 3, count):
        return array
    if fits(3 * vertices, count):
        return array.reshape(vertices, 3, -1)
    if fits(count, 3 * vertices):
        return array.T.reshape(vertices, 3, -1)
    if fits(count, vertices, 3):
        return array.transpose(1, 2, 0)
    raise ValueError(f"{name} must have shape ({vertices}, 3, {count or 'S'}), got {array.shape}")


def _deviations(coefficients: np.ndarray, components: int) -> np.ndarray:
    """Of the coefficients of MANO's scans (N, C), one row a scan."""
    check_shape("hands_coeffs", coefficients, ("N", components))
    if coefficients.dtype.kind not in "iuf" or not np.isfinite(coefficients).all() or len(coefficients) < 2:
        raise ValueError("hands_coeffs must be two rows or more of finite numbers")
    # Clipped so that a square cannot overflow; what is out of any hand's range, `build` need not hear of exactly.
    return np.clip(coefficients.astype(np.float64), -1e9, 1e9).std(0)


def _farthest_vertices(fields: Mapping[str, Any]) -> list[int]:
    """Thumb first: of the vertices that follow a finger's last joint most, the farthest from it.

    For a mesh that is not MANO's own, whose file names no fingertips.
    """
    template, weights, regressor = (fields[name] for name in ("v_template", "lbs_weights", "J_regressor"))
    joints = len(MANO_PARENTS)
    if fields.get("parents", MANO_PARENTS) != MANO_PARENTS:
        raise ValueError("has no `fingertip_ids`, which a hand with joints other than MANO's must name")
    check_shape("lbs_weights", weights, (len(template), joints))
    check_shape("J_regressor", regressor, (joints, len(template)))
    with np.errstate(all="ignore"):
        reach = np.linalg.norm(template[None] - (regressor @ template)[:, None], axis=-1)
    ends = [15, 3, 6, 12, 9]
    follows = weights.argmax(-1)
    return [int(np.where(follows == end, reach[end], -1.0).argmax()) for end in ends]
