"""Writes hand models in the object layouts of real files, with random content: no byte comes from a licensed one.

The pickles hold chumpy's and SciPy's objects under the exact module names, made from stub classes, so that neither
package is needed to write them.
"""

import contextlib
import json
import pickle
import sys
import types
from pathlib import Path

import numpy as np

ROOT_PARENT = 2**32 - 1
"""The parent of MANO's root: -1 in unsigned 32 bits."""
HIDDEN_BETAS = 20
"""MANO's files carry 20 shape components behind a `Select` that shows 10."""


class Stub:
    """An object with nothing but attributes: what a chumpy or SciPy object is once pickled."""

    def __init__(self, **state):
        self.__dict__.update(state)


def stub_class(module: str, name: str) -> type:
    return type(name, (Stub,), {"__module__": module})


Ch = stub_class("chumpy.ch", "Ch")
Select = stub_class("chumpy.reordering", "Select")
csc_matrix = stub_class("scipy.sparse.csc", "csc_matrix")
csr_matrix = stub_class("scipy.sparse._csr", "csr_matrix")


@contextlib.contextmanager
def stubs_importable():
    """pickle looks up each class by its module's name before it writes the name."""
    names = ["chumpy", "chumpy.ch", "chumpy.reordering", "scipy", "scipy.sparse", "scipy.sparse.csc"]
    names.append("scipy.sparse._csr")
    kept = {name: sys.modules.get(name) for name in names}
    try:
        for name in names:
            sys.modules[name] = types.ModuleType(name)
        for kind in (Ch, Select, csc_matrix, csr_matrix):
            setattr(sys.modules[kind.__module__], kind.__name__, kind)
        yield
    finally:
        for name, module in kept.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def mano_arrays(seed: int = 0, vertices: int = 778, faces: int = 1538, side: str = "right", scans: int = 40) -> dict:
    """MANO's fields as plain arrays: random, but with fingers towards -x on the right hand and a size component."""
    rng = np.random.default_rng(seed)
    weights = rng.random((vertices, 16)) ** 8 + 1e-6
    regressor = rng.random((16, vertices)) * (rng.random((16, vertices)) < 0.2)
    regressor[np.arange(16), rng.choice(vertices, 16, replace=False)] += 0.1
    v_template = rng.normal(size=(vertices, 3)) * [0.05, 0.02, 0.01]
    v_template[:, 0] -= 0.1
    # The wrist is regressed from the vertices nearest to the arm.
    regressor[0] = v_template[:, 0] > np.quantile(v_template[:, 0], 0.9)
    shapedirs = rng.normal(size=(vertices, 3, HIDDEN_BETAS)) * 0.001
    shapedirs[:, :, 0] += 0.05 * (v_template - v_template.mean(0))
    components, _ = np.linalg.qr(rng.normal(size=(45, 45)))
    arrays = {
        "v_template": v_template,
        "shapedirs": shapedirs,
        "posedirs": rng.normal(size=(vertices, 3, 135)) * 0.001,
        "J_regressor": regressor / regressor.sum(-1, keepdims=True),
        "weights": weights / weights.sum(-1, keepdims=True),
        "kintree_table": np.array([(ROOT_PARENT, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14), range(16)]),
        "f": rng.integers(0, vertices, (faces, 3)).astype(np.uint32),
        "hands_components": components,
        "hands_mean": rng.normal(size=45) * 0.2,
        "hands_coeffs": rng.normal(size=(scans, 45)),
    }
    if side == "left":
        arrays["v_template"] = v_template * [-1, 1, 1]
        arrays["shapedirs"] = shapedirs * np.array([-1, 1, 1])[:, None]
    arrays["J"] = arrays["J_regressor"] @ arrays["v_template"]
    return arrays


def shown(arrays: dict) -> dict:
    """The fields with the 10 shape components that MANO's `Select` shows."""
    return {**arrays, "shapedirs": arrays["shapedirs"][:, :, :10]}


def compressed(matrix: np.ndarray, by: str = "csc") -> dict:
    """data, indices, indptr of a dense matrix, as SciPy orders them."""
    major = matrix.T if by == "csc" else matrix
    rows, columns = np.nonzero(major)
    starts = np.searchsorted(rows, np.arange(len(major) + 1)).astype(np.int32)
    return {"data": major[rows, columns], "indices": columns.astype(np.int32), "indptr": starts}


def licensed_fields(arrays: dict) -> dict:
    """The fields as the licensed files hold them: shapedirs a chumpy Select, J_regressor a csc_matrix."""
    vertices = len(arrays["v_template"])
    whole = arrays["shapedirs"]
    chosen = np.arange(whole.size).reshape(whole.shape)[:, :, :10].ravel()
    select = Select(a=Ch(x=whole, _dirty_vars=set(), _itr=None), idxs=chosen, preferred_shape=(vertices, 3, 10))
    sparse = csc_matrix(**compressed(arrays["J_regressor"]), _shape=arrays["J_regressor"].shape, maxprint=50)
    return {**arrays, "shapedirs": select, "J_regressor": sparse, "bs_style": "lbs", "bs_type": "lrotmin"}


def dumps(fields: dict, protocol: int = 2) -> bytes:
    with stubs_importable():
        return pickle.dumps(fields, protocol)


def write_pickle(path: Path, fields: dict, protocol: int = 2) -> Path:
    path.write_bytes(dumps(fields, protocol))
    return path


def write_npz(path: Path, fields: dict) -> Path:
    with path.open("wb") as file:
        np.savez(file, **fields)
    return path


def write_json(path: Path, fields: dict) -> Path:
    lists = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in fields.items()}
    path.write_text(json.dumps(lists))
    return path


def python2_pickle(fields: dict, protocol: int) -> bytes:
    """Plain arrays as Python 2 pickled them: byte strings, old module names, protocol 0 (text) or 2."""
    out = [b"\x80\x02" if protocol else b"", b"(d" if not protocol else b"}("]

    def text(value: bytes) -> bytes:
        if protocol:
            return b"T" + len(value).to_bytes(4, "little") + value
        escaped = "".join(chr(c) if 32 <= c < 127 and c not in b"\\'" else f"\\x{c:02x}" for c in value)
        return b"S'" + escaped.encode("ascii") + b"'\n"

    for key, array in fields.items():
        shape = b"(" + b"".join(b"I%d\n" % length for length in array.shape) + b"t"
        dtype = b"cnumpy\ndtype\n(" + text(array.dtype.str[1:].encode()) + b"I0\nI1\ntR"
        dtype += b"(I3\n" + text(b"<") + b"NNNI-1\nI-1\nI0\ntb"
        reconstruct = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\nt" + text(b"b") + b"tR"
        state = b"(I1\n" + shape + dtype + b"I00\n" + text(array.tobytes()) + b"tb"
        out.append(text(key.encode()) + reconstruct + state + (b"" if protocol else b"s"))
    return b"".join(out) + (b"u." if protocol else b".")
