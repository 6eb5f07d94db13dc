"""What an installation weighs and how soon the first hand is there.

python -m benchmarks.size_and_start [--runs=7]

Every start is a new process without compilation cache; files may be in the system's memory. Needs setuptools.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks import machine

ROOT = Path(__file__).resolve().parents[1]
IN_THE_WHEEL = ("handjax", "pyproject.toml", "LICENSE", "README.md")
IMPORT_LIMIT_S, MESH_LIMIT_S, HAND_LIMIT_BYTES = 0.4, 10.0, 1.5e6
LARGEST = 6

IMPORT = "import time, jax; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
IMPORT_JAX = "import time; start = time.perf_counter(); import jax; print(time.perf_counter() - start)"
MESH = (
    "import jax; from handjax import mano; model = mano.default(); "
    "print(jax.block_until_ready({forward}(model, mano.zero_params(model)).vertices).shape)"
)


def wheel_bytes() -> int:
    """Builds the wheel from a copy, so that the checkout stays clean."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "source"
        copy.mkdir()
        for name in IN_THE_WHEEL:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / name)
        options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", folder]
        subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(copy)], check=True)
        return next(Path(folder).glob("*.whl")).stat().st_size


def core_packages() -> dict[str, int]:
    """What `pip install handjax` brings on this system, by the packages installed here: bytes of each."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sizes: dict[str, int] = {}
    waiting = [Requirement(text) for text in project["dependencies"]]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        package = metadata.distribution(wanted.name)
        sizes[key[0]] = _installed_bytes(package)
        needed = map(Requirement, package.requires or [])
        waiting += [need for need in needed if _applies(need, wanted.extras)]
    return sizes


def _installed_bytes(package: metadata.Distribution) -> int:
    paths = (Path(str(package.locate_file(file))) for file in package.files or [])
    return sum(path.stat().st_size for path in paths if path.is_file())


def _applies(need: Requirement, extras: set[str]) -> bool:
    return need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def printed_seconds(code: str, runs: int) -> float:
    """Median of what new processes print."""
    return float(np.median([float(_run(code)) for _ in range(runs)]))


def process_seconds(code: str, runs: int) -> float:
    """Median time of whole processes, the interpreter's own start included."""
    taken = []
    for _ in range(runs):
        before = time.perf_counter()
        _run(code)
        taken.append(time.perf_counter() - before)
    return float(np.median(taken))


def _run(code: str) -> str:
    # Without the cache a user's first run on a machine is measured, not the second.
    environment = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, text=True, capture_output=True
    )
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="new processes for each time")
    runs = parser.parse_args().runs
    print(machine.describe("jax"), f"{runs} processes each, median", sep="; ", end="\n\n")
    packages = core_packages()
    largest = sorted(packages.items(), key=lambda item: -item[1])[:LARGEST]
    hand = (ROOT / "handjax" / "mano" / "data" / "free_hand.npz").stat().st_size
    rows = [
        ["wheel", _megabytes(wheel_bytes()), "", ""],
        ["the free hand in it", _megabytes(hand), "1.5 MB", machine.verdict(hand <= HAND_LIMIT_BYTES)],
        [f"core dependencies installed, {len(packages)} packages", _megabytes(sum(packages.values())), "", ""],
        *([f"... {name}", _megabytes(size), "", ""] for name, size in largest),
        ["import jax", f"{printed_seconds(IMPORT_JAX, runs):.2f} s", "", ""],
    ]
    for module in ("handjax", "handjax.mano"):
        seconds = printed_seconds(IMPORT.format(module=module), runs)
        met = machine.verdict(seconds <= IMPORT_LIMIT_S)
        rows.append([f"import {module} after jax", f"{seconds:.2f} s", f"{IMPORT_LIMIT_S:g} s", met])
    for forward in ("mano.forward", "jax.jit(mano.forward)"):
        seconds = process_seconds(MESH.format(forward=forward), runs)
        met = machine.verdict(seconds <= MESH_LIMIT_S)
        rows.append([f"first mesh from a cold start, {forward}", f"{seconds:.2f} s", f"{MESH_LIMIT_S:g} s", met])
    print(machine.table(["what", "figure", "at most", ""], rows))


def _megabytes(count: float) -> str:
    return f"{count / 1e6:.2f} MB"


if __name__ == "__main__":
    main()
