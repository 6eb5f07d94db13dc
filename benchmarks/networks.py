"""Images a second of every network, on any backend, and what bfloat16 changes in their outputs.

python -m benchmarks.networks [--dtype=bfloat16] [--batch=64] [--preset=small] [--only=SeedNet,HAMR]
python -m benchmarks.networks --part=errors --preset=small

The share is that of the rate of a large matrix product of the same type, in turns with the network; only
multiplications in products and convolutions count. Beside PyTorch: `python -m benchmarks.bihand`.
"""

import argparse
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from benchmarks import machine, timing
from benchmarks.network_work import matrix_product, multiply_adds, planned_bytes
from handjax.camera import Camera
from handjax.models import deephandmesh, hamr, handtailor, iknet, liftnet, multihand, seednet, siknet
from handjax.models.layers import MOMENTUM, Compute
from handjax.torch_weights import template

ERROR_BATCH = 8
"""Statistics of fewer would blow up what two inputs differ by."""

TINIEST = 1e-30
"""Of what an error is divided by: an output may be zero."""


class Row(NamedTuple):
    """A network, the shapes of what it takes for each image, and what all images share."""

    network: nn.Module
    each: tuple[tuple[int, ...], ...]
    shared: tuple[Any, ...] = ()


JOINTS = (21, 3)
CAMERA = Camera(jnp.array([500.0, 500.0]), jnp.array([128.0, 128.0]))


def rows_of(preset: str) -> dict[str, Row]:
    picture, maps = (256, 256, 3), (64, 64)
    lift, crop = liftnet.PRESETS[preset], hamr.PRESETS[preset]
    return {
        "SeedNet": Row(seednet.PRESETS[preset], (picture,)),
        "LiftNet": Row(lift, ((*maps, lift.keypoints), maps, (*maps, lift.features))),
        "SIKNet": Row(siknet.PRESETS[preset], (JOINTS,)),
        "IKNet": Row(iknet.IKNet(), (JOINTS, JOINTS)),
        "HandTailor": Row(handtailor.PRESETS[preset], (picture,), (CAMERA,)),
        "HAMR": Row(crop, ((crop.size, crop.size, 3),)),
        "MultiHand": Row(multihand.PRESETS[preset], ((512, 512, 3),)),
        "DeepHandMesh": Row(deephandmesh.PRESETS[preset], (picture,), (jnp.linspace(-2.0, 2.0, 32),)),
    }


def arguments(row: Row, batch: int) -> list:
    random = np.random.default_rng(0)
    given = [jnp.asarray(random.uniform(-0.5, 0.5, (batch, *shape)), jnp.float32) for shape in row.each]
    return [*given, *row.shared]


def weights(row: Row) -> dict:
    """Kernels by He et al. 2015, norms that change nothing, no biases."""
    random = np.random.default_rng(1)

    def drawn(path, leaf):
        name = path[-1].key
        if name in ("kernel", "transposed_kernel"):
            value = random.standard_normal(leaf.shape) * np.sqrt(2 / np.prod(leaf.shape[:-1]))
        else:
            value = np.full(leaf.shape, 1.0 if name in ("scale", "var") else 0.0)
        return jnp.asarray(value, leaf.dtype)

    return jax.tree_util.tree_map_with_path(drawn, template(row.network, *arguments(row, 1)))


def normalised(row: Row, variables: dict, given: list) -> dict:
    """The variables with the running statistics of these inputs, as a trained network has them of its own: without,
    maps end at the flat ends of their sigmoids."""
    apply = partial(row.network.apply, train=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(0)})
    state = jax.jit(apply)(variables, *given)[1]
    if not state:
        return variables
    moved = jax.tree.map(lambda old, new: old + (new - old) / MOMENTUM, variables["batch_stats"], state["batch_stats"])
    return variables | {"batch_stats": moved}


def print_rates(rows: dict[str, Row], dtype, batch: int, rounds: int) -> None:
    product, product_work = matrix_product(dtype)
    print(f"{jnp.dtype(dtype).name}, batch {batch}\n")
    cells, peaks = [], []
    for name, row in rows.items():
        network = row.network.clone(compute=Compute(dtype))
        variables, given = jax.device_put((weights(row), arguments(row, batch)))
        work = 2 * multiply_adds(network.apply, variables, *given)
        function = jax.jit(network.apply).lower(variables, *given).compile()
        calls = {"network": partial(function, variables, *given), "product": product}
        taken, of_product = timing.measure(calls, rounds).values()
        peaks.append(product_work / of_product.median)
        megabytes = planned_bytes(function) / 2**20 / batch
        rates = [f"{batch / seconds:,.4g}" for seconds in taken[:3]]
        share = work / taken.median / peaks[-1]
        cells.append([name, *rates, f"{work / batch / 1e9:.3g}", f"{share:.0%}", f"{megabytes:.1f}"])
    headings = ["network", "images/s", "90 %", "10 %", "GFLOP an image", "of the matrix rate", "MiB an image"]
    print(machine.table(headings, cells))
    print(
        f"\nthe matrix product: {min(peaks) / 1e12:.3g} to {max(peaks) / 1e12:.3g} TFLOP/s, in turns with the networks"
    )


def print_errors(rows: dict[str, Row]) -> None:
    cells = []
    for name, row in rows.items():
        given = arguments(row, ERROR_BATCH)
        variables = normalised(row, weights(row), given)
        networks = [row.network.clone(compute=Compute(dtype)) for dtype in (jnp.float32, jnp.bfloat16)]
        exact, short = (jax.jit(network.apply)(variables, *given) for network in networks)
        for output, value in exact.items():
            apart = np.abs(value - short[output]) / max(float(jnp.abs(value).max()), TINIEST)
            cells.append([name, output, f"{apart.max():.1e}", f"{apart.mean():.1e}"])
    print(machine.table(["network", "output", "largest error over largest value", "mean"], cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["rates", "errors"], default="rates")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--preset", choices=["tiny", "small", "released"], default="released")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="turns of 0.1 s, or one call, that each network has")
    parser.add_argument("--only", default="", help="names of networks, with commas between")
    options = parser.parse_args()
    rows = {name: row for name, row in rows_of(options.preset).items() if name in (options.only or name).split(",")}
    print(f"{machine.describe('jax')}; {jax.devices()[0].device_kind}\n")
    if options.part == "errors":
        print_errors(rows)
    else:
        print_rates(rows, jnp.dtype(options.dtype), options.batch, options.rounds)
    print(f"\n{machine.load()}")


if __name__ == "__main__":
    main()
