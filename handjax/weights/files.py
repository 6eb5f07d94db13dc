"""Weights of a network as one small .npz: half-precision numbers by name, and what they were trained on."""

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from handjax.export.files import write_bytes

ABOUT = "about"
SEPARATOR = "/"


def write_weights(path: str | os.PathLike, variables: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """variables: as flax nests them, one network's or several by name; about: what JSON can hold. Whole or not at all.

    Parameters are stored in float16, which costs a network that has learnt 1e-3 of its outputs; batch statistics,
    whose range is wide, in float32. Raises ValueError for numbers that float16 cannot hold.
    """
    arrays: dict[str, Any] = {}
    for name, leaf in traverse_util.flatten_dict(dict(variables), sep=SEPARATOR).items():
        stored = np.asarray(leaf, np.float16 if name.startswith("params") else np.float32)
        if not np.isfinite(stored).all():
            raise ValueError(f"variables must be finite and within float16's 65504, {name} is not")
        arrays[name] = stored
    stream = io.BytesIO()
    arrays[ABOUT] = np.frombuffer(json.dumps(dict(about)).encode(), np.uint8)
    np.savez_compressed(stream, **arrays)
    write_bytes(path, stream.getvalue())


def read_weights(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, Any]]:
    """-> variables in float32, what is told about them. Raises ValueError for a file that `write_weights` did not
    write, OSError for none. Nothing in the file is executed."""
    try:
        # NumPy leaves a file open that turns out to be no archive.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        about = json.loads(arrays.pop(ABOUT).tobytes())
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{Path(path)} must be a file of weights, {type(error).__name__}: {error}") from error
    flat = {name: np.asarray(value, np.float32) for name, value in arrays.items()}
    return traverse_util.unflatten_dict(flat, sep=SEPARATOR), about
