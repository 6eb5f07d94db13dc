"""From the maps of the multi-hand network to hands in front of the camera: peaks, parameters, placement, meshes.

One image a call, a fixed number of slots, empty ones marked: static shapes, so that `jax.jit` and `jax.vmap` work.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import camera as cameras
from handjax import mano
from handjax.camera import Camera
from handjax.checks import check_choice, check_shape

PUBLISHED_FOCAL = 512.0
"""Pixels, for every image and every size: the network learns depths as this camera would see them."""

DEPTH_RULE = (1.0, 0.8)
"""The metres from the camera are the first times the network's number plus the second."""

DEPTH_RULE_2022 = (0.1, 0.6)
"""The same for weights of the code's state of August 2022."""

SCORE_MARGIN = 1e-4
"""Scores lie in [1e-4, 1 - 1e-4], where the focal loss is finite."""

PEAK_WINDOW = 5
"""Cells along the side of the square in which a peak is the largest."""

MEAN_ALBEDO = (0.45, 0.35, 0.30)
HAND_NUMBERS = 61
SIDES = ("left", "right")

_FIRST_LIGHT = 0.8


class Peaks(NamedTuple):
    """The K best cells, best first: scores (K,), cells (K, 2) column then row, channels (K,), valid (K,) bool."""

    scores: Array
    cells: Array
    channels: Array
    valid: Array


class DetectedHands(NamedTuple):
    """K slots, best first; what `valid` (K,) bool says no of is not a hand.

    scores (K,) of the centre; sides (K,) 0 left, 1 right; side_scores (K,) of that side, 1 where nothing tells it;
    centers (K, 2) pixels where transl falls; params with leading K, transl in camera space, metres; albedo
    (K, V, 3) RGB and light (K, 27) for `render.lit_by_harmonics`, None without these heads.
    """

    valid: Array
    scores: Array
    sides: Array
    side_scores: Array
    centers: Array
    params: mano.HandParams
    albedo: Array | None
    light: Array | None


class HandsAtCells(NamedTuple):
    """Of K cells: the last four fields of `DetectedHands`."""

    centers: Array
    params: mano.HandParams
    albedo: Array | None
    light: Array | None


def scores(logits: Array) -> Array:
    """Sigmoid clamped to [1e-4, 1 - 1e-4], as published."""
    return jnp.clip(jax.nn.sigmoid(logits.astype(jnp.float32)), SCORE_MARGIN, 1 - SCORE_MARGIN)


def find_peaks(logits: Array, count: int, threshold: float = 0.4, window: int = PEAK_WINDOW) -> Peaks:
    """(H, W, C) centre map before the sigmoid -> the `count` highest cells that equal the largest of their window.

    valid: a peak with a score above `threshold`. Logits are compared, not scores: high ones are equal once clamped.
    Raises ValueError for a map that is not (H, W, C), an even window or a count beyond the number of cells.
    """
    check_shape("logits", logits, ("H", "W", "C"))
    height, width, channels = logits.shape
    if not 1 <= count <= logits.size:
        raise ValueError(f"count must lie in [1, {logits.size}], got {count}")
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window must be odd and positive, got {window}")
    logits = logits.astype(jnp.float32)
    largest = nn.max_pool(logits, window_shape=(window, window), padding="SAME")
    best, index = jax.lax.top_k(jnp.where(logits == largest, logits, -jnp.inf).ravel(), count)
    score = scores(best)
    cell = index // channels
    return Peaks(score, jnp.stack([cell % width, cell // width], -1), index % channels, score > threshold)


def published_camera(height: int, width: int) -> Camera:
    """The camera that the network takes every image for: 512 px, the principal point in the middle."""
    return Camera(jnp.full(2, PUBLISHED_FOCAL), jnp.array([width / 2, height / 2], jnp.float32))


def place(
    raw: Array, cells: Array, stride: int, camera: Camera, depth_rule: tuple[float, float] = DEPTH_RULE
) -> tuple[Array, Array]:
    """(..., 3) raw (a, b, c) read at (..., 2) cells -> transl (..., 3) metres and centers (..., 2) pixels.

    transl falls (a, b) pixels from the upper left corner of its cell, c + 0.8 metres away for 512 px of focal length;
    a longer one moves the hand away until it looks as large. As published for `published_camera`.
    """
    centers = cells * float(stride) + raw[..., :2]
    factor, nearest = depth_rule
    depth = (factor * raw[..., 2] + nearest) * (jnp.mean(camera.focal) / PUBLISHED_FOCAL)
    return cameras.unproject(camera, centers, depth), centers


def detect_hands(
    outputs: dict[str, Array],
    *,
    stride: int,
    count: int = 10,
    threshold: float = 0.4,
    camera: Camera | None = None,
    side: str = "right",
    depth_rule: tuple[float, float] = DEPTH_RULE,
) -> DetectedHands:
    """Outputs of `MultiHand` for one image, without the batch axis -> `count` slots of hands.

    Args:
      outputs: `centers` (H, W, C) and `params` (H, W, 61 or 122), `sides` (H, W, 2), `texture` and `light` if it has
        them. With two centre channels the channel is the side; else the larger of `sides` at the cell.
      stride: pixels per cell, of the network.
      count: slots. threshold: least score of a valid one.
      camera: of the network's input image; by default the published one.
      side: of all hands, if the network does not tell.
      depth_rule: of the network's weights.

    The 61 numbers of a hand: global_orient (3), hand_pose (45) with 0 the flat hand, betas (10), placement (3); the
    left hand's come first where both have their own.

    Raises ValueError for missing maps and sizes that do not go together.
    """
    for name in ("centers", "params"):
        if name not in outputs:
            raise ValueError(f"outputs must hold {name!r}, got {sorted(outputs)}")
    check_choice("side", side, SIDES)
    height, width, channels = outputs["centers"].shape
    if camera is None:
        camera = published_camera(height * stride, width * stride)
    peaks = find_peaks(outputs["centers"], count, threshold)

    def read(name: str) -> Array:
        check_shape(f"outputs[{name!r}]", outputs[name], (height, width, "n"))
        return outputs[name][peaks.cells[:, 1], peaks.cells[:, 0]].astype(jnp.float32)

    if channels == 2:
        sides, side_scores = peaks.channels, jnp.ones(count)
    elif "sides" in outputs:
        both = scores(read("sides"))
        sides, side_scores = both.argmax(-1), both.max(-1)
    else:
        sides, side_scores = jnp.full(count, SIDES.index(side)), jnp.ones(count)
    read_there = hands_at(outputs, peaks.cells, sides, stride=stride, camera=camera, depth_rule=depth_rule)
    return DetectedHands(peaks.valid, peaks.scores, sides, side_scores, *read_there)


def hands_at(
    outputs: dict[str, Array],
    cells: Array,
    sides: Array,
    *,
    stride: int,
    camera: Camera,
    depth_rule: tuple[float, float] = DEPTH_RULE,
) -> HandsAtCells:
    """What the maps of one image say of hands of `sides` (K,) in `cells` (K, 2): where training knows them to be.

    Other arguments as in `detect_hands`.
    """
    count = len(cells)
    height, width, _ = outputs["centers"].shape

    def read(name: str) -> Array:
        check_shape(f"outputs[{name!r}]", outputs[name], (height, width, "n"))
        return outputs[name][cells[:, 1], cells[:, 0]].astype(jnp.float32)

    global_orient, hand_pose, betas, raw = jnp.split(_of_side(read("params"), sides), (3, 48, 58), axis=-1)
    transl, centers = place(raw, cells, stride, camera, depth_rule)
    params = mano.HandParams(betas, global_orient, hand_pose, transl)
    albedo = light = None
    if "texture" in outputs:
        texture = read("texture").reshape(count, -1, 3)
        albedo = texture + jnp.broadcast_to(jnp.array(MEAN_ALBEDO), texture.shape)
    if "light" in outputs:
        light = read("light").at[:, np.array([0, 9, 18])].add(_FIRST_LIGHT)
    return HandsAtCells(centers, params, albedo, light)


def pose_hands(right: mano.HandModel, hands: DetectedHands, left: mano.HandModel | None = None) -> mano.HandOutput:
    """Meshes of all slots in camera space, (K, ...) each; invalid slots too.

    left: the mirrored right hand by default. Raises ValueError for models of the wrong side or of different sizes.
    """
    left = mano.mirror(right) if left is None else left
    if (left.side, right.side) != SIDES:
        raise ValueError(f"left and right must be hands of these sides, got {left.side} and {right.side}")
    if left.num_vertices != right.num_vertices:
        raise ValueError(f"left must have {right.num_vertices} vertices, got {left.num_vertices}")
    of_left, of_right = mano.forward_batch(left, hands.params), mano.forward_batch(right, hands.params)
    choose = jax.vmap(lambda is_left, a, b: jax.tree.map(lambda one, other: jnp.where(is_left, one, other), a, b))
    return choose(hands.sides == 0, of_left, of_right)


def _of_side(numbers: Array, sides: Array) -> Array:
    """(K, 61) for either side, or (K, 122) left then right -> (K, 61)."""
    check_choice("the last axis of outputs['params']", numbers.shape[-1], (HAND_NUMBERS, 2 * HAND_NUMBERS))
    if numbers.shape[-1] == HAND_NUMBERS:
        return numbers
    left, right = jnp.split(numbers, 2, axis=-1)
    return jnp.where(sides[:, None] == 0, left, right)
