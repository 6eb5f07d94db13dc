"""The contact sheet of a folder of results, made from the files alone, so that those of earlier runs are on it."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handjax.detect import SIDE_NAMES
from handjax.export import PageEntry, PageHand, write_page
from handjax.images import read_image
from handjax.predict.plan import Item
from handjax.predict.work import PAPER, Job, in_order

PAGE = "index.html"
MAX_ENTRIES = 1000
"""A page of a thousand photos has some 100 MB; more would no longer open."""

MAX_FRAMES = 300
"""Of a video; longer ones play every second, third, ... frame."""


def write_sheet(job: Job, items: Sequence[Item], problems: int) -> Path:
    """Writes index.html: first the inputs of this job, then what earlier jobs left in the folder."""
    paths = {item.name: item.path for item in items}
    earlier = sorted(path.stem for path in job.out.glob("*.json") if path.stem not in paths)
    names = [*paths, *earlier]
    sentences = [f"The first {MAX_ENTRIES:,} of {len(names):,} files."] if len(names) > MAX_ENTRIES else []
    sentences += [f"{problems} problem{'s' if problems != 1 else ''}, see the command's output."] if problems else []
    entries = in_order(job.pool, lambda name: _entry(job, name, paths.get(name)), names[:MAX_ENTRIES])
    page = job.out / PAGE
    write_page(page, (entry for entry in entries if entry is not None), title="Hands", summary=" ".join(sentences))
    return page


def _entry(job: Job, name: str, source: Path | None) -> PageEntry | None:
    """The card of a finished input; None for one that failed, or for a JSON file that is no result."""
    try:
        stored = json.loads((job.out / f"{name}.json").read_bytes())
        if source is not None and stored["source"] != source.name:
            return None
        files = stored["files"]
        if "overlay" in files:
            picture = read_image(job.out / files["overlay"])
        else:
            picture = _plain_picture(stored) if source is None else job.read(source).image
        with np.load(job.out / files["npz"], allow_pickle=False) as arrays:
            hands = _video_hands(arrays, stored) if stored["kind"] == "video" else _image_hands(arrays, stored)
            intrinsics = arrays["camera"].tolist()
        return PageEntry(
            name=stored["source"],
            image=picture,
            hands=hands,
            note=stored.get("note", ""),
            files=files | {"json": f"{name}.json"},
            camera=stored["camera"]["note"],
            intrinsics=intrinsics,
            fps=stored.get("fps", 30.0) / stored.get("page_stride", 1),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _plain_picture(stored: dict) -> np.ndarray:
    return np.full((stored["height"], stored["width"], 3), PAPER, np.uint8)


def _image_hands(arrays, stored: dict) -> list[PageHand]:
    side, vertices, faces = arrays["side"], arrays["vertices"], arrays["faces"]
    return [
        PageHand(SIDE_NAMES[side[h]], row["score"], vertices[h], faces[h], row["mean_error_px"], row["converged"])
        for h, row in enumerate(stored["hands"])
    ]


def _video_hands(arrays, stored: dict) -> list[PageHand]:
    stride = -(-len(arrays["found"]) // MAX_FRAMES)
    stored["page_stride"] = stride
    side, faces = arrays["side"], arrays["faces"]
    found, vertices = arrays["found"][::stride], arrays["vertices"][::stride]
    hands = []
    for h, row in enumerate(stored["hands"]):
        seen = np.flatnonzero(found[:, h])
        if len(seen):
            # Where it was not seen, a hand waits where it was seen last (or first).
            last = np.maximum(np.searchsorted(seen, np.arange(len(found)), side="right") - 1, 0)
            frames = vertices[seen[last], h]
            page_hand = PageHand(SIDE_NAMES[side[h]], row["score"], frames, faces[h], row["mean_error_px"], None)
            hands.append(page_hand)
    return hands
