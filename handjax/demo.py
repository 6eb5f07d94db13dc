"""Three hands of our own, drawn, given away by noisy keypoints and found again: the whole way without a download."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from handjax import mano, rotations
from handjax.camera import Camera, assumed_camera, project
from handjax.detect import SIDE_NAMES
from handjax.keypoint_entries import ImageHands, make_detection
from handjax.keypoint_files import Keypoints, write_keypoints
from handjax.mano import HandModel, HandParams
from handjax.predict.files import Sides, write_png
from handjax.predict.hands import read_hands
from handjax.predict.job import JobReport, predict_files
from handjax.predict.progress import Progress
from handjax.predict.settings import PredictSettings
from handjax.render import render

WIDTH, HEIGHT, FOCAL = 640, 480, 560.0
UPRIGHT = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], np.float32)
"""Fingers up, palm to the camera: the model's x, y, z (wrist, back of the hand, thumb) become y, z, x."""

FINGERS = ("index", "middle", "little", "ring", "thumb")
"""In the order of MANO's joints, three each."""


class Scene(NamedTuple):
    """A picture to draw. fingers: name -> flexion of its three joints and sideways spread, radians.

    turn: axis-angle from the upright hand that shows its palm; place: metres.
    """

    name: str
    side: str
    fingers: dict[str, tuple[float, float, float, float]]
    turn: tuple[float, float, float]
    place: tuple[float, float, float]
    skin: tuple[float, float, float]
    backdrop: tuple[tuple[float, float, float], tuple[float, float, float]]


SCENES = (
    Scene(
        name="open_right",
        side="right",
        fingers={
            "index": (0.10, 0.12, 0.08, 0.10),
            "middle": (0.14, 0.16, 0.10, 0.0),
            "ring": (0.16, 0.18, 0.12, -0.08),
            "little": (0.14, 0.18, 0.12, -0.20),
            "thumb": (0.0, 0.05, 0.1, 0.35),
        },
        turn=(0.15, 0.45, -0.12),
        place=(0.015, 0.085, 0.36),
        skin=(0.91, 0.73, 0.63),
        backdrop=((0.62, 0.71, 0.77), (0.88, 0.87, 0.83)),
    ),
    Scene(
        name="pointing_left",
        side="left",
        fingers={
            "index": (0.05, 0.08, 0.05, 0.0),
            "middle": (1.25, 1.5, 0.9, 0.0),
            "ring": (1.3, 1.5, 0.9, 0.0),
            "little": (1.25, 1.5, 0.9, 0.0),
            "thumb": (0.35, 0.2, 0.3, 0.2),
        },
        turn=(-0.25, 2.4, 0.2),
        place=(0.0, 0.075, 0.34),
        skin=(0.62, 0.43, 0.32),
        backdrop=((0.84, 0.77, 0.68), (0.94, 0.92, 0.88)),
    ),
    Scene(
        name="victory_right",
        side="right",
        fingers={
            "index": (0.05, 0.06, 0.05, 0.22),
            "middle": (0.05, 0.06, 0.05, -0.14),
            "ring": (1.2, 1.45, 0.8, 0.0),
            "little": (1.2, 1.45, 0.8, 0.0),
            "thumb": (0.75, 0.3, 0.7, 0.0),
        },
        turn=(0.1, -0.45, 0.12),
        place=(-0.01, 0.08, 0.34),
        skin=(0.40, 0.27, 0.20),
        backdrop=((0.60, 0.68, 0.62), (0.87, 0.89, 0.83)),
    ),
)


class DemoError(NamedTuple):
    """How far a found hand is from the true one: joints_mm relative to the wrist, keypoints_px before the noise."""

    name: str
    joints_mm: float
    keypoints_px: float


class DemoReport(NamedTuple):
    job: JobReport
    errors: list[DemoError]


def run_demo(
    out: str | Path, seed: int = 0, noise_px: float = 2.0, overwrite: bool = False, progress: Progress | None = None
) -> DemoReport:
    """Draws `SCENES` into out/input with their keypoints.json, predicts them into `out`, and compares with the truth.

    noise_px: standard deviation of what is added to each coordinate of the keypoints. Raises OSError if `out` cannot
    be written, ValueError for a negative noise.
    """
    if not (np.isfinite(noise_px) and noise_px >= 0):
        raise ValueError(f"noise_px must be at least 0, got {noise_px}")
    out = Path(out)
    drawn = out / "input"
    drawn.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    models = Sides(mano.default())
    keypoints = {}
    truth = {}
    for scene in SCENES:
        params = scene_params(models[scene.side], scene)
        posed = jax.jit(mano.forward)(models[scene.side], params)
        joints = np.asarray(mano.keypoints_of(models[scene.side], posed))
        pixels = np.asarray(project(demo_camera(), joints))
        truth[scene.name] = joints, pixels
        write_png(drawn / f"{scene.name}.png", draw(scene, models[scene.side], posed.vertices))
        seen = (pixels + rng.normal(scale=noise_px, size=pixels.shape)).astype(np.float32)
        hand = make_detection(seen, None, SIDE_NAMES.index(scene.side), 1.0, None)
        keypoints[f"{scene.name}.png"] = ImageHands([hand], (WIDTH, HEIGHT), [None])
    write_keypoints(drawn / "keypoints.json", Keypoints(keypoints, ()))
    settings = PredictSettings(
        out=str(out),
        keypoints=str(drawn / "keypoints.json"),
        intrinsics=f"{FOCAL},{FOCAL},{WIDTH / 2},{HEIGHT / 2}",
        overwrite=overwrite,
    )
    report = predict_files(drawn, settings, progress=progress)
    return DemoReport(report, [_error(out, scene.name, *truth[scene.name]) for scene in SCENES])


def demo_camera() -> Camera:
    return assumed_camera(HEIGHT, WIDTH, FOCAL)


def scene_params(model: HandModel, scene: Scene) -> HandParams:
    """The parameters of a scene's hand; of a left hand the mirror image of the right one's."""
    right = model if model.side == "right" else mano.mirror(model)
    axes = np.asarray(right.joint_axes)
    pose = np.zeros((15, 3), np.float32)
    for finger, (*flexions, spread) in scene.fingers.items():
        first = 3 * FINGERS.index(finger)
        for joint, flexion in enumerate(flexions, start=first):
            pose[joint] = flexion * axes[joint, 0]
        pose[first] += spread * axes[first, 1]
    turned = rotations.matrix_from_axis_angle(jnp.array(scene.turn)) @ UPRIGHT
    params = mano.hand_params(
        right,
        global_orient=rotations.axis_angle_from_matrix(turned),
        hand_pose=jnp.asarray(pose.reshape(-1)),
        transl=jnp.array(scene.place),
    )
    return params if model.side == "right" else mano.mirror_params(params)


def draw(scene: Scene, model: HandModel, vertices) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    picture = render(
        demo_camera(),
        vertices,
        model.faces,
        np.asarray(scene.skin, np.float32),
        size=(HEIGHT, WIDTH),
        background=_backdrop(*scene.backdrop),
        supersample=2,
    )
    return np.asarray(np.clip(picture.image * 255 + 0.5, 0, 255)).astype(np.uint8)


def _backdrop(top: tuple[float, float, float], bottom: tuple[float, float, float]) -> np.ndarray:
    """(H, W, 3) in [0, 1]: a wall in soft light, brighter in the middle, with a shade at the edges."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / np.array([HEIGHT, WIDTH]).reshape(2, 1, 1)
    blend = (y**1.5)[..., None]
    wall = np.asarray(top) * (1 - blend) + np.asarray(bottom) * blend
    lamp = np.exp(-((x - 0.35) ** 2 + (y - 0.3) ** 2) / 0.12)[..., None]
    edge = 1 - 0.35 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)[..., None]
    return np.clip((wall + 0.08 * lamp) * edge, 0, 1).astype(np.float32)


def _error(out: Path, name: str, joints: np.ndarray, pixels: np.ndarray) -> DemoError:
    hands = read_hands(out / f"{name}.npz")
    found = hands.joints[0] - hands.joints[0, :1]
    joints_mm = 1000 * np.linalg.norm(found - (joints - joints[:1]), axis=-1).mean()
    keypoints_px = np.linalg.norm(hands.reprojected[0] - pixels, axis=-1).mean()
    return DemoError(name, float(joints_mm), float(keypoints_px))
