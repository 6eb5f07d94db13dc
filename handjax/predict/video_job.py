"""A video of a job: its hands followed, fitted with one shape each, and written as one result."""

from typing import NamedTuple

import numpy as np

from handjax.detect import Detection, largest_side
from handjax.predict.batches import Observation
from handjax.predict.fit import fit_images, with_shape
from handjax.predict.hands import take
from handjax.predict.image_camera import ImageCamera
from handjax.predict.image_job import NO_HAND, finite
from handjax.predict.plan import Item
from handjax.predict.sources import distinct_hands
from handjax.predict.summary import write_summary
from handjax.predict.tracks import Track, follow
from handjax.predict.video_files import Footage, Motion, motion_rows, write_motion
from handjax.predict.work import Job, Outcome, failure
from handjax.video import read_video, video_info


class Watched(NamedTuple):
    """A video after its first pass: what was seen in each readable frame, and a line for each damage."""

    detections: list[list[Detection]]
    footage: Footage
    camera: ImageCamera
    damage: list[str]


def predict_video(job: Job, item: Item) -> Outcome:
    """The video is read twice, first for its hands and then to draw them, so that memory never holds all of it."""
    try:
        watched = _watch(job, item)
        tracks, brief = follow(watched.detections)
        fitted = [_fit(job, track, watched.footage) for track in tracks]
        motions = [motion for motion in fitted if motion is not None]
        files = write_motion(job, item, motions, watched.footage)
        return _summarise(job, item, watched, motions, brief, files)
    except Exception as error:  # a decoder or a detector may raise anything, and one video must not end a job
        return failure(item, error)


def _watch(job: Job, item: Item) -> Watched:
    info = video_info(item.path)
    detections, numbers, times, damage = [], [], [], []
    size = (info.width, info.height)
    for frame in read_video(item.path):
        if frame.image is None:
            damage.append(frame.error or f"{item.path}: frame {frame.number} is damaged")
            continue
        size = (frame.image.shape[1], frame.image.shape[0])
        detections.append(distinct_hands(job.source.of_frame(item.path, frame.number, frame.image)).detections)
        numbers.append(frame.number)
        times.append(frame.time)
    if not numbers:
        raise ValueError(f"{item.path}: no frame can be read")
    camera = job.camera.of_image(*size, None, max(map(largest_side, detections)))
    return Watched(detections, Footage(numbers, times, size, info.fps, camera.intrinsics), camera, damage)


def _fit(job: Job, track: Track, footage: Footage) -> Motion | None:
    """Each frame by itself, then all of them with the median of their shapes. None if no frame could be fitted."""
    observation = Observation(track.detections, footage.camera, footage.size[0])
    (hands,) = fit_images(job.model, [observation])
    good = finite(hands)
    if not good.any():
        return None
    trusted = good & hands.converged if (good & hands.converged).any() else good
    hands = with_shape(job.model, observation, hands, np.median(hands.betas[trusted], axis=0))
    good = finite(hands)
    frames = [frame for frame, keep in zip(track.frames, good, strict=True) if keep]
    return Motion(frames, take(hands, good)) if frames else None


def _summarise(
    job: Job, item: Item, watched: Watched, motions: list[Motion], brief: int, files: dict[str, str]
) -> Outcome:
    note = "" if motions else NO_HAND
    frames = len(watched.footage.numbers)
    write_summary(
        job.out / f"{item.name}.json",
        source=item.path.name,
        kind="video",
        size=watched.footage.size,
        camera=watched.camera,
        hands=motion_rows(motions),
        note=note,
        files=files,
        formats=job.settings.formats,
        made_with=job.recipe,
        more={
            "fps": watched.footage.fps,
            "frames": frames,
            "damaged_frames": watched.damage,
            "brief_detections_left_out": brief,
        },
    )
    count = len(motions)
    text = note or f"{count} hand{'s' if count != 1 else ''} in {frames} frames"
    return Outcome(item, count, text, tuple(watched.damage))
