"""Sets as built on disk, each record read by its number: what a shuffle that can be resumed needs."""

import dataclasses
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import constants, read_only_builder, registered

from datasets import schema

TFRECORD_HEADER, TFRECORD_FOOTER = 12, 4
"""Bytes before and after a record: its length with a checksum, and a checksum."""


@dataclasses.dataclass(frozen=True)
class Records:
    """One split: its name, how many records, their features, `read(index)` -> bytes, `place(index)` -> file and row."""

    name: str
    count: int
    features: Any
    read: Callable[[int], bytes]
    place: Callable[[int], str]


def open_records(name: str, split: str = "train", *, data_dir: str | Path | None = None) -> Records:
    """A split of a set that `python -m datasets.build` made, or of any other set with the features of `schema`.

    name: a set, with its configuration if it has several ("ho3d/v3"), or the folder with its dataset_info.json. split:
    as TFDS writes them, "train[:90%]" too. Files of array_record are read at any place at once. TFRecord files have no
    table of contents: their records' lengths are walked through once on opening, tens of thousands of small reads for
    a large set, and checksums are not looked at.

    Raises FileNotFoundError for a set that is not there, ValueError for another split or an empty one, or features that
    are not those of the schema.
    """
    builder = _builder(name, data_dir)
    known = builder.info.splits
    if split.split("[")[0] not in known:
        raise ValueError(f"split must be one of {', '.join(sorted(known))} of {name}, got {split!r}")
    info = known[split]
    files = [file for file in info.file_instructions if file.take]
    if not files:
        raise ValueError(f"split {split!r} of {name} must have examples, got none")
    missing = [file.filename for file in files if not Path(file.filename).exists()]
    if missing:
        raise FileNotFoundError(f"{missing[0]} and {len(missing) - 1} more files of {name} are missing: build it again")
    features: Any = builder.info.features
    if not {"name", "image", *schema.HAND, *schema.IMAGE} <= set(features):
        raise ValueError(f"{name} must have the features of datasets.schema, got {sorted(features)}")
    bounds = np.cumsum([0] + [file.take for file in files])

    def place(index: int) -> str:
        file = int(np.searchsorted(bounds, index, "right")) - 1
        return f"{files[file].filename}, record {index - bounds[file] + files[file].skip}"

    name_of = "/".join(part for part in (builder.name, builder.builder_config and builder.builder_config.name) if part)
    reader = (
        _array_records(files)
        if str(builder.info.file_format and builder.info.file_format.value) == "array_record"
        else _tfrecords(files, bounds)
    )
    return Records(f"{name_of}/{split}", int(bounds[-1]), features, reader, place)


def _builder(name: str, data_dir: str | Path | None) -> tfds.core.DatasetBuilder:
    folder = Path(name).expanduser()
    if (folder / "dataset_info.json").is_file():
        return tfds.builder_from_directory(folder)
    try:
        return read_only_builder.builder_from_files(name, data_dir=data_dir)
    except registered.DatasetNotFoundError as error:
        where = data_dir or constants.DATA_DIR
        raise FileNotFoundError(
            f"{name} is not built below {where}: run python -m datasets.build --name={name} --manual_dir=..."
        ) from error


def _array_records(files: list) -> Callable[[int], bytes]:
    from array_record.python import array_record_data_source

    source = array_record_data_source.ArrayRecordDataSource(files)
    return lambda index: source[index]


def _tfrecords(files: list, bounds: np.ndarray) -> Callable[[int], bytes]:
    starts = [_offsets(file.filename)[file.skip : file.skip + file.take] for file in files]

    def read(index: int) -> bytes:
        file = int(np.searchsorted(bounds, index, "right")) - 1
        start, length = starts[file][index - bounds[file]]
        with open(files[file].filename, "rb") as stream:
            stream.seek(start)
            return stream.read(length)

    return read


def _offsets(path: str) -> list[tuple[int, int]]:
    """Where each record of a TFRecord file starts, and its length. Raises ValueError for a file that is cut off."""
    found, size = [], Path(path).stat().st_size
    with open(path, "rb") as stream:
        position = 0
        while position < size:
            stream.seek(position)
            header = stream.read(TFRECORD_HEADER)
            length = struct.unpack("<Q", header[:8])[0] if len(header) == TFRECORD_HEADER else size
            end = position + TFRECORD_HEADER + length + TFRECORD_FOOTER
            if end > size:
                raise ValueError(f"{path} must be a whole TFRecord file, but ends within record {len(found)}")
            found.append((position + TFRECORD_HEADER, length))
            position = end
    return found
