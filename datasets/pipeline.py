"""Built sets -> batches of examples: sharded by process, shuffled by a seed, resumable, augmented, mixed, prefetched.

sets = [open_records("freihand", "train"), open_records("rhd", "training")]
for batch in training_batches(sets, Settings(augmentation="bihand", per_hand=True), batch_size=64, weights=(2, 1)):
    ...
"""

import dataclasses
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import jax
import numpy as np
import tensorflow as tf

from datasets import mix
from datasets.augment import PRESETS, Augmentation
from datasets.decoding import PICTURES
from datasets.loading import NOTHING, CorruptRecordsError, Item, Loader
from datasets.mix import Position
from datasets.records import Records, open_records
from handjax.checks import check_choice

__all__ = [
    "Batch",
    "CorruptRecordsError",
    "Position",
    "Records",
    "Settings",
    "evaluation_batches",
    "open_records",
    "to_device",
    "training_batches",
]

# TensorFlow takes the whole memory of every accelerator that it sees.
for _kind in ("GPU", "TPU"):
    tf.config.set_visible_devices([], _kind)
# Pictures are spread over threads here: OpenCV's own, within each picture, would only be in their way.
cv2.setNumThreads(1)

CHUNK = 16
"""Examples that a thread loads at a time, at most: their labels are moved by one call."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What examples look like. Raises ValueError naming the field that is out of range."""

    size: int = 256
    """Side of the pictures, which are square: whole ones are fitted in, never squashed."""
    augmentation: str | Augmentation = "none"
    """A name of `augment.PRESETS`, or one's own."""
    per_hand: bool = False
    """Crops of one hand, whose labels have no axis of slots: in training one of a picture's hands by chance, in
    evaluation each of them. Else whole pictures."""
    to_right: bool = True
    """per_hand: left hands are mirrored."""
    slots: int | None = None
    """Of whole pictures: N, to which hands are padded; by default as many as the sets have at most."""
    pictures: tuple[str, ...] = PICTURES
    """Which of image, mask and depth; what is left out costs nothing."""
    vertices: bool = False
    """Stored meshes too."""
    max_corrupt: float = 0.01
    """Share of a set's records that may be damaged. They are logged by name and left out; one more is an error."""

    def __post_init__(self):
        if self.size < 1:
            raise ValueError(f"size must be positive, got {self.size}")
        if isinstance(self.augmentation, str):
            check_choice("augmentation", self.augmentation, tuple(PRESETS))
        for name in self.pictures:
            check_choice("pictures", name, PICTURES)
        if not 0 <= self.max_corrupt <= 1:
            raise ValueError(f"max_corrupt must be a share from 0 to 1, got {self.max_corrupt}")


class Batch(NamedTuple):
    """examples: the fields of `datasets.schema` with a leading B, and `image_valid` (B,), False for what only fills up
    a last batch. names: the records', "" there. position: where a stream of training stands after this batch."""

    examples: dict[str, Any]
    names: tuple[str, ...]
    position: Position | None


def training_batches(
    sets: Sequence[Records],
    settings: Settings,
    *,
    batch_size: int,
    weights: Sequence[float] | None = None,
    seed: int = 0,
    position: Position | None = None,
    process: tuple[int, int] | None = None,
    threads: int | None = None,
) -> Iterator[Batch]:
    """Endless batches of this process's share. The same seed gives the same stream, however many threads there are.

    Every epoch of a set is a permutation of it. Of several sets the one that lags most behind its weight comes next;
    weights are by default the sets' sizes. A stream goes on as if never interrupted from the `position` of the last
    batch used, and with another number of processes too if their batches add up to the same.

    Args:
      batch_size: of this process. process: its number and how many there are; by default JAX's.
      threads: that load; by default one for each core.

    Raises ValueError for arguments that do not go together; the iterator raises CorruptRecordsError.
    """
    counts = [one.count for one in sets]
    weights = counts if weights is None else weights
    _check(sets, batch_size)
    if len(weights) != len(sets) or not all(weight > 0 for weight in weights):
        raise ValueError(f"weights must be one positive number for each of {len(sets)} sets, got {weights}")
    rank, processes = _process(process)
    position = mix.start(len(sets)) if position is None else position
    if len(position.epochs) != len(sets) or any(i >= n for i, n in zip(position.indices, counts, strict=True)):
        raise ValueError(f"position must be one of sets of {counts} records, got {position}")
    loader = _loader(sets, settings, seed)
    size = _chunk_size(batch_size)

    def chunks() -> Iterator[list[Item]]:
        items = []
        for number, (draw, _) in enumerate(mix.draws(position, counts, weights)):
            if number % processes == rank:
                items.append(Item(*draw))
            if len(items) == size:
                yield items
                items = []

    def batches() -> Iterator[Batch]:
        places = mix.draws(position, counts, weights)
        for loaded in _loaded(loader, chunks(), batch_size // size, threads):
            for _ in range(batch_size * processes - 1):
                next(places)
            yield _batch(loaded, next(places)[1])

    return batches()


def evaluation_batches(
    records: Records,
    settings: Settings,
    *,
    batch_size: int,
    process: tuple[int, int] | None = None,
    threads: int | None = None,
) -> Iterator[Batch]:
    """Every example of this process's share once, in the order of the files; the last batch is filled up with zeros.

    Examples go to the processes in turn. Of several, all have the same number of batches, so that they can meet in
    each: the last ones may be nothing but filling. With `per_hand`, every hand of a picture is an example.
    """
    _check([records], batch_size)
    rank, processes = _process(process)
    loader = _loader([records], settings, 0)
    hands = range(_slots([records])) if settings.per_hand else [0]
    items = [Item(0, 0, number, record=number, slot=slot) for number in range(records.count) for slot in hands]
    most = -(-len(items) // (processes * batch_size)) if processes > 1 else 0
    size = _chunk_size(batch_size)
    own = items[rank::processes]
    own += [NOTHING] * (-len(own) % size)

    chunks = [own[first : first + size] for first in range(0, len(own), size)]

    def batches() -> Iterator[Batch]:
        held = {name: value[:0] for name, value in loader.chunk([NOTHING] * size).items()}
        made = 0
        for loaded in _loaded(loader, iter(chunks), 1, threads, len(chunks)):
            held = {name: np.concatenate([held[name], value[loaded["usable"]]]) for name, value in loaded.items()}
            while len(held["usable"]) >= batch_size:
                yield _batch({name: value[:batch_size] for name, value in held.items()}, None)
                held, made = {name: value[batch_size:] for name, value in held.items()}, made + 1
        while len(held["usable"]) or made < most:
            yield _batch({name: _filled_up(value, batch_size) for name, value in held.items()}, None)
            held, made = {name: value[:0] for name, value in held.items()}, made + 1

    return batches()


def to_device(
    batches: Iterable[Batch], sharding: jax.sharding.Sharding | None = None, ahead: int = 2
) -> Iterator[Batch]:
    """The same batches with examples as JAX arrays, whose transfer begins `ahead` batches before they are used.

    sharding: of the leading axis, over all processes' devices, each holding its own examples; by default all go to
    JAX's default device. Raises ValueError if `ahead` is below 1.
    """
    if ahead < 1:
        raise ValueError(f"ahead must be at least 1, got {ahead}")
    return _ahead(batches, sharding, ahead)


def _ahead(batches: Iterable[Batch], sharding: jax.sharding.Sharding | None, ahead: int) -> Iterator[Batch]:
    def put(value: np.ndarray) -> jax.Array:
        if sharding is None:
            return jax.device_put(value)
        return jax.make_array_from_process_local_data(sharding, value)

    waiting: deque[Batch] = deque()
    for batch in batches:
        waiting.append(batch._replace(examples={name: put(value) for name, value in batch.examples.items()}))
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


def _check(sets: Sequence[Records], batch_size: int) -> None:
    if not sets:
        raise ValueError("sets must hold at least one set, got none")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")


def _process(process: tuple[int, int] | None) -> tuple[int, int]:
    rank, processes = (jax.process_index(), jax.process_count()) if process is None else process
    if not 0 <= rank < processes:
        raise ValueError(f"process must be (number, how many), got {(rank, processes)}")
    return rank, processes


def _slots(sets: Sequence[Records]) -> int:
    return max(one.features["valid"].shape[0] for one in sets)


def _chunk_size(batch_size: int) -> int:
    return next(size for size in range(min(CHUNK, batch_size), 0, -1) if batch_size % size == 0)


def _loader(sets: Sequence[Records], settings: Settings, seed: int) -> Loader:
    most = _slots(sets)
    if settings.slots is not None and settings.slots < most:
        raise ValueError(f"slots must be at least {most}, as many as the sets have, got {settings.slots}")
    augmentation = settings.augmentation
    return Loader(
        sets,
        PRESETS[augmentation] if isinstance(augmentation, str) else augmentation,
        size=settings.size,
        slots=settings.slots or most,
        per_hand=settings.per_hand,
        to_right=settings.to_right,
        pictures=settings.pictures,
        vertices=settings.vertices,
        seed=seed,
        max_corrupt=settings.max_corrupt,
    )


def _loaded(
    loader: Loader, chunks: Iterator[list[Item]], together: int, threads: int | None, count: int = tf.int64.max
) -> Iterator[dict[str, np.ndarray]]:
    """`together` of the first `count` chunks at a time, in their order, loaded by so many threads."""
    threads = threads or os.cpu_count() or 1
    kinds = loader.kinds()
    failures: list[Exception] = []

    def load(rows: np.ndarray) -> list[np.ndarray]:
        try:
            loaded = loader.chunk([Item(*map(int, row)) for row in rows])
        except Exception as error:
            # TensorFlow would hand on no more than its text.
            failures.append(error)
            raise
        return [loaded[name] for name in kinds]

    # Not `from_generator`: with Python 3.11 it makes the C library fetch memory for larger arrays from the system anew
    # each time, in the whole process and for good, which takes as long as decoding.
    data = tf.data.Dataset.range(count).map(
        lambda _: tf.numpy_function(lambda: np.array(next(chunks), np.int64), [], tf.int64)
    )
    data = data.map(
        lambda packed: tf.numpy_function(load, [packed], list(kinds.values())),
        num_parallel_calls=threads,
        deterministic=True,
    )
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    data = data.batch(together).prefetch(1).with_options(options)
    try:
        for values in data.as_numpy_iterator():
            yield {name: value.reshape(-1, *value.shape[2:]) for name, value in zip(kinds, values, strict=True)}
    except tf.errors.OpError:
        if failures:
            raise failures[0] from None
        raise


def _batch(loaded: dict[str, np.ndarray], position: Position | None) -> Batch:
    names = tuple(name.decode() for name in loaded.pop("name"))
    del loaded["usable"]
    return Batch(loaded, names, position)


def _filled_up(values: np.ndarray, length: int) -> np.ndarray:
    rest = np.full((length - len(values), *values.shape[1:]), b"" if values.dtype == object else 0, values.dtype)
    return np.concatenate([values, rest])
