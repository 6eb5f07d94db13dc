"""Pictures of hands a second: rasterised, antialiased, lit, and with gradients; beside DEODR and an OpenCV painter.

python -m benchmarks.render [--rounds=8] [--seconds=0.1]
python -m benchmarks.render --batch=64 [--chunk=512]

Without --batch: milliseconds a picture of one hand, all rows by turns, on all cores. With it: hands a second of a batch
under vmap, at 128 and 256 px, and the share of each stage; for accelerators. `pip install deodr` adds DEODR's column.
"""

import argparse
import inspect
from collections.abc import Callable
from functools import partial
from importlib import metadata, util
from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks import machine, timing
from handjax import mano
from handjax.camera import Camera, project
from handjax.render import Topology, depth_map, draw_maps, rasterize, silhouette, topology

HARD_TARGET = {64: 0.36, 128: 0.615, 256: 0.765, 512: 1.86}
MASK_TARGET = {256: 1.2}
FINE_TARGET = {256: 8.0}
"""Milliseconds asked for on two cores: face ids of 778 vertices, their mask with gradient, face ids of 24,000 faces."""

LIGHT = jnp.tile(jnp.array([0.9, 0.2, -0.3, 0.15, 0.05, 0.05, 0.1, 0.05, 0.05]), 3)


class Scene(NamedTuple):
    vertices: Array
    camera: Camera
    topology: Topology
    side: int


def scene(resolution: str, side: int) -> Scene:
    """An open hand, palm towards the camera, that covers a fifth of the picture."""
    model = mano.default(resolution=resolution)
    params = mano.HandParams(jnp.zeros(10), jnp.array([1.3, 0.3, 0.2]), jnp.zeros(45), jnp.zeros(3))
    vertices = mano.forward(model, params).vertices
    vertices = vertices - vertices.mean(axis=0)[None] + jnp.array([[0.0, 0.0, 0.6]])
    focal = 0.35 * side * 6
    return Scene(vertices, Camera(jnp.full(2, focal), jnp.full(2, side / 2)), topology(model.faces), side)


def stages(seen: Scene) -> dict[str, Callable[..., object]]:
    """What is timed: functions of the vertices, each jit-compiled with its scene as a constant."""
    size, faces = (seen.side, seen.side), jnp.asarray(seen.topology.faces)
    draw = {"camera": seen.camera, "topology": seen.topology, "size": size}

    def ids(vertices):
        return rasterize(project(seen.camera, vertices), vertices[:, 2], faces, size).face_ids

    def mask(vertices):
        return (silhouette(vertices=vertices, **draw).mask ** 2).sum()

    def depth(vertices):
        drawn = depth_map(vertices=vertices, **draw)
        return (drawn.depth**2).sum() + (drawn.mask**2).sum()

    def colors(vertices):
        return (draw_maps(vertices=vertices, colors=jnp.full(3, 0.6), harmonics=LIGHT, **draw).image ** 2).sum()

    pairs = {"mask": mask, "depth + mask": depth, "lit colours": colors}
    backward = {f"{name}, forward+backward": jax.value_and_grad(function) for name, function in pairs.items()}
    return {"face ids": ids, **pairs, **backward}


def paint(pixels: np.ndarray, depth: np.ndarray, faces: np.ndarray, side: int) -> np.ndarray:
    """Faces filled from the farthest to the nearest centre by OpenCV: the ids (side, side); wrong where faces cross."""
    order = np.argsort(-depth[faces].mean(axis=1))
    corners = np.round((pixels[faces] - 0.5) * 16).astype(np.int32)
    ids = np.full((side, side), -1, np.int32)
    for face in order:
        cv2.fillConvexPoly(ids, corners[face], int(face), shift=4)
    return ids


def deodr_masks(seen: Scene) -> dict[str, Callable[[], object]]:
    """DEODR's antialiased picture of one constant colour, of the faces that face the camera; none if not installed."""
    if util.find_spec("deodr") is None:
        return {}
    from deodr import differentiable_renderer as deodr

    pixels = np.asarray(project(seen.camera, seen.vertices), np.float64) - 0.5
    depth, faces = np.asarray(seen.vertices[:, 2], np.float64), np.asarray(seen.topology.faces, np.uint32)
    corners = pixels[faces]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    clockwise = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] > 0
    outline = _outline(seen.topology, clockwise)
    count, side = len(pixels), seen.side
    drawn = deodr.Scene2D(
        faces=faces,
        faces_uv=faces,
        ij=pixels,
        depths=depth,
        textured=np.zeros(len(faces), bool),
        uv=np.zeros((count, 2)),
        shade=np.zeros(count),
        colors=np.ones((count, 1)),
        shaded=np.zeros(len(faces), bool),
        edgeflags=outline,
        height=side,
        width=side,
        nb_colors=1,
        texture=np.zeros((2, 2, 1)),
        background_image=np.zeros((side, side, 1)),
        clockwise=False,
        backface_culling=True,
    )
    image, z_buffer = np.empty((side, side, 1)), np.empty((side, side))
    forward = partial(deodr.renderScene, drawn, 1.0, image, z_buffer, check_valid=False)
    forward()
    ours = silhouette(seen.camera, seen.vertices, seen.topology, size=(side, side)).mask
    # It draws the ramp of an edge outwards, which adds half a pixel all around.
    if abs(image.sum() - ours.sum()) > 0.15 * ours.sum():
        raise SystemExit(f"DEODR covers {image.sum():.0f} px and handjax {ours.sum():.0f}")

    def both() -> None:
        forward()
        drawn.ij_b = np.zeros_like(pixels)
        deodr.renderSceneB(drawn, 1.0, image, z_buffer, 2 * image, check_valid=False)

    return {"DEODR, mask": forward, "DEODR, mask, forward+backward": both}


def _outline(mesh: Topology, clockwise: np.ndarray) -> np.ndarray:
    """(F, 3) which edges of each face, from its corner k to the next, end the surface or turn it away."""
    first, second = mesh.edge_faces.T
    ends = (second < 0) | (clockwise[first] != clockwise[second])
    marked = {tuple(sorted(edge)) for edge in mesh.edges[ends].tolist()}
    rows = [[tuple(sorted((face[k], face[(k + 1) % 3]))) in marked for k in range(3)] for face in mesh.faces.tolist()]
    return np.array(rows)


def single(rounds: int, seconds: float) -> str:
    """Milliseconds a picture of one hand."""
    timed: dict[str, Callable[[], object]] = {}
    asked: dict[str, float | None] = {}
    for resolution, sides in (("low", (64, 128, 256, 512)), ("high", (256,))):
        for side in sides:
            seen = scene(resolution, side)
            title = f"{len(seen.topology.faces):,} faces, {side} px: "
            for name, function in stages(seen).items():
                if side == 512 and name != "face ids" or resolution == "high" and "colours" in name:
                    continue
                timed[title + name] = partial(jax.jit(function), seen.vertices)
                targets = {"face ids": HARD_TARGET if resolution == "low" else FINE_TARGET}
                targets |= {"mask, forward+backward": MASK_TARGET if resolution == "low" else {}}
                asked[title + name] = targets.get(name, {}).get(side)
            pixels = np.asarray(project(seen.camera, seen.vertices))
            depth = np.asarray(seen.vertices[:, 2])
            timed[title + "OpenCV painter, ids"] = partial(paint, pixels, depth, seen.topology.faces, side)
            timed |= {title + name: function for name, function in deodr_masks(seen).items()}
    rows = []
    for name, took in timing.measure(timed, rounds, seconds).items():
        target = asked.get(name)
        median = 1e3 * took.median
        met = machine.verdict(None if target is None else median <= target)
        rows.append([name, f"{median:.2f}", f"{1e3 * took.low:.2f}", "" if target is None else f"{target:g}", met])
    return machine.table(["picture", "median, ms", "best tenth", "asked", ""], rows)


def batched(batch: int, rounds: int, seconds: float) -> str:
    """Hands a second under vmap, and each stage's share of the lit picture with its gradient."""
    rows = []
    for side in (128, 256):
        seen = scene("low", side)
        spread = 0.02 * jax.random.normal(jax.random.key(0), (batch, 1, 3))
        vertices = seen.vertices[None] + spread
        timed = {name: partial(jax.jit(jax.vmap(call)), vertices) for name, call in stages(seen).items()}
        taken = timing.measure(timed, rounds, seconds)
        whole = taken["lit colours, forward+backward"].median
        for name, took in taken.items():
            share = f"{took.median / whole:.0%}"
            rows.append([f"{side} px: {name}", f"{batch / took.median:,.0f}", f"{1e3 * took.median:.2f}", share])
    return machine.table(["picture", "hands/s", "ms a batch", "of lit colours, forward+backward"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=0, help="hands a call, under vmap; 0: one by one, with the peers")
    parser.add_argument("--chunk", type=int, default=0, help="rows that the rasteriser takes at once; 0: as it is")
    parser.add_argument("--rounds", type=int, default=8, help="turns that each row has")
    parser.add_argument("--seconds", type=float, default=0.1, help="time of one turn")
    flags = parser.parse_args()
    if flags.chunk:
        inspect.unwrap(rasterize).__globals__["CHUNK"] = flags.chunk
    packages = ["jax", "opencv-python"]
    try:
        metadata.version("deodr")
        packages.append("deodr")
    except metadata.PackageNotFoundError:
        print("deodr is not installed: its rows are left out (pip install deodr)")
    print(machine.describe(*packages), jax.devices()[0].device_kind, sep="; ", end="\n\n")
    print(batched(flags.batch, flags.rounds, flags.seconds) if flags.batch else single(flags.rounds, flags.seconds))


if __name__ == "__main__":
    main()
