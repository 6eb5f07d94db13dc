"""`python -m launch.convert_checkpoint --system=bihand --weights FILE... --out=DIR`: published PyTorch weights, as an
orbax checkpoint for each network of the system that the files hold.

Back: `--system=bihand --checkpoint=DIR/seednet --network=seednet --out=FILE.npz`, which the authors' code reads by
`model.load_state_dict({name: torch.from_numpy(array) for name, array in np.load(file).items()})`.
"""

import argparse
import functools
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from flax import linen as nn

from handjax.checks import check_choice
from handjax.models import deephandmesh, hamr, handtailor, liftnet, multihand, seednet, siknet
from handjax.torch_weights import read_state_dict, template, to_state_dict, to_variables
from handjax.torch_weights.names import Variables, is_ignored, leaves, listed

Shapes = Variables


def floats(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def chosen(presets: Mapping[str, nn.Module], preset: str):
    check_choice("preset", preset, tuple(presets))
    return presets[preset]


@functools.cache
def _seednet(preset: str) -> Shapes:
    return template(chosen(seednet.PRESETS, preset), floats(1, 256, 256, 3))


@functools.cache
def _liftnet(preset: str) -> Shapes:
    network = chosen(liftnet.PRESETS, preset)
    return template(network, floats(1, 64, 64, 21), floats(1, 64, 64), floats(1, 64, 64, network.features))


@functools.cache
def _siknet(preset: str) -> Shapes:
    return template(chosen(siknet.PRESETS, preset), floats(1, 21, 3))


@functools.cache
def _handnet(preset: str) -> Shapes:
    network = chosen(handtailor.PRESETS, preset)
    return template(network, floats(1, 256, 256, 3), None, None if network.predicts_bone else floats(1))


@functools.cache
def _hamr(preset: str) -> Shapes:
    network = chosen(hamr.PRESETS, preset)
    return template(network, floats(1, network.size, network.size, 3))


@functools.cache
def _multihand(preset: str) -> Shapes:
    # The one size that the stored map of `released_2022` has.
    return template(chosen(multihand.PRESETS, preset), floats(1, 224, 224, 3))


@functools.cache
def _deephandmesh(preset: str) -> Shapes:
    network = chosen(deephandmesh.PRESETS, preset)
    return template(network, floats(1, 256, 256, 3), floats(network.identity))


SYSTEMS: dict[str, dict[str, Callable[[str], Shapes]]] = {
    "bihand": {"seednet": _seednet, "liftnet": _liftnet, "siknet": _siknet},
    "handtailor": {"handnet": _handnet},
    "hamr": {"hamr": _hamr},
    "multihand": {"multihand": _multihand},
    "deephandmesh": {"deephandmesh": _deephandmesh},
}
"""The networks of each system, and the shapes of their variables by preset."""

UNUSED = {"multihand": ("hm_off.", "lms21_off.")}
"""Beginnings of the names that a system's own code stores and never reads."""


def networks_in(
    state_dict: Mapping[str, np.ndarray], networks: Mapping[str, Shapes], ignored: Collection[str] = ()
) -> dict[str, Variables]:
    """The variables of each network that the state_dict holds, under whatever prefix.

    `ignored` are beginnings of names that need belong to none. Raises ValueError that lists the names that do not
    match: all of them, and against the likeliest network if none is there whole.
    """
    found: dict[str, Variables] = {}
    rest = {name: array for name, array in state_dict.items() if not is_ignored(name, ignored)}
    for network, shapes in networks.items():
        names = list(leaves(shapes))
        prefixes = [name.removesuffix(names[0]) for name in rest if name.endswith(names[0])]
        whole = [prefix for prefix in prefixes if all(prefix + name in rest for name in names)]
        if whole:
            found[network] = to_variables({name: rest.pop(whole[0] + name) for name in names}, shapes)
    if not found:
        likeliest = max(networks, key=lambda network: len(leaves(networks[network]).keys() & state_dict.keys()))
        return {likeliest: to_variables(state_dict, networks[likeliest], ignored=ignored)}
    if rest:
        raise ValueError(f"weights hold {', '.join(found)} and {len(rest)} names of none: {listed(list(rest))}")
    return found


def convert(
    weights: Sequence[Path], networks: Mapping[str, Shapes], out: Path, ignored: Collection[str] = ()
) -> list[Path]:
    """Writes `out`/network for each network of the files. Raises ValueError for a name that does not match, a network
    that comes twice, or a folder that is there already; then nothing is written."""
    found: dict[str, Variables] = {}
    for path in weights:
        for network, variables in networks_in(read_state_dict(path), networks, ignored).items():
            if network in found:
                raise ValueError(f"weights must hold each network once, got {network} again in {path.name}")
            found[network] = variables
    paths = [(out / network).absolute() for network in found]
    if there := [str(path) for path in paths if path.exists()]:
        raise ValueError(f"out must not hold a checkpoint yet, got {', '.join(there)}")
    with ocp.StandardCheckpointer() as checkpointer:
        for path, variables in zip(paths, found.values(), strict=True):
            checkpointer.save(path, variables)
    return paths


def convert_back(checkpoint: Path, shapes: Shapes, out: Path) -> None:
    """Writes a checkpoint's tensors under PyTorch's names and in its layouts: an .npz, complete or not there at all."""
    if not checkpoint.is_dir():
        raise ValueError(f"checkpoint must be a folder, got {checkpoint}")
    with ocp.StandardCheckpointer() as checkpointer:
        variables = checkpointer.restore(checkpoint.absolute(), shapes)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.stem}.partial.npz")
    try:
        np.savez(temporary, allow_pickle=False, **to_state_dict(variables))
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m launch.convert_checkpoint", description=__doc__)
    parser.add_argument("--system", required=True, choices=SYSTEMS)
    parser.add_argument(
        "--preset",
        default="released",
        help="of the networks: released (multihand: also released_2022), paper, small or tiny",
    )
    parser.add_argument("--weights", type=Path, nargs="+", help="files of torch.save, .safetensors or .npz")
    parser.add_argument("--ignore", nargs="*", default=[], help="beginnings of names that belong to no network")
    parser.add_argument("--checkpoint", type=Path, help="a folder that this command wrote, to convert back")
    parser.add_argument("--network", help="which of the system's the checkpoint is, where it has several")
    parser.add_argument("--out", type=Path, required=True, help="a folder, or an .npz file with --checkpoint")
    options = parser.parse_args(arguments)
    if (options.weights is None) == (options.checkpoint is None):
        parser.error("give either --weights or --checkpoint")
    makers = SYSTEMS[options.system]
    try:
        if options.weights:
            networks = {name: make(options.preset) for name, make in makers.items()}
            ignored = (*options.ignore, *UNUSED.get(options.system, ()))
            for path in convert(options.weights, networks, options.out, ignored):
                print(f"wrote {path}")
        else:
            name = options.network or (next(iter(makers)) if len(makers) == 1 else options.checkpoint.name)
            check_choice("network", name, tuple(makers))
            convert_back(options.checkpoint, makers[name](options.preset), options.out)
            print(f"wrote {options.out}")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
