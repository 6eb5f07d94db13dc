"""What each benchmark measures: which alignment, root, thresholds and joints, as its evaluator has them."""

import math
from typing import NamedTuple

from handjax.checks import check_choice

ALIGNMENTS = {
    "none": "",
    "root": "root_",
    "scale_translation": "scaled_",
    "given_scale": "scaled_",
    "centroid_scale": "scaled_",
    "similarity": "pa_",
    "rigid_similarity": "pa_",
}
"""Every alignment, and what stands before the names of its metrics. `similarity` may mirror, `rigid_similarity` not."""


class Range(NamedTuple):
    """AUC from `low` to `high` metres: the thresholds linspace(low, high, steps) from number `first` on."""

    low: float
    high: float
    steps: int
    first: int = 0


class Protocol(NamedTuple):
    """One way to measure; `protocol._replace(root=(9,))` for another one.

    alignments: of joints, each measured by itself. mesh_alignments: of vertices, each by its own. f_thresholds: metres,
    of meshes as they are aligned. root: the joints whose mean is made the true one's. bone: whose length is made the
    true one, for scale_translation and given_scale. palm: the joints whose mean takes the place of joint 0; () leaves
    it. predicts_palm: in truth alone, as joint 0 of predictions is the palm. joints: those that count, of our 21. pck:
    metres. visible_only: only visible joints count; hidden ones still align. medians: also the mean over joints of each
    joint's median. two_hands: left and right, each with its own root, also apart for pictures with one and with two
    hands, and between them. fewest: valid joints that a hand needs to count. absent: a true hand of which every
    coordinate is this is not there. samples: of the official split, 0 if it has no fixed number. order, frame: of the
    official files. source: whose evaluator it equals.
    """

    name: str
    source: str
    alignments: tuple[str, ...]
    ranges: tuple[Range, ...] = (Range(0.0, 0.05, 100),)
    mesh_alignments: tuple[str, ...] = ()
    f_thresholds: tuple[float, ...] = ()
    root: tuple[int, ...] = (0,)
    bone: tuple[int, int] = (0, 9)
    palm: tuple[int, ...] = ()
    predicts_palm: bool = False
    joints: tuple[int, ...] = tuple(range(21))
    pck: tuple[float, ...] = ()
    visible_only: bool = False
    medians: bool = False
    two_hands: bool = False
    fewest: int = 1
    absent: float | None = None
    samples: int = 0
    order: str = "handjax"
    frame: str = "opencv"


def check_protocol(protocol: Protocol) -> None:
    """Raises ValueError for an alignment that there is not, for two whose metrics would have one name, for a joint that
    a hand does not have, or for a range without two thresholds."""
    for kind in ("alignments", "mesh_alignments"):
        names = getattr(protocol, kind)
        for alignment in names:
            check_choice(kind, alignment, tuple(ALIGNMENTS))
        if len({ALIGNMENTS[name] for name in names}) < len(names):
            raise ValueError(f"{kind} must differ in their prefixes, got {', '.join(names)}")
    for alignment in protocol.mesh_alignments:
        check_choice("mesh_alignments", alignment, ("none", "root", "similarity", "rigid_similarity"))
    for name in ("root", "bone", "palm", "joints"):
        if not all(0 <= joint < 21 for joint in getattr(protocol, name)):
            raise ValueError(f"{name} must be joints from 0 to 20, got {getattr(protocol, name)}")
    if not protocol.root or not protocol.joints or len(protocol.bone) != 2:
        raise ValueError("root and joints must name at least one joint, bone two")
    for span in protocol.ranges:
        if not 0 <= span.low < span.high < math.inf or not 2 <= span.steps - span.first <= span.steps:
            raise ValueError(f"ranges must rise and have two thresholds or more, got {tuple(span)}")


def describe(protocol: Protocol) -> str:
    """The alignment, root and thresholds in words, a line each."""
    lines = [f"protocol {protocol.name}: {protocol.source}"]
    lines += [f"joints, {ALIGNMENTS[name]}mpjpe: {_in_words(protocol, name)}" for name in protocol.alignments]
    lines += [f"mesh, {ALIGNMENTS[name]}mpvpe: {_in_words(protocol, name)}" for name in protocol.mesh_alignments]
    if protocol.palm:
        whose = "in truth; in predictions it is that" if protocol.predicts_palm else "in truth and predictions"
        lines.append(f"joint 0: the mean of joints {_listed(protocol.palm)}, the palm, put in its place {whose}")
    if len(protocol.joints) < 21:
        lines.append(f"joints that count: {_listed(protocol.joints)}, in hands with {protocol.fewest} valid or more")
    if protocol.visible_only:
        lines.append("joints that count: visible ones; hidden ones still align")
    if protocol.absent is not None:
        lines.append(f"true hands of which every coordinate is {protocol.absent:g} do not count")
    if protocol.two_hands:
        lines.append("each hand by its own root; joints of a hand whose root is not valid do not count")
    for span in protocol.ranges:
        low, high = 1000 * _first(span), 1000 * span.high
        steps = span.steps - span.first
        lines.append(f"{auc_name(span)}: area under PCK, {steps} thresholds {low:.2f} to {high:g} mm, <=")
    if protocol.pck:
        lines.append(f"PCK at {_millimetres(protocol.pck)} mm, <=")
    if protocol.f_thresholds:
        lines.append(f"F-scores at {_millimetres(protocol.f_thresholds)} mm, <, vertex to vertex")
    lines.append("errors: mean over hands for each joint, then over joints")
    return "\n".join(lines)


def auc_name(span: Range) -> str:
    """auc_0_50 and the like, in millimetres; hand3d's is called auc_20_50 though it starts at 21.05."""
    low = int(1000 * _first(span) / 10) * 10 if span.first else 1000 * span.low
    return f"auc_{low:g}_{1000 * span.high:g}"


def _first(span: Range) -> float:
    return span.low + (span.high - span.low) * span.first / (span.steps - 1)


def _in_words(protocol: Protocol, alignment: str) -> str:
    root = "wrist" if protocol.root == (0,) and not protocol.palm else f"joint {_listed(protocol.root)}"
    if protocol.palm and protocol.root == (0,):
        root = "the palm"
    bone = f"bone {protocol.bone[0]}-{protocol.bone[1]}"
    return {
        "none": "as predicted",
        "root": f"root ({root}) on the true one",
        "scale_translation": f"root ({root}) on the true one, length of {bone} made the true one",
        "given_scale": f"times the true length of {bone}, plus the true root ({root})",
        "centroid_scale": "centroid and mean distance from it made the true ones",
        "similarity": "best similarity of each hand, reflections allowed",
        "rigid_similarity": "best similarity of each hand, rotations only",
    }[alignment]


def _listed(joints: tuple[int, ...]) -> str:
    return " and ".join(map(str, joints)) if len(joints) < 3 else ", ".join(map(str, joints))


def _millimetres(lengths: tuple[float, ...]) -> str:
    return ", ".join(f"{1000 * length:g}" for length in lengths)
