"""`python -m tests.distributed_task FOLDER PORT PROCESS`: one of two processes of two devices each."""

import os
import sys

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
os.environ["JAX_PLATFORMS"] = "cpu"

from launch.training import run
from tests.test_launch_runs import TASK, to

if __name__ == "__main__":
    folder, port, process = sys.argv[1:]
    places = {"coordinator": f"127.0.0.1:{port}", "processes": 2, "process": int(process)}
    run(to(folder, distributed=True, **places), lambda _: TASK)
