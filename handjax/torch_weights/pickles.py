"""PyTorch's pickles as data: tensors become `TensorRecord`, which says where in the file its numbers lie.

The opcodes are walked by `handjax.mano.unpickle`, which calls nothing and bounds every size. This adds the few names
that a checkpoint holds; any other is refused.
"""

from typing import Any, NamedTuple, Protocol

from handjax.mano import unpickle

STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bf2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
}
"""NumPy's code for each, but for bfloat16, which it has not."""

ALLOWED = {
    **{name: kind for name, kind in unpickle.ALLOWED.items() if name.startswith(("numpy.", "_codecs."))},
    **{f"torch.{name}": f"storage {code}" for name, code in STORAGES.items()},
    "torch._utils._rebuild_tensor_v2": "tensor",
    "torch._utils._rebuild_tensor": "tensor",
    "torch._utils._rebuild_parameter": "parameter",
    "torch.Size": "size",
    "collections.OrderedDict": "dict",
    "collections.defaultdict": "dict",
    **{f"{module}.dict": "dict" for module in ("__builtin__", "builtins")},
    **{f"{module}.set": "set" for module in ("__builtin__", "builtins")},
}
"""The names that a checkpoint may hold: tensors, dicts, and the NumPy numbers of a score or a seed."""

MAX_AXES = 8


class Readable(Protocol):
    """A stream, or a memory map."""

    def read(self, size: int = ..., /) -> bytes: ...
    def readline(self) -> bytes: ...
    def tell(self) -> int: ...


class StorageRecord(NamedTuple):
    """A block of numbers, as the file names it."""

    code: str
    key: str
    size: int


class TensorRecord(NamedTuple):
    """A view of a storage; all that it reaches lies inside."""

    storage: StorageRecord
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Pickle(NamedTuple):
    """What a pickle holds, and all storages that it names by their keys."""

    tree: Any
    storages: dict[str, StorageRecord]


def read(stream: Readable) -> Pickle:
    """Reads one pickle and leaves the stream behind it.

    Raises ValueError if the pickle is damaged, too long, or names anything outside `ALLOWED`; nothing is run.
    """
    machine = _Checkpoint()
    for _ in range(unpickle.MAX_OPCODES):
        position = stream.tell()
        opcode = unpickle.OPCODES.get(stream.read(1))
        try:
            if opcode is None:
                raise ValueError("the pickle ends early or holds an unknown opcode")
            if opcode.name == "STOP":
                return Pickle(machine.stack[-1], machine.storages)
            if opcode.name == "BINPERSID":
                machine.name_storage()
            else:
                argument = unpickle.read_argument(opcode, stream)  # pyright: ignore[reportArgumentType] - it only reads
                machine.step(opcode.name, argument)
        except (ValueError, IndexError, KeyError, OverflowError) as error:
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__} {error}"
            raise ValueError(f"damaged or refused checkpoint, at byte {position}: {reason[:300]}") from error
    raise ValueError(f"the checkpoint's pickle must have at most {unpickle.MAX_OPCODES} opcodes, got more")


class _Checkpoint(unpickle.Machine):
    """The stack machine, with a checkpoint's names and its references to storages."""

    def __init__(self):
        super().__init__()
        self.storages: dict[str, StorageRecord] = {}

    def name_global(self, module, name) -> None:
        full = f"{module}.{name}"
        if full not in ALLOWED:
            raise ValueError(
                f"it names {full[:80]!r}, which tensors do not need; nothing was run. If the file is your own, save "
                "the tensors alone: torch.save(model.state_dict(), path)"
            )
        self.stack.append(unpickle.Name(ALLOWED[full]))

    def name_storage(self) -> None:
        """A persistent id: ("storage", type, key, device, count), in files of PyTorch before 1.6 with a view."""
        (reference,) = self.last(1)
        match reference:
            case ("storage", unpickle.Name(kind), str(key), str(), int(count), *rest) if (
                kind.startswith("storage ") and count >= 0 and rest in ([], [None])
            ):
                record = StorageRecord(kind.removeprefix("storage "), key, count)
                if self.storages.setdefault(key, record) != record:
                    raise ValueError(f"storage {key[:40]!r} is named by two types or counts")
                self.stack.append(record)
            case _:
                raise ValueError("a storage is not named by its type, key, device and count")

    def call(self) -> None:
        name, arguments = self.last(2)
        if not (isinstance(name, unpickle.Name) and isinstance(arguments, tuple)):
            raise ValueError("only a global may be called, with a tuple of arguments")
        match name.kind, arguments:
            case "tensor", (StorageRecord() as storage, offset, tuple(shape), tuple(strides), *_):
                self.stack.append(_tensor(storage, offset, shape, strides))
            case "parameter", (TensorRecord() as tensor, *_):
                self.stack.append(tensor)
            case "size", (tuple(shape),):
                self.stack.append(shape)
            case "dict", (unpickle.Name(),):
                # A defaultdict's argument is what makes its missing values.
                self.stack.append({})
            case _:
                self.stack.append(unpickle.stand_in(name.kind, arguments))

    def set_state(self) -> None:
        if len(self.stack) > 1 and isinstance(self.stack[-2], dict):
            # The versions of layers, kept beside a state_dict's tensors.
            self.last(1)
        else:
            super().set_state()


def _tensor(storage: StorageRecord, offset: Any, shape: tuple, strides: tuple) -> TensorRecord:
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or len(shape) > MAX_AXES:
        raise ValueError(f"a tensor must have as many strides as axes, at most {MAX_AXES}")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("a tensor's offset, shape and strides must be whole numbers, none negative")
    count, last = 1, offset
    for length, stride in zip(shape, strides, strict=True):
        count *= length
        last += (length - 1) * stride
    if count and (last >= storage.size or count > storage.size):
        raise ValueError(f"a tensor of shape {shape} reaches beyond its storage of {storage.size} numbers")
    return TensorRecord(storage, offset, shape, strides)
