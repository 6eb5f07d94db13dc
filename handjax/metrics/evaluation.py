"""A protocol's figures over a whole set, batch by batch: what is kept grows with neither pictures nor vertices, save
the joints' errors where a protocol asks for medians."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from handjax.metrics.curves import area_under
from handjax.metrics.hands import Hands
from handjax.metrics.measure import MESH_ABSENT, Measured, measure
from handjax.metrics.protocols import ALIGNMENTS, Protocol, Range, auc_name, check_protocol

BATCH = 32
"""Pictures measured at once: more gains no time."""


class PointSums(NamedTuple):
    """Over the pictures so far, for each of N points: total error in metres (N,), how many counted (N,), and how many
    of them were within each of T thresholds (T, N)."""

    total: np.ndarray
    counted: np.ndarray
    within: np.ndarray


def evaluate(protocol: Protocol, predictions: Hands, truth: Hands) -> dict[str, float]:
    """The figures of hands that are all in memory; `evaluate_batches` for those that are not.

    Lengths in mm (`..._mm`), AUC, PCK, F-scores and accuracy from 0 to 1; nan where nothing counts. Their names:
    `mpjpe_mm`, `mpvpe_mm`, `auc_0_50`, `mesh_auc_0_50`, `pck_20`, `f_5`, and before them `root_`, `scaled_` or `pa_`
    after an alignment. Raises ValueError for shapes that do not fit, numbers that are not finite, and a protocol that
    makes no sense.
    """
    if len(predictions.joints) != len(truth.joints):
        raise ValueError(
            f"predictions must be as many as the truth, {len(truth.joints)}, got {len(predictions.joints)}"
        )
    return evaluate_batches(protocol, zip(batches(predictions), batches(truth), strict=True))


def batches(hands: Hands, size: int = BATCH) -> Iterator[Hands]:
    """Slices of the arrays' first axis."""
    for start in range(0, max(len(hands.joints), 1), size):
        given = {name: array for name, array in hands._asdict().items() if array is not None}
        yield hands._replace(**{name: array[start : start + size] for name, array in given.items()})


def evaluate_batches(protocol: Protocol, pairs: Iterable[tuple[Hands, Hands]]) -> dict[str, float]:
    """The figures of (predictions, truth) that come one batch after another. See `evaluate`."""
    check_protocol(protocol)
    thresholds = _thresholds(protocol)
    errors: dict[str, PointSums] = {}
    values: dict[str, tuple[float, int]] = {}
    kept: dict[str, list[np.ndarray]] = {}
    without_mesh = None
    for prediction, truth in pairs:
        measured = measure(protocol, prediction, truth)
        if without_mesh not in (None, measured.without_mesh):
            raise ValueError("prediction.vertices must have one number of vertices throughout, got several")
        without_mesh = measured.without_mesh
        _add(errors, values, measured, thresholds)
        if protocol.medians:
            for name, (error, counted) in measured.errors.items():
                if name.endswith("mpjpe"):
                    kept.setdefault(name, []).append(np.where(counted, error, np.nan))
    if without_mesh is None:
        raise ValueError("pairs must hold hands, got none")
    figures: dict[str, float] = {}
    for name, sums in errors.items():
        figures |= _figures(protocol, name, sums)
        if name in kept:
            figures[f"{name.removesuffix('mpjpe')}median_mm"] = _median(np.concatenate(kept[name]))
    if without_mesh:
        figures |= _absent_mesh(protocol)
    figures |= {name: total / count if count else np.nan for name, (total, count) in values.items()}
    return figures


def _add(errors: dict, values: dict, measured: Measured, thresholds: np.ndarray) -> None:
    for name, (error, counted) in measured.errors.items():
        within = np.array([((error <= t) & counted).sum(axis=0) for t in thresholds], int)
        new = PointSums(
            np.where(counted, error, 0.0).sum(axis=0),
            counted.sum(axis=0),
            within.reshape(len(thresholds), error.shape[1]),
        )
        old = errors.get(name)
        errors[name] = new if old is None else PointSums(*(a + b for a, b in zip(old, new, strict=True)))
    for name, (value, counted) in measured.values.items():
        total, count = values.get(name, (0.0, 0))
        values[name] = total + float(value[counted].sum()), count + int(counted.sum())


def _figures(protocol: Protocol, name: str, sums: PointSums) -> dict[str, float]:
    """Of each point over the pictures, then the mean over the points that were in any."""
    prefix, mesh = (name.removesuffix("mpjpe"), "") if name.endswith("mpjpe") else (name.removesuffix("mpvpe"), "mesh_")
    seen = sums.counted > 0
    figures = {f"{name}_mm": 1000 * float(np.mean(sums.total[seen] / sums.counted[seen])) if seen.any() else np.nan}
    shares = (
        (sums.within[:, seen] / sums.counted[seen]).mean(axis=1) if seen.any() else np.full(len(sums.within), np.nan)
    )
    start = 0
    for span in protocol.ranges:
        thresholds = _of_range(span)
        end = start + len(thresholds)
        figures[f"{prefix}{mesh}{auc_name(span)}"] = float(area_under(shares[start:end], thresholds))
        start = end
    for threshold, share in zip(protocol.pck, shares[start:], strict=True):
        figures[f"{prefix}{mesh}pck_{1000 * threshold:g}"] = float(share)
    return figures


def _median(errors: np.ndarray) -> float:
    """mm: the mean over the joints of each one's median, nan where not counted."""
    columns = [column[~np.isnan(column)] for column in errors.T]
    medians = [np.median(column) for column in columns if len(column)]
    return 1000 * float(np.mean(medians)) if medians else np.nan


def _absent_mesh(protocol: Protocol) -> dict[str, float]:
    """The evaluators' way to say that the errors of such a mesh are not defined; its F-scores are."""
    names = [ALIGNMENTS[name] for name in protocol.mesh_alignments if name != "root"]
    figures = {f"{prefix}mpvpe_mm": MESH_ABSENT for prefix in names}
    return figures | {f"{prefix}mesh_{auc_name(span)}": MESH_ABSENT for prefix in names for span in protocol.ranges}


def _thresholds(protocol: Protocol) -> np.ndarray:
    return np.concatenate([*(_of_range(span) for span in protocol.ranges), np.array(protocol.pck, np.float64)])


def _of_range(span: Range) -> np.ndarray:
    return np.linspace(span.low, span.high, span.steps)[span.first :]
