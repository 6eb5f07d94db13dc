"""`python -m launch.evaluate --protocol=freihand --pred=pred.json --truth=DIR`: the figures of a benchmark, as its own
evaluator computes them. Files and protocols are described in docs/metrics.md.

`--check_zero` evaluates zeros in place of a prediction and compares with the figures that FreiHAND and HO-3D publish
for them: whether your copy of the labels, and this program, are right.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from handjax.export import write_bytes
from handjax.metrics import PROTOCOLS, Hands, Protocol, Range, describe, evaluate_batches
from handjax.metrics.evaluation import BATCH
from handjax.metrics.protocols import check_protocol
from handjax.predict.progress import Progress
from launch.evaluation_input import pairs, read_side, zeros

DIFFERS, NOT_STARTED, STOPPED = 1, 2, 130
EXIT_CODES = "Exit status: 0; 1 if --check_zero finds another figure than the published; 2 if it could not evaluate."

ZERO_FIGURES: dict[str, dict[str, tuple[float, float]]] = {
    "freihand": {
        "mpjpe_mm": (707.9, 0.05),
        "pa_mpjpe_mm": (47.3, 0.05),
        "mpvpe_mm": (708.4, 0.05),
        "pa_mpvpe_mm": (50.7, 0.05),
        "f_5": (0.0, 5e-4),
        "f_15": (0.0, 5e-4),
        "pa_f_5": (0.001, 5e-4),
        "pa_f_15": (0.031, 5e-4),
    },
    "ho3d_v2": {
        "mpjpe_mm": (568.7, 0.05),
        "pa_mpjpe_mm": (51.9, 0.05),
        "mpvpe_mm": (571.2, 0.05),
        "pa_mpvpe_mm": (54.7, 0.05),
        "pa_f_5": (0.0, 5e-4),
        "pa_f_15": (0.017, 5e-4),
    },
}
"""Published for the prediction of zeros, with half of the last digit that they are published with: the README of
lmb-freiburg/freihand and that of shreyashampali/ho3d, there in cm."""
ZERO_FIGURES["ho3d"] = ZERO_FIGURES["ho3d_v2"]

LONG = 500
"""Hands from which on progress is shown."""
PARTS = 50


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status: see EXIT_CODES."""
    arguments = sys.argv[1:] if arguments is None else arguments
    values = _flags()
    if {"--help", "-h", "--helpfull", "--helpshort"} & set(arguments):
        print(_help(values))
        return 0
    try:
        if stray := values(["evaluate", *arguments])[1:]:
            raise ValueError(f"all arguments are flags, got {' '.join(stray)}")
        return _run(values)
    except (flags.Error, ValueError, OSError) as error:
        print(f"evaluate: {_reason(error)}\nSee python -m launch.evaluate --help", file=sys.stderr)
        return NOT_STARTED
    except KeyboardInterrupt:
        print("evaluate: stopped", file=sys.stderr)
        return STOPPED


def _flags() -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_enum("protocol", None, list(PROTOCOLS), "Whose evaluation.", flag_values=values)
    text = "pred.json or a .zip of it (FreiHAND, HO-3D), a DexYCB result .txt, or an .npz."
    flags.DEFINE_string("pred", None, text, flag_values=values)
    text = "Folder of evaluation_xyz.json and evaluation_verts.json, or an .npz."
    flags.DEFINE_string("truth", None, text, flag_values=values)
    flags.DEFINE_boolean("check_zero", False, "Evaluates zeros against the published figures.", flag_values=values)
    flags.DEFINE_string("json", None, "File for the figures.", flag_values=values)
    text = "Instead of the protocol's: none, root, scale_translation, given_scale, centroid_scale, similarity (may "
    text += "mirror), rigid_similarity (may not)."
    flags.DEFINE_list("align", None, text, flag_values=values)
    flags.DEFINE_list("root", None, "Joints whose mean is the root, instead of the protocol's.", flag_values=values)
    flags.DEFINE_list("bone", None, "Two joints that give the scale, instead of the protocol's.", flag_values=values)
    text = "LOW,HIGH,STEPS: AUC between these millimetres, instead of the protocol's."
    flags.DEFINE_list("auc", None, text, flag_values=values)
    return values


def _run(values: flags.FlagValues) -> int:
    for name in ("protocol", "truth"):
        if not values[name].value:
            raise ValueError(f"--{name} must be given")
    protocol = _protocol(values)
    if values.check_zero and values.pred:
        raise ValueError("--check_zero is in place of --pred: give one of them")
    if values.check_zero and values.protocol not in ZERO_FIGURES:
        known = ", ".join(ZERO_FIGURES)
        raise ValueError(f"--check_zero is for the protocols with published figures, {known}, got {values.protocol}")
    if not values.check_zero and not values.pred:
        raise ValueError("--pred must be given, or --check_zero")
    if values.json and not Path(values.json).parent.is_dir():
        raise ValueError(f"--json must name a file in a folder that exists, got {values.json}")
    truth = read_side(Path(values.truth), protocol)
    count = len(truth.hands.joints)
    prediction = zeros(count) if values.check_zero else read_side(Path(values.pred), protocol, count)
    if len(prediction.hands.joints) != count:
        raise ValueError(f"--pred must hold as many as the truth, {count}, got {len(prediction.hands.joints)}")
    print(describe(protocol))
    official = f", while the official split has {protocol.samples}" if protocol.samples not in (0, count) else ""
    print(f"{count} {'pictures' if protocol.two_hands else 'hands'}{official}")
    for side, other, name in ((prediction, truth, "prediction"), (truth, prediction, "truth")):
        if side.meshes is None and other.meshes is not None:
            print(f"The {name} holds no meshes: they are not measured")
    print()
    figures = evaluate_batches(protocol, _shown(pairs(prediction, truth), count))
    print(_table(figures))
    wrong = _differences(figures, ZERO_FIGURES[values.protocol]) if values.check_zero else []
    if values.json:
        write_bytes(values.json, _as_json(protocol, count, figures))
        print(f"\nWrote {values.json}")
    if values.check_zero:
        print("\n" + ("\n".join(wrong) or "All as published."))
    return DIFFERS if wrong else 0


def _protocol(values: flags.FlagValues) -> Protocol:
    protocol = PROTOCOLS[values.protocol]
    changed: dict[str, Any] = {}
    if values.align:
        changed["alignments"] = tuple(values.align)
    for name in ("root", "bone"):
        if (joints := values[name].value) is not None:
            changed[name] = tuple(_number(name, joint, int) for joint in joints)
    if values.auc:
        if len(values.auc) != 3:
            raise ValueError(f"--auc must be LOW,HIGH,STEPS, got {','.join(values.auc)}")
        low, high = (_number("auc", text, float) / 1000 for text in values.auc[:2])
        changed["ranges"] = (Range(low, high, _number("auc", values.auc[2], int)),)
    if changed and values.check_zero:
        raise ValueError(f"--check_zero is for the protocol as it is, got {', '.join(f'--{name}' for name in changed)}")
    if changed:
        protocol = protocol._replace(source=f"{protocol.source}, but not its {', '.join(changed)}", **changed)
    check_protocol(protocol)
    return protocol


def _number(name: str, text: str, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"--{name} must be numbers, those of joints and steps whole, got {text}") from None


def _shown(batched: Iterator[tuple[Hands, Hands]], count: int) -> Iterator[tuple[Hands, Hands]]:
    """The same, with progress on a long way."""
    total = math.ceil(count / BATCH)
    steps = min(PARTS, total)
    progress = Progress(steps)
    try:
        for number, pair in enumerate(batched, start=1):
            yield pair
            if count >= LONG and number * steps // total > (number - 1) * steps // total:
                progress.step(f"{min(number * BATCH, count)} hands")
    finally:
        progress.close()


def _table(figures: Mapping[str, float]) -> str:
    width = max(map(len, figures))
    return "\n".join(
        f"{name:{width}}  {value:10.3f}" if name.endswith("_mm") else f"{name:{width}}  {value:10.4f}"
        for name, value in figures.items()
    )


def _differences(figures: Mapping[str, float], published: Mapping[str, tuple[float, float]]) -> list[str]:
    wrong = []
    for name, (value, rounding) in published.items():
        ours = figures.get(name, math.nan)
        # A hair more than the rounding, for a figure that lies on its edge.
        if not abs(ours - value) <= rounding * 1.0001:
            wrong.append(f"DIFFERS: {name} is {ours:.4f}, published is {value:g}")
    return wrong


def _as_json(protocol: Protocol, count: int, figures: Mapping[str, float]) -> bytes:
    report = {
        "protocol": protocol.name,
        "description": describe(protocol).splitlines(),
        "hands": count,
        # JSON has no nan.
        "figures": {name: value if math.isfinite(value) else None for name, value in figures.items()},
    }
    return (json.dumps(report, indent=2) + "\n").encode()


def _help(values: flags.FlagValues) -> str:
    lines = [str(__doc__), ""]
    for name in sorted(values):
        lines += [f"  --{name}", f"      {values[name].help}"]
    return "\n".join([*lines, "", f"Protocols: {', '.join(PROTOCOLS)}", EXIT_CODES])


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
