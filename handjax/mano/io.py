"""Hand models from files and to files. A file is data: whatever it holds, reading it runs nothing."""

import io
import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from handjax.mano import file_sides
from handjax.mano.archive import read_npz
from handjax.mano.build import build
from handjax.mano.fields import WANTED, arrays_of_fields, keys_of_fields, side_of_keys
from handjax.mano.stored_arrays import as_array
from handjax.mano.types import HandModel
from handjax.mano.unpickle import read_pickle

MAX_FILE_BYTES = 256 << 20
MAX_JSON_BYTES = 64 << 20
"""Parsed JSON takes some 20 times its size in memory."""


class HandFileError(ValueError):
    """A file that is not a hand model, or a damaged one: names the path and the field."""


def load(
    path: str | os.PathLike,
    *,
    side: str | None = None,
    fix_left_shapedirs: bool = False,
    num_betas: int | None = None,
) -> HandModel:
    """Reads a hand model, telling its kind by content and not by name.

    Read are the licensed MANO_LEFT.pkl and MANO_RIGHT.pkl as they are (chumpy and scipy need not be there), pickles of
    plain arrays, npz archives and JSON dumps; with MANO's names, SMPL-X's or ours; J_regressor dense or sparse.
    Nothing in a file is executed. Arrays become float32 and `hands_coeffs` the standard deviations `pose_std`; what a
    file leaves out is `build`'s default. A mesh other than MANO's that names no `fingertip_ids` gets the vertices
    farthest along each finger.

    Args:
      path: the file.
      side: "left" or "right". Default: the file's own `side`, else its name (MANO_LEFT), else its geometry: from the
        wrist joint, a right hand's vertices lie towards -x, as MANO's do.
      fix_left_shapedirs: negates the x part of a left hand's shapedirs. The released MANO_LEFT.pkl has the right
        hand's, so that equal betas give unequal hands; data sets were annotated with either. A left file that shows
        the fault is warned of. Right hands are left alone.
      num_betas: keeps the first so many shape components.

    Raises HandFileError (a ValueError) naming the path and the field if the file is no hand model, is damaged, holds
    something to execute, or fails `build`'s checks; OSError if it cannot be read.
    """
    if side not in (None, "left", "right"):
        raise ValueError(f"side must be None, 'left' or 'right', got {side!r}")
    if num_betas is not None and (isinstance(num_betas, bool) or num_betas < 1):
        raise ValueError(f"num_betas must be None or a positive integer, got {num_betas!r}")
    path = Path(path)
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    try:
        return _model(data, path.stem, side, fix_left_shapedirs, num_betas)
    except ValueError as error:
        raise HandFileError(f"{path}: {error}") from error


def save(model: HandModel, path: str | os.PathLike) -> None:
    """Writes `model` as an npz archive at just this path; `load` gives it back bit for bit.

    The archive holds plain arrays under `build`'s names and no pickle. It is written beside `path` and renamed, so
    that a file already there stays whole if writing fails. Raises OSError if it cannot be written.
    """
    path = Path(path)
    fields = {
        "v_template": model.v_template,
        "shapedirs": model.shapedirs,
        "posedirs": model.posedirs,
        "J_regressor": model.J_regressor,
        "joint_template": model.joint_template,
        "joint_shapedirs": model.joint_shapedirs,
        "lbs_weights": model.lbs_weights,
        "faces": model.faces,
        "parents": np.array(model.parents, np.int32),
        "hands_mean": model.hands_mean,
        "hands_components": model.hands_components,
        "pose_std": model.pose_std,
        "joint_axes": model.joint_axes,
        "joint_limits": model.joint_limits,
        "fingertip_ids": np.array(model.fingertip_ids, np.int32),
        "keypoint_ids": np.array(model.keypoint_ids, np.int32),
        "side": np.array(model.side),
    }
    if model.joint_frames is not None:
        fields["joint_frames"] = model.joint_frames
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **{k: np.asarray(v) for k, v in fields.items()})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _model(data: bytes, stem: str, side: str | None, fix_left_shapedirs: bool, num_betas: int | None) -> HandModel:
    stored, present = _stored_fields(data)
    own_side = _own_side(stored) if "side" in stored else None
    if side and own_side and side != own_side:
        raise ValueError(f"`side` is {own_side!r} in the file, but side={side!r} was asked for")
    side = side or own_side or side_of_keys(present) or file_sides.side_of_name(stem)
    keys = keys_of_fields(present, side)
    fields = arrays_of_fields(stored, keys)
    side = side or file_sides.side_of_geometry(fields["v_template"], fields["J_regressor"])
    if side is None:
        raise ValueError("tells no side by field, name or geometry: pass side='left' or side='right'")
    if num_betas is not None:
        if num_betas > fields["shapedirs"].shape[-1]:
            raise ValueError(
                f"`{keys['shapedirs']}` has {fields['shapedirs'].shape[-1]} components, num_betas={num_betas} was asked"
            )
        fields["shapedirs"] = fields["shapedirs"][:, :, :num_betas]
    joint_bits = {name: fields.pop(name) for name in ("joint_template", "joint_shapedirs") if name in fields}
    if side == "left":
        fields["shapedirs"] = _left_shapedirs(fields, fix_left_shapedirs)
    try:
        model = build(**fields, side=side)
    except ValueError as error:
        field, _, rest = str(error).partition(" ")
        raise ValueError(f"`{keys[field]}` {rest}" if field in keys else str(error)) from error
    return _with_same_bits(model, joint_bits)


def _stored_fields(data: bytes) -> tuple[dict[str, Any], list[str]]:
    """-> what the file holds under each wanted key, and all of its keys."""
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"must have at most {MAX_FILE_BYTES} bytes, got more (a hand model has some 5 million)")
    if not data:
        raise ValueError("is empty")
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return read_npz(data, WANTED)
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    if text.startswith((b"{", b"[")):
        whole = _read_json(text)
    # Protocol 2 and later; then the dicts of protocols 0 and 1.
    elif data.startswith((b"\x80", b"(d", b"}", b"ccollections\n")):
        whole = read_pickle(data)
    elif data.startswith(b"\x93NUMPY"):
        raise ValueError("is a single array, expected a pickle, an npz archive or JSON with several")
    else:
        raise ValueError(f"is neither a pickle nor an npz archive nor JSON: it starts with {data[:8]!r}")
    if not isinstance(whole, dict):
        raise ValueError(f"must hold named fields, got {type(whole).__name__}")
    return {key: value for key, value in whole.items() if key in WANTED}, list(whole)


def _read_json(text: bytes) -> Any:
    if len(text) > MAX_JSON_BYTES:
        raise ValueError(f"must have at most {MAX_JSON_BYTES} bytes as JSON, got {len(text)}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"damaged JSON: {str(error)[:200]}") from error


def _own_side(stored: dict[str, Any]) -> str:
    side = stored["side"]
    if isinstance(side, np.ndarray) and side.size == 1:
        side = side.item()
    if side not in ("left", "right"):
        raise ValueError(f"`side` must be 'left' or 'right', got {str(side)[:40]!r}")
    return side


def _left_shapedirs(fields: dict[str, Any], fix: bool) -> np.ndarray:
    shapedirs = fields["shapedirs"]
    follows = file_sides.shape_follows_template(fields["v_template"], shapedirs)
    if follows is False and not fix:
        warnings.warn(
            "this left hand's shapedirs are not mirrored with its template (the fault of the released MANO_LEFT.pkl): "
            "equal betas give other shapes than on the right hand. Pass fix_left_shapedirs=True to mirror them, unless "
            "your betas were fitted without.",
            stacklevel=4,
        )
    if follows is True and fix:
        warnings.warn(
            "fix_left_shapedirs=True, but this left hand's shapedirs look mirrored already; mirroring them back.",
            stacklevel=4,
        )
    return shapedirs * np.array([-1.0, 1.0, 1.0])[:, None] if fix else shapedirs


def _with_same_bits(model: HandModel, stored: dict[str, Any]) -> HandModel:
    """Joints of a saved model in its own rounding, where `build` finds the same within it."""
    for name, value in stored.items():
        made = getattr(model, name)
        array = as_array(value)
        if name == "joint_shapedirs" and array.ndim == 3:
            array = array[:, :, : model.num_betas]
        if array.dtype == made.dtype and array.shape == made.shape and np.allclose(array, made, rtol=1e-5, atol=1e-6):
            model = model.replace(**{name: np.ascontiguousarray(array)})
    return model
