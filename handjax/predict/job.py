"""A prediction job: images and videos in, a folder of results out; what one input does wrong, the others survive."""

import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from handjax import mano
from handjax.detect import Detector
from handjax.images import Photo, read_photo
from handjax.inputs import Input, list_inputs
from handjax.predict.files import Sides
from handjax.predict.fit import right_hand
from handjax.predict.image_camera import known_camera
from handjax.predict.image_job import predict_images
from handjax.predict.plan import is_finished, made_with, plan, sweep
from handjax.predict.progress import Progress
from handjax.predict.settings import DETECTORS, PredictSettings
from handjax.predict.sheet import write_sheet
from handjax.predict.sources import Source, open_source
from handjax.predict.video_job import predict_video
from handjax.predict.work import Job, Outcome


class JobReport(NamedTuple):
    """Counts of inputs and hands; a line for each problem; the contact sheet, if one was asked for and written."""

    out: Path
    inputs: int
    skipped: int
    hands: int
    with_hands: int
    without_hands: int
    problems: tuple[str, ...]
    page: Path | None


def predict_files(
    path: str | os.PathLike,
    settings: PredictSettings,
    detector: Detector | None = None,
    progress: Progress | None = None,
) -> JobReport:
    """Predicts the hands of an image, a video or a folder of both, and writes them to `settings.out`.

    Results are `NAME.npz`, `NAME.json` and what `settings.formats` names, then `index.html`. An input that cannot be
    read is a problem of the report and ends nothing; finished inputs are skipped, so a killed job goes on where it was.

    Raises ValueError, OSError or ImportError where the job cannot start: the path, keypoints, detector, camera, model.
    """
    inputs = list_inputs(path)
    out = Path(settings.out)
    if Path(path).is_dir() and out.exists() and out.samefile(path):
        raise ValueError(f"--out must be another folder than that of the images, got {out}")
    source = open_source(settings, inputs, detector)
    return run_job(inputs, source, _label(settings, detector), read_photo, settings, progress)


def _label(settings: PredictSettings, detector: Detector | None) -> str:
    if detector is not None:
        return str(getattr(detector, "__qualname__", type(detector).__name__))
    return settings.keypoints or settings.detector or DETECTORS[0]


def run_job(
    inputs: Sequence[Input],
    source: Source,
    source_label: str,
    read: Callable[[os.PathLike], Photo],
    settings: PredictSettings,
    progress: Progress | None = None,
) -> JobReport:
    """`predict_files` for inputs that are listed and a source that is open; `read` gives the picture of an image."""
    camera = known_camera(settings.intrinsics, settings.focal)
    model = right_hand(None if settings.model is None else mano.load(settings.model))
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    sweep(out)
    items, notes = plan(inputs)
    recipe = made_with(settings, source_label)
    finished = set() if settings.overwrite else {i for i in items if is_finished(i, out, settings, recipe)}
    todo = [item for item in items if item not in finished]
    progress = Progress(len(todo)) if progress is None else progress
    for note in notes:
        progress.say(note)
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(settings.threads or os.cpu_count() or 1) as pool:
        job = Job(settings, out, model, Sides(model), source, camera, read, recipe, pool)
        try:
            images = predict_images(job, [item for item in todo if item.kind == "image"])
            videos = (predict_video(job, item) for item in todo if item.kind == "video")
            for outcome in itertools.chain(images, videos):
                outcomes.append(outcome)
                for problem in outcome.problems:
                    progress.say(problem)
                progress.step(f"{outcome.item.path.name}: {outcome.text}")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            progress.close()
        problems = [problem for outcome in outcomes for problem in outcome.problems]
        page = None
        if "page" in settings.formats:
            try:
                page = write_sheet(job, items, len(problems))
            except OSError as error:
                problems.append(f"{out}: the contact sheet cannot be written: {error.strerror or error}")
                progress.say(problems[-1])
    sweep(out)
    return JobReport(
        out=out,
        inputs=len(items),
        skipped=len(finished),
        hands=sum(outcome.hands for outcome in outcomes),
        with_hands=sum(outcome.hands > 0 for outcome in outcomes),
        without_hands=sum(outcome.hands == 0 and not outcome.problems for outcome in outcomes),
        problems=tuple(problems),
        page=page,
    )
