"""Hands drawn over a photograph: the lit mesh, the observed keypoints and where the fit puts them."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import cv2
import jax
import numpy as np
from jax.typing import ArrayLike

from handjax.camera import MIN_DEPTH, Camera, crop_affine, crop_camera, project
from handjax.checks import check_choice, check_shape
from handjax.render import SOFT_LIGHT, draw_sprite
from handjax.skeleton import draw_keypoints, draw_rings

SIDE_COLORS = {"right": (0.98, 0.74, 0.36), "left": (0.50, 0.69, 0.95)}
"""Amber and blue: unlike skin and each other, and apart for the colour-blind too. Warm is right, as in the viewer."""

CANVAS_SIDES = (128, 256, 512, 1024)
"""The only sides that meshes are drawn at, so that images of every size share four compiled functions."""


class OverlayHand(NamedTuple):
    """One hand to draw; what is None is left out.

    vertices (V, 3) metres in the camera frame, faces (F, 3); keypoints_2d and reprojected (21, 2) pixels;
    confidence (21,), keypoints of confidence 0 are left out. Keypoints that are not finite are left out as well.
    """

    vertices: ArrayLike | None = None
    faces: ArrayLike | None = None
    side: str = "right"
    keypoints_2d: ArrayLike | None = None
    reprojected: ArrayLike | None = None
    confidence: ArrayLike | None = None


class _Mesh(NamedTuple):
    vertices: np.ndarray
    faces: np.ndarray
    color: tuple[float, float, float]
    box: np.ndarray  # (4,) visible pixels, x0 y0 x1 y1


def draw_overlay(
    image: np.ndarray, hands: Sequence[OverlayHand], camera: Camera, *, opacity: float = 0.8
) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> the same with all hands over it, those that overlap hiding each other by depth.

    Lines and dots scale with the hand. Raises ValueError for wrong shapes or sides, TypeError for an
    image that is not uint8 or a WeakCamera (see `camera.transl_from_weak`).
    """
    if not isinstance(camera, Camera):
        raise TypeError(f"camera must be a Camera, got {type(camera).__name__}")
    check_shape("image", image, ("H", "W", 3))
    if np.asarray(image).dtype != np.uint8:
        raise TypeError(f"image must be uint8, got {np.asarray(image).dtype}")
    if not 0.0 <= opacity <= 1.0:
        raise ValueError(f"opacity must lie in [0, 1], got {opacity}")
    picture = np.array(image, order="C")
    meshes = [mesh for hand in hands if (mesh := _visible_mesh(hand, camera, picture.shape)) is not None]
    for group in _overlapping(meshes):
        _paint(picture, group, camera, opacity)
    for hand in hands:
        if hand.keypoints_2d is not None:
            draw_keypoints(picture, hand.keypoints_2d, hand.confidence)
        if hand.reprojected is not None:
            check_shape("reprojected", hand.reprojected, (21, 2))
            draw_rings(picture, hand.reprojected)
    return picture


def _visible_mesh(hand: OverlayHand, camera: Camera, shape: tuple[int, ...]) -> _Mesh | None:
    """The mesh with the box of what is in the image; None if nothing is."""
    check_choice("side", hand.side, tuple(SIDE_COLORS))
    if (hand.vertices is None) != (hand.faces is None):
        raise ValueError("faces must come with vertices and vertices with faces, got only one of them")
    if hand.vertices is None or hand.faces is None:
        return None
    check_shape("vertices", hand.vertices, ("V", 3))
    check_shape("faces", hand.faces, ("F", 3))
    vertices = np.asarray(hand.vertices, np.float32)
    seen = np.isfinite(vertices).all(axis=1) & (vertices[:, 2] > MIN_DEPTH)
    if not seen.any():
        return None
    pixels = np.asarray(_project(camera, vertices))[seen]
    box = np.concatenate([np.maximum(pixels.min(0), 0), np.minimum(pixels.max(0), [shape[1], shape[0]])])
    if (box[2:] <= box[:2]).any():
        return None
    return _Mesh(vertices, np.asarray(hand.faces, np.int32), SIDE_COLORS[hand.side], box)


def _overlapping(meshes: list[_Mesh]) -> list[list[_Mesh]]:
    """Groups whose boxes touch: only those need a common depth buffer."""
    groups: list[list[_Mesh]] = []
    for mesh in meshes:
        touching = [group for group in groups if any(_touch(mesh.box, other.box) for other in group)]
        # By identity: groups hold arrays, which have no single truth value to compare by.
        groups = [group for group in groups if not any(group is other for other in touching)]
        groups.append([mesh, *(other for group in touching for other in group)])
    return groups


def _touch(first: np.ndarray, second: np.ndarray) -> bool:
    return bool((first[:2] <= second[2:]).all() and (second[:2] <= first[2:]).all())


def _paint(picture: np.ndarray, group: list[_Mesh], camera: Camera, opacity: float) -> None:
    """Draws a group on a square canvas and blends it into `picture` in place."""
    # Two pixels more on each side: room for soft edges.
    low = np.floor(np.min([mesh.box[:2] for mesh in group], axis=0)).astype(int) - 2
    high = np.ceil(np.max([mesh.box[2:] for mesh in group], axis=0)).astype(int) + 2
    side, canvas_side = canvas_sides(int((high - low).max()))
    box = np.array([*low, *(low + side)], np.float32)
    vertices, faces, colors = _joined(group)
    canvas = np.asarray(_draw_canvas(camera, vertices, faces, colors, box, canvas_side))
    if canvas_side == 2 * side:
        canvas = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
    else:
        # Too few samples for averaging to smooth the edges; shading is smooth, so a blur costs nothing visible.
        canvas = cv2.resize(cv2.GaussianBlur(canvas, (3, 3), 0), (side, side), interpolation=cv2.INTER_LINEAR)

    height, width = picture.shape[:2]
    left, top = np.maximum(low, 0)
    right, bottom = np.minimum(low + side, [width, height])
    canvas = canvas[top - low[1] : bottom - low[1], left - low[0] : right - low[0]]
    alpha = cv2.convertScaleAbs(cv2.extractChannel(canvas, 3), alpha=-opacity, beta=255)
    beneath = cv2.multiply(picture[top:bottom, left:right], cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB), scale=1 / 255)
    above = cv2.convertScaleAbs(cv2.cvtColor(canvas, cv2.COLOR_RGBA2RGB), alpha=opacity)
    picture[top:bottom, left:right] = cv2.add(beneath, above)


def canvas_sides(extent: int) -> tuple[int, int]:
    """Sides in pixels of the picture and of the canvas: two samples a pixel while that is cheap, about one above."""
    for canvas_side in CANVAS_SIDES[:-1]:
        if 2 * extent <= canvas_side:
            return canvas_side // 2, canvas_side
    return extent, CANVAS_SIDES[-2] if extent <= 1.2 * CANVAS_SIDES[-2] else CANVAS_SIDES[-1]


def _joined(group: list[_Mesh]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One mesh of a power of two of meshes; the spare ones lie behind the camera, where they are not drawn."""
    spare = 2 ** (len(group) - 1).bit_length() - len(group)
    group = group + [group[-1]._replace(vertices=-np.ones_like(group[-1].vertices))] * spare
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in group[:-1]])
    colors = [np.broadcast_to(np.asarray(mesh.color, np.float32), mesh.vertices.shape) for mesh in group]
    faces = [mesh.faces + start for mesh, start in zip(group, starts, strict=True)]
    return np.concatenate([mesh.vertices for mesh in group]), np.concatenate(faces), np.concatenate(colors)


_project = jax.jit(project)


@partial(jax.jit, static_argnames=("side",))
def _draw_canvas(camera, vertices, faces, colors, box, side) -> jax.Array:
    """(side, side, 4) uint8: lit colours and coverage of the square `box`, 0 where nothing is."""
    close_up, _ = crop_camera(camera, crop_affine(box, 0.0, side))
    return draw_sprite(close_up, vertices, faces, colors, SOFT_LIGHT, (side, side))
