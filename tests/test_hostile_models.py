"""Some 900 damaged or malicious model files: each is a clear error or a right model, and none runs anything."""

import functools
import io
import json
import pickle
import struct
import sys
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

from handjax.mano.io import load
from tests import mano_files

VERTICES = 24
ARRAYS = mano_files.mano_arrays(3, VERTICES, 30, scans=4)
LICENSED = mano_files.dumps(mano_files.licensed_fields(ARRAYS))
MEMORY_LIMIT = 40 << 20
"""Bytes that reading a file of some hundred kilobytes may take at most, beside thirty times its size."""

tripped: list[str] = []


def canary(*_, **__) -> str:
    """What malicious files try to call, beside the system's own functions."""
    tripped.append("canary")
    return "tripped"


DANGEROUS_EVENTS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.remove", "subprocess.Popen")
DANGEROUS_EVENTS += ("pickle.find_class", "socket.connect", "shutil.rmtree", "webbrowser.open", "ctypes.dlopen")
watching = False


def audit(event: str, arguments: tuple) -> None:
    if not watching:
        return
    writes = event == "open" and str(arguments[1])[:1] in "wax"
    # Code from a file is a module of the library's own that is imported late.
    runs_text = event == "exec" and arguments[0].co_filename.startswith("<")
    if writes or runs_text or event in DANGEROUS_EVENTS:
        tripped.append(event)


sys.addaudithook(audit)

COMMAND = "touch tripped"


def npz_bytes(fields: dict) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **fields)
    return buffer.getvalue()


def json_bytes(fields: dict) -> bytes:
    return json.dumps({k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in fields.items()}).encode()


NPZ, JSON = npz_bytes(ARRAYS), json_bytes(ARRAYS)

CALLS = [
    *((module, name) for module in ("os", "posix", "nt") for name in ("system", "popen", "execv", "remove")),
    *(("builtins", name) for name in ("eval", "exec", "getattr", "__import__", "compile", "open", "map", "type")),
    *(("__builtin__", name) for name in ("eval", "execfile", "getattr", "apply", "input")),
    *(("subprocess", name) for name in ("Popen", "call", "check_output", "getoutput")),
    *(("numpy", name) for name in ("load", "fromfile", "memmap", "ndarray.tofile", "dtype.__new__")),
    *(("pickle", name) for name in ("loads", "Unpickler")),
    ("pty", "spawn"),
    ("timeit", "timeit"),
    ("runpy", "run_path"),
    ("shutil", "rmtree"),
    ("pathlib", "Path.unlink"),
    ("functools", "partial"),
    ("operator", "attrgetter"),
    ("importlib", "import_module"),
    ("types", "CodeType"),
    ("codecs", "open"),
    ("copyreg", "__newobj__"),
    ("copyreg", "_reconstructor"),
    ("webbrowser", "open"),
    ("chumpy.ch", "Ch.__init__"),
    ("chumpy.ch", "depends_on"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.testing._private.utils", "runstring"),
    ("jax._src.lax.lax", "exp"),
    ("tests.test_hostile_models", "canary"),
    ("__main__", "canary"),
]


def malicious_calls() -> Iterator[tuple[str, bytes]]:
    text = f"X{struct.pack('<I', len(COMMAND)).decode('latin-1')}{COMMAND}".encode("latin-1")
    for number, (module, name) in enumerate(CALLS):
        both = f"{module}\n{name}\n".encode()
        short = b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name))
        forms = {
            "reduce": b"\x80\x02c" + both + text + b"\x85R.",
            "stack_global": b"\x80\x04" + short + b"\x93" + text + b"\x85R.",
            "inst": b"(" + text + b"i" + both + b".",
            "obj": b"(c" + both + text + b"o.",
            "newobj": b"\x80\x02c" + both + text + b"\x85\x81.",
            "in a field": with_field(b"f", b"c" + both + text + b"\x85R"),
        }
        # All the forms for the first few, then two each in turn.
        for form in list(forms) if number < 3 else [list(forms)[(number + k) % 6] for k in (0, 2)]:
            yield f"{form} {module}.{name}", forms[form]
    yield "newobj_ex", b"\x80\x04\x8c\x02os\x8c\x06system\x93" + text + b"\x85}\x92."
    chain = b"\x80\x02cbuiltins\ngetattr\ncbuiltins\n__import__\nX\x02\x00\x00\x00os\x85RX\x06\x00\x00\x00system\x86R"
    yield "getattr chain", chain + text + b"\x85R."
    yield "state set on a global", b"\x80\x02cchumpy.ch\nCh\n}X\x0c\x00\x00\x00__setstate__cos\nsystem\nsb."
    yield "call of a call", b"\x80\x02cnumpy\ndtype\n" + b"X\x02\x00\x00\x00f8\x85R" + text + b"\x85R."

    class Evil:
        def __reduce__(self):
            return canary, (1,)

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for field in ("v_template", "unknown"):
            yield f"object in {field}, {protocol}", pickle.dumps({**ARRAYS, field: Evil()}, protocol)
    for field in ("x", "other"):
        evil = mano_files.Ch(**{"x": ARRAYS["shapedirs"], field: Evil()})
        yield f"object in a chumpy state, {field}", mano_files.dumps({**ARRAYS, "shapedirs": evil})


def bad_opcodes() -> Iterator[tuple[str, bytes]]:
    start, deep = b"\x80\x02", 20_000
    yield from {
        "extension 1": start + b"\x82\x01.",
        "extension 2": start + b"\x83\x01\x00.",
        "extension 4": start + b"\x84\x01\x00\x00\x00.",
        "persistent id": b"}(Pcanary\nI1\ns.",
        "binary persistent id": start + b"}(K\x01QK\x01u.",
        "next buffer": start + b"\x97.",
        "read-only buffer": start + b"\x97\x98.",
        "unknown opcode": start + b"\xff.",
        "memo index of four billion": start + b"Nr\xff\xff\xff\xff.",
        "memo index in text": b"(Np99999999999999999999999\n.",
        "negative memo index": b"(Np-1\n.",
        "memo index of 10,000 digits": b"(Np" + b"9" * 10_000 + b"\n.",
        "memo that was never filled": start + b"h\x07.",
        "empty stack": start + b".",
        "no mark": start + b"t.",
        "mark above the stack": start + b"N(00t.",
        "append to a number": start + b"K\x01K\x02a.",
        "item on a list": start + b"]K\x01K\x02s.",
        "odd items": start + b"}(K\x01u.",
        "state on a dict": start + b"}}b.",
        "state on a number": start + b"K\x01}b.",
        "call of text": start + b"X\x01\x00\x00\x00a)R.",
        "global of numbers": b"\x80\x04K\x01K\x02\x93.",
        "text longer than the file": start + b"X\xff\xff\xff\x7fabc.",
        "text of 2^62 bytes": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"abc.",
        "bytes of 2^63 bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**63) + b"abc.",
        "bytearray of 2^40 bytes": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"abc.",
        "frame of 2^63 bytes": b"\x80\x04\x95" + struct.pack("<Q", 2**63) + b"N.",
        "negative long": start + b"\x8b\xff\xff\xff\xff.",
        "long of 100 kB": start + b"\x8b" + struct.pack("<i", 100_000) + b"\x7f" * 100_000 + b".",
        "integer of 100,000 digits": b"(L" + b"9" * 100_000 + b"L\nd.",
        "text that is not UTF-8": start + b"X\x02\x00\x00\x00\xff\xfe.",
        "unquoted literal": b"(S1+1\np0\nd.",
        "literal with an unknown escape": b"(S'\\N{DIGIT ONE}'\nd.",
        "global with an unknown escape": start + b"cnumpy\n\\?dtype\n.",
        "literal that is code": b"(S__import__('os')\nd.",
        "deep tuple as a key": start + b"}" + b")" + b"\x85" * 100_000 + b"K\x01s.",
        "deep list": start + b"}X\x01\x00\x00\x00f" + b"]" * deep + b"a" * (deep - 1) + b"s.",
        "deep tuple": start + b")" + b"\x85" * deep + b".",
        "marks alone": start + b"(" * deep + b".",
        "colliding keys": start + b"}(" + b"".join(b"I%d\nN" % (k * (2**61 - 1)) for k in range(9999)) + b"u.",
        "number": start + b"K\x01.",
        "list": start + b"].",
        "dict of numbers": start + b"}K\x01K\x01s.",
        "empty dict": start + b"}.",
    }.items()


def with_field(field: bytes, value: bytes) -> bytes:
    """The licensed layout with one field set last, over the good one."""
    assert LICENSED.endswith(b"u.")
    return LICENSED[:-2] + b"X" + struct.pack("<I", len(field)) + field + value + b"u."


def bad_objects() -> Iterator[tuple[str, bytes]]:
    """Stand-ins that ask for too much or hold what they cannot."""
    make = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR"
    f8 = b"cnumpy\ndtype\n(U\x02f8I0\nI1\ntR(I3\nU\x01<NNNI-1\nI-1\nI0\ntb"
    raw = b"U\x10" + bytes(16)

    def array(shape: bytes = b"(I2\nt", dtype: bytes = f8, raw: bytes = raw, order: bytes = b"I00\n") -> bytes:
        return make + b"(I1\n" + shape + dtype + order + raw + b"tb"

    def dtype(code: bytes, byte_order: bytes = b"<") -> bytes:
        code = b"U" + bytes([len(code)]) + code
        return b"cnumpy\ndtype\n(" + code + b"I0\nI1\ntR(I3\nU\x01" + byte_order + b"NNNI-1\nI-1\nI0\ntb"

    values = {
        "shape of 10^15": array(b"(I1000000000000000\nt"),
        "shape of 2^64": array(b"(I18446744073709551616\nI2\nt"),
        "negative shape": array(b"(I-2\nI-1\nt"),
        "shape of text": array(b"(U\x012t"),
        "shape with a hundred axes": array(b"(" + b"I1\n" * 100 + b"I2\nt"),
        "shape that is no tuple": array(b"I2\n"),
        "bytes too few": array(b"(I3\nt"),
        "bytes that are a list": array(raw=b"(N" + b"Nl"),
        "text beyond Latin-1": array(raw=b"X\x03\x00\x00\x00\xe2\x82\xac"),
        "objects": array(dtype=dtype(b"O8", b"|"), raw=b"(NNl"),
        "structured type": array(dtype=dtype(b"f8,f8")),
        "text type": array(dtype=dtype(b"U2")),
        "void of 2^60 bytes": array(dtype=dtype(b"V1152921504606846976")),
        "dates": array(dtype=dtype(b"M8[ns]")),
        "complex": array(b"(I1\nt", dtype=dtype(b"c16")),
        "byte order of nonsense": array(dtype=dtype(b"f8", b"x")),
        "type that is text": array(dtype=b"U\x02f8"),
        "order that is an array": array(order=make),
        "array never filled": make,
        "array whose state is itself": make + b"qzhzb",
        "array of another class": b"cnumpy.core.multiarray\n_reconstruct\n(cchumpy.ch\nCh\n(I0\ntU\x01btR}b",
        "class itself": b"cnumpy\nndarray\n",
        "list that holds itself": b"]qzhzahza",
        "dict that holds itself": b"}qzU\x04datahzsU\x07indiceshzsU\x06indptrhzs",
        "chumpy that holds itself": b"cchumpy.ch\nCh\n)\x81qz}U\x01xhzsb",
        "chumpy without an array": b"cchumpy.ch\nCh\n)\x81}b",
        "chumpy without a state": b"cchumpy.ch\nCh\n)\x81",
        "select beyond the array": b"cchumpy.reordering\nSelect\n)\x81}(U\x01a]K\x01aU\x04idxs]K\x02aub",
        "select before the array": b"cchumpy.reordering\nSelect\n)\x81}(U\x01a]K\x01aU\x04idxs]J\xff\xff\xff\xffaub",
        "select into another shape": b"cchumpy.reordering\nSelect\n)\x81}(U\x01a]K\x01aU\x04idxs]K\x00a"
        b"U\x0fpreferred_shape]K\x09aub",
        "lists of 2^60 values": b"]K\x01a" + b"".join(b"q%c]" % k + b"(" + b"h%c" % k * 64 + b"e" for k in range(10)),
        "lists of different lengths": b"](]K\x01a]e",
        "lists of text": b"](U\x011U\x012e",
        "list with an integer of 400 digits": b"]L" + b"9" * 400 + b"L\na",
        "none": b"N",
        "text": b"U\x03abc",
    }
    for name, value in values.items():
        for field in (b"v_template", b"kintree_table"):
            yield f"{field.decode()}: {name}", with_field(field, value)
    encode = b"c_codecs\nencode\nq\x01X" + struct.pack("<I", 100_000) + b"a" * 100_000 + b"q\x02U\x06latin1q\x030"
    yield "a text encoded 5,000 times", b"\x80\x02" + encode + b"0(" + b"h\x01h\x02h\x03\x86R" * 5_000 + b"l."
    yield "codec that is not Latin-1", b"\x80\x02c_codecs\nencode\nU\x01aU\x03zip\x86R."

    good = mano_files.compressed(ARRAYS["J_regressor"])
    count = len(good["data"])
    for name, change in {
        "huge shape": {"_shape": (2**40, VERTICES)},
        "many rows": {"_shape": (2**22, VERTICES)},
        "negative shape": {"_shape": (-16, VERTICES)},
        "three lengths": {"_shape": (16, VERTICES, 1)},
        "too few rows": {"_shape": (3, VERTICES)},
        "too few columns": {"_shape": (16, VERTICES - 1)},
        "falling starts": {"indptr": good["indptr"][::-1].copy()},
        "starts past the end": {"indptr": good["indptr"] + 1},
        "starts of floats": {"indptr": good["indptr"] + 0.5},
        "rows past the end": {"indices": good["indices"] + 16},
        "rows before the first": {"indices": good["indices"] - 16},
        "missing entries": {"data": good["data"][:-1]},
        "flat entries": {"data": good["data"][None]},
        "complex entries": {"data": good["data"] + 1j},
        "NaN entries": {"data": np.full(count, np.nan)},
        "no entries": {"data": good["data"][:0], "indices": good["indices"][:0], "indptr": np.zeros(VERTICES + 1, int)},
        "no starts": {"indptr": good["indptr"][:0]},
    }.items():
        matrix = mano_files.csc_matrix(**{**good, "_shape": (16, VERTICES), **change})
        yield f"sparse: {name}", mano_files.dumps({**ARRAYS, "J_regressor": matrix})


def wrong_fields() -> Iterator[tuple[str, dict]]:
    """Every field in turn with every kind of wrong content."""

    def set_first(array: np.ndarray, value: float) -> np.ndarray:
        changed = array.astype(np.float64)
        changed.flat[0] = value
        return changed

    def changes(array: np.ndarray) -> dict:
        return {
            "short": array[:-1],
            "narrow": array[..., :-1],
            "with an axis more": array[None],
            "flat": array.ravel(),
            "empty": array[:0],
            "one number": np.float64(1.0),
            "NaN": set_first(array, np.nan),
            "infinite": set_first(array, -np.inf),
            "1e300": set_first(array, 1e300),
            "complex": array.astype(complex),
            "text": array.astype("U4"),
            "objects": array.astype(object),
            "booleans": array.astype(bool),
            "records": np.zeros(len(array), [("a", "f8"), ("b", "i4")]),
            "dates": np.zeros(len(array), "M8[s]"),
        }

    for key, array in ARRAYS.items():
        for name, wrong in changes(array).items():
            yield f"{key}: {name}", {**ARRAYS, key: wrong}
        yield f"{key}: missing", {other: value for other, value in ARRAYS.items() if other != key}
    faces, table, weights = ARRAYS["f"].astype(int), ARRAYS["kintree_table"], ARRAYS["weights"]

    def parents(joint: int, parent: int) -> np.ndarray:
        changed = table.copy()
        changed[0, joint] = parent
        return changed

    yield "f: vertex past the end", {**ARRAYS, "f": np.where(faces == faces.max(), VERTICES, faces)}
    yield "f: negative vertex", {**ARRAYS, "f": faces - 1 - faces.min()}
    yield "f: 2^63 as unsigned", {**ARRAYS, "f": faces.astype(np.uint64) + np.uint64(2**63)}
    yield "f: halves", {**ARRAYS, "f": faces + 0.5}
    yield "kintree_table: a loop", {**ARRAYS, "kintree_table": parents(1, 3)}
    yield "kintree_table: its own parent", {**ARRAYS, "kintree_table": parents(5, 5)}
    yield "kintree_table: two roots", {**ARRAYS, "kintree_table": parents(4, 2**32 - 1)}
    yield "kintree_table: no root", {**ARRAYS, "kintree_table": parents(0, 0)}
    yield "kintree_table: parent past the end", {**ARRAYS, "kintree_table": parents(2, 99)}
    yield "kintree_table: joints renumbered", {**ARRAYS, "kintree_table": table[:, ::-1]}
    yield "weights: sum to 2", {**ARRAYS, "weights": 2 * weights}
    yield "weights: negative", {**ARRAYS, "weights": weights + np.eye(VERTICES, 16) - np.eye(VERTICES, 16, 1)}
    yield "weights: zero", {**ARRAYS, "weights": 0 * weights}
    yield "J_regressor: sums to 0", {**ARRAYS, "J_regressor": 0 * ARRAYS["J_regressor"]}
    yield "side: up", {**ARRAYS, "side": "up"}
    yield "side: two of them", {**ARRAYS, "side": np.array(["left", "right"])}
    yield "side: a number", {**ARRAYS, "side": 1}
    yield "fingertip_ids: past the end", {**ARRAYS, "fingertip_ids": np.array([0, 1, 2, 3, VERTICES])}
    yield "fingertip_ids: of six fingers", {**ARRAYS, "fingertip_ids": np.arange(6)}
    yield "keypoint_ids: past the end", {**ARRAYS, "keypoint_ids": np.arange(21) + 1}
    yield "keypoint_ids: a table", {**ARRAYS, "keypoint_ids": np.arange(21)[None]}
    yield "joint_axes: flat", {**ARRAYS, "joint_axes": np.zeros(135)}
    yield "joint_limits: NaN", {**ARRAYS, "joint_limits": np.full((15, 3, 2), np.nan)}
    yield "joint_frames: too few", {**ARRAYS, "joint_frames": np.zeros((15, 3, 3))}
    yield "pose_std: too long", {**ARRAYS, "pose_std": np.ones(46)}
    yield "joint_template: NaN", {**ARRAYS, "joint_template": np.full((16, 3), np.nan, np.float32)}


def npy(shape: str, descr: str = "'<f8'", body: bytes = bytes(64), version: int = 1, more: str = "") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}{more}}}".encode() + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + body


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


@functools.cache
def bomb() -> bytes:
    """Arrays of 300 MB of zeros in 1 MB."""
    buffer, rows = io.BytesIO(), 12_500_000
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for key in set(ARRAYS) - {"v_template"}:
            file.writestr(f"{key}.npy", npy_of(ARRAYS[key]))
        with file.open("v_template.npy", "w") as member:
            member.write(npy(f"({rows}, 3)", body=b""))
            for _ in range(100):
                member.write(bytes(24 * rows // 100))
    return buffer.getvalue()


def bomb_that_declares(declared: int) -> bytes:
    data = bytearray(bomb())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.rindex(signature) + offset
        data[at : at + 4] = struct.pack("<I", declared)
    return bytes(data)


def bad_archives() -> Iterator[tuple[str, bytes | Callable[[], bytes]]]:
    others = {f"{key}.npy": npy_of(value) for key, value in ARRAYS.items() if key != "v_template"}

    def template(content: bytes) -> bytes:
        return archive({**others, "v_template.npy": content})

    yield from {
        "shape of 10^12": template(npy("(1000000000000, 3)")),
        "shape of 10^30": template(npy("(" + "1" + "0" * 30 + ", 3)")),
        "negative shape": template(npy("(-8,)")),
        "shape that multiplies to fit": template(npy("(-2, -4)")),
        "shape with no values but many rows": template(npy("(1000000000000, 0)", body=b"")),
        "shape of 2^63 empty rows": template(npy("(9223372036854775808, 0)", body=b"")),
        "text of no length": template(npy("(1000000000000,)", "'<U0'", b"")),
        "void of no length": template(npy("(1000000000000,)", "'|V0'", b"")),
        "number of 2^60 bytes": template(npy("(1,)", "'|V1152921504606846976'")),
        "sub-array type": template(npy("(1,)", "('<f8', (1000000000,))")),
        "type that is code": template(npy("(1,)", "__import__('os').system('touch tripped')")),
        "shape that is code": template(npy("__import__('os').system('touch tripped')")),
        "objects": template(npy("(1,)", "'|O'", pickle.dumps([canary]))),
        "no header": template(b"\x93NUMPY\x01\x00"),
        "header longer than the file": template(b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{"),
        "deep header": template(npy("(" * 4000)),
        "header of 20 kB": template(npy("(8,)", more=", 'x': " + "1" * 20_000)),
        "key too many": template(npy("(8,)", more=", 'x': 1")),
        "version 3": template(npy("(8,)", version=3)),
        "version 9": template(npy("(8,)", version=9)),
        "not an array": template(b"hello"),
        "empty member": template(b""),
        "pickle as a member": template(pickle.dumps(1)),
        "no members": archive({}),
        "members that are no arrays": archive({"v_template.txt": b"1", "../../x": b"2"}),
        "ten thousand members": archive({f"{k}": b"" for k in range(10_001)}),
        "bzip2": archive({**others, "v_template.npy": npy("(8,)")}, zipfile.ZIP_BZIP2),
        "lzma": archive({**others, "v_template.npy": npy("(8,)")}, zipfile.ZIP_LZMA),
        "encrypted": patched(NPZ, b"PK\x01\x02", 8, b"\x01\x00"),
        "unknown method": patched(NPZ, b"PK\x01\x02", 10, b"\x63\x00"),
        "zip of version 10.9": patched(NPZ, b"PK\x01\x02", 6, b"\x6d\x00"),
        "wrong checksum": patched(NPZ, b"PK\x01\x02", 16, b"\x00\x00\x00\x00"),
        "declared 4 GB": patched(NPZ, b"PK\x01\x02", 24, b"\xfe\xff\xff\xff"),
        "no directory": NPZ[: NPZ.index(b"PK\x01\x02")],
        "archive in an archive": archive({"v_template.npy": NPZ}),
        "bomb of 300 MB": bomb,
        "bomb that declares 1 kB": functools.partial(bomb_that_declares, 1000),
        "bomb that declares 10 MB": functools.partial(bomb_that_declares, 10_000_000),
    }.items()
    yield "path before the name", archive({f"../{key}": value for key, value in others.items()})
    for code in ("'<c16'", "'|b1'", "'<M8[s]'", "[('a', '<f8')]", "'<f3'", "'x'", "8", "None"):
        yield f"type {code}", template(npy("(8,)", code))


def npy_of(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def patched(data: bytes, signature: bytes, offset: int, content: bytes) -> bytes:
    at = data.index(signature) + offset
    return data[:at] + content + data[at + len(content) :]


def bad_json() -> Iterator[tuple[str, bytes]]:
    def template(value: str) -> bytes:
        whole = {**{key: array.tolist() for key, array in ARRAYS.items()}, "v_template": "HERE"}
        return json.dumps(whole).replace('"HERE"', value).encode()

    row = "[" + "0.1," * 2 + "0.1]"
    yield from {
        "deep lists": b'{"v_template": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "deep lists unclosed": b"{" + b'"a": ' + b"[" * 1_000_000,
        "a list": b"[1, 2, 3]",
        "nothing in it": b"{}",
        "two objects": b"{} {}",
        "NaN": template("[" + ",".join([row] * (VERTICES - 1) + ["[NaN, 0, 0]"]) + "]"),
        "Infinity": template("[" + ",".join([row] * (VERTICES - 1) + ["[-Infinity, 0, 0]"]) + "]"),
        "1e999": template("[" + ",".join([row] * (VERTICES - 1) + ["[1e999, 0, 0]"]) + "]"),
        "integer of 400 digits": template("[" + ",".join([row] * (VERTICES - 1) + [f"[{'9' * 400}, 0, 0]"]) + "]"),
        "integer of 10,000 digits": template("[" + "9" * 10_000 + "]"),
        "ragged": template("[" + ",".join([row] * (VERTICES - 1) + ["[1, 2]"]) + "]"),
        "text": template("\"__import__('os')\""),
        "text in lists": template('[["1", "2", "3"]]'),
        "null": template("null"),
        "nulls": template("[[null, null, null]]"),
        "an object": template('{"py/object": "os.system"}'),
        "an empty list": template("[]"),
        "twelve axes": template("[" * 12 + "1" + "]" * 12),
        "bytes that are not UTF-8": template('"\udcff"'.encode("utf-8", "surrogatepass").decode("latin-1")),
    }.items()


def mutations(data: bytes, seed: int, truncations: int, flips: int) -> Iterator[tuple[str, Callable[[], bytes]]]:
    rng = np.random.default_rng(seed)
    for length in np.unique(np.linspace(1, len(data) - 1, truncations).astype(int)):
        yield f"first {length} bytes", lambda length=length: data[:length]
    # Half of the damage where the structure is: a flip among array bytes only changes a number.
    places = np.concatenate([rng.integers(0, len(data), flips // 2), rng.integers(0, 400, flips - flips // 2)])
    for place in places:
        flipped = bytes([data[place] ^ 1 << rng.integers(8)])
        yield f"bit flipped at {place}", lambda at=place, new=flipped: data[:at] + new + data[at + 1 :]
    for _ in range(flips // 4):
        start, stop = np.sort(rng.integers(0, len(data), 2))
        yield f"without bytes {start} to {stop}", lambda start=start, stop=stop: data[:start] + data[stop:]


def not_models() -> Iterator[tuple[str, bytes]]:
    yield "empty file", b""
    yield "one byte", b"\x80"
    yield "picture", b"\x89PNG\r\n\x1a\n" + bytes(100)
    yield "jpeg", b"\xff\xd8\xff\xe0" + bytes(100)
    yield "program", b"\x7fELF" + bytes(100)
    yield "gzip", b"\x1f\x8b\x08" + bytes(100)
    yield "single array", npy("(8,)")
    yield "text", b"v_template = 1\n"
    yield "code", b"import os\nos.system('touch tripped')\n"
    yield "zeros", bytes(1000)
    yield "table", b"column\n1\n2\n"
    yield "zip signature alone", b"PK\x03\x04"
    yield "empty zip signature alone", b"PK\x05\x06"
    yield "web page", b"<!DOCTYPE html><html>"
    yield "git-lfs pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"


def hostile_files() -> Iterator[tuple[str, bytes | Callable[[], bytes]]]:
    families = {
        "call": malicious_calls(),
        "opcode": bad_opcodes(),
        "object": bad_objects(),
        "npz field": ((name, functools.partial(npz_bytes, fields)) for name, fields in wrong_fields()),
        "pickle field": (
            (name, functools.partial(mano_files.dumps, fields)) for name, fields in list(wrong_fields())[::3]
        ),
        "archive": bad_archives(),
        "json": bad_json(),
        "pickle": mutations(LICENSED, 0, 40, 60),
        "pickle of protocol 0": mutations(mano_files.python2_pickle(ARRAYS, 0), 1, 15, 24),
        "npz": mutations(NPZ, 2, 20, 40),
        "json text": mutations(JSON, 3, 15, 24),
        "file": not_models(),
    }
    for family, files in families.items():
        for name, data in files:
            yield f"{family}: {name}", data


FILES = dict(hostile_files())
NEVER_MODELS = ("call: ", "opcode: ", "object: v_template", "object: kintree_table", "file: ")
"""The families that hold no model that could be right."""


def contents(name: str) -> bytes:
    data = FILES[name]
    return data if isinstance(data, bytes) else data()


def assert_valid(model) -> None:
    for leaf in jax.tree.leaves(model):
        assert np.isfinite(leaf).all()
    np.testing.assert_allclose(np.sum(model.lbs_weights, -1), 1, atol=2e-3)
    np.testing.assert_allclose(np.sum(model.J_regressor, -1), 1, atol=2e-3)
    assert np.min(model.faces, initial=0) >= 0 and np.max(model.faces, initial=0) < model.num_vertices
    assert all(-1 <= parent < joint for joint, parent in enumerate(model.parents))
    assert model.side in ("left", "right")


@pytest.mark.parametrize("name", FILES)
def test_hostile_file_is_an_error_or_a_right_model_and_runs_nothing(name, tmp_path, monkeypatch):
    global watching
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "MANO_RIGHT.pkl"
    data = contents(name)
    path.write_bytes(data)
    tripped.clear()
    tracemalloc.start()
    watching, model = True, None
    try:
        model = load(path)
    except (ValueError, OSError) as error:
        assert str(error).startswith(f"{path}: ")
        assert len(str(error)) - len(str(path)) < 800
    finally:
        watching = False
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert not tripped
    assert [entry.name for entry in tmp_path.iterdir()] == ["MANO_RIGHT.pkl"]
    assert peak < MEMORY_LIMIT + 30 * len(data)
    if model is not None:
        assert not name.startswith(NEVER_MODELS)
        assert_valid(model)


def test_there_are_enough_hostile_files():
    assert len(FILES) >= 300


def test_attacks_would_work_on_a_plain_unpickler(tmp_path, monkeypatch):
    """The files above are real attacks: pickle itself runs them."""
    monkeypatch.chdir(tmp_path)
    tripped.clear()
    pickle.loads(contents("call: object in unknown, 4"))
    assert tripped == ["canary"]
    pickle.loads(contents("call: reduce os.system"))
    assert (tmp_path / "tripped").exists()


def test_too_many_opcodes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("handjax.mano.unpickle.MAX_OPCODES", 100)
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(b"\x80\x02" + b"N" * 99 + b".")
    with pytest.raises(ValueError, match="at most 100 opcodes, got more"):
        load(path)


def test_a_file_of_any_length_is_read_up_to_the_limit_only(tmp_path, monkeypatch):
    monkeypatch.setattr("handjax.mano.io.MAX_FILE_BYTES", 1000)
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(LICENSED)
    with pytest.raises(ValueError, match="must have at most 1000 bytes, got more"):
        load(path)
    if Path("/dev/zero").exists():
        with pytest.raises(ValueError, match="must have at most 1000 bytes, got more"):
            load("/dev/zero")
