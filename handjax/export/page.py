"""One self-contained HTML page: a contact sheet of the results, with a 3D viewer that opens offline."""

import base64
import json
import math
import os
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import PurePath
from typing import Any, NamedTuple
from urllib.parse import quote

import cv2
import numpy as np
from numpy.typing import ArrayLike

import handjax
from handjax.checks import check_choice, check_shape
from handjax.export.files import write_bytes
from handjax.export.mesh import checked_colors, checked_faces

PICTURE_SIDE = 640
JPEG_QUALITY = 82


class PageHand(NamedTuple):
    """One hand of an image, or of a video.

    side: "left" or "right". score: the detector's, in [0, 1], or None.
    vertices: (V, 3), or (T, V, 3) for T frames; camera frame (OpenCV axes), metres. faces: (F, 3).
    error_px: mean reprojection error in pixels of the image, or None. converged: None where nothing was fitted.
    colors: (V, 3) sRGB, uint8 or floats in [0, 1]; None: a colour for each side.
    """

    side: str
    score: float | None
    vertices: ArrayLike
    faces: ArrayLike
    error_px: float | None = None
    converged: bool | None = None
    colors: ArrayLike | None = None


class PageEntry(NamedTuple):
    """One card of the sheet.

    name: shown as it is. image: (H, W, 3) uint8 RGB, usually the overlay; of a video, one frame.
    note: what else to say, such as "no hand found". files: label -> path relative to the page.
    camera: a sentence on the camera, such as "focal length 1200 px, assumed".
    intrinsics: (fx, fy, cx, cy) in pixels of `image`; given, the viewer can look through the photograph's camera.
    fps: frames per second of hands with several frames.
    """

    name: str
    image: ArrayLike
    hands: Sequence[PageHand] = ()
    note: str = ""
    files: Mapping[str, str] = {}
    camera: str = ""
    intrinsics: Sequence[float] | None = None
    fps: float = 30.0


def write_page(path: str | os.PathLike, entries: Iterable[PageEntry], title: str = "Hands", summary: str = "") -> None:
    """Writes the contact sheet as one HTML file that needs no network and no other file.

    Pictures are embedded, at most 640 pixels a side, as JPEG; meshes as 16-bit integers over their bounding box (4 um
    for a hand of 0.25 m), each set of faces once. `entries` is read one by one, so a generator keeps memory small.

    Args:
      path: the file; its folder must exist. Written whole or not at all.
      entries: the cards, in order.
      title: of the page.
      summary: a sentence under the title.

    Raises:
      ValueError, TypeError: a field is wrong; the message names the entry. OSError: the file cannot be written.
    """
    topologies: dict[bytes, int] = {}
    topology_data: list[dict[str, Any]] = []
    cards, num_hands, num_without, errors = [], 0, 0, []
    for entry in entries:
        try:
            cards.append(_card(entry, topologies, topology_data))
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"entry {entry.name!r}: {error}") from error
        num_hands += len(entry.hands)
        num_without += not entry.hands
        errors += _errors_px(entry)
    facts = {"images" if len(cards) != 1 else "image": f"{len(cards):,}"}
    facts["hands" if num_hands != 1 else "hand"] = f"{num_hands:,}"
    if num_without:
        facts["without a hand"] = f"{num_without:,}"
    if errors:
        facts["median reprojection error"] = f"{statistics.median(errors):.1f} px"
    parts = {
        "title": escape(title),
        "summary": escape(summary),
        "facts": "".join(f"<li><b>{value}</b><span>{label}</span></li>" for label, value in facts.items()),
        "cards": "\n".join(cards),
        "topologies": _json(topology_data),
        "version": escape(handjax.__version__),
    }
    template = resources.files("handjax.export").joinpath("viewer.html").read_text("utf-8")
    # One pass, so that what a file name says is never taken for a part of the template.
    page = re.sub(r"\{\{(\w+)\}\}", lambda part: parts[part[1]], template)
    write_bytes(path, page.encode("utf-8", "replace"))


def _card(entry: PageEntry, topologies: dict[bytes, int], topology_data: list[dict[str, Any]]) -> str:
    image = np.asarray(entry.image)
    check_shape("image", image, ("H", "W", 3))
    if image.dtype != np.uint8 or not image.size:
        raise ValueError(f"image must be uint8 and not empty, got {image.dtype} of shape {image.shape}")
    scene = {
        "size": [image.shape[1], image.shape[0]],
        "intrinsics": _intrinsics(entry.intrinsics),
        "fps": _positive("fps", entry.fps),
        "hands": [_hand_data(hand, topologies, topology_data) for hand in entry.hands],
    }
    frames = max((hand["frames"] for hand in scene["hands"]), default=0)
    label = "Enlarge" if not frames else "Play in 3D" if frames > 1 else "View in 3D"
    failed = any(hand.converged is not None and not hand.converged for hand in entry.hands)
    state = "none" if not entry.hands else "check" if failed else "good"
    note = entry.note or ("" if entry.hands else "No hand found")
    name = escape(entry.name)
    return "\n".join(
        [
            f'<article class="card" data-state="{state}" data-error="{max(_errors_px(entry), default=-1):.3f}">',
            f'<button class="picture" type="button" aria-label="{label}: {name}">'
            f'<img src="{_picture(image)}" alt="{name}" loading="lazy" decoding="async"><span>{label}</span></button>',
            f'<div class="body"><h2>{name}</h2>',
            f'<ul class="hands">{"".join(map(_hand_line, entry.hands))}</ul>' if entry.hands else "",
            f'<p class="note">{escape(note)}</p>' if note else "",
            f'<p class="camera">{escape(entry.camera)}</p>' if entry.camera else "",
            f'<p class="files">{"".join(map(_link, entry.files.items()))}</p>' if entry.files else "",
            f'</div><script type="application/json">{_json(scene)}</script></article>',
        ]
    )


def _hand_line(hand: PageHand) -> str:
    figures = [f"score {hand.score:.2f}"] if _is_number(hand.score) else []
    figures += [f"{hand.error_px:.1f} px"] if _is_number(hand.error_px) else []
    states = {True: ("good", "converged"), False: ("check", "not converged"), None: ("", "")}
    state, words = states[None if hand.converged is None else bool(hand.converged)]
    return (
        f'<li class="{hand.side}"><i class="dot"></i><span>{hand.side.capitalize()} hand</span>'
        f'<span class="state {state}">{words}</span><i></i><span class="figures">{" · ".join(figures)}</span></li>'
    )


def _link(file: tuple[str, str]) -> str:
    label, path = file
    relative = PurePath(path)
    if relative.is_absolute() or relative.drive:
        raise ValueError(f"files must be relative to the page, got {str(path)!r}")
    # Quoting the colon as well keeps a file called "javascript:..." a file; surrogates are a file name's odd bytes.
    href = quote(relative.as_posix().encode("utf-8", "surrogateescape"), safe="/")
    return f'<a href="{href}">{escape(label)}</a>'


def _hand_data(hand: PageHand, topologies: dict[bytes, int], topology_data: list) -> dict[str, Any]:
    """What the viewer reads: vertex = offset + step * integer, each axis by itself."""
    check_choice("side", hand.side, ("left", "right"))
    vertices = np.asarray(hand.vertices, np.float64)
    vertices = vertices[None] if vertices.ndim == 2 else vertices
    check_shape("vertices", vertices, ("T", "V", 3))
    if not vertices.size or not np.isfinite(vertices).all():
        raise ValueError("vertices must be finite and not empty")
    num_frames, num_vertices = vertices.shape[:2]
    faces = checked_faces(hand.faces, num_vertices)
    wide = num_vertices > 65535
    key = num_vertices.to_bytes(8) + faces.tobytes()
    if key not in topologies:
        topologies[key] = len(topology_data)
        data = _base64(faces.astype("<u4" if wide else "<u2"))
        topology_data.append({"vertices": num_vertices, "wide": wide, "data": data})
    offset = vertices.min(axis=(0, 1))
    step = (vertices.max(axis=(0, 1)) - offset) / 65535
    integers = np.round((vertices - offset) / np.where(step > 0, step, 1.0)).astype("<u2")
    colors = checked_colors(hand.colors, num_vertices)
    return {
        "side": hand.side,
        "frames": num_frames,
        "vertices": num_vertices,
        "offset": offset.tolist(),
        "step": step.tolist(),
        "data": _base64(integers),
        "topology": topologies[key],
        "colors": None if colors is None else _base64(colors),
    }


def _picture(image: np.ndarray) -> str:
    """The image as a data URI."""
    scale = PICTURE_SIDE / max(image.shape[:2])
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    bgr = np.ascontiguousarray(image[..., ::-1])
    written, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not written:
        raise ValueError(f"image of shape {image.shape} cannot be written as JPEG")
    return f"data:image/jpeg;base64,{_base64(data)}"


def _intrinsics(intrinsics: Sequence[float] | None) -> list[float] | None:
    if intrinsics is None:
        return None
    check_shape("intrinsics", intrinsics, (4,))
    values = [float(value) for value in intrinsics]
    if not all(map(math.isfinite, values)) or min(values[:2]) <= 0:
        raise ValueError(f"intrinsics must be finite with focal lengths above 0, got {values}")
    return values


def _positive(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be above 0, got {value}")
    return float(value)


def _errors_px(entry: PageEntry) -> list[float]:
    return [hand.error_px for hand in entry.hands if hand.error_px is not None and math.isfinite(hand.error_px)]


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def _json(value: Any) -> str:
    # "</script>" would end the element that holds the JSON.
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
