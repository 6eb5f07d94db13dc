"""Whether our hands pass for hands: what a landmark detector made for photographs finds in our renders.

python -m benchmarks.recognised MODEL [--count=200] [--look=skin] [--resolution=low] [--misses=DIR]

MODEL is the user's `hand_landmarker.task` (extra `mediapipe`). Each picture, 256 px, shows one whole hand: any shape,
side, skin, light and background; a pose of the library, a blend, or a free one; from all around, but as people show
hands: palm, back or edge, fingers up more often than not, seldom straight at the camera. Reported: share of pictures in
which a hand is found, and the distance of its 21 keypoints to ours, over the longer side of our keypoints' box: the
median of all points, and median and 90th percentile of the hands' means. Pictures without a find go to DIR, and so do
the worst of the rest.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks import machine
from handjax import mano, rotations
from handjax.camera import Camera, project
from handjax.detect import LEFT, RIGHT, Detection, Detector, box_side, keypoint_box
from handjax.mediapipe_detector import mediapipe_detector
from handjax.predict.files import write_png
from handjax.render import SOFT_LIGHT, render
from handjax.skin import bake_skin, render_skin, sample_arm, sample_light, sample_skin, skin_mesh

SIZE, SUPERSAMPLE = 256, 2
FOUND_WITHIN = 0.5
"""A find that is farther off, as a share of the box, is of something else."""

ASKED_FOUND, ASKED_OFF = 0.90, 0.05
UPRIGHT = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], np.float32)
"""Fingers up, palm of a right hand to the camera."""

PITCH_DEG, ROLL_DEG, STEEPEST_DEG = 20.0, 40.0, 50.0
YAWS_DEG, YAW_SHARES, YAW_SPREAD_DEG = np.array([0.0, 180.0, 90.0, -90.0]), np.array([0.4, 0.3, 0.2, 0.1]), 25.0
"""Palm, back, thumb's edge, little finger's edge; how often, and how far off."""


class Shown(NamedTuple):
    """One picture (256, 256, 3) uint8 and what is in it: keypoints (21, 2) in pixels, side, from where seen."""

    picture: np.ndarray
    keypoints_2d: np.ndarray
    side: int
    yaw_deg: float
    named: bool


class Outcome(NamedTuple):
    """What was found of a hand: distances (21,) over the box side (inf: nothing) and whether the side is right."""

    distances: np.ndarray
    side_right: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--look", choices=("skin", "plain"), default="skin")
    parser.add_argument("--resolution", default="low", help="of the hand's mesh")
    parser.add_argument("--named", type=float, default=0.6, help="share of poses of the library and blends")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--misses", type=Path)
    arguments = parser.parse_args()
    detect = mediapipe_detector(arguments.model, max_hands=1)
    shown = show_hands(arguments.count, arguments.seed, arguments.look, arguments.resolution, arguments.named)
    outcomes = [judge(detect, each) for each in shown]
    print(machine.describe("mediapipe", "jax"))
    report(shown, outcomes)
    if arguments.misses is not None:
        save_misses(arguments.misses, shown, outcomes)


def show_hands(count: int, seed: int, look: str, resolution: str, named: float) -> list[Shown]:
    models = {RIGHT: mano.default("right", resolution), LEFT: mano.default("left", resolution)}
    draw = {side: painter(model, look) for side, model in models.items()}
    keys = jax.random.split(jax.random.key(seed), count)
    pose = jax.jit(pose_hand, static_argnames="named")
    rng = np.random.default_rng(seed)
    shown = []
    for key in keys:
        side = int(rng.integers(2))
        from_library = bool(rng.random() < named)
        posing, view, paint = jax.random.split(key, 3)
        params, camera, yaw = pose(posing, view, models[side], named=float(from_library))
        output = jax.jit(mano.forward)(models[side], params)
        pixels = np.asarray(project(camera, mano.keypoints_of(models[side], output)))
        picture = np.asarray(draw[side](paint, camera, output, jnp.asarray(backdrop(rng))))
        drawn = (255 * np.clip(picture, 0, 1) + 0.5).astype(np.uint8)
        shown.append(Shown(drawn, pixels, side, float(np.rad2deg(yaw)), from_library))
    return shown


def pose_hand(posing: Array, view: Array, model: mano.HandModel, named: float) -> tuple[mano.HandParams, Camera, Array]:
    """Parameters of a hand of any shape (2 standard deviations at most), and a camera that has all of it in view."""
    shape, posing = jax.random.split(posing)
    turn, off, tilt, roll, size, aside = jax.random.split(view, 6)
    yaw = jax.random.choice(turn, jnp.asarray(YAWS_DEG, jnp.float32), p=jnp.asarray(YAW_SHARES, jnp.float32))
    yaw = jnp.deg2rad(yaw + YAW_SPREAD_DEG * jax.random.normal(off)) * (1.0 if model.side == "right" else -1.0)
    pitch = jnp.deg2rad(jnp.clip(PITCH_DEG * jax.random.normal(tilt), -STEEPEST_DEG, STEEPEST_DEG))
    rolled = jnp.deg2rad(ROLL_DEG) * jax.random.normal(roll)
    about_y, about_x, about_z = (
        rotations.matrix_from_axis_angle(jnp.zeros(3).at[axis].set(angle))
        for axis, angle in ((1, yaw), (0, pitch), (2, rolled))
    )
    upright = jnp.asarray(UPRIGHT) if model.side == "right" else jnp.asarray(UPRIGHT * [-1.0, 1.0, 1.0])
    orient = about_z @ about_x @ about_y @ upright
    params = mano.HandParams(
        jnp.clip(jax.random.normal(shape, (model.num_betas,)), -2.0, 2.0),
        rotations.axis_angle_from_matrix(orient),
        mano.sample_pose(posing, model, named=named),
        jnp.zeros(3),
    )
    vertices = mano.forward(model, params).vertices
    middle, extent = 0.5 * (vertices.max(0) + vertices.min(0)), (vertices.max(0) - vertices.min(0))[:2].max()
    part, depth = jax.random.uniform(size, (2,), minval=jnp.array([0.5, 0.4]), maxval=jnp.array([0.85, 0.8]))
    shift = 0.5 * extent * (0.9 / part - 1.0) * jax.random.uniform(aside, (2,), minval=-0.5, maxval=0.5)
    focal = part * SIZE * (depth - 0.5 * extent) / extent
    camera = Camera(jnp.stack([focal, focal]), jnp.full(2, SIZE / 2.0))
    return params._replace(transl=jnp.append(shift, depth) - middle), camera, yaw


def painter(model: mano.HandModel, look: str):
    """A function (key, camera, output, background) -> picture (256, 256, 3) of any skin in any light."""
    size = (SIZE, SIZE)
    if look == "plain":

        def plain(key, camera, output, background):
            tone, light = jax.random.split(key)
            color = jnp.array([0.86, 0.68, 0.58]) * jax.random.uniform(tone, minval=0.35, maxval=1.08)
            toward = jax.random.uniform(light, (2, 3), minval=-1.0, maxval=1.0) + jnp.array([0.0, -0.3, -1.0])
            lamp = SOFT_LIGHT._replace(directions=toward)
            return render(
                camera, output.vertices, model.faces, color, size=size, light=lamp, background=background,
                supersample=SUPERSAMPLE,
            ).image  # fmt: skip

        return plain
    mesh, texture = skin_mesh(model), bake_skin(model)

    def skinned(key, camera, output, background):
        person, arm, light = jax.random.split(key, 3)
        return render_skin(
            camera, model, output, mesh, texture, sample_skin(person), arm=sample_arm(arm), size=size,
            light=sample_light(light), background=background, supersample=SUPERSAMPLE,
        ).image  # fmt: skip

    return skinned


def backdrop(rng: np.random.Generator) -> np.ndarray:
    """(256, 256, 3) in [0, 1]: a wall or room out of focus, noise of a few waves across the picture."""
    place = np.stack(np.meshgrid(np.linspace(0, 1, SIZE), np.linspace(0, 1, SIZE)), -1)
    wall = np.broadcast_to(rng.uniform(0.1, 0.9) + rng.normal(0.0, 0.07, 3), (SIZE, SIZE, 3)).copy()
    for _ in range(6):
        wave = np.sin(2 * np.pi * (place @ rng.normal(0.0, 1.5, 2) + rng.random()))
        wall += rng.uniform(0.0, 0.06) * wave[..., None] * rng.uniform(0.5, 1.0, 3)
    return np.clip(wall, 0.0, 1.0).astype(np.float32)


def judge(detect: Detector, shown: Shown) -> Outcome:
    outcomes = [Outcome(distances(each, shown), each.side == shown.side) for each in detect(shown.picture)]
    best = min(outcomes, key=lambda outcome: outcome.distances.mean(), default=None)
    nothing = Outcome(np.full(21, np.inf), False)
    return nothing if best is None or best.distances.mean() > FOUND_WITHIN else best


def distances(found: Detection, shown: Shown) -> np.ndarray:
    """(21,) between its keypoints and ours, over the longer side of the box of ours."""
    apart = np.linalg.norm(found.keypoints_2d - shown.keypoints_2d, axis=-1)
    return apart / box_side(keypoint_box(shown.keypoints_2d))


def report(shown: list[Shown], outcomes: list[Outcome]) -> None:
    off = np.array([outcome.distances for outcome in outcomes])
    found = np.isfinite(off).all(axis=1)
    sides = np.array([outcome.side_right for outcome in outcomes])
    groups = {"all": np.ones(len(shown), bool)}
    groups |= {"library and blends": np.array([each.named for each in shown])}
    groups |= {"free poses": np.array([not each.named for each in shown])}
    groups |= {view: np.array([view_of(each.yaw_deg) == view for each in shown]) for view in ("palm", "back", "edge")}
    rows = []
    for name, members in groups.items():
        both = members & found
        if not both.any():
            continue
        middle, tail = np.percentile(off[both].mean(axis=1), [50, 90])
        figures = (found[members].mean(), np.median(off[both]), middle, tail, sides[both].mean())
        rows.append([name, str(members.sum()), *(f"{figure:.1%}" for figure in figures)])
    headings = ["pictures", "number", "found", "points, median", "hands, median", "90th percentile", "side right"]
    print(machine.table(headings, rows))
    print(f"asked: {ASKED_FOUND:.0%} found, median distance within {ASKED_OFF:.0%} of the box side")
    print("missed:", ", ".join(f"{index:03d}" for index in np.flatnonzero(~found)) or "none")


def view_of(yaw_deg: float) -> str:
    turned = abs((yaw_deg + 180.0) % 360.0 - 180.0)
    return "palm" if turned < 60.0 else "back" if turned > 120.0 else "edge"


def save_misses(folder: Path, shown: list[Shown], outcomes: list[Outcome], worst: int = 12) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    off = np.array([outcome.distances.mean() for outcome in outcomes])
    order = np.argsort(-off)
    for index in order[: np.isinf(off).sum() + worst].tolist():
        what = f"off_{off[index]:.2f}" if np.isfinite(off[index]) else "missed"
        write_png(folder / f"{index:03d}_{what}_yaw{shown[index].yaw_deg:+04.0f}.png", shown[index].picture)


if __name__ == "__main__":
    main()
