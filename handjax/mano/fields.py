"""The field names and shapes of other people's hand files, and `build`'s own."""

import itertools
from collections.abc import Collection, Mapping
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
MANO_VERTICES = 778
FINGER_ENDS = (15, 3, 6, 12, 9)
"""MANO's last joints of thumb, index, middle, ring, little."""


def keys_of_fields(present: Collection[str]) -> dict[str, str]:
    """-> the file's key for each field it has, pose fields of `sided_keys` aside. ValueError says what is missing."""
    keys = {field: name for field, names in NAMES.items() for name in reversed(names) if name in present}
    missing = ["`" + "` or `".join(NAMES[field]) + "`" for field in REQUIRED if field not in keys]
    if missing:
        has = ", ".join(sorted(present))[:300]
        raise ValueError(f"has no {', '.join(missing)} (it has: {has or 'nothing'})")
    return keys


def sided_keys(present: Collection[str], side: str) -> dict[str, str]:
    """-> the keys of the pose fields that a file of both hands keeps for `side`."""
    letter = SIDE_LETTERS[side]
    return {field: field + letter for field in BY_SIDE if field + letter in present}


def side_of_keys(present: Collection[str]) -> str | None:
    """The side whose pose fields the file has, if it has one side's alone."""
    sides = [side for side in SIDE_LETTERS if sided_keys(present, side)]
    return sides[0] if len(sides) == 1 else None


def array_of_key(stored: Mapping[str, Any], key: str) -> np.ndarray:
    """One field as real numbers. Raises ValueError naming the key."""
    try:
        array = as_array(stored[key])
        if array.dtype.kind not in "iuf":
            raise ValueError(f"must hold real numbers, got {array.dtype}")
        return array
    except ValueError as error:
        raise ValueError(f"`{key}` {error}") from error


def arrays_of_fields(stored: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """-> `build`'s arguments but `side`, in its shapes. Raises ValueError naming the field."""
    fields: dict[str, Any] = {}
    for field, key in keys.items():
        if field == "parents":
            fields[field] = _parents(stored, key)
        elif field in WHOLE_NUMBERS:
            fields[field] = _whole_numbers(key, array_of_key(stored, key))
        elif field != "side":
            fields[field] = array_of_key(stored, key)
    check_shape("v_template", fields["v_template"], ("V", 3))
    for field in ("fingertip_ids", "keypoint_ids"):
        if field in fields:
            check_shape(field, fields[field], ("N",))
    vertices, joints = len(fields["v_template"]), len(fields.get("parents", MANO_PARENTS))
    fields["shapedirs"] = _directions("shapedirs", fields["shapedirs"], vertices, None)
    fields["posedirs"] = _directions("posedirs", fields["posedirs"], vertices, 9 * (joints - 1))
    coefficients = fields.pop("hands_coeffs", None)
    if coefficients is not None and "pose_std" not in fields and "hands_components" in fields:
        fields["pose_std"] = _deviations(coefficients, fields["hands_components"])
    if "fingertip_ids" not in fields and vertices != MANO_VERTICES:
        fields["fingertip_ids"] = _farthest_vertices(fields)
    return fields


def refuse_body(v_template: np.ndarray, lbs_weights: np.ndarray) -> None:
    """Raises ValueError if the sizes are those of a body or head model."""
    sizes = (len(np.atleast_1d(v_template)), lbs_weights.shape[-1] if lbs_weights.ndim else 0)
    if sizes in BODY_MODELS:
        raise ValueError(
            f"is a {BODY_MODELS[sizes]} model ({sizes[0]} vertices, {sizes[1]} joints), not a hand: expected a file "
            f"such as MANO_RIGHT.pkl (778 vertices, 16 joints)"
        )


def _whole_numbers(key: str, array: np.ndarray) -> np.ndarray:
    try:
        return whole_numbers(array)
    except ValueError as error:
        raise ValueError(f"`{key}` {error}") from error


def _parents(stored: Mapping[str, Any], key: str) -> tuple[int, ...]:
    """Of a list of parents, or of a kintree_table (2, J): parents above joint ids."""
    value = stored[key]
    if isinstance(value, list | tuple) and value and value[0] is None:
        stored = {key: [-1, *value[1:]]}
    table = _whole_numbers(key, array_of_key(stored, key))
    if table.ndim == 2 and len(table) == 2:
        if not np.array_equal(table[1], np.arange(table.shape[1])):
            raise ValueError(f"`{key}` must number the joints 0, 1, 2, ... in its second row, got {table[1]}")
        table = table[0]
    if table.ndim != 1 or not table.size:
        raise ValueError(f"`{key}` must have shape (J,) or (2, J), got {table.shape}")
    # The root's parent is 2^32 - 1 in MANO's files, which is -1 read as an unsigned number.
    root = -1 if table[0] >= 2**31 else int(table[0])
    return (root, *table[1:].tolist())


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


def _deviations(coefficients: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Of the coefficients of MANO's scans (N, C), one row a scan."""
    check_shape("hands_coeffs", coefficients, ("N", len(np.atleast_1d(components))))
    if not np.isfinite(coefficients).all() or len(coefficients) < 2:
        raise ValueError("hands_coeffs must be two rows or more of finite numbers")
    # Clipped so that a square cannot overflow: `build` refuses numbers of that size in any case.
    return np.clip(coefficients.astype(np.float64), -1e100, 1e100).std(0)


def _farthest_vertices(fields: Mapping[str, Any]) -> np.ndarray:
    """Thumb first: of the vertices that follow a finger's last joint most, the farthest from it.

    For a mesh that is not MANO's own, whose file names no fingertips.
    """
    template, weights, regressor = (fields[name] for name in ("v_template", "lbs_weights", "J_regressor"))
    if fields.get("parents", MANO_PARENTS) != MANO_PARENTS:
        raise ValueError("has no `fingertip_ids`, which a hand with other joints than MANO's must name")
    check_shape("lbs_weights", weights, (len(template), len(MANO_PARENTS)))
    check_shape("J_regressor", regressor, (len(MANO_PARENTS), len(template)))
    if not len(template):
        raise ValueError("v_template must have vertices, got none")
    follows = weights.argmax(-1)
    with np.errstate(all="ignore"):
        reach = np.linalg.norm(template[None] - (regressor @ template)[:, None], axis=-1)
    return np.array(
        [
            np.where(follows == end, reach[end], -1.0).argmax() if end in follows else weights[:, end].argmax()
            for end in FINGER_ENDS
        ]
    )
