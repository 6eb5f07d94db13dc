"""The images of a job: read, fitted in batches and written, reading and writing beside the fit."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np

from handjax.detect import largest_side
from handjax.keypoint_entries import ImageHands
from handjax.predict.batches import Observation
from handjax.predict.files import write_files
from handjax.predict.fit import fit_images
from handjax.predict.hands import Hands, mean_error_px, take
from handjax.predict.image_camera import ImageCamera
from handjax.predict.plan import Item
from handjax.predict.sources import distinct_hands
from handjax.predict.summary import hand_rows, write_summary
from handjax.predict.work import Job, Outcome, failure, in_order

NO_HAND = "no hand found"
MAX_BATCH_PIXELS = 100_000_000
"""A batch of large photos is cut short, so that memory holds it."""


class Seen(NamedTuple):
    """An image that was read, with what was found in it."""

    item: Item
    image: np.ndarray
    hands: ImageHands
    camera: ImageCamera


def predict_images(job: Job, items: Sequence[Item]) -> Iterator[Outcome]:
    """Yields an outcome for each item, in their order; the first failures of a batch come before its results."""
    writing: deque[tuple[Item, Future[Outcome]]] = deque()
    for batch in _batches(in_order(job.pool, lambda item: _see(job, item), items), job.settings.batch):
        yield from (seen for seen in batch if isinstance(seen, Outcome))
        seen = [one for one in batch if isinstance(one, Seen)]
        observations = [Observation(one.hands.detections, one.camera.intrinsics, one.image.shape[1]) for one in seen]
        for one, hands in zip(seen, fit_images(job.model, observations), strict=True):
            writing.append((one.item, job.pool.submit(_write, job, one, hands)))
        while len(writing) > job.settings.batch:
            yield _outcome(*writing.popleft())
    while writing:
        yield _outcome(*writing.popleft())


def finite(hands: Hands) -> np.ndarray:
    """(h,) whether a hand can be drawn and written."""
    return np.asarray(np.isfinite(hands.vertices).all((1, 2)) & np.isfinite(hands.transforms).all((1, 2, 3)))


def _batches(seen: Iterable[Any], size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    pixels = 0
    for one in seen:
        batch.append(one)
        pixels += one.image.shape[0] * one.image.shape[1] if isinstance(one, Seen) else 0
        if len(batch) == size or pixels >= MAX_BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _see(job: Job, item: Item) -> Seen | Outcome:
    try:
        photo = job.read(item.path)
        hands = distinct_hands(job.source.of_image(item.path, photo.image))
        height, width = photo.image.shape[:2]
        return Seen(
            item, photo.image, hands, job.camera.of_image(width, height, photo.focal_px, largest_side(hands.detections))
        )
    except Exception as error:  # a detector may raise anything, and one image must not end a job
        return failure(item, error)


def _write(job: Job, seen: Seen, hands: Hands) -> Outcome:
    kept = finite(hands)
    lost = int((~kept).sum())
    note = f"{lost} of {len(kept)} hands could not be fitted" if lost else "" if len(kept) else NO_HAND
    hands = take(hands, kept)
    checks = [check for check, keep in zip(seen.hands.checks, kept, strict=True) if keep]
    name = seen.item.name
    files = write_files(job.out, name, seen.image, hands, job.models, job.settings.formats)
    write_summary(
        job.out / f"{name}.json",
        source=seen.item.path.name,
        kind="image",
        size=(seen.image.shape[1], seen.image.shape[0]),
        camera=seen.camera,
        hands=hand_rows(hands, checks),
        note=note,
        files=files,
        formats=job.settings.formats,
        made_with=job.recipe,
    )
    problems = (f"{seen.item.path}: {note}",) if lost else ()
    return Outcome(seen.item, len(hands.side), note or described(hands), problems)


def described(hands: Hands) -> str:
    count = len(hands.side)
    error = float(np.mean(mean_error_px(hands)))
    return f"{count} hand{'s' if count != 1 else ''}, {error:.1f} px off on average"


def _outcome(item: Item, written: Future[Outcome]) -> Outcome:
    try:
        return written.result()
    except Exception as error:  # a full disk, a name that the file system refuses, ...
        return failure(item, error)
