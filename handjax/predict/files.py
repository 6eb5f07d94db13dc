"""The files of one image: arrays, overlay, meshes."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from handjax.export import Mesh, ViewCamera, merge, rigged_hand, write_bytes, write_glb, write_obj, write_ply
from handjax.mano import HandModel, HandOutput, mirror
from handjax.overlay import OverlayHand, draw_overlay
from handjax.predict.hands import Hands, posed, side_names, write_arrays
from handjax.predict.image_camera import camera_of

PNG_LEVEL = 1
"""Photographs hardly shrink further, and level 1 takes a quarter of the default's time."""


class Sides(dict[str, HandModel]):
    """The model of each side, mirrored once."""

    def __init__(self, right: HandModel) -> None:
        super().__init__(right=right, left=mirror(right))


def write_files(
    folder: Path,
    name: str,
    image: np.ndarray,
    hands: Hands,
    models: Sides,
    formats: Sequence[str],
) -> dict[str, str]:
    """Writes what was asked for and returns label -> file name. Meshes are left out where no hand is.

    An older NAME.json goes first, since it says that the files beside it are whole; so do older meshes.
    """
    paths = {
        "npz": folder / f"{name}.npz",
        "overlay": folder / f"{name}_overlay.png",
        "obj": folder / f"{name}.obj",
        "ply": folder / f"{name}.ply",
        "glb": folder / f"{name}.glb",
    }
    for path in (folder / f"{name}.json", *paths.values()):
        path.unlink(missing_ok=True)
    write_arrays(paths["npz"], hands._asdict())
    written = ["npz"]
    if "overlay" in formats:
        write_png(paths["overlay"], overlay(image, hands))
        written.append("overlay")
    if len(hands.side):
        meshes = {
            hand_name: Mesh(hands.vertices[hand], hands.faces[hand]) for hand, hand_name in enumerate(hand_names(hands))
        }
        if "obj" in formats:
            write_obj(paths["obj"], *merge(meshes))
            written.append("obj")
        if "ply" in formats:
            write_ply(paths["ply"], *merge(meshes)[:3])
            written.append("ply")
        if "glb" in formats:
            write_hands_glb(paths["glb"], hands, models, (image.shape[1], image.shape[0]))
            written.append("glb")
    return {label: paths[label].name for label in written}


def hand_names(hands: Hands) -> list[str]:
    return [f"hand_{hand}_{side}" for hand, side in enumerate(side_names(hands))]


def overlay(image: np.ndarray, hands: Hands) -> np.ndarray:
    """(H, W, 3) uint8 RGB with the hands drawn over it."""
    drawn = [
        OverlayHand(
            vertices=hands.vertices[hand],
            faces=hands.faces[hand],
            side=side,
            keypoints_2d=hands.keypoints_2d[hand],
            reprojected=hands.reprojected[hand],
            confidence=hands.confidence[hand],
        )
        for hand, side in enumerate(side_names(hands))
    ]
    return draw_overlay(image, drawn, camera_of(hands.camera))


def write_png(path: Path, image: np.ndarray) -> None:
    """(H, W, 3) uint8 RGB."""
    written, data = cv2.imencode(
        ".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL]
    )
    if not written:
        raise OSError(f"{path}: an image of shape {image.shape} cannot be written as PNG")
    write_bytes(path, data.tobytes())


def write_hands_glb(path: Path, hands: Hands, models: Sides, size: tuple[int, int]) -> None:
    rigs = []
    for hand, (side, hand_name) in enumerate(zip(side_names(hands), hand_names(hands), strict=True)):
        output = HandOutput(*(array[hand] for array in posed(models[side], hands)))
        rigs.append(rigged_hand(hand_name, models[side], output))
    write_glb(path, rigs, camera=ViewCamera(float(hands.camera[1]), size))
