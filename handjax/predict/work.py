"""What the inputs of a job share, how each of them ends, and the pool that reads and writes beside the fit."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from handjax.images import Photo
from handjax.mano import HandModel
from handjax.predict.files import Sides
from handjax.predict.image_camera import KnownCamera
from handjax.predict.plan import Item
from handjax.predict.settings import PredictSettings
from handjax.predict.sources import Source

PAPER = 245
"""Grey value of a sheet on which hands are drawn that have no photo."""


class Job(NamedTuple):
    """What every input of a job shares. `model` is the right hand that serves both sides."""

    settings: PredictSettings
    out: Path
    model: HandModel
    models: Sides
    source: Source
    camera: KnownCamera
    read: Callable[[os.PathLike], Photo]
    recipe: dict[str, Any]
    pool: ThreadPoolExecutor


class Outcome(NamedTuple):
    """One input's end: how many hands, what to tell of it, and what went wrong (nothing, in most cases)."""

    item: Item
    hands: int
    text: str
    problems: tuple[str, ...] = ()


def in_order(pool: Executor, function: Callable, items: Iterable, ahead: int = 4) -> Iterator:
    """function(item) of each item, in order, the next few already being worked on in the pool."""
    waiting: deque[Future] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def failure(item: Item, error: Exception) -> Outcome:
    """Of an error that ends one input and no more. Messages name the file; those that do not get its name."""
    message = str(error) or type(error).__name__
    if not isinstance(error, ValueError | OSError):
        message = f"{type(error).__name__}: {message}"
    message = " ".join(message.split())
    named = str(item.path) in message
    return Outcome(item, 0, "failed", (message if named else f"{item.path}: {message}",))
