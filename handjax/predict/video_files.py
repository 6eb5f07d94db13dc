"""The files of one video: stacked arrays, an animated glb, the overlay as a film and as one picture."""

import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from handjax.detect import SIDE_NAMES
from handjax.export import ViewCamera, rigged_hand, write_glb
from handjax.predict.files import overlay, write_png
from handjax.predict.hands import Hands, joined, mean_error_px, posed, take, write_arrays
from handjax.predict.plan import Item
from handjax.predict.work import Job, in_order
from handjax.video import read_video

PER_HAND = ("side", "betas", "faces")
"""Fields of `Hands` that stay the same through a video."""


class Footage(NamedTuple):
    """T readable frames of a video: their numbers in the file and times in seconds; (width, height); fps; camera."""

    numbers: Sequence[int]
    times: Sequence[float]
    size: tuple[int, int]
    fps: float
    camera: np.ndarray


class Motion(NamedTuple):
    """One hand of a video: n of the T frames, by their places among them, and the hand in each."""

    frames: list[int]
    hands: Hands


def write_motion(job: Job, item: Item, motions: Sequence[Motion], footage: Footage) -> dict[str, str]:
    """Writes what was asked for and returns label -> file name. obj and ply, which cannot move, are left out."""
    formats = job.settings.formats
    paths = {
        "npz": job.out / f"{item.name}.npz",
        "overlay": job.out / f"{item.name}_overlay.png",
        "video": job.out / f"{item.name}_overlay.mp4",
        "glb": job.out / f"{item.name}.glb",
    }
    for path in (job.out / f"{item.name}.json", *paths.values()):
        path.unlink(missing_ok=True)
    write_arrays(paths["npz"], stacked(motions, footage))
    written = ["npz"]
    if "glb" in formats and motions:
        _write_glb(paths["glb"], job, motions, footage)
        written.append("glb")
    if "overlay" in formats:
        poster = write_film(paths["video"], _overlays(job, item, motions, footage), footage)
        if poster is not None:
            write_png(paths["overlay"], poster)
            written += ["overlay", "video"]
    return {label: paths[label].name for label in written}


def motion_rows(motions: Sequence[Motion]) -> list[dict[str, Any]]:
    """A dict a hand for NAME.json."""
    rows = []
    for motion in motions:
        errors = mean_error_px(motion.hands)
        rows.append(
            {
                "side": SIDE_NAMES[int(motion.hands.side[0])],
                "frames": len(motion.frames),
                "first_frame": motion.frames[0],
                "last_frame": motion.frames[-1],
                "score": round(float(np.mean(motion.hands.score)), 3),
                "mean_error_px": round(float(np.mean(errors)), 3),
                "worst_frame_error_px": round(float(np.max(errors)), 3),
                "converged_frames": int(motion.hands.converged.sum()),
                "ambiguous_frames": int(motion.hands.ambiguous.sum()),
            }
        )
    return rows


def stacked(motions: Sequence[Motion], footage: Footage) -> dict[str, np.ndarray]:
    """The arrays of a video's npz: those of `Hands` with T in front (T, h, ...), but `PER_HAND` (h, ...), and camera.

    Besides: found (T, h) bool, where the others are NaN, 0 or False if not; frame_numbers and frame_times (T,).
    """
    count = len(footage.numbers)
    arrays: dict[str, np.ndarray] = {
        "frame_numbers": np.asarray(footage.numbers, np.int32),
        "frame_times": np.asarray(footage.times, np.float64),
        "camera": footage.camera,
        "found": np.zeros((count, len(motions)), bool),
    }
    for h, motion in enumerate(motions):
        arrays["found"][motion.frames, h] = True
    for field in Hands._fields[:-1]:
        values = [getattr(motion.hands, field) for motion in motions]
        if field in PER_HAND:
            arrays[field] = np.stack([value[0] for value in values]) if values else np.zeros(0)
            continue
        if not values:
            arrays[field] = np.zeros((count, 0))
            continue
        blank = np.nan if values[0].dtype.kind == "f" else 0
        arrays[field] = np.full((count, len(motions), *values[0].shape[1:]), blank, values[0].dtype)
        for h, (motion, value) in enumerate(zip(motions, values, strict=True)):
            arrays[field][motion.frames, h] = value
    return arrays


def _write_glb(path: Path, job: Job, motions: Sequence[Motion], footage: Footage) -> None:
    times = _rising(np.asarray(footage.times), footage)
    rigs = []
    for h, motion in enumerate(motions):
        side = SIDE_NAMES[int(motion.hands.side[0])]
        model = job.models[side]
        output = posed(model, motion.hands)
        rigs.append(rigged_hand(f"hand_{h}_{side}", model, output, times=times[motion.frames]))
    write_glb(path, rigs, camera=ViewCamera(float(footage.camera[1]), footage.size))


def _rising(times: np.ndarray, footage: Footage) -> np.ndarray:
    """Times from 0; where a file's time stamps do not rise, the frame numbers count."""
    if (np.diff(times) <= 0).any():
        times = np.asarray(footage.numbers) / footage.fps
    return times - times[0]


def _overlays(job: Job, item: Item, motions: Sequence[Motion], footage: Footage) -> Iterator[np.ndarray]:
    """The readable frames, second pass, with the hands over them."""
    numbered = {number: place for place, number in enumerate(footage.numbers)}
    row_of = [{place: row for row, place in enumerate(motion.frames)} for motion in motions]

    def draw(frame) -> np.ndarray:
        place = numbered[frame.number]
        picture = frame.image
        seen = [take(m.hands, [rows[place]]) for m, rows in zip(motions, row_of, strict=True) if place in rows]
        if not seen:
            return picture
        return overlay(picture, joined(seen))

    frames = (frame for frame in read_video(item.path) if frame.image is not None and frame.number in numbered)
    return in_order(job.pool, draw, frames)


def write_film(path: Path, pictures: Iterator[np.ndarray], footage: Footage) -> np.ndarray | None:
    """Writes an mp4, whole or not at all, and returns its middle picture; None where it has none.

    Raises OSError if OpenCV was built without an encoder or the file cannot be written.
    """
    temporary = path.parent / f".handjax-{secrets.token_hex(8)}.mp4"
    fourcc = cv2.VideoWriter.fourcc(*"mp4v")
    film = cv2.VideoWriter(os.fspath(temporary), cv2.CAP_FFMPEG, fourcc, footage.fps, footage.size)
    try:
        if not film.isOpened():
            raise OSError(f"{path}: cannot be written as mp4")
        poster = None
        for place, picture in enumerate(pictures):
            film.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            if place <= len(footage.numbers) // 2:
                poster = picture
        film.release()
        if poster is not None:
            os.replace(temporary, path)
        return poster
    finally:
        film.release()
        temporary.unlink(missing_ok=True)
