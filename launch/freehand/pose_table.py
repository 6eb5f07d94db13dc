"""Writes the library of named poses: `python -m launch.freehand.pose_table [--out=poses.json] [--only fist point]`.

Solves the requests of `pose_definitions` on the coarse free hand, in about a minute, and those whose skin enters
itself on the middle mesh once more on that, in minutes. Says what is left of each.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np

from handjax import mano
from handjax.mano.pose_library import named_angles
from launch.freehand.pose_definitions import DEFINITIONS
from launch.freehand.pose_solver import Request, Solver

OUT = Path("handjax/mano/data/poses.json")
ENOUGH_MM = 0.7
"""Skin in skin that is left as it is. The finest mesh shows up to 0.4 mm more than the middle one."""

MISSED_SHARE = 0.5
"""How much a millimetre of contact missed weighs against one of skin in skin."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", nargs="+", default=None, help="names to solve; the others stay as they are")
    arguments = parser.parse_args()
    known = {name for requests in DEFINITIONS.values() for name in requests}
    chosen = known if arguments.only is None else set(arguments.only)
    if chosen - known:
        parser.error(f"--only must name poses of the definitions, got {sorted(chosen - known)}")
    solvers = Solver(mano.default()), Solver(mano.default(resolution="medium"))
    table: dict[str, dict[str, np.ndarray]] = {}
    for group, requests in DEFINITIONS.items():
        table[group] = {}
        for name, request in requests.items():
            if name not in chosen:
                table[group][name] = np.rad2deg(named_angles(name)).reshape(5, 3, 3)
                continue
            table[group][name], left = solved(solvers, request)
            report = "  ".join(f"{what} {amount:4.1f}" for what, amount in left.items())
            print(f"{group:10} {name:26} {report}", flush=True)
    write_table(arguments.out, table)


def solved(solvers: tuple[Solver, Solver], request: Request) -> tuple[np.ndarray, dict[str, float]]:
    """-> (5, 3, 3) degrees and what is left: found on the coarse mesh or, where that is not enough on both, the finer.

    What is left of skin in skin is the worse of both meshes.
    """
    best, least, degrees = None, np.inf, None
    for solver in solvers:
        degrees, left = solver.solve(request, near=degrees)
        left["entered_mm"] = max(each.entered_mm(degrees) for each in solvers)
        badness = left["entered_mm"] + MISSED_SHARE * max(left["missed_mm"], left["held_mm"])
        if badness < least:
            best, least = (degrees, left), badness
        if left["entered_mm"] <= ENOUGH_MM:
            break
    assert best is not None
    return best


def write_table(path: Path, table: dict[str, dict[str, np.ndarray]]) -> None:
    """Groups of poses, (5, 3, 3) degrees each, one pose a line; replaces the file whole."""
    groups = []
    for group, poses in table.items():
        lines = [f"    {json.dumps(name)}: {json.dumps(tidy(degrees))}" for name, degrees in poses.items()]
        groups.append(f"  {json.dumps(group)}: {{\n" + ",\n".join(lines) + "\n  }")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text("{\n" + ",\n".join(groups) + "\n}\n", encoding="utf-8")
    os.replace(temporary, path)


def tidy(degrees: np.ndarray) -> list:
    """Degrees to a tenth, without the zeros that are not angles: 5.0 is 5."""
    tenths = np.round(np.asarray(degrees, float), 1).reshape(15, 3) + 0.0
    return [[int(angle) if angle == int(angle) else float(angle) for angle in joint] for joint in tenths.tolist()]


if __name__ == "__main__":
    main()
