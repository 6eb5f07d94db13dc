"""`python -m tests.crash_runs --kills=50`: kills a run at random moments, again and again, and looks at what is left.

After every kill the newest checkpoint must be whole and no older than the one before; at the end, every loss that any
of the lives logged must equal the uninterrupted run's bit for bit.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.crash_task import STEPS

ROOT = Path(__file__).resolve().parents[1]
DEADLINE_S = 1800
"""Without a step. Long, since other work on the machine may hold a run up."""


class Outcome(NamedTuple):
    """kills: how many. while_saving: of them, those that left a half-written checkpoint behind. lives: runs that went
    on from a checkpoint. compared: losses that were logged twice and found equal, and all that were compared."""

    kills: int
    while_saving: int
    lives: int
    compared: int


def command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "tests.crash_task", f"--out={folder}"]


def started(folder: Path, cache: Path) -> subprocess.Popen:
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    with (folder.parent / f"{folder.name}.txt").open("ab") as output:
        return subprocess.Popen(command(folder), cwd=ROOT, env=environment, stdout=output, stderr=output)


def losses(folder: Path) -> list[tuple[int, float]]:
    """(step, loss) of every line of the log, in the order written; a torn last line is left out."""
    path = folder / "log.jsonl"
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["group"] == "train":
            found.append((row["step"], row["loss"]))
    return found


def lines(folder: Path) -> int:
    path = folder / "log.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def whole_steps(folder: Path) -> list[int]:
    """Of checkpoints that are there under their final names."""
    return sorted(int(path.name) for path in (folder / "checkpoints").glob("*") if path.name.isdigit())


def wait_for(condition, process: subprocess.Popen) -> bool:
    """Until it holds: True; until the process ends: False. Raises TimeoutError."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if process.poll() is not None:
            return False
        if time.monotonic() > end:
            raise TimeoutError("a run neither went on nor ended")
        time.sleep(0.01)
    return True


def crash(folder: Path, kills: int, seed: int = 0) -> Outcome:
    """Raises AssertionError where anything was lost."""
    random_ = random.Random(seed)
    cache = folder / "cache"
    reference = folder / "reference"
    process = started(reference, cache)
    assert process.wait(DEADLINE_S) == 0, (folder / "reference.txt").read_text()[-2000:]
    expected = dict(losses(reference))
    assert sorted(expected) == list(range(1, STEPS + 1))
    killed = while_saving = lives = compared = 0
    run = 0
    while killed < kills:
        run += 1
        target = folder / f"run{run}"
        newest = 0
        while True:
            begun = lines(target)
            process = started(target, cache)
            if killed == kills:
                assert process.wait(DEADLINE_S) == 0, (folder / f"run{run}.txt").read_text()[-2000:]
                break
            # One in five is killed while it starts, the others after some more steps, saved or being saved.
            if random_.random() < 0.2:
                time.sleep(random_.uniform(0.0, 3.0))
            else:
                enough = begun + random_.randint(1, 40)
                wait_for(lambda enough=enough, target=target: lines(target) >= enough, process)
                time.sleep(random_.uniform(0.0, 0.1))
            if process.poll() is None:
                process.kill()
                process.wait()
                killed += 1
                half = list((target / "checkpoints").glob("*orbax-checkpoint-tmp*"))
                while_saving += bool(half)
            else:
                assert process.returncode == 0, (folder / f"run{run}.txt").read_text()[-2000:]
                break
            steps = whole_steps(target)
            assert not steps or steps[-1] >= newest, f"checkpoint {newest} is lost"
            newest = steps[-1] if steps else newest
            print(f"kill {killed}: {lines(target)} lines, checkpoints {steps}, half-written {len(half)}", flush=True)
        told = (folder / f"run{run}.txt").read_text()
        assert "is damaged" not in told, told
        lives += told.count("going on from step")
        for step, loss in losses(target):
            assert loss == expected[step], f"run {run}, step {step}: {loss!r} instead of {expected[step]!r}"
            compared += 1
        assert {step for step, _ in losses(target)} == set(expected)
    return Outcome(killed, while_saving, lives, compared)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = crash(Path(folder), options.kills, options.seed)
    print(", ".join(f"{name} {value}" for name, value in outcome._asdict().items()))


if __name__ == "__main__":
    main()
