"""The boxed hands of many images through a function of batches of crops, and back to their images.

The crop is one compiled function for each size of image, the network another for each size of batch, so that images of
many sizes share it. Nothing is donated: no result is as large as an input, so there is no buffer to take over.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import jax
import numpy as np

from handjax.infer.batches import in_batches
from handjax.infer.boxes import (
    BoxedHands,
    CheckedHands,
    CropBatch,
    InferredHands,
    blank_row,
    checked,
    result,
    rows_of,
    side_of,
)
from handjax.infer.checks import check_count
from handjax.infer.uncrop import FullHands
from handjax.mano import HandModel

BATCH_SIZE = 8

Tree = TypeVar("Tree")


def infer_crops(
    run: Callable[[CropBatch], FullHands],
    model: HandModel,
    hands: Sequence[BoxedHands],
    crop_size: int,
    margin: float,
    batch_size: int,
    names: Sequence[str] | None = None,
) -> list[InferredHands]:
    """All hands by `run`, which knows those of the model's side.

    names: of each image in errors. Raises ValueError for numbers out of range and hands that are not as `BoxedHands`
    says.
    """
    check_numbers_of_crops(crop_size, margin, batch_size)
    if not hands:
        return []
    names = names or [f"hands[{index}]" for index in range(len(hands))]
    complete = [checked(name, one) for name, one in zip(names, hands, strict=True)]
    rows = [row for one in complete for row in rows_of(one, crop_size, margin, side_of(model))]
    full = in_batches(run, rows, partial(blank_row, crop_size), batch_size)
    return [result(model, one, part) for one, part in zip(complete, of_images(complete, full), strict=True)]


def check_numbers_of_crops(crop_size: int, margin: float, batch_size: int) -> None:
    check_count("crop_size", crop_size)
    check_count("batch_size", batch_size)
    if not (np.isfinite(margin) and margin > 0):
        raise ValueError(f"margin must be a positive number, got {margin}")


def of_images(hands: Sequence[CheckedHands], rows: Tree) -> list[Tree]:
    """Results of all hands, one row each -> those of each image."""
    ends = np.cumsum([len(one.boxes) for one in hands])
    return [
        jax.tree.map(lambda array, end=end, one=one: array[end - len(one.boxes) : end], rows)
        for one, end in zip(hands, ends, strict=True)
    ]
