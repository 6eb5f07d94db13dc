"""24 hands as a photograph might show them, for a critical look: `python -m benchmarks.realism --out=sheet.png`.

Poses, tones, views and light differ from picture to picture; backgrounds are soft patches of colour, and each picture
gets a lens's blur and a sensor's noise. Nothing is measured: put the sheet beside photographs.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from handjax import mano, rotations, skin
from handjax.camera import Camera
from handjax.compilation_cache import use_compilation_cache
from handjax.mano.pose_library import named_pose
from handjax.predict.files import write_png

SIZE, COLUMNS = 256, 6
DISTANCE_M = 0.55
UPRIGHT = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], np.float32)
"""Fingers up, palm to the camera: the model's x, y, z (wrist, back of the hand, thumb) become y, z, x."""


class Shot(NamedTuple):
    """turn: degrees about the forearm (180 shows the back), tilt towards the camera, roll in the picture."""

    pose: str
    turn: tuple[float, float, float]
    tone: str
    side: str = "right"


SHOTS = (
    Shot("spread", (180, 8, 6), "light"),
    Shot("relaxed", (150, -10, -20), "dark"),
    Shot("flat", (5, 0, -8), "medium"),
    Shot("fist", (25, 10, 10), "tan"),
    Shot("pinch", (-40, 5, 15), "very light"),
    Shot("point", (120, -20, 40), "brown", "left"),
    Shot("victory", (10, 5, -5), "brown"),
    Shot("thumbs_up", (70, 0, -70), "light", "left"),
    Shot("okay", (-20, 10, 12), "dark"),
    Shot("half_open", (200, 25, -25), "medium"),
    Shot("asl_l", (15, 0, 5), "tan"),
    Shot("asl_y", (0, 0, -10), "very light"),
    Shot("large_diameter", (-70, 10, 20), "medium"),
    Shot("call_me", (170, 0, 20), "light"),
    Shot("horns", (185, 5, -10), "brown", "left"),
    Shot("together", (175, 15, 30), "very light"),
    Shot("power_sphere", (140, 40, 0), "dark"),
    Shot("writing_tripod", (-100, 20, 40), "tan", "left"),
    Shot("stop", (0, -5, 0), "dark", "left"),
    Shot("hook", (160, 10, 0), "medium"),
    Shot("european_three", (20, 5, 15), "light"),
    Shot("typing", (190, 55, -10), "tan"),
    Shot("cupped", (-25, 45, -30), "medium", "left"),
    Shot("crossed_fingers", (30, 0, 8), "brown"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resolution", default="high", help="of the hand that ships: low, medium or high")
    parser.add_argument("--texture", type=int, default=1024, help="pixels along a side of the skin's atlas")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    use_compilation_cache()
    model = mano.default(resolution=arguments.resolution)
    write_png(arguments.out, sheet(model, arguments.texture, arguments.seed))


def sheet(model: mano.HandModel, texture_size: int, seed: int) -> np.ndarray:
    """(rows 256, columns 256, 3) uint8."""
    texture = skin.bake_skin(model, texture_size)
    sides = {"right": model, "left": mano.mirror(model)}
    meshes = {side: skin.skin_mesh(hand) for side, hand in sides.items()}
    keys = jax.random.split(jax.random.key(seed), len(SHOTS))
    pictures = [
        photograph(shot, sides[shot.side], meshes[shot.side], texture, key)
        for shot, key in zip(SHOTS, keys, strict=True)
    ]
    rows = [np.concatenate(pictures[k : k + COLUMNS], axis=1) for k in range(0, len(pictures), COLUMNS)]
    return np.concatenate(rows)


def photograph(shot: Shot, model: mano.HandModel, mesh: skin.SkinMesh, texture: skin.SkinTexture, key) -> np.ndarray:
    keys = jax.random.split(key, 6)
    output, camera = framed(shot, model)
    person = skin.sample_skin(keys[0])._replace(melanin=skin.TONES[shot.tone])
    light, arm = skin.sample_light(keys[1]), skin.sample_arm(keys[2])
    backdrop = blurred_scene(keys[3])
    drawn = skin.render_skin(
        camera, model, output, mesh, texture, person, arm=arm, size=(SIZE, SIZE), light=light, background=backdrop
    )
    return as_photographed(drawn.image, keys[4])


def framed(shot: Shot, model: mano.HandModel) -> tuple[mano.HandOutput, Camera]:
    """The hand in the middle of the picture, filling four fifths of it."""
    turn, tilt, roll = (np.deg2rad(angle) for angle in shot.turn)
    # A left hand's x and the picture's x are both turned round.
    mirrored = -1.0 if model.side == "left" else 1.0
    orient = jnp.asarray(UPRIGHT * np.array([[mirrored], [mirrored], [1.0]], np.float32))
    for axis, angle in (((0, 1, 0), mirrored * turn), ((1, 0, 0), tilt), ((0, 0, 1), mirrored * roll)):
        step = rotations.matrix_from_axis_angle(jnp.array(axis, jnp.float32) * angle)
        orient = jnp.matmul(step, orient, precision="highest")
    params = mano.zero_params(model)._replace(
        global_orient=rotations.axis_angle_from_matrix(orient), hand_pose=named_pose(model, shot.pose)
    )
    output = mano.forward(model, params)
    middle = 0.5 * (output.vertices.min(axis=0) + output.vertices.max(axis=0))
    moved = jnp.array([0.0, 0.0, DISTANCE_M]) - middle
    output = output._replace(vertices=output.vertices + moved[None], joints=output.joints + moved[None])
    on_plane = output.vertices[:, :2] / output.vertices[:, 2:]
    low, high = on_plane.min(axis=0), on_plane.max(axis=0)
    focal = 0.8 * SIZE / (high - low).max()
    return output, Camera(jnp.stack([focal, focal]), SIZE / 2.0 - focal * 0.5 * (low + high))


def blurred_scene(key) -> np.ndarray:
    """(H, W, 3): a wall or a garden, far out of focus."""
    keys = jax.random.split(key, 4)
    grey = 0.15 + 0.65 * jax.random.uniform(keys[0], (1,))
    picture = jnp.broadcast_to(grey + 0.08 * jax.random.normal(keys[0], (3,)), (SIZE, SIZE, 3))
    for cells, strength, one in ((3, 0.16, keys[1]), (7, 0.07, keys[2])):
        patches = jax.random.normal(one, (cells, cells, 1)) + 0.3 * jax.random.normal(keys[3], (cells, cells, 3))
        picture += strength * jax.image.resize(patches, (SIZE, SIZE, 3), "cubic")
    return np.clip(picture, 0.02, 0.98)


def as_photographed(image, key) -> np.ndarray:
    """A lens that spreads a point over about a pixel, and noise that dark parts show more."""
    image, kernel = np.asarray(image), np.array([0.2, 0.6, 0.2])
    for axis in (0, 1):
        padded = np.pad(image, [(1, 1) if axis == k else (0, 0) for k in range(3)], mode="edge")
        shifted = [np.take(padded, np.arange(SIZE) + k, axis=axis) for k in range(3)]
        image = kernel[0] * shifted[0] + kernel[1] * shifted[1] + kernel[2] * shifted[2]
    noise = jax.random.normal(key, image.shape) * (0.012 - 0.006 * image)
    return np.asarray(jnp.clip(image + noise, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


if __name__ == "__main__":
    main()
