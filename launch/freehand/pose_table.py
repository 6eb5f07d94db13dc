"""Writes the library of named poses: `python -m launch.freehand.pose_table [--out=handjax/mano/data/poses.json]`.

Solves every request of `pose_definitions` on the shipped free hand, about a minute, and says what is left of each.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np

from handjax import mano
from launch.freehand.pose_definitions import DEFINITIONS
from launch.freehand.pose_solver import Solver

OUT = Path("handjax/mano/data/poses.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    solver = Solver(mano.default())
    table: dict[str, dict[str, np.ndarray]] = {}
    for group, requests in DEFINITIONS.items():
        table[group] = {}
        for name, request in requests.items():
            table[group][name], left = solver.solve(request)
            print(f"{group:10} {name:26} " + "  ".join(f"{what} {amount:4.1f}" for what, amount in left.items()))
    write_table(arguments.out, table)


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
