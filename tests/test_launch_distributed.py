"""Two processes of two devices train as one process of four does."""

import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from launch.training import run
from tests.test_launch_runs import TASK, rows, steps, to

ROOT = Path(__file__).resolve().parents[1]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def both(folder):
    """Runs both processes to their end; -> what they wrote."""
    port = free_port()
    command = [sys.executable, "-m", "tests.distributed_task", str(folder), str(port)]
    kept = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "JAX_PLATFORMS")}
    pipes = {"cwd": ROOT, "env": kept, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    processes = [subprocess.Popen([*command, str(number)], **pipes) for number in range(2)]
    try:
        said = [process.communicate(timeout=400)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)[-4000:]
    return said


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    expected = run(to(alone), lambda _: TASK, stream=io.StringIO())
    said = both(shared)
    assert "best constant answer" in said[0] and "best constant answer" not in said[1]
    ours, theirs = rows(shared), rows(alone)
    assert sorted(ours) == sorted(theirs)
    for step, row in ours.items():
        np.testing.assert_allclose(row["loss"], theirs[step]["loss"], rtol=1e-5)
    result = json.loads((shared / "result.json").read_text())
    for name, value in expected.items():
        np.testing.assert_allclose(result[name], value, rtol=1e-4, err_msg=name)
    assert steps(shared) == steps(alone)
    # Both go on from the checkpoint that they wrote together.
    assert "going on from step 6" in both(shared)[0]
