"""Examples per second of the data pipeline: `python -m benchmarks.pipeline`, on two cores.

Each preset's crops of 256 px, beside what TensorFlow takes just to read and decode the same set (`as_dataset` of
TFRecord files, batched, as many threads); and the memory of the process along 10,000 examples. The sets are made up:
JPEG photographs of 640 x 480 and 224 x 224 with one labelled hand. Streams take turns, the median turn is printed. The
work of an example is what the process computed, whoever else was busy; its ratio to plain decoding is the figure to
trust on a busy machine.
"""

import argparse
import io
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from benchmarks.machine import describe, table, verdict
from datasets import schema
from datasets.pipeline import Settings, open_records, training_batches

SIZES = {"640 x 480": (480, 640), "224 x 224": (224, 224)}
PLAIN = "tf.data, decoded only"
SHARE = 0.5
"""Of plain decoding's speed that is asked for."""
GROWTH = 1.1
"""Of the memory at 1,000 examples that 10,000 may take."""


class Photographs(tfds.core.GeneratorBasedBuilder):
    """JPEG files of one size, each with a hand."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, size: tuple[int, int], count: int, **options):
        self.size, self.count = size, count
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(builder=self, features=schema.features(1), disable_shuffling=True)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        height, width = self.size
        for index in range(self.count):
            random = np.random.default_rng(index)
            # Detail at several scales, as photographs have it: their files are as long as usual.
            image = sum(
                cv2.resize(random.normal(0, 20, (height // step, width // step, 3)), (width, height))
                for step in (2, 4, 16, 64)
            )
            data = cv2.imencode(".jpg", np.clip(image + 128, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 92])[
                1
            ]
            points = random.uniform(-0.06, 0.06, (21, 3)) + [0, 0, 0.6]
            labels = schema.blank(1)
            labels["intrinsics"][:] = [[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]]
            labels["intrinsics_valid"][...] = True
            pixels = (points @ labels["intrinsics"].T)[:, :2] / points[:, 2:]
            schema.put_hand(labels, 0, index % 2, keypoints_2d=pixels, keypoints_3d=points)
            yield index, labels | {"name": str(index), "image": io.BytesIO(data.tobytes())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--count", type=int, default=256, help="pictures in each set")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, default=16, help="of each stream in a round")
    parser.add_argument("--presets", nargs="*", default=["none", "bihand", "hamr", "multihand_single"])
    parser.add_argument("--memory", type=int, default=10_000, help="examples along which memory is watched; 0 for none")
    arguments = parser.parse_args()
    print(describe("tensorflow-cpu", "opencv-python", "jax"), f"; {arguments.threads} threads")
    with tempfile.TemporaryDirectory() as folder:
        built = {
            (name, kind): _built(Path(folder) / kind / name, size, arguments.count, kind)
            for name, size in SIZES.items()
            for kind in ("array_record", "tfrecord")
        }
        print(
            table(
                ("pictures", "stream", "examples/s", "of plain", "CPU ms each", "of plain", "asked"),
                _speeds(built, arguments),
            )
        )
        if arguments.memory:
            print(_memory(built["640 x 480", "array_record"], arguments))


def _built(folder: Path, size: tuple[int, int], count: int, kind: str) -> tfds.core.DatasetBuilder:
    builder = Photographs(size, count, data_dir=folder, file_format=kind)
    tfds.disable_progress_bar()
    builder.download_and_prepare(file_format=kind)
    return builder


def _speeds(built: dict[tuple[str, str], tfds.core.DatasetBuilder], arguments: argparse.Namespace) -> list[list[str]]:
    streams: dict[tuple[str, str], Iterator] = {}
    for size in SIZES:
        streams[size, PLAIN] = _plain(built[size, "tfrecord"], arguments)
        for preset in arguments.presets:
            streams[size, preset] = _ours(built[size, "array_record"], preset, arguments)
    rates: dict[tuple[str, str], list[float]] = {key: [] for key in streams}
    work: dict[tuple[str, str], list[float]] = {key: [] for key in streams}
    for stream in streams.values():
        # Compiles, and fills what runs ahead.
        for _ in range(4):
            next(stream)
    for _, (key, stream) in itertools.product(range(arguments.rounds), streams.items()):
        next(stream)
        before, worked = time.perf_counter(), time.process_time()
        for _ in range(arguments.batches):
            next(stream)
        examples = arguments.batches * arguments.batch
        rates[key].append(examples / (time.perf_counter() - before))
        work[key].append(1000 * (time.process_time() - worked) / examples)
    rows = []
    for (size, stream), speeds in rates.items():
        speed, plain = np.median(speeds), np.median(rates[size, PLAIN])
        cost, plain_cost = np.median(work[size, stream]), np.median(work[size, PLAIN])
        asked = None if stream == PLAIN else bool(speed >= SHARE * plain)
        row = [size, stream, f"{speed:.0f}", f"{speed / plain:.2f}", f"{cost:.2f}", f"{cost / plain_cost:.2f}"]
        rows.append([*row, verdict(asked)])
    return rows


def _plain(builder: tfds.core.DatasetBuilder, arguments: argparse.Namespace) -> Iterator:
    read = tfds.ReadConfig(num_parallel_calls_for_decode=arguments.threads, num_parallel_calls_for_interleave_files=1)
    read.options.threading.private_threadpool_size = arguments.threads
    read.options.deterministic = True
    # A small set would be decoded once and kept.
    read.try_autocache = False
    read.skip_prefetch = True
    data = builder.as_dataset(split="train", shuffle_files=False, read_config=read)
    return iter(data.repeat().batch(arguments.batch).prefetch(1).as_numpy_iterator())


def _ours(builder: tfds.core.DatasetBuilder, preset: str, arguments: argparse.Namespace) -> Iterator:
    records = open_records(str(builder.data_path))
    settings = Settings(augmentation=preset, per_hand=True, pictures=("image",))
    return training_batches([records], settings, batch_size=arguments.batch, threads=arguments.threads, process=(0, 1))


def _memory(builder: tfds.core.DatasetBuilder, arguments: argparse.Namespace) -> str:
    stream = _ours(builder, "bihand", arguments)
    marks = [arguments.memory // 10, arguments.memory]
    found = {}
    for number in range(1, arguments.memory // arguments.batch + 1):
        next(stream)
        found[number * arguments.batch] = _resident_mb()
    first, last = (found[max(count for count in found if count <= mark)] for mark in marks)
    steady = verdict(last <= GROWTH * first)
    return f"\nmemory after {marks[0]:,} examples: {first:.0f} MB; after {marks[1]:,}: {last:.0f} MB, {steady}"


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    # Read from afar as by everyone who trains: TensorFlow's own pictures must not fill an accelerator.
    tf.config.set_visible_devices([], "GPU")
    main()
