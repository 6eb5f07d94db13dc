"""Weights and steps of a fit to a mask and a depth map."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class ImageSettings:
    """Energy and optimiser of `tailor_image`. Frozen and hashable: static under jit.

    The energy: silhouette times the pyramid loss of the masks; depth (per metre) times the smooth-L1 depth loss that
    turns from a square into a line at `depth_step` metres; joint times the mean squared distance of keypoints in px of
    a 256 px crop (eq. 9 of the tailor); pose and shape times the mean squared change of joint angles since the start
    and the mean squared betas; limit times the squared radians past joint limits.

    Drawn is a crop of `size` px around what is observed, `margin` times its longer side. From the start, and from the
    start turned by `explore_angle` to either side about the camera's x and y axis, go `explore_steps` Adam steps; the
    best of these five then has `steps` more. An angle of 0 leaves only the start, and saves more than half of the time.
    Rates are the first steps: radians of the whole hand, metres, radians of a joint, betas. They fade with a cosine.

    Raises ValueError for a value out of range.
    """

    silhouette: float = 1.0
    depth: float = 10.0
    depth_step: float = 0.01
    joint: float = 1e-3
    pose: float = 1e-3
    shape: float = 1e-4
    limit: float = 1.0

    size: int = 64
    margin: float = 1.3

    steps: int = 200
    explore_steps: int = 60
    explore_angle: float = 0.35
    turn_rate: float = 0.04
    shift_rate: float = 0.004
    pose_rate: float = 0.04
    shape_rate: float = 0.05
    b1: float = 0.9
    b2: float = 0.95

    def __post_init__(self):
        for name in ("silhouette", "depth", "joint", "pose", "shape", "limit", "explore_angle"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be finite and not negative, got {getattr(self, name)}")
        for name in ("depth_step", "turn_rate", "shift_rate", "pose_rate", "shape_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("size", "steps", "explore_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.margin >= 1:
            raise ValueError(f"margin must be at least 1, got {self.margin}")
        for name in ("b1", "b2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {getattr(self, name)}")


IMAGE_DEFAULT = ImageSettings()
