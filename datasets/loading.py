"""Chunks of a stream, read, decoded, placed and recoloured; damaged records are counted and left out."""

import logging
import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from datasets import mix, schema
from datasets.augment import Augmentation, Change, draw_change, generator
from datasets.colours import recolour
from datasets.decoding import Record, read_picture, read_record, reduction
from datasets.placing import place_image, place_labels, place_map, shrinkage, stretched
from datasets.records import Records

PICTURE_KINDS = {"image": np.uint8, "mask": np.int8, "depth": np.float32}

logger = logging.getLogger(__name__)


_HAND = 3
"""Tells the streams that choose a hand from those of `mix` and `augment`, which have the same seed."""


class CorruptRecordsError(ValueError):
    """More of a set's records cannot be read than was allowed."""


class Item(NamedTuple):
    """What is to be loaded: a set's number, its epoch and the place in its permutation; or a certain record, and of its
    hands the one in `slot`."""

    which: int
    epoch: int
    place: int
    record: int = -1
    slot: int = -1


NOTHING = Item(0, 0, 0, record=-2)
"""Fills up a chunk."""


class Loaded(NamedTuple):
    """A record and the slot of its hand; which: the number of its set, number: its own there."""

    record: Record
    slot: int
    which: int
    number: int


class Loader:
    """Loads items of several sets with one augmentation. Threads may share it: what it holds is a count of damage."""

    def __init__(
        self,
        sets: Sequence[Records],
        augmentation: Augmentation,
        *,
        size: int,
        slots: int,
        per_hand: bool,
        to_right: bool,
        pictures: tuple[str, ...],
        vertices: bool,
        seed: int,
        max_corrupt: float,
    ):
        self.sets, self.augmentation = tuple(sets), augmentation
        self.size, self.slots, self.per_hand, self.to_right = size, slots, per_hand, to_right
        self.pictures, self.vertices = pictures, vertices
        self.seed, self.max_corrupt = seed, max_corrupt
        self.corrupt: list[dict[int, str]] = [{} for _ in sets]
        self._too_many: CorruptRecordsError | None = None
        self._lock = threading.Lock()

    def chunk(self, items: Sequence[Item]) -> dict[str, np.ndarray]:
        """Fields of the schema with a leading axis, `name` as bytes, and `usable` (C,): False rows are zeros.

        An item whose record is not settled is always usable: where its record is damaged or shows no hand that can be
        cut out, the next one in its permutation that is and does takes its place. Raises CorruptRecordsError.
        """
        loaded = [self._load(item) for item in items]
        usable = np.array([one is not None for one in loaded])
        rows = [one or self._blank() for one in loaded]
        randoms = [generator(self.seed, item.which, item.epoch, item.place) for item in items]
        changes = [draw_change(self.augmentation, random) for random in randoms]
        if self.per_hand:
            changes = [change._replace(mirror=np.bool_(self.to_right)) for change in changes]
        labels, affines = place_labels(
            {name: np.array([one.record.labels[name] for one in rows]) for name in rows[0].record.labels},
            np.array([one.record.frame for one in rows], np.float32),
            np.array([one.slot for one in rows], np.int32),
            Change(*map(np.stack, zip(*changes, strict=True))),
            self.size,
            self.per_hand,
        )
        shape = (len(rows), self.size, self.size)
        for name in self.pictures:
            # Images are drawn on all over, where there is one.
            labels[name] = np.empty((*shape, 3), np.uint8) if name == "image" else np.zeros(shape, PICTURE_KINDS[name])
        for row in np.flatnonzero(usable).tolist():
            try:
                self._draw(rows[row], affines[row], {name: labels[name][row] for name in self.pictures}, randoms[row])
            # Whatever a decoder raises on bytes that are not what they should be.
            except Exception as error:
                self._count_corrupt(rows[row].which, rows[row].number, rows[row].record.name, error)
                # It is known now: another record takes its place.
                return self.chunk(items)
        labels["image_valid"] = np.ones(len(items), np.bool_)
        for value in labels.values():
            value[~usable] = 0
        return labels | {"name": np.array([one.record.name.encode() for one in rows], object), "usable": usable}

    def kinds(self) -> dict[str, type]:
        """What `chunk` gives, and of which type."""
        fields = {name: kind for name, (_, kind) in (schema.HAND | schema.IMAGE).items()} | {"image_valid": np.bool_}
        if self.vertices:
            fields["vertices"] = np.float32
        return fields | {name: PICTURE_KINDS[name] for name in self.pictures} | {"name": np.bytes_, "usable": np.bool_}

    def _draw(self, one: Loaded, affine: np.ndarray, shown: dict[str, np.ndarray], random: np.random.Generator) -> None:
        for name, out in shown.items():
            reduced = reduction(one.record, shrinkage(affine)) if name == "image" else 1
            if (picture := read_picture(one.record, name, reduced)) is None:
                continue
            if name == "image":
                place_image(picture, stretched(affine, reduced), out)
                recolour(out, self.augmentation, random)
            else:
                values = place_map(picture, affine, self.size)
                out[:] = values == one.slot + 1 if name == "mask" and self.per_hand else values

    def _load(self, item: Item) -> Loaded | None:
        if item == NOTHING:
            return None
        if item.record >= 0:
            return self._read(item.which, item.record, item.slot, None)
        count = self.sets[item.which].count
        for ahead in range(count):
            # Not the generator of the augmentations: those must not depend on how many hands there are.
            seed = [self.seed, _HAND, item.which, item.epoch, item.place, ahead]
            record = mix.record_of(mix.Draw(item.which, item.epoch, item.place), count, self.seed, ahead)
            if (found := self._read(item.which, record, -1, seed)) is not None:
                return found
        raise ValueError(
            f"{self.sets[item.which].name} must show a hand with a box, but none of its {count} records does"
        )

    def _read(self, which: int, record: int, slot: int, seed: list[int] | None) -> Loaded | None:
        """A record and which of its hands, chosen by the seed if there is one; None if it is damaged or has not got
        that hand."""
        if self._too_many is not None:
            raise self._too_many
        if record in self.corrupt[which]:
            return None
        source = self.sets[which]
        name = ""
        try:
            found = read_record(source.features, source.read(record), self.slots, self.vertices)
            name = found.name
            if self.per_hand:
                hands = np.flatnonzero(found.labels["valid"] & _has_box(found.labels["box"]))
                if seed is not None and len(hands):
                    slot = int(hands[np.random.default_rng(seed).integers(len(hands)) if len(hands) > 1 else 0])
                if slot not in hands:
                    return None
            return Loaded(found, slot, which, record)
        # Whatever a reader or a parser raises on bytes that are not what they should be.
        except Exception as error:
            self._count_corrupt(which, record, name, error)
            return None

    def _count_corrupt(self, which: int, record: int, name: str, error: Exception) -> None:
        source = self.sets[which]
        place = f"{name} ({source.place(record)})" if name else source.place(record)
        with self._lock:
            if record in self.corrupt[which]:
                return
            self.corrupt[which][record] = place
            count = len(self.corrupt[which])
            logger.warning("%s: left out %s: %s (%d so far)", source.name, place, error, count)
        if count > self.max_corrupt * source.count:
            self._too_many = CorruptRecordsError(
                f"{source.name}: {count} of {source.count} records cannot be read, more than the allowed share of "
                f"{self.max_corrupt:g}; the last is {place}: {error}"
            )
            raise self._too_many from error

    def _blank(self) -> Loaded:
        """Stands where nothing is, so that shapes hold."""
        return Loaded(Record("", schema.blank(self.slots, vertices=self.vertices), {}, (1, 1)), 0, 0, -1)


def _has_box(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) -> (N,)."""
    return np.any(boxes[:, 2:] > boxes[:, :2], axis=-1)
