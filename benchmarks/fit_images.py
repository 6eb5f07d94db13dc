"""Hands fitted to a mask and a depth map alone, from a start that is off by a known amount.

python -m benchmarks.fit_images [--trials=50] [--image=256] [--mask-only] [--depth-only]

Truth: a pose of the pose sampler, an adult's shape, turned any way, 0.4 to 0.6 m away, drawn at 256 px with a focal
length of 500 px. Start: the whole hand turned by 20 degrees about a random axis through its middle and moved by 2 cm in
a random direction; every joint angle off by 9 degrees (standard deviation, within joint limits); and of mean shape,
since nobody knows it. No keypoints. A trial is found if the overlap of both masks, drawn at 128 px around the hand, is
over 0.97 of their union and keypoints are 8 mm off at most on average.
"""

import argparse
import time
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks import machine
from handjax import mano, optim, rotations
from handjax.camera import Camera, crop_affine, crop_camera, project, square_box
from handjax.render import Topology, depth_map, topology

TURN_DEG, SHIFT_M, JOINT_RAD = 20.0, 0.02, 0.15
IOU, ERROR_MM, SHARE = 0.97, 8.0, 0.8
FOCAL_OVER_SIDE = 500 / 256
JUDGED_PX = 128


class Trial(NamedTuple):
    """iou () of both masks; error_mm, start_mm () mean over keypoints; seconds of the fit."""

    iou: float
    error_mm: float
    start_mm: float
    seconds: float

    @property
    def found(self) -> bool:
        return self.iou > IOU and self.error_mm <= ERROR_MM


def camera_of(side: int) -> Camera:
    return Camera(jnp.full(2, FOCAL_OVER_SIDE * side), jnp.full(2, side / 2))


def draw_truth(key: Array, model: mano.HandModel) -> mano.HandParams:
    pose_key, betas_key, turn_key, place_key = jax.random.split(key, 4)
    orient = rotations.axis_angle_from_quaternion(jax.random.normal(turn_key, (4,)))
    pose, betas = mano.sample_pose(pose_key, model), mano.sample_betas(betas_key)
    params = mano.HandParams(betas, orient, pose, jnp.zeros(3))
    aside = jax.random.uniform(place_key, (3,), minval=-1.0, maxval=1.0) * jnp.array([0.05, 0.05, 0.1])
    middle = mano.keypoints(model, params).mean(0)
    return params._replace(transl=jnp.array([0.0, 0.0, 0.5]) + aside - middle)


def draw_start(key: Array, model: mano.HandModel, truth: mano.HandParams) -> mano.HandParams:
    turn_key, shift_key, joint_key = jax.random.split(key, 3)
    turn = rotations.matrix_from_axis_angle(np.deg2rad(TURN_DEG) * _direction(turn_key))
    orient = jnp.matmul(turn, rotations.matrix_from_axis_angle(truth.global_orient), precision="highest")
    angles = mano.angles_from_pose(model, truth.hand_pose) + JOINT_RAD * jax.random.normal(joint_key, (15, 3))
    lower, upper = jnp.moveaxis(model.joint_limits, -1, 0)
    start = mano.HandParams(
        betas=jnp.zeros_like(truth.betas),
        global_orient=rotations.axis_angle_from_matrix(orient),
        hand_pose=mano.pose_from_angles(model, jnp.clip(angles, lower, upper)),
        transl=truth.transl,
    )
    off = mano.keypoints(model, start).mean(0) - mano.keypoints(model, truth).mean(0)
    return start._replace(transl=truth.transl - off + SHIFT_M * _direction(shift_key))


def _direction(key: Array) -> Array:
    vector = jax.random.normal(key, (3,))
    return vector / jnp.linalg.norm(vector)


@partial(jax.jit, static_argnames="side")
def draw(model: mano.HandModel, mesh: Topology, params: mano.HandParams, camera: Camera, side: int):
    return depth_map(camera, mano.forward(model, params).vertices, mesh, size=(side, side))


@jax.jit
def begin(key: Array, model: mano.HandModel) -> tuple[mano.HandParams, mano.HandParams]:
    truth_key, start_key = jax.random.split(key)
    truth = draw_truth(truth_key, model)
    return truth, draw_start(start_key, model, truth)


@jax.jit
def compare(model, mesh, camera, truth, fitted) -> tuple[Array, Array]:
    """-> () IoU in a crop around the true hand, () mean keypoint distance in mm."""
    points, others = mano.keypoints(model, truth), mano.keypoints(model, fitted)
    pixels = project(camera, points)
    box = square_box(jnp.concatenate([pixels.min(0), pixels.max(0)]), 1.4)
    cropped, _ = crop_camera(camera, crop_affine(box, 0.0, JUDGED_PX))
    ours, theirs = (draw(model, mesh, params, cropped, JUDGED_PX).mask > 0.5 for params in (truth, fitted))
    iou = (ours & theirs).sum() / jnp.maximum((ours | theirs).sum(), 1)
    return iou, 1e3 * jnp.linalg.norm(points - others, axis=-1).mean()


def run(model: mano.HandModel, mesh: Topology, seed: int, side: int, masked: bool = True, deep: bool = True) -> Trial:
    truth, start = begin(jax.random.key(seed), model)
    camera = camera_of(side)
    seen = draw(model, mesh, truth, camera, side)
    mask, depth = seen.mask if masked else None, seen.depth if deep else None
    before = time.perf_counter()
    fit = jax.block_until_ready(optim.tailor_image(model, start, camera, mask=mask, depth=depth, mesh=mesh))
    seconds = time.perf_counter() - before
    iou, error_mm = compare(model, mesh, camera, truth, fit.params)
    _, start_mm = compare(model, mesh, camera, truth, start)
    return Trial(float(iou), float(error_mm), float(start_mm), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--image", type=int, default=256, help="side of the observed picture, px")
    parser.add_argument("--mask-only", action="store_true")
    parser.add_argument("--depth-only", action="store_true")
    options = parser.parse_args()
    print(machine.describe("jax"))
    model = jax.device_put(mano.default())
    mesh = topology(model.faces)
    trials = [
        run(model, mesh, seed, options.image, not options.depth_only, not options.mask_only)
        for seed in range(options.trials)
    ]
    share = np.mean([trial.found for trial in trials])
    missed = [seed for seed, trial in enumerate(trials) if not trial.found]
    iou, error, start, seconds = np.array(trials).T
    rows = [
        ["found", f"{share:.0%}", f"{SHARE:.0%}", machine.verdict(share >= SHARE)],
        ["IoU over 0.97", f"{np.mean(iou > IOU):.0%}", "", ""],
        ["keypoints within 8 mm", f"{np.mean(error <= ERROR_MM):.0%}", "", ""],
        ["IoU, median", f"{np.median(iou):.3f}", "", ""],
        ["keypoints, median", f"{np.median(error):.2f} mm", "", ""],
        ["of the start, median", f"{np.median(start):.1f} mm", "", ""],
        ["seconds a fit, median", f"{np.median(seconds):.2f}", "", ""],
    ]
    print(machine.table([f"{len(trials)} trials", "", "at least", ""], rows))
    print(f"not found: {missed}")


if __name__ == "__main__":
    main()
