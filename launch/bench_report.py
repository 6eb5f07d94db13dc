"""What handjax-bench says of its figures: tables, targets and result.json."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax

import handjax
from handjax.metrics import describe
from launch.bench_figures import LIMIT, MEASURED, TARGETS, Figures, Tested
from launch.bench_methods import METHODS
from launch.bench_pictures import EDITION, Digest
from launch.bench_sheet import Shown

ALL = "all"

COLUMNS = (
    ("recall", "detection", "recall", ".3f"),
    ("precision", "detection", "precision", ".3f"),
    ("side", "detection", "side_accuracy", ".3f"),
    ("2D px", "detection", "pixel_error_px", ".1f"),
    ("PA rigid", "multihand", "pa_mpjpe_mm", ".2f"),
    ("PA-MPJPE", "freihand", "pa_mpjpe_mm", ".2f"),
    ("PA-MPVPE", "freihand", "pa_mpvpe_mm", ".2f"),
    ("F@5", "freihand", "pa_f_5", ".3f"),
    ("F@15", "freihand", "pa_f_15", ".3f"),
    ("20-50 true", "bihand", "all_scaled_auc_20_50", ".3f"),
    ("20-50 own", "bihand", "all_root_auc_20_50", ".3f"),
    ("5-20 true", "bihand", "all_scaled_auc_5_20", ".3f"),
    ("5-20 own", "bihand", "all_root_auc_5_20", ".3f"),
    ("RHD true", "rhd", "all_scaled_auc_20_50", ".3f"),
    ("RHD own", "rhd", "all_root_auc_20_50", ".3f"),
    ("MRRPE", "detection", "mrrpe_mm", ".1f"),
)
"""Heading, protocol, figure, format."""
LEGEND = f"""A found hand, best score first, is matched with the nearest true one left, whatever its side, if their
2D keypoints are on average no farther apart than {LIMIT:g} of the diagonal of the true hand's box.
PA, F, 2D px: of found hands; mm, pixels of the picture. PA rigid: rotations only, the others may mirror (FreiHAND).
20-50, 5-20, RHD: AUC of all hands, one that was not found having an infinite error; true: with the true length of the
bone 0-9 (RHD: 9-10), own: as large as predicted. MRRPE: wrists of the left and the right hand of a picture with one of
each and both found, mm."""


class About(NamedTuple):
    """As the command was called."""

    model: str
    camera: str
    methods: list[str]


class PartResult(NamedTuple):
    """One part: what was found by each method, its worst hands, seconds a hand, and what the pictures are."""

    hands: dict[str, Tested]
    worst: dict[str, list[Shown]]
    seconds: dict[str, float]
    digest: Digest


def report(
    about: About, results: Mapping[str, PartResult], by_part: Mapping[str, Mapping[str, Figures]]
) -> Iterator[str]:
    yield f"handjax-bench, edition {EDITION}; model {about.model}, camera {about.camera}"
    yield "\n".join(f"{name}: {METHODS[name].about}" for name in about.methods)
    yield "\n".join(describe(protocol) for protocol in MEASURED.values())
    yield LEGEND
    for name, by_method in by_part.items():
        yield f"{_title(name, results)}\n{table(by_method)}"
    if "single" in by_part:
        lines = [line for method in by_part["single"] for line in _targets(method, by_part["single"])]
        yield "\n".join(["What single hands are to reach:", *lines])


def _title(name: str, results: Mapping[str, PartResult]) -> str:
    if name == ALL:
        return "all parts together"
    about, seconds = results[name].digest.about(), results[name].seconds
    times = ", ".join(f"{method} {1000 * time:.0f}" for method, time in seconds.items())
    said = ", ".join(f"{key} {value}" for key, value in about.items())
    return f"{name}: {said}\nms a hand (untailored after tailored: without the networks): {times}"


def table(by_method: Mapping[str, Figures]) -> str:
    """Methods down, `COLUMNS` across; - for what there is not."""
    width = max(map(len, [*by_method, "method"]))
    lines = [" ".join(["method".ljust(width), *(f"{heading:>10}" for heading, *_ in COLUMNS)])]
    for method, by_protocol in by_method.items():
        cells = [_cell(by_protocol[protocol].get(name, math.nan), form) for _, protocol, name, form in COLUMNS]
        lines.append(" ".join([method.ljust(width), *cells]))
    return "\n".join(lines)


def _cell(value: float, form: str) -> str:
    return f"{value:>10{form}}" if math.isfinite(value) else f"{'-':>10}"


def _targets(method: str, by_method: Mapping[str, Figures]) -> Iterator[str]:
    if method.endswith("_untailored"):
        return
    for target in TARGETS:
        value = target.figure(by_method, method)
        if math.isfinite(value):
            reached = value >= target.limit if target.least else value <= target.limit
            sign = ">=" if target.least else "<="
            yield f"  {method}: {target.name} {value:.3f}, {sign} {target.limit:g}: {'yes' if reached else 'no'}"


def as_json(about: About, results: Mapping[str, PartResult], by_part: Mapping[str, Mapping[str, Figures]]) -> bytes:
    report = {
        "benchmark": "handjax-bench",
        "edition": EDITION,
        "model": about.model,
        "camera": about.camera,
        "versions": {"handjax": handjax.__version__, "jax": jax.__version__, "device": jax.devices()[0].device_kind},
        "methods": {name: METHODS[name].about for name in about.methods},
        "protocols": {name: describe(protocol).splitlines() for name, protocol in MEASURED.items()},
        "matching": {"mean_keypoint_distance_over_box_diagonal": LIMIT},
        "pictures": {name: result.digest.about() for name, result in results.items()},
        "seconds_a_hand": {name: result.seconds for name, result in results.items()},
        "figures": by_part,
    }
    return (json.dumps(_without_nan(report), indent=2) + "\n").encode()


def _without_nan(value: Any) -> Any:
    """JSON has no nan."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
