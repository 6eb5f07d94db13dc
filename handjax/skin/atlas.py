"""Texture coordinates of any hand with MANO's joints: a chart of its back and one of its palm.

They are a function of the rest position, so meshes of other resolutions share one atlas. Fingers are unrolled about
their bones, which keeps their sides from shrinking to nothing as a plain projection would.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from handjax.mano import HandModel
from handjax.skin.frame import INDEX, LITTLE, MIDDLE, RING, THUMB, HandFrame, hand_frame, rest_surface
from handjax.skin.place import Place, place

EXTRA_SPLAY_DEG = {THUMB: 10.0, INDEX: -3.0, MIDDLE: -0.5, RING: 2.5, LITTLE: 4.5}
"""Turns the fingers apart, so that their unrolled skins have room, and the thumb towards them, which saves width."""

ROLL = 0.8
"""Of the arc length around a finger; at 1 neighbours would overlap at their bases."""

WIDEST_MM = 12.0
"""No finger's skin is farther from its bone."""

THUMB_RADIUS_MM = 7.0

LEFT_MM, RIGHT_MM, BOTTOM_MM, TOP_MM = -90.5, 69.5, -40.0, 198.0
"""What a chart shows, back of the hand seen from outside; the palm's chart is its mirror image beside it."""


UV_MM = np.array([2.0 * (RIGHT_MM - LEFT_MM), TOP_MM - BOTTOM_MM])
"""Millimetres of skin along u and v from 0 to 1, but for what the charts stretch (a quarter at the worst)."""


class Atlas(NamedTuple):
    """corner_uv (F, 3, 2) in [0, 1], v downwards as in image rows; is_palm (F,) bool: which chart a face is in."""

    corner_uv: np.ndarray
    is_palm: np.ndarray


def skin_atlas(model: HandModel) -> Atlas:
    """Raises ValueError for a model that has not MANO's 16 joints."""
    _, is_palm, (back, palm) = charts(model, hand_frame(model))
    faces = np.asarray(model.faces)
    return Atlas(np.where(is_palm[:, None, None], palm[faces], back[faces]).astype(np.float32), is_palm)


def charts(model: HandModel, frame: HandFrame) -> tuple[Place, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """-> where the vertices are, (F,) which faces are the palm's, (V, 2) uv in the chart of the back and the palm."""
    points, normals = rest_surface(model, frame)
    spots = place(frame, jnp.asarray(points, jnp.float32), jnp.asarray(normals, jnp.float32))
    is_palm = np.asarray(spots.facing)[np.asarray(model.faces)].sum(axis=1) < 0.0
    return spots, is_palm, (chart(frame, spots, palm=False), chart(frame, spots, palm=True))


def chart(frame: HandFrame, spots: Place, palm: bool) -> np.ndarray:
    """(N, 2) uv of all points in one chart. Points of the other side fall outwards of its border, a little way."""
    fields = [np.asarray(field, np.float64) for field in (spots.points, spots.side, spots.back, spots.along)]
    points, side, back, along = fields
    finger, on_finger = np.asarray(spots.finger), np.asarray(spots.on_finger, np.float64)
    flat = points[:, :2] + np.array([1.0, 0.0]) * _unrolled_palm(points, palm)[:, None]
    strips = np.stack([_strip(frame, k, side, back, along, palm) for k in range(5)])[finger, np.arange(len(finger))]
    plane = flat + on_finger[:, None] * (strips - flat)
    u, v = (plane[:, 0] - LEFT_MM) / UV_MM[0], (TOP_MM - plane[:, 1]) / UV_MM[1]
    return np.stack([1.0 - u if palm else u, v], axis=-1)


def _unrolled_palm(points: np.ndarray, palm: bool) -> np.ndarray:
    """(N,) mm to the side: the deeper below the chart's face, the more of the palm's edge is there to lay flat."""
    depth = np.maximum(points[:, 2] + 14.0, 0.0) if palm else np.maximum(14.0 - points[:, 2], 0.0)
    across = np.clip((points[:, 0] - 4.0) / 40.0, -1.0, 1.0)
    return 0.55 * across**3 * depth


def _strip(frame: HandFrame, finger: int, side, back, along, palm: bool) -> np.ndarray:
    """(N, 2) mm: one finger's skin rolled out along a straight line in the plane."""
    start, end = frame.joints[finger, 1 if finger == THUMB else 0, :2], frame.joints[finger, 3, :2]
    direction = (end - start) / np.linalg.norm(end - start)
    if finger == THUMB and not palm:
        # The thumb is rolled: its back is seen beside its bone.
        start = start + THUMB_RADIUS_MM * frame.bones[finger, 1, 2, :2]
    turn = -np.deg2rad(EXTRA_SPLAY_DEG[finger])
    cosine, sine = np.cos(turn), np.sin(turn)
    direction = np.array([[cosine, -sine], [sine, cosine]]) @ direction
    radius = np.hypot(side, back)
    around = np.arctan2(side, -back if palm else back)
    lengths = frame.lengths[finger]
    begun = np.clip(along[:, None] - np.arange(3), 0.0, [1.0, 1.0, np.inf])
    distance = np.minimum(along, 0.0) * lengths[0] + begun @ lengths
    # Towards the tip's pole the bone coordinate stands still while the skin goes on.
    distance += 4.0 * np.clip(1.0 - radius / 6.5, 0.0, 1.0) * (along > 2.5)
    distance -= lengths[0] * (finger == THUMB)
    # Where the skin between two fingers leaves the bone far behind, it is flat already.
    rolled = np.maximum(np.abs(side), ROLL * np.minimum(radius, WIDEST_MM) * np.abs(around)) * np.sign(around)
    across = np.array([direction[1], -direction[0]])
    return start + distance[:, None] * direction + rolled[:, None] * across
