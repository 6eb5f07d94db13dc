"""Crops of one hand for networks that see one, drawn on the device, and pictures of what they found for a log."""

from typing import Any

import jax
import numpy as np
from jax import Array

from datasets import synthetic
from handjax.models.objective import Batch
from handjax.targets import one_hand

SHOWN = 4
"""Crops in a log."""


def draw_crops(settings: synthetic.Settings, key: Array, source: Any, count: int) -> Batch:
    """`count` right hands: labels without the axis of slots. source: `synthetic.assets()`."""
    examples = synthetic.batch(key, count, settings, source["assets"])
    return jax.vmap(lambda example: one_hand(example, 0))(examples)


def crop_settings(size: int, plain: bool) -> synthetic.Settings:
    """plain: held up, and without what makes pictures slow to draw and to compile, for a look on a CPU."""
    if plain:
        bare: dict[str, Any] = {"backgrounds": None, "occluders": None, "degrade": None}
        return synthetic.single(size, sides="right", upright_views=1.0, **bare)
    return synthetic.single(size, sides="right")


def sources() -> dict[str, Any]:
    return {"assets": synthetic.assets()}


def shown(outputs: dict[str, Any], batch: Batch) -> dict[str, np.ndarray]:
    """input, heatmaps (the largest of the 21 over the input), mask and depth, as far as the outputs have them."""
    image = np.asarray(batch["image"][:SHOWN], np.float32) / 255
    pictures: dict[str, Any] = {"input": image}
    if "heatmaps" in outputs:
        maps = _enlarged(np.asarray(outputs["heatmaps"])[:SHOWN, -1].max(-1), image.shape[1])
        pictures["heatmaps"] = 0.4 * image + 0.6 * np.clip(maps, 0, 1)[..., None]
    if "mask" in outputs:
        seen = _enlarged(np.asarray(outputs["mask"])[:SHOWN, -1] > 0, image.shape[1])
        pictures["mask"] = np.repeat(seen[..., None].astype(np.float32), 3, -1)
    if "depth" in outputs:
        depth = _enlarged(np.asarray(outputs["depth"])[:SHOWN, -1], image.shape[1])
        pictures["depth"] = np.repeat(np.clip(depth, 0, 1)[..., None], 3, -1)
    return pictures


def _enlarged(maps: np.ndarray, size: int) -> np.ndarray:
    """(N, h, h) -> (N, size, size), each value repeated."""
    factor = size // maps.shape[1]
    return maps.repeat(factor, 1).repeat(factor, 2)
