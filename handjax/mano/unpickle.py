"""Pickles as data: a reader that builds lists, dicts and named stand-ins, and can call nothing at all.

`pickle.Unpickler` with a `find_class` of one's own still calls what it finds and takes sizes on trust (six bytes make
its memo table grow to gigabytes). This one walks the opcodes itself: names outside `ALLOWED` are refused, names inside
become `StandIn`, and every size is bounded by the length of the file.
"""

import dataclasses
import io
import pickletools
import re
from collections.abc import Callable
from typing import Any, NamedTuple

MAX_OPCODES = 4_000_000
"""A hand model dumped as nested lists has about one million."""

ALLOWED = {
    # What Python 2, Python 3 and each NumPy and SciPy since call the same few things.
    **dict.fromkeys(["numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"], "reconstruct"),
    **dict.fromkeys(["numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"], "scalar"),
    **dict.fromkeys(["numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"], "frombuffer"),
    **dict.fromkeys(
        ["numpy.ndarray", "numpy.matrix", "numpy.matrixlib.defmatrix.matrix", "numpy.core.defmatrix.matrix"],
        "ndarray",
    ),
    "numpy.dtype": "dtype",
    **{f"scipy.sparse.{module}.csc_{kind}": "csc" for module in ("csc", "_csc") for kind in ("matrix", "array")},
    **{f"scipy.sparse.{module}.csr_{kind}": "csr" for module in ("csr", "_csr") for kind in ("matrix", "array")},
    "chumpy.ch.Ch": "ch",
    "chumpy.reordering.Select": "select",
    **{f"{module}.{kind}": "set" for module in ("__builtin__", "builtins") for kind in ("set", "frozenset")},
    **{f"{module}.object": "object" for module in ("__builtin__", "builtins")},
    **{f"{module}.bytes": "bytes" for module in ("__builtin__", "builtins")},
    **{f"{module}._reconstructor": "reconstructor" for module in ("copy_reg", "copyreg")},
    "collections.OrderedDict": "dict",
    "_codecs.encode": "encode",
}
"""The names that a model file may hold, and the kind of stand-in that each becomes."""

INSTANCES = ("ndarray", "csc", "csr", "ch", "select")


class Name(NamedTuple):
    """A global that the file names: its kind of `ALLOWED`. Nothing is imported for it."""

    kind: str


@dataclasses.dataclass
class StandIn:
    """An object of the file, as stored: its kind, the arguments it would be made with and its state."""

    kind: str
    arguments: tuple = ()
    state: Any = None


def read_pickle(data: bytes) -> Any:
    """Reads the first pickle in `data`, of any protocol: dicts, lists, tuples, numbers, text, bytes and `StandIn`.

    Text of Python 2 is read as Latin-1. Sets become lists. Nothing is imported or called.
    Raises ValueError if the pickle is damaged, too long, or names anything outside `ALLOWED`.
    """
    machine, stream = Machine(), io.BytesIO(data)
    for _ in range(MAX_OPCODES):
        position = stream.tell()
        opcode = OPCODES.get(stream.read(1))
        try:
            if opcode is None:
                raise ValueError("the pickle ends early or holds an unknown opcode")
            if opcode.name == "STOP":
                return machine.stack[-1]
            machine.step(opcode.name, read_argument(opcode, stream))
        except (ValueError, IndexError, KeyError, OverflowError) as error:
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__} {error}"
            raise ValueError(f"damaged or refused pickle, at byte {position}: {reason[:200]}") from error
    raise ValueError(f"pickle must have at most {MAX_OPCODES} opcodes, got more")


class Machine:
    """The stack, the marks on it and the memo of one pickle."""

    def __init__(self):
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument) -> None:
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        else:
            _ACTIONS[name](self, argument)

    def since_mark(self) -> list:
        mark = self.marks.pop()
        if mark > len(self.stack):
            raise ValueError("a mark points above the stack")
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def last(self, count: int) -> tuple:
        if count > len(self.stack):
            raise ValueError("the stack is too short")
        items = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        return items

    def extend(self, items: list) -> None:
        if not isinstance(self.stack[-1], list):
            raise ValueError(f"items added to {type(self.stack[-1]).__name__}, not to a list or set")
        self.stack[-1].extend(items)

    def set_items(self, items: list) -> None:
        if not isinstance(self.stack[-1], dict) or len(items) % 2:
            raise ValueError("key and value pairs set on something else than a dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Hashing a deeply nested tuple overflows the C stack, and large integers may be chosen to collide.
            if not (type(key) is str or (type(key) is int and 0 <= key < MAX_OPCODES)):
                raise ValueError(f"a dict key must be text or a small number, got {type(key).__name__}")
            self.stack[-1][key] = value

    def remember(self, index: int) -> None:
        if not 0 <= index < MAX_OPCODES:
            raise ValueError(f"memo index {index} is out of range")
        self.memo[index] = self.stack[-1]

    def name_global(self, module, name) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise ValueError("a global must be named by text")
        kind = ALLOWED.get(f"{module}.{name}")
        if kind is None:
            raise ValueError(f"it names {f'{module}.{name}'[:80]!r}, which no hand model needs; nothing was run")
        self.stack.append(Name(kind))

    def call(self) -> None:
        name, arguments = self.last(2)
        if not (isinstance(name, Name) and isinstance(arguments, tuple)):
            raise ValueError("only a global may be called, with a tuple of arguments")
        self.stack.append(stand_in(name.kind, arguments))

    def make_instance(self) -> None:
        name, arguments = self.last(2)
        if not (isinstance(name, Name) and name.kind in INSTANCES and isinstance(arguments, tuple)):
            raise ValueError("only an array or a model's own classes may be instantiated")
        self.stack.append(StandIn(name.kind, arguments))

    def set_state(self) -> None:
        (state,) = self.last(1)
        if not isinstance(self.stack[-1], StandIn):
            raise ValueError(f"state set on {type(self.stack[-1]).__name__}, which has none")
        self.stack[-1].state = state


def stand_in(kind: str, arguments: tuple) -> Any:
    """What calling an allowed global with `arguments` stands for."""
    match kind, arguments:
        case (
            ("dtype", (str(), *_))
            | ("scalar", (_, _))
            | ("frombuffer", (_, _, _, _))
            # Not encoded here: one text encoded a million times would fill the memory.
            | ("encode", (str(), "latin1" | "latin-1"))
        ):
            return StandIn(kind, arguments)
        case (("reconstruct" | "reconstructor"), (Name(instance), *_)) if instance in INSTANCES:
            return StandIn(instance)
        case "set", (list(items),):
            return items
        case "set", ():
            return []
        case "bytes", ():
            return b""
        case "dict", ():
            return {}
    raise ValueError(f"{kind} is called with arguments that no hand model holds")


def read_argument(opcode: pickletools.OpcodeInfo, stream: io.BytesIO) -> Any:
    if opcode.name in _REFUSED:
        raise ValueError(f"opcode {opcode.name} is refused: no hand model needs it")
    # pickletools' own readers of these two fail beyond ASCII, and warn of escapes that they do not know.
    if opcode.name == "STRING":
        return _read_python2_text(stream)
    if opcode.name == "GLOBAL":
        return [stream.readline().removesuffix(b"\n").decode("utf-8") for _ in range(2)]
    return opcode.arg.reader(stream) if opcode.arg else None


_ESCAPE = re.compile(rb"\\(?:x[0-9a-fA-F]{2}|[\\'\"nrt])")


def _read_python2_text(stream: io.BytesIO) -> str:
    """The argument of STRING: a quoted literal of Python 2."""
    line = stream.readline()
    if len(line) < 3 or line[-1:] != b"\n" or line[0] != line[-2] or line[:1] not in (b"'", b'"'):
        raise ValueError("a text literal is not quoted")
    text = line[1:-2]
    if b"\\" in _ESCAPE.sub(b"", text):
        raise ValueError("a text literal holds an unknown escape")
    return text.decode("unicode_escape")


OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
_LITERALS = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING BINBYTES "
    "SHORT_BINBYTES BINBYTES8 BYTEARRAY8 UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8".split()
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


def _push_dict(machine: Machine, _) -> None:
    items = machine.since_mark()
    machine.stack.append({})
    machine.set_items(items)


_ACTIONS: dict[str, Callable[[Machine, Any], Any]] = {
    "PROTO": lambda machine, version: None,
    "FRAME": lambda machine, length: None,
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "POP": lambda machine, _: machine.last(1),
    "POP_MARK": lambda machine, _: machine.since_mark(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_SET": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "LIST": lambda machine, _: machine.stack.append(machine.since_mark()),
    "FROZENSET": lambda machine, _: machine.stack.append(machine.since_mark()),
    "DICT": _push_dict,
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.stack.append(machine.last(1)),
    "TUPLE2": lambda machine, _: machine.stack.append(machine.last(2)),
    "TUPLE3": lambda machine, _: machine.stack.append(machine.last(3)),
    "APPEND": lambda machine, _: machine.extend(list(machine.last(1))),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "ADDITEMS": lambda machine, _: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.set_items(list(machine.last(2))),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "PUT": lambda machine, index: machine.remember(index),
    "BINPUT": lambda machine, index: machine.remember(index),
    "LONG_BINPUT": lambda machine, index: machine.remember(index),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    "GET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "LONG_BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "GLOBAL": lambda machine, names: machine.name_global(*names),
    "STACK_GLOBAL": lambda machine, _: machine.name_global(*machine.last(2)),
    "REDUCE": lambda machine, _: machine.call(),
    "NEWOBJ": lambda machine, _: machine.make_instance(),
    "BUILD": lambda machine, _: machine.set_state(),
}
_REFUSED = frozenset(opcode.name for opcode in pickletools.opcodes) - {*_LITERALS, *_CONSTANTS, *_ACTIONS, "STOP"}
