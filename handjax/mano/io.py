"""Hand models from files and to files. A file is data: whatever it holds, reading it runs nothing."""

import dataclasses
import json
import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from handjax.mano.archive import read_npz
from handjax.mano.build import build
from handjax.mano.fields import (
    WANTED,
    array_of_key,
    arrays_of_fields,
    keys_of_fields,
    refuse_body,
    side_of_keys,
    sided_keys,
)
from handjax.mano.file_sides import shape_follows_template, side_of_geometry, side_of_name
from handjax.mano.sparse_posedirs import NAMES as SPARSE_POSEDIRS
from handjax.mano.sparse_posedirs import from_sparse
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
    if not (num_betas is None or (type(num_betas) is int and num_betas > 0)):
        raise ValueError(f"num_betas must be None or a positive integer, got {num_betas!r}")
    path = Path(path)
    with path.open("rb") as file:
        # In pieces: read(n) sets n bytes aside first, and a device has no end.
        pieces, size = [], 0
        while size <= MAX_FILE_BYTES and (piece := file.read(1 << 20)):
            pieces.append(piece)
            size += len(piece)
    try:
        return _model(b"".join(pieces), path, side, fix_left_shapedirs, num_betas)
    except ValueError as error:
        raise HandFileError(f"{path}: {error}") from error


def save(model: HandModel, path: str | os.PathLike) -> None:
    """Writes `model` as an npz archive at just this path; `load` gives it back bit for bit.

    The archive holds plain arrays under `build`'s names and no pickle. It is written beside `path` and renamed, so
    that a file already there stays whole if writing fails. Raises OSError if it cannot be written.
    """
    path = Path(path)
    fields: dict[str, Any] = {
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
            np.savez_compressed(file, **fields)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _model(data: bytes, path: Path, side: str | None, fix_left_shapedirs: bool, num_betas: int | None) -> HandModel:
    stored, present = _stored_fields(data)
    if "posedirs" not in present and set(SPARSE_POSEDIRS) & set(present):
        stored["posedirs"] = _dense_posedirs(stored)
        present.append("posedirs")
    keys = keys_of_fields(present)
    try:
        template, regressor, weights = (
            array_of_key(stored, keys[field]) for field in ("v_template", "J_regressor", "lbs_weights")
        )
        refuse_body(template, weights)
        own_side = _own_side(stored) if "side" in stored else side_of_keys(present)
        if side and own_side and side != own_side:
            raise ValueError(f"is a {own_side} hand's by its fields, but side={side!r} was asked for")
        side = side or own_side or side_of_name(path.stem) or side_of_geometry(template, regressor)
        if side is None:
            raise ValueError("tells no side by field, name or geometry: pass side='left' or side='right'")
        keys = {**sided_keys(present, side), **keys}
        fields = arrays_of_fields(stored, keys)
        joint_bits = {name: fields.pop(name) for name in ("joint_template", "joint_shapedirs") if name in fields}
        fields["shapedirs"] = _first_components(fields["shapedirs"], num_betas)
        if side == "left":
            fields["shapedirs"] = _left_shapedirs(path, fields, fix_left_shapedirs)
        return _with_same_bits(build(**fields, side=side), joint_bits)
    except ValueError as error:
        # The reader knows a field by the name that the file has for it.
        field, _, rest = str(error).partition(" ")
        raise ValueError(f"`{keys[field]}` {rest}" if field in keys else str(error)) from error


def _stored_fields(data: bytes) -> tuple[dict[str, Any], list[str]]:
    """-> what the file holds under each wanted key, and all of its keys."""
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"must have at most {MAX_FILE_BYTES} bytes, got more (a hand model has some 5 million)")
    if not data:
        raise ValueError("is empty")
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return read_npz(data, WANTED | set(SPARSE_POSEDIRS))
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    if text.startswith((b"{", b"[")):
        whole = _read_json(text)
    # Protocol 2 and later; then the dicts and classes of protocols 0 and 1.
    elif re.match(rb"\x80|\(|\}|c[\w.]+\n", data):
        whole = read_pickle(data)
    elif data.startswith(b"\x93NUMPY"):
        raise ValueError("is a single array, expected a pickle, an npz archive or JSON with several")
    else:
        raise ValueError(f"is neither a pickle nor an npz archive nor JSON: it starts with {data[:8]!r}")
    if not isinstance(whole, dict):
        raise ValueError(f"must hold named fields, got {type(whole).__name__}")
    wanted = WANTED | set(SPARSE_POSEDIRS)
    return {key: value for key, value in whole.items() if key in wanted}, [key for key in whole if isinstance(key, str)]


def _dense_posedirs(stored: dict[str, Any]) -> np.ndarray:
    """Of a file that keeps only the blocks that are not zero."""
    sizes = []
    for key in ("v_template", "lbs_weights"):
        if key not in stored:
            raise ValueError(f"has no `{key}`")
        sizes.append(array_of_key(stored, key).shape)
    if not all(len(size) == 2 for size in sizes):
        raise ValueError(f"v_template and lbs_weights must be tables, got shapes {sizes[0]} and {sizes[1]}")
    arrays = {key: array_of_key(stored, key) for key in SPARSE_POSEDIRS if key in stored}
    return from_sparse(arrays, sizes[0][0], sizes[1][1])


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
    if not (isinstance(side, str) and side in ("left", "right")):
        got = repr(side[:40]) if isinstance(side, str) else type(side).__name__
        raise ValueError(f"`side` must be 'left' or 'right', got {got}")
    return side


def _first_components(shapedirs: np.ndarray, num_betas: int | None) -> np.ndarray:
    if num_betas is not None and num_betas > shapedirs.shape[-1]:
        raise ValueError(f"shapedirs must have num_betas={num_betas} components or more, got {shapedirs.shape[-1]}")
    return shapedirs[:, :, :num_betas]


def _left_shapedirs(path: Path, fields: dict[str, Any], fix: bool) -> np.ndarray:
    shapedirs = fields["shapedirs"]
    follows = shape_follows_template(fields["v_template"], shapedirs)
    if follows is False and not fix:
        warnings.warn(
            f"{path}: this left hand's shapedirs look not mirrored with its template (the fault of the released "
            f"MANO_LEFT.pkl): equal betas then give other shapes than on the right hand. "
            f"Pass fix_left_shapedirs=True to mirror them, unless your betas were fitted without.",
            stacklevel=4,
        )
    if follows is True and fix:
        warnings.warn(
            f"{path}: fix_left_shapedirs=True, but this left hand's shapedirs look right; mirroring them nonetheless.",
            stacklevel=4,
        )
    return shapedirs * np.array([-1.0, 1.0, 1.0])[:, None] if fix else shapedirs


def _with_same_bits(model: HandModel, stored: dict[str, np.ndarray]) -> HandModel:
    """Joints of a saved model in its own rounding, where `build` finds the same within it."""
    for name, array in stored.items():
        made = getattr(model, name)
        if name == "joint_shapedirs" and array.ndim == 3:
            array = array[:, :, : model.num_betas]
        if array.dtype == made.dtype and array.shape == made.shape and np.allclose(array, made, rtol=1e-5, atol=1e-6):
            model = dataclasses.replace(model, **{name: np.array(array)})
    return model
