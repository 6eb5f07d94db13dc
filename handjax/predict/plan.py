"""What a job has to do: a name for each input, which of them are finished, and what a killed run left behind."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import handjax
from handjax.inputs import Input
from handjax.predict.settings import PredictSettings

DEAD_AFTER_SECONDS = 5.0


class Item(NamedTuple):
    """An input whose results are called `name`; kind "image" or "video"."""

    path: Path
    kind: str
    name: str


def plan(inputs: Sequence[Input]) -> tuple[list[Item], list[str]]:
    """Names the results after the inputs, and says where a second one of the same stem needed its suffix as well."""
    taken: set[str] = set()
    items, notes = [], []
    for path, kind in inputs:
        name = path.stem
        # Some file systems take a.npz and A.npz for one file.
        while name.casefold() in taken:
            name = path.name if name == path.stem else name + "_"
        if name != path.stem:
            notes.append(f"{path}: results are called {name}, as {path.stem} is taken by another file")
        taken.add(name.casefold())
        items.append(Item(path, kind, name))
    return items, notes


def made_with(settings: PredictSettings, source: str) -> dict[str, Any]:
    """What decides the numbers of a result: a finished image is done again when one of these changes."""
    return {
        "handjax": handjax.__version__,
        "hands_from": source,
        "side": settings.side,
        "min_score": settings.min_score,
        "small_hands": settings.small_hands,
        "model": settings.model or "free hand",
        "focal": settings.focal,
        "intrinsics": settings.intrinsics,
    }


def is_finished(item: Item, out: Path, settings: PredictSettings, recipe: dict[str, Any]) -> bool:
    """Whether NAME.json, which is written last, is of this input and recipe, and newer than what it came from."""
    summary = out / f"{item.name}.json"
    try:
        stored = json.loads(summary.read_bytes())
        files = stored["files"].values()
        same = (stored["source"], stored["made_with"]) == (item.path.name, recipe)
        complete = set(settings.formats) - {"page"} <= set(stored["formats"])
        whole = all((out / file).is_file() for file in files)
        return same and complete and whole and summary.stat().st_mtime >= _changed(item.path, settings)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _changed(path: Path, settings: PredictSettings) -> float:
    """When the input, or a file that its result depends on, last changed."""
    others = [settings.keypoints, settings.model, settings.intrinsics, settings.detector_model]
    return max((os.stat(file).st_mtime for file in (path, *others) if file and os.path.exists(file)), default=0.0)


def sweep(out: Path) -> None:
    """Removes the half-written files of a killed run: temporary names that nothing was written to for a while."""
    for pattern in (".handjax-*.tmp", ".handjax-*.mp4"):
        for leftover in out.glob(pattern):
            try:
                if time.time() - leftover.stat().st_mtime > DEAD_AFTER_SECONDS:
                    leftover.unlink()
            except OSError:
                continue
