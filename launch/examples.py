"""Where a run's batches come from: drawn on each device, or from sets on disk, with the place that they stand at."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, repeat
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from handjax.models.objective import Batch
from handjax.train import stacked
from launch.config import Run

LOOKED_AT = 4
"""Batches in which a label must be found once."""


class Stream:
    """An endless iterator; `position` is where the batch that was taken last ends, as arrays for a checkpoint."""

    def __init__(self, batches: Iterator[tuple[Any, dict[str, np.ndarray]]], position: dict[str, np.ndarray]):
        self._batches = batches
        self.position = position

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> Any:
        batch, self.position = next(self._batches)
        return batch


class Data(NamedTuple):
    """training(position) -> batches from there on, whose leaves lead with this process's devices; start: the first
    position. evaluation() -> batches that training does not see. make_batch: what a device makes of its part."""

    training: Callable[[dict[str, np.ndarray]], Stream]
    start: dict[str, np.ndarray]
    evaluation: Callable[[], Iterator[Any]]
    make_batch: Callable[[Array, Any], Batch]


def synthetic(source: Any, draw: Callable[[Array, Any], Batch]) -> Data:
    """Drawn from arrays `source`, which every device has a copy of. Keys decide: there is no position."""
    # A map over devices needs something to map.
    parts = stacked({"source": source, "device": np.zeros(())})
    return Data(
        training=lambda position: Stream(repeat((parts, {})), {}),
        start={},
        evaluation=lambda: repeat(parts),
        make_batch=lambda key, parts: draw(key, parts["source"]),
    )


def from_sets(
    config: Run, settings: Mapping[str, Any], labels: Sequence[str], prepare: Callable[[Array, Any], Batch]
) -> Data:
    """Of `config.dataset`: one set, or several with commas between; settings: fields of `datasets.pipeline.Settings`.

    Raises ValueError for a set that is not there, and for one without a label that is needed, before anything is
    compiled.
    """
    # TensorFlow takes seconds to import, which synthetic data does without.
    from datasets import pipeline

    names = _listed(config.dataset)
    weights = _weights(config.dataset_weights, len(names))
    places = {"data_dir": config.data_dir or None}
    try:
        sets = [pipeline.open_records(name, config.split, **places) for name in names]
        others = _listed(config.evaluation_dataset) or names
        held = [pipeline.open_records(name, config.evaluation_split, **places) for name in others]
    except FileNotFoundError as error:
        raise ValueError(f"--dataset={config.dataset}: {error}") from error
    own = config.batch_size // jax.process_count()
    seen = pipeline.Settings(**settings)
    plain = pipeline.Settings(**{**settings, "augmentation": "none"})

    def training(position: dict[str, np.ndarray]) -> Stream:
        start = pipeline.Position(*(tuple(map(int, position[name])) for name in ("epochs", "indices")))
        batches = pipeline.training_batches(
            sets, seen, batch_size=own, weights=weights, seed=config.seed, position=start
        )
        return Stream(((_led(batch.examples), _arrays(batch.position)) for batch in batches), position)

    def evaluation() -> Iterator[Any]:
        for records in held:
            for batch in pipeline.evaluation_batches(records, plain, batch_size=own):
                yield _led(batch.examples)

    start = {name: np.zeros(len(sets), np.int32) for name in ("epochs", "indices")}
    _check_labels(config.dataset, training(start), labels)
    return Data(training, start, evaluation, prepare)


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _weights(text: str, sets: int) -> list[float] | None:
    """Raises ValueError, naming the flag, unless there is one positive number for each set, or none at all."""
    if not text:
        return None
    try:
        weights = [float(one) for one in text.split(",")]
    except ValueError:
        weights = []
    if len(weights) != sets or not all(0 < weight < math.inf for weight in weights):
        raise ValueError(f"--dataset_weights must be {sets} positive numbers, one for each set, got {text!r}")
    return weights


def _arrays(position: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(value, np.int32) for name, value in position._asdict().items()}


def _led(examples: dict[str, Any]) -> dict[str, np.ndarray]:
    devices = jax.local_device_count()
    return {name: value.reshape(devices, -1, *value.shape[1:]) for name, value in examples.items()}


def _check_labels(dataset: str, batches: Iterator[Any], labels: Sequence[str]) -> None:
    lacking = set(labels)
    for batch in islice(batches, LOOKED_AT):
        lacking -= {label for label in lacking if np.any(batch[f"{label}_valid"])}
    if lacking:
        raise ValueError(
            f"--dataset={dataset} must have {', '.join(sorted(lacking))}, which a loss needs, but has none"
        )
