"""NAME.json: what a reader wants to know of a result, with units; written last, so that it marks a finished result."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import handjax
from handjax.detect import box_side, keypoint_box
from handjax.export import write_bytes
from handjax.predict.hands import Hands, mean_error_px, side_names
from handjax.predict.image_camera import ImageCamera

UNITS = "metres, radians, pixels of the upright image, which spans [0, width] x [0, height]"
FRAME = "OpenCV camera: x right, y down, z forward"


def hand_rows(hands: Hands, checks: Sequence[str | None] = ()) -> list[dict[str, Any]]:
    """One dict a hand, all of JSON's own types."""
    rows = []
    for hand, (side, mean) in enumerate(zip(side_names(hands), mean_error_px(hands), strict=True)):
        size = box_side(keypoint_box(hands.keypoints_2d[hand], hands.confidence[hand]))
        row = {
            "side": side,
            "score": _rounded(hands.score[hand]),
            "mean_error_px": _rounded(mean),
            "max_error_px": _rounded(np.nanmax(hands.error_px[hand], initial=0.0)),
            "mean_error_percent_of_box": _rounded(100 * mean / max(size, 1e-6)),
            "converged": bool(hands.converged[hand]),
            "ambiguous": bool(hands.ambiguous[hand]),
            "confidence": [_rounded(value) for value in hands.confidence[hand]],
            "transl_m": [_rounded(value, 5) for value in hands.transl[hand]],
        }
        check = checks[hand] if checks else None
        rows.append(row if check is None else row | {"check": check})
    return rows


def write_summary(
    path: Path,
    *,
    source: str,
    kind: str,
    size: tuple[int, int],
    camera: ImageCamera,
    hands: Sequence[Mapping[str, Any]],
    note: str,
    files: Mapping[str, str],
    formats: Sequence[str],
    made_with: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
) -> None:
    """size: (width, height). files: label -> name beside this file. `more` is put in as it is."""
    fx, fy, cx, cy = (_rounded(value) for value in camera.intrinsics)
    document = {
        "source": source,
        "kind": kind,
        "width": size[0],
        "height": size[1],
        "units": UNITS,
        "frame": FRAME,
        "camera": {"fx": fx, "fy": fy, "cx": cx, "cy": cy, "source": camera.source, "note": camera.sentence},
        "hands": list(hands),
        **({"note": note} if note else {}),
        **(more or {}),
        "files": dict(files),
        "formats": sorted(formats),
        "made_with": dict(made_with),
        "versions": {"handjax": handjax.__version__, "jax": jax.__version__, "numpy": np.__version__},
    }
    write_bytes(path, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())


def _rounded(value, digits: int = 3) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None
