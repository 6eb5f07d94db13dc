"""Holds the networks against files of what the published ones compute.

    python -m tests.parity FILE.json...

Beside each JSON lies an NPZ of the expected outputs. The JSON names the system, the tensors of its state_dict in order
(`parameters`: name and shape), the shapes of `inputs` and `outputs`, `input_range`, `seed` and `gain`; weights and
inputs are drawn anew from these by the rules in `value` and `inputs`.

Prints one line for each output: its name, the largest error over the largest expected value. Exits with 1 if one of
them is beyond 2e-4.
"""

import itertools
import json
import re
import sys
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from handjax.camera import camera_from_matrix
from handjax.models import deephandmesh, hamr, handtailor, liftnet, multihand, seednet, siknet
from handjax.models.deephandmesh_decode import matrix_from_euler
from handjax.models.multihand_decode import HAND_NUMBERS
from handjax.torch_weights import template, to_variables

TOLERANCE = 2e-4
FOLDER = Path(__file__).resolve().parents[2] / "shared" / "parity"

Outputs = Mapping[str, Any]


class Row(NamedTuple):
    """One line of the report: the largest error over the largest expected value. NaN fails."""

    name: str
    error: float

    @property
    def passed(self) -> bool:
        return self.error <= TOLERANCE


class Network(NamedTuple):
    """How a system of the files is run here.

    `template(inputs)` is the shapes of its variables; `apply(variables, inputs)` its outputs by the file's names, in
    the file's layout. Inputs come in the file's layout too. `ignored` are names that the file lists without use.
    """

    template: Callable[[dict], Any]
    apply: Callable[[Any, dict], Outputs]
    ignored: tuple[str, ...] = ()


def value(name: str, shape, seed: int, gain: float) -> np.ndarray:
    """The tensor that every file agrees on for a name, a seed and a gain: float32."""
    random = generator(name, seed)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.float32)
    if name.endswith("running_mean"):
        drawn = 0.1 * random.standard_normal(shape)
    elif name.endswith("running_var"):
        drawn = random.uniform(0.5, 1.5, shape)
    elif name.endswith("bias"):
        drawn = 0.05 * random.standard_normal(shape)
    elif len(shape) == 1:
        drawn = random.uniform(0.5, 1.5, shape)
    else:
        drawn = random.standard_normal(shape) * np.sqrt(gain / np.prod(shape[1:]))
    return np.asarray(drawn, np.float32)


def generator(name: str, seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()) ^ seed))


def state_dict(fixture: Mapping) -> dict[str, np.ndarray]:
    return {name: value(name, shape, fixture["seed"], fixture["gain"]) for name, shape in fixture["parameters"]}


def inputs(fixture: Mapping) -> dict[str, np.ndarray]:
    drawn = {}
    for name, described in fixture["inputs"].items():
        low, high = fixture["input_range"][name]
        drawn[name] = generator(name, fixture["seed"]).uniform(low, high, described["shape"]).astype(np.float32)
    return drawn


def thinned(output: np.ndarray, stored_as: str) -> np.ndarray:
    """The part of an output that a file keeps: `stored_as` like "array[:, ::16, ::4] * 1e6"."""
    match = re.fullmatch(r"(whole array)|array\[([:\d, ]+)\](?: \* ([\de.+]+))?", stored_as)
    if not match:
        raise ValueError(f"stored_as must be 'whole array' or 'array[::2, ...]' with a factor, got {stored_as!r}")
    if match[1]:
        return output
    steps = [part.strip().rpartition("::")[2] for part in match[2].split(",")]
    return output[tuple(slice(None, None, int(step) if step.isdigit() else 1) for step in steps)] * float(match[3] or 1)


def load(path) -> tuple[dict, dict[str, np.ndarray]]:
    """The JSON and the arrays beside it. Raises ValueError naming what is missing."""
    path = Path(path)
    fixture = json.loads(path.read_text(encoding="utf-8"))
    wanted = {"system", "parameters", "inputs", "outputs", "input_range", "seed", "gain"}
    if missing := wanted - fixture.keys():
        raise ValueError(f"{path.name} lacks {', '.join(sorted(missing))}")
    with open(path.with_suffix(".npz"), "rb") as file, np.load(file, allow_pickle=False) as stored:
        expected = {name: stored[name] for name in stored.files}
    if missing := fixture["outputs"].keys() - expected.keys():
        raise ValueError(f"{path.with_suffix('.npz').name} lacks {', '.join(sorted(missing))}")
    return fixture, expected


def variables_of(fixture: Mapping, network: Network) -> Any:
    return to_variables(state_dict(fixture), network.template(inputs(fixture)), ignored=network.ignored)


def check(path) -> list[Row]:
    """Runs the file's system and compares every output that the file has."""
    fixture, expected = load(path)
    network = network_of(fixture["system"])(fixture)
    outputs = jax.jit(network.apply)(variables_of(fixture, network), inputs(fixture))
    rows = []
    for name, described in fixture["outputs"].items():
        if name not in outputs:
            rows.append(Row(name, float("nan")))
            continue
        got = thinned(np.asarray(outputs[name], np.float64), described["stored_as"])
        want = np.asarray(expected[name], np.float64)
        if got.shape != want.shape:
            raise ValueError(f"{name} must have shape {want.shape}, got {got.shape}")
        rows.append(Row(name, float(np.abs(got - want).max() / np.abs(want).max())))
    return rows


def channels_last(array) -> jax.Array:
    """(N, C, H, W) -> (N, H, W, C)."""
    return jnp.moveaxis(jnp.asarray(array), 1, -1)


def channels_first(array) -> jax.Array:
    """(N, H, W, C) -> (N, C, H, W)."""
    return jnp.moveaxis(array, -1, 1)


def _seednet(fixture: Mapping) -> Network:
    names = dict(fixture["parameters"])
    keypoints, features = names["hm.0.weight"][:2]
    network = seednet.SeedNet(
        stacks=_count(names, "hm.{}.weight"),
        features=features,
        depth=_count(names, "hg2b.0.hg.{}.0.0.0.conv1.weight"),
        keypoints=keypoints,
        silhouette="mask.0.weight" in names,
    )

    def apply(variables, given):
        image = channels_last(given["image"])
        outputs, state = network.apply(variables, image, mutable=["intermediates"])
        found = {"heatmaps": channels_first_stacks(outputs["heatmaps"])}
        found |= {"mask": outputs["mask"][:, :, None]} if network.silhouette else {}
        encodings = {name: channels_first(value[0]) for name, value in state["intermediates"].items()}
        return encodings | by_stack(found)

    return Network(lambda given: template(network, channels_last(given["image"])), apply)


def _liftnet(fixture: Mapping) -> Network:
    names = dict(fixture["parameters"])
    features, keypoints = names["_hm_prev.weight"][:2]
    stacks = _count(names, "hm3d.{}.0.weight")
    network = liftnet.LiftNet(
        volume_depths=tuple(names[f"hm3d.{stack}.0.weight"][0] // keypoints for stack in range(stacks)),
        features=features,
        depth=_count(names, "hg3d2b.0.hg.{}.0.0.0.conv1.weight"),
        keypoints=keypoints,
        silhouette="_mask_prev.weight" in names,
        depth_map="dep.0.0.weight" in names,
    )

    def arguments(given):
        mask = given["mask"][:, 0] if network.silhouette else None
        return channels_last(given["heatmaps"]), mask, channels_last(given["encoding"])

    def apply(variables, given):
        outputs, state = network.apply(variables, *arguments(given), mutable=["intermediates"])
        volumes = {name: value[0] for name, value in state["intermediates"].items()}
        found = {"uvd": outputs["uvd"]}
        found |= {"depth": outputs["depth"][:, :, None]} if network.depth_map else {}
        return volumes | by_stack(found) | {"latent": channels_first(outputs["latent"])}

    return Network(lambda given: template(network, *arguments(given)), apply)


def _siknet(fixture: Mapping) -> Network:
    names = dict(fixture["parameters"])
    network = siknet.SIKNet(
        rotation_widths=_widths(names, "invk_layers", 2),
        shape_widths=_widths(names, "shapereg_layers", 2),
        shape_sees_bones=names["shapereg_layers.0.weight"][1] == 123,
    )
    return Network(
        lambda given: template(network, given["joints"]),
        lambda variables, given: network.apply(variables, given["joints"]),
    )


def _handnet(fixture: Mapping) -> Network:
    names = dict(fixture["parameters"])
    network = handtailor.HandNet(
        stacks_2d=_count(names, "hand3d.hand2d.hm.{}.weight"),
        stacks_3d=_count(names, "hand3d.hand2dto3d.hm3d.{}.weight"),
        features=names["hand3d.hand2dto3d.hm3d.0.weight"][1],
        depth=_count(names, "hand3d.hand2dto3d.hg3d2b.0.hg.{}.0.0.conv1.weight"),
        pooled_features=names["decoder.layer1.0.conv3.weight"][0],
        shape_widths=_widths(names, "shapereg_layers", 3),
        rotation_widths=_widths(names, "iknet.invk_layers", 3),
    )
    camera = camera_from_matrix(np.asarray(fixture["intrinsics"]))

    def apply(variables, given):
        image = channels_last(given["image"])
        outputs, state = network.apply(variables, image, camera, mutable=["intermediates"])
        maps = by_stack({"heatmaps_2d": channels_first_stacks(outputs["heatmaps_2d"])})
        placed = {"joint_root": outputs["root"][:, None], "bone_length": outputs["bone_length"][:, None, None]}
        features = channels_first(state["intermediates"]["features_last"][0])
        last = {"heatmaps_3d_last": channels_first(outputs["heatmaps"][:, -1]), "features_last": features}
        return outputs | maps | placed | last

    return Network(lambda given: template(network, channels_last(given["image"]), camera), apply)


def _hamr_encoder(fixture: Mapping) -> Network:
    names = dict(fixture["parameters"])
    # Without its regressor, of which no names are published.
    network = hamr.PRESETS["released"].clone(iterations=0, batch_norm="hg.pre.0.bn.weight" in names)

    def apply(variables, given):
        outputs = network.apply(variables, channels_last(given["image"]))
        heatmaps = channels_first_stacks(outputs["heatmaps"])
        return {"features": outputs["features"]} | by_stack({"heatmaps": heatmaps})

    return Network(lambda given: template(network, channels_last(given["image"])), apply)


def _multihand(fixture: Mapping) -> Network:
    """The heads that the file lists, and its keypoint branch if that has an output."""
    names, keypoints = dict(fixture["parameters"]), "uv_prior" in fixture["outputs"]
    # Listed, but read only without a keypoint branch, only with one, or never.
    idle = {"stem": keypoints, "keypoints": not keypoints, "p2": True}
    first_name = {"stem": "conv1.weight", "keypoints": "backbone.conv1.weight", "p2": "p2.weight"}
    network = multihand.MultiHand(
        # From the map at /8 a convolution keeps the stride, a transposed one of 4 x 4 halves it.
        stride=8 if names["p3.weight"][2] == 3 else 4,
        depth=50 if "layer1.0.conv3.weight" in names else 18,
        center_channels=names["hm.2.weight"][0],
        side="handmap.2.weight" in names,
        per_side=names["params.2.weight"][0] == 2 * HAND_NUMBERS,
        texture_vertices=names.get("texture.2.weight", [0])[0] // 3,
        light="light.2.weight" in names,
        keypoints=keypoints,
        start_map="mean_theta" in names,
        idle=tuple(part for part, is_idle in idle.items() if is_idle and first_name[part] in names),
    )
    theirs = {"centers": "hm", "sides": "handmap", "keypoint_maps": "uv_prior"}

    def apply(variables, given):
        outputs = network.apply(variables, channels_last(given["image"]))
        return {theirs.get(name, name): channels_first(output) for name, output in outputs.items()}

    return Network(lambda given: template(network, channels_last(given["image"])), apply, ("hm_off.", "lms21_off."))


def _deephandmesh(fixture: Mapping) -> Network:
    names = dict(fixture["parameters"])
    axes = tuple(tuple(bool(free) for free in joint) for joint in fixture["DoF"])
    network = deephandmesh.PRESETS["released"].clone(
        joints=tuple(f"joint{place}" for place in range(len(axes))),
        axes=axes,
        vertices=names["skin_refine_net.fc_id.2.weight"][0] // 3,
        skeleton_hidden=names["skeleton_refine_net.fc_skeleton.0.weight"][0],
    )

    def arguments(given):
        return channels_last(given["image"]), given["identity_code"]

    def apply(variables, given):
        outputs = network.apply(variables, *arguments(given))
        return {
            "features": outputs["features"],
            "euler_angles": outputs["angles"],
            "rotation_matrices": matrix_from_euler(outputs["angles"]),
            "skeleton_corrective": outputs["skeleton_mm"][0],
            "pose_corrective": outputs["pose_skin_mm"],
            "identity_corrective": outputs["identity_skin_mm"],
        }

    return Network(lambda given: template(network, *arguments(given)), apply)


def _count(names: Mapping, pattern: str) -> int:
    """How many of the numbers 0, 1, ... give a name."""
    return next(number for number in itertools.count() if pattern.format(number) not in names)


def _widths(names: Mapping, branch: str, places: int) -> tuple[int, ...]:
    """Of all linear layers but the last, which stand `places` apart in their `nn.Sequential`."""
    layers = [names.get(f"{branch}.{places * layer}.weight") for layer in range(len(names))]
    return tuple(shape[0] for shape in layers if shape)[:-1]


def by_stack(outputs: Outputs) -> Outputs:
    """(N, stacks, ...) of each name -> (N, ...) of `name_stack0`, `name_stack1`, ..."""
    return {
        f"{name}_stack{stack}": output[:, stack] for name, output in outputs.items() for stack in range(output.shape[1])
    }


def channels_first_stacks(array) -> jax.Array:
    """(N, stacks, H, W, C) -> (N, stacks, C, H, W)."""
    return jnp.moveaxis(array, -1, 2)


NETWORKS: dict[str, Callable[[Mapping], Network]] = {
    "BiHand SeedNet": _seednet,
    "BiHand LiftNet": _liftnet,
    "BiHand SIKNet": _siknet,
    "HandTailor hand module": _handnet,
    "HAMR": _hamr_encoder,
    "Multi-hand single-stage network": _multihand,
    "DeepHandMesh": _deephandmesh,
}
"""The beginning of a file's `system` text, and the network that the file describes."""


def network_of(system: str) -> Callable[[Mapping], Network]:
    for beginning, network in NETWORKS.items():
        if system.startswith(beginning):
            return network
    raise ValueError(f"system must begin with one of {', '.join(map(repr, NETWORKS))}, got {system!r}")


def main(paths: list[str]) -> int:
    if not paths:
        print(__doc__)
        return 2
    passed = True
    for path in paths:
        for row in check(path):
            passed &= row.passed
            print(f"{Path(path).stem:30} {row.name:24} {row.error:.2e} {'' if row.passed else 'FAR'}".rstrip())
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
