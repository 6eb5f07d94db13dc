"""The figures of handjax-bench: found hands matched with true ones, measured by the papers' protocols."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from handjax import metrics
from handjax.metrics import PROTOCOLS, Hands, Matches, Protocol, Range
from handjax.metrics.measure import measure
from handjax.metrics.protocols import auc_name
from launch.bench_methods import Found
from launch.bench_pictures import Picture

LIMIT = 0.5
"""Mean distance of the 21 2D keypoints over the diagonal of the true hand's box, beyond which a hand is another one."""

MEASURED = {
    "rhd": PROTOCOLS["rhd"],
    "bihand": PROTOCOLS["rhd_bihand"]._replace(
        source="BiHand (Yang et al. 2020), also without the true scale; AUC 5-20 as HandTailor (Lv et al. 2021)",
        alignments=("root", "scale_translation"),
        ranges=(Range(0.02, 0.05, 20), Range(0.005, 0.02, 16)),
    ),
    "freihand": PROTOCOLS["freihand"],
    "multihand": Protocol(
        "multihand",
        "the multi-hand paper (Ren et al. 2023), of matched hands",
        alignments=("root", "rigid_similarity"),
        mesh_alignments=("root", "rigid_similarity"),
        root=(9,),
    ),
}
"""STB's are RHD's and BiHand's: the sets differ in their labels of the palm, of which these hands have one kind."""


Figures = dict[str, dict[str, float]]
"""By protocol and name."""


class Tested(NamedTuple):
    """H true hands, and the one found for each; zeros where none was.

    found, side_right (H,) bool; pixel_error (H,), keypoints_2d (H, 21, 2) px; joints, true_joints (H, 21, 3), vertices
    and true_vertices (H, V, 3) metres; visible (H, 21). apart (P,): metres by which the wrist of the left hand is off
    as seen from the right one's, in pictures that have one of each and of which both are found. matches: of each.
    """

    found: np.ndarray
    side_right: np.ndarray
    pixel_error: np.ndarray
    keypoints_2d: np.ndarray
    joints: np.ndarray
    vertices: np.ndarray
    true_joints: np.ndarray
    true_vertices: np.ndarray
    visible: np.ndarray
    apart: np.ndarray
    matches: tuple[Matches, ...]


def compared(picture: Picture, found: Found) -> Tested:
    """Each found hand, best score first, is given the nearest true hand that is left, whatever their sides. One with a
    number that is not finite is nobody's: a false detection."""
    which, matches = _paired(picture, found)
    hit, rows = which >= 0, which[which >= 0]

    def filled(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        array = np.zeros((len(which), *shape), np.float32)
        array[hit] = values
        return array

    pixels = metrics.pixel_error(found.keypoints_2d[rows], picture.keypoints_2d[hit])
    joints = filled(found.joints[rows], (21, 3))
    side_right = np.zeros(len(which), bool)
    side_right[hit] = found.side[rows] == picture.side[hit]
    return Tested(
        found=hit,
        side_right=side_right,
        pixel_error=filled(pixels, ()),
        keypoints_2d=filled(found.keypoints_2d[rows], (21, 2)),
        joints=joints,
        vertices=filled(found.vertices[rows], picture.vertices.shape[1:]),
        true_joints=picture.keypoints_3d,
        true_vertices=picture.vertices,
        visible=picture.visible,
        apart=_apart(picture, hit, joints),
        matches=(matches,),
    )


def together(parts: Sequence[Tested]) -> Tested:
    """At least one, as one."""
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in Tested._fields[:-1]}
    return Tested(**arrays, matches=tuple(one for part in parts for one in part.matches))


def figures(hands: Tested, f_scores: bool = True) -> Figures:
    """By protocol, names as of `metrics.evaluate`: over the hands that were found; `all_` before AUC, PCK and F-scores
    over all of them, one that was not found being nowhere near. "detection" has shares, counts and pixels."""
    by_protocol = {"detection": _detection(hands)}
    for name, protocol in MEASURED.items():
        if not f_scores:
            protocol = protocol._replace(f_thresholds=())
        over_found = metrics.evaluate(protocol, *_of(hands, hands.found)) if hands.found.any() else {}
        by_protocol[name] = over_found | _over_all(protocol, hands, over_found)
    return by_protocol


def pooled(parts: Mapping[str, Tested], by_part: Mapping[str, Figures]) -> Figures:
    """The figures of all parts' hands as one set. F-scores, the slow ones, are means of those in `by_part`."""
    whole = figures(together(list(parts.values())), f_scores=False)
    found, hands = (np.array([by_part[part]["detection"][name] for part in parts]) for name in ("found", "hands"))
    for protocol, values in whole.items():
        for name in {name for part in parts for name in by_part[part][protocol] if _is_f_score(name)}:
            weights = hands if name.startswith("all_") else found
            scores = np.array([by_part[part][protocol].get(name, 0.0) for part in parts])
            values[name] = float((weights * scores).sum() / max(weights.sum(), 1))
    return whole


def pa_error_mm(hands: Tested) -> np.ndarray:
    """(H,) of each hand, after the best similarity without reflection; inf where none was found."""
    errors = np.full(len(hands.found), np.inf)
    errors[hands.found] = 1000 * metrics.pa_mpjpe(hands.joints[hands.found], hands.true_joints[hands.found])
    return errors


def _paired(picture: Picture, found: Found) -> tuple[np.ndarray, Matches]:
    """-> (h,) the found hand of each true one, or -1."""
    boxes = picture.boxes
    diagonals = np.maximum(np.linalg.norm(boxes[:, 2:] - boxes[:, :2], axis=-1), 1e-6)
    whole = np.ones(len(found.side), bool)
    for points in (found.keypoints_2d, found.joints, found.vertices):
        whole &= np.isfinite(points).all(axis=(1, 2))
    apart = metrics.keypoint_distance(found.keypoints_2d, picture.keypoints_2d) / diagonals[None]
    matches = metrics.match(np.where(whole[:, None], -apart, -np.inf), found.score, -LIMIT)
    order = np.argsort(-found.score, kind="stable")
    which = np.full(len(picture.side), -1)
    which[matches.true[matches.correct]] = order[matches.correct]
    return which, matches


def _apart(picture: Picture, hit: np.ndarray, joints: np.ndarray) -> np.ndarray:
    left, right = np.flatnonzero(picture.side == 0), np.flatnonzero(picture.side == 1)
    if len(left) != 1 or len(right) != 1 or not hit[[left[0], right[0]]].all():
        return np.zeros(0)
    true = picture.keypoints_3d
    return np.atleast_1d(metrics.mrrpe(joints[left], joints[right], true[left], true[right]))


def _detection(hands: Tested) -> dict[str, float]:
    precision, recall = metrics.precision_recall(hands.matches)
    found = hands.found
    return {
        "hands": len(found),
        "found": int(found.sum()),
        "recall": recall,
        "precision": precision,
        "average_precision": metrics.average_precision(hands.matches),
        "side_accuracy": _mean(hands.side_right[found]),
        "all_side_accuracy": _mean(hands.side_right),
        "pixel_error_px": _mean(hands.pixel_error[found]),
        "mrrpe_mm": 1000 * _mean(hands.apart),
        "mrrpe_pairs": len(hands.apart),
    }


def _of(hands: Tested, rows: np.ndarray) -> tuple[Hands, Hands]:
    truth = Hands(hands.true_joints[rows], hands.true_vertices[rows], visible=hands.visible[rows])
    return Hands(hands.joints[rows], hands.vertices[rows]), truth


def _over_all(protocol: Protocol, hands: Tested, over_found: dict[str, float]) -> dict[str, float]:
    found = hands.found
    # The truth in place of what was not found: only which of its points count is of use.
    blanks = found[:, None, None]
    filled = hands._replace(
        joints=np.where(blanks, hands.joints, hands.true_joints),
        vertices=np.where(blanks, hands.vertices, hands.true_vertices),
    )
    # Without F-scores, which take long and are known: of a hand that was not found, 0.
    quick = protocol._replace(f_thresholds=())
    measured = measure(quick, *_of(filled, np.ones(len(found), bool)))
    result = {}
    for name, (errors, counted) in measured.errors.items():
        errors = np.where(found[:, None], errors, np.inf)
        prefix = name.removesuffix("mpjpe") if name.endswith("mpjpe") else name.removesuffix("mpvpe") + "mesh_"
        for span in protocol.ranges:
            thresholds = np.linspace(span.low, span.high, span.steps)[span.first :]
            share = metrics.area_under(metrics.pck(errors, thresholds, counted), thresholds)
            result[f"all_{prefix}{auc_name(span)}"] = float(share)
        shares = metrics.pck(errors, protocol.pck, counted) if protocol.pck else ()
        for threshold, share in zip(protocol.pck, shares, strict=True):
            result[f"all_{prefix}pck_{1000 * threshold:g}"] = float(share)
    scores = {f"all_{name}": value * float(found.mean()) for name, value in over_found.items() if _is_f_score(name)}
    return result | scores


def _is_f_score(name: str) -> bool:
    """f_5, pa_f_15 and the like."""
    return name.split("_")[-2:-1] == ["f"]


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else np.nan


class Target(NamedTuple):
    """What single hands are to reach. figure(figures of single hands by method, method) -> the number, nan without."""

    name: str
    limit: float
    least: bool
    figure: Callable[[Mapping[str, Figures], str], float]


def _figure(protocol: str, name: str) -> Callable[[Mapping[str, Figures], str], float]:
    return lambda by_method, method: by_method[method][protocol].get(name, np.nan)


def _gain(by_method: Mapping[str, Figures], method: str) -> float:
    without, name = by_method.get(f"{method}_untailored"), "all_scaled_auc_5_20"
    return by_method[method]["bihand"][name] - without["bihand"][name] if without else np.nan


TARGETS = (
    Target("PA-MPJPE of those found, mm", 10.0, False, _figure("multihand", "pa_mpjpe_mm")),
    Target("AUC 20-50, true scale", 0.95, True, _figure("bihand", "all_scaled_auc_20_50")),
    Target("AUC 20-50, own scale", 0.85, True, _figure("bihand", "all_root_auc_20_50")),
    Target("AUC 5-20, true scale, gain by the fit", 0.05, True, _gain),
)
