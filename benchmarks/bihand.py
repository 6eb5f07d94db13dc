"""SeedNet and LiftNet of BiHand at 256 px, beside the same networks in PyTorch: speed, and memory at the peak.

python -m benchmarks.bihand [--part=speed] [--one-core] [--batches=1,8] [--rounds=10]
python -m benchmarks.bihand --part=memory

All have the same weights and take turns. "times ours" is how many times as long PyTorch takes; "rate" the share of that
of a large matrix product, in turns with them: no program that multiplies as often can be much above 100 %; "apart" how
far the outputs are apart, over the largest. Memory is that of a process for each row.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import machine, timing
from benchmarks.network_work import matrix_product, multiply_adds, planned_bytes
from handjax.models import liftnet, seednet
from handjax.torch_weights import template, to_variables

TOLERANCE = 1e-4
ASKED = {"channels_last": 1, "contiguous": 5}
"""How many times as fast as each ours is to be."""

NETWORKS = {"seednet": seednet.PRESETS["released"], "liftnet": liftnet.PRESETS["released"]}
VARIANTS = {"ours": "handjax", "channels_last": "PyTorch, channels last", "contiguous": "PyTorch, contiguous"}
LARGE_BATCH = 8

Call = Callable[[], object]


def upstream(variables: dict, image: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(N, 256, 256, 3) -> each stack's (u, v, d) (N, 2, 21, 3) and depth maps (N, 2, 64, 64)."""
    found = NETWORKS["seednet"].apply(variables["seednet"], image)
    return lift(variables, found["heatmaps"][:, -1], found["mask"][:, -1], found["encoding"])


def lift(variables: dict, heatmaps: jax.Array, mask: jax.Array, encoding: jax.Array) -> tuple[jax.Array, jax.Array]:
    lifted = NETWORKS["liftnet"].apply(variables["liftnet"], heatmaps, mask, encoding)
    return lifted["uvd"], lifted["depth"]


def inputs(part: str, batch: int) -> list[np.ndarray]:
    """What `upstream` or `lift` takes, channels last."""
    random = np.random.default_rng(0)
    shapes = [(256, 256, 3)] if part == "upstream" else [(64, 64, 21), (64, 64), (64, 64, 256)]
    return [random.uniform(-0.5, 0.5, (batch, *shape)).astype(np.float32) for shape in shapes]


def shapes() -> dict:
    """The variables' shapes of both networks."""
    given = {"seednet": inputs("upstream", 1), "liftnet": inputs("lift", 1)}
    return {name: template(network, *given[name]) for name, network in NETWORKS.items()}


def compiled(part: str, variables: dict, batch: int):
    """Ours, compiled for the batch, and the arguments that it then takes."""
    arguments = (variables, *(jnp.asarray(value) for value in inputs(part, batch)))
    return jax.jit({"upstream": upstream, "lift": lift}[part]).lower(*arguments).compile(), arguments


def torch_network(**sizes):
    """The PyTorch networks (`torch_bihand.Upstream`) with random weights, and running statistics that are not the
    initial ones."""
    import torch

    from benchmarks import torch_bihand

    torch.manual_seed(0)
    network = torch_bihand.Upstream(**sizes).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_mean"):
            torch.nn.init.normal_(tensor, std=0.1)
        elif name.endswith("running_var"):
            torch.nn.init.uniform_(tensor, 0.5, 1.5)
    return network


def torch_call(network, part: str, batch: int, channels_last: bool) -> Call:
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    arguments = []
    for value in inputs(part, batch):
        tensor = torch.from_numpy(value if value.ndim == 4 else value[..., None]).movedim(-1, 1)
        arguments.append(tensor.contiguous(memory_format=layout))
    module = (network if part == "upstream" else network.liftnet).to(memory_format=layout)

    def call():
        with torch.inference_mode():
            return module(*arguments)

    return call


def our_call(part: str, variables: dict, batch: int) -> Call:
    return partial(_wait_for, *compiled(part, variables, batch))


def _wait_for(function: Callable, arguments):
    return jax.block_until_ready(function(*arguments))


def check_equal(ours, theirs) -> float:
    """The largest difference over the largest value. Raises ValueError beyond `TOLERANCE`."""
    pairs = [(np.asarray(one), other.numpy()) for one, other in zip(ours, theirs, strict=True)]
    error = max(float(np.abs(one - other).max() / np.abs(other).max()) for one, other in pairs)
    if not error <= TOLERANCE:
        raise ValueError(f"the networks must agree to {TOLERANCE}, got {error:.1e}")
    return error


def print_speed(batches: list[int], rounds: int, one_core: bool) -> None:
    import torch

    if one_core:
        torch.set_num_threads(1)
    contiguous, channels_last = torch_network(), torch_network()
    all_shapes = shapes()
    variables = {
        name: to_variables({key: value.numpy() for key, value in part.state_dict().items()}, all_shapes[name])
        for name, part in contiguous.named_children()
    }
    work = 2 * multiply_adds(upstream, variables, *inputs("upstream", 1))
    print(f"{work / 1e9:.1f} GFLOP an image\n")
    rows = []
    for batch in batches:
        calls = {
            "ours": our_call("upstream", variables, batch),
            "channels_last": torch_call(channels_last, "upstream", batch, True),
            "contiguous": torch_call(contiguous, "upstream", batch, False),
        }
        rows += speed_rows(calls, batch, work, max(3, rounds // batch))
    print(machine.table(["", "batch", "ms an image", "10 %", "90 %", "times ours", "asked", "", "rate", "apart"], rows))


def speed_rows(calls: dict[str, Call], batch: int, work: int, rounds: int) -> list[list[str]]:
    """The table's lines of one batch; `work` is that of an image."""
    product, product_work = matrix_product()
    results = {name: call() for name, call in calls.items()}
    apart = {name: check_equal(results["ours"], results[name]) for name in ASKED}
    measured = timing.measure(calls | {"product": product}, rounds, seconds=0.0)
    peak = product_work / measured["product"].median
    rows = []
    for name in calls:
        taken = measured[name]
        ratio, met, error = "", "", ""
        if name in ASKED:
            times = taken.median / measured["ours"].median
            ratio, met = f"{times:.2f}", machine.verdict(times >= ASKED[name])
            error = f"{apart[name]:.0e}"
        each = [f"{1e3 * seconds / batch:.0f}" for seconds in taken[:3]]
        rate = f"{work * batch / taken.median / peak:.0%}"
        rows.append([VARIANTS[name], str(batch), *each, ratio, f"{ASKED.get(name, '')}", met, rate, error])
    return rows


def print_memory(batch: int) -> None:
    cells = []
    for part in ("upstream", "lift"):
        found = {name: _in_process(part, name, batch) for name in VARIANTS}
        for name, row in found.items():
            planned = f"{row['planned'] / 2**20:.0f}" if "planned" in row else ""
            met = None if name == "ours" else found["ours"]["calls"] < row["calls"]
            megabytes = [f"{row[key] / 2**20:.0f}" for key in ("calls", "whole")]
            cells.append([part, VARIANTS[name], *megabytes, planned, machine.verdict(met)])
    print(f"batch {batch}, MiB\n")
    print(machine.table(["", "", "calls", "with weights and compilation", "planned by XLA", "ours below"], cells))


def _in_process(part: str, variant: str, batch: int) -> dict:
    command = [sys.executable, "-m", "benchmarks.bihand", f"--memory-of={part},{variant}", f"--batches={batch}"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory_of(part: str, variant: str, batch: int) -> dict:
    """Bytes of this process: at the peak of some calls above those before, and at its peak above those at the start;
    for ours also the temporary arrays that the compiled program plans."""
    found = {}
    if variant == "ours":
        start = _resident()
        variables = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.01), shapes())
        function, arguments = compiled(part, variables, batch)
        found["planned"] = planned_bytes(function)
        call = partial(_wait_for, function, arguments)
    else:
        import torch  # noqa: F401

        start = _resident()
        call = torch_call(torch_network(), part, batch, variant == "channels_last")
    whole = _peak()
    _trim()
    before = _resident()
    for _ in range(2):
        call()
    peak = _peak()
    return found | {"calls": peak - before, "whole": max(whole, peak) - start}


def _trim() -> None:
    """Gives back what the process holds without use, and begins to look for the peak anew."""
    import ctypes

    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def _resident() -> int:
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise OSError(f"this system does not tell {field}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["speed", "memory", "both"], default="both")
    parser.add_argument("--one-core", action="store_true", help="pins the process and all its threads to one core")
    parser.add_argument("--batches", default=f"1,{LARGE_BATCH}")
    parser.add_argument(
        "--rounds", type=int, default=10, help="calls of batch 1; larger batches have fewer, at least 3"
    )
    parser.add_argument("--memory-of", default="", help="prints one row's memory as JSON")
    options = parser.parse_args()
    batches = [int(batch) for batch in options.batches.split(",")]
    if options.memory_of:
        part, variant = options.memory_of.split(",")
        print(json.dumps(memory_of(part, variant, batches[0])))
        return
    cores = f"core {timing.pin_to_one_core()}" if options.one_core else "all cores"
    print(f"{machine.describe('jax', 'torch')}; {cores}\n")
    if options.part != "memory":
        print_speed(batches, options.rounds, options.one_core)
        print(f"\n{machine.load()}\n")
    if options.part != "speed":
        print_memory(batches[-1])


if __name__ == "__main__":
    main()
