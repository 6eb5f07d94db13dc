"""MATLAB files up to version 7, read as data."""

import io
import zlib

import numpy as np
import scipy.io
from etils import epath
from scipy.io.matlab import MatReadError


def read_mat(path: epath.Path, key: str) -> np.ndarray:
    """The array `key` of a .mat file. Raises ValueError naming the file if it is damaged, HDF5 or has no such array."""
    try:
        stored = scipy.io.loadmat(io.BytesIO(path.read_bytes()), variable_names=[key])
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        OSError,
        NotImplementedError,
        MatReadError,
        zlib.error,
    ) as error:
        raise ValueError(f"{path} must be a whole MATLAB file of version 7 or older: {error}") from error
    if key not in stored:
        raise ValueError(f"{path} must hold the array {key!r}, which it does not")
    return stored[key]
