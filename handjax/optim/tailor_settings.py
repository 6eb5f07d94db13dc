"""What the paper, the released code and this library each minimise in the tailor, as data."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class TailorSettings:
    """Energy and optimiser of `tailor`. Frozen and hashable: static under jit.

    The energy is eq. 13: joint_weight E_J + twist_weight (plane_weight, bend_weight: the two parts of eq. 10) + the two
    parts of eq. 11. Weights suit keypoints of a 256 px crop; in other pixels E_J grows with the square of the size.

    The values here are the variant that measured best on synthetic hands: the released energy and optimiser, but the
    scale stays as the first step left it, every finger's bend is clipped for itself, and the twist is measured on a
    hand of bone length 1, so that it weighs the same under both cameras. `PAPER` and `RELEASED` are the published two.

    Raises ValueError for a value out of range.
    """

    steps: int = 20
    learning_rate: float = 0.03
    b1: float = 0.5
    b2: float = 0.5
    eps: float = 1e-8
    # Steps that the bias correction believes to have been made before the first.
    correction_offset: int = 0

    joint_weight: float = 1.0
    pose_weight: float = 0.01
    shape_weight: float = 0.01
    twist_weight: float = 100.0
    # As released for a bone of 95 mm: 1e4 (0.095 m)^3 and 1e5 (0.095 m)^4.
    plane_weight: float = 8.57
    bend_weight: float = 8.15

    # True: E_J, E_id and the first part of E_g are means over their entries; False: sums. The bend is always a sum.
    mean_terms: bool = True
    # False: the sum over fingers is clipped, so that one finger's violation hides behind the others.
    clip_each_finger: bool = True
    # True: twist of the hand of bone length 1. False: metres, save under a weak camera, which knows of none.
    twist_in_bones: bool = True

    # "fixed_depths": each joint keeps its depth; "root_depth": all have the root's (eq. 12); "keep": no first step.
    scale_step: str = "fixed_depths"
    scale_factor_min: float = 0.9
    optimise_scale: bool = False
    # True: result and mesh have the scale of the first step, whatever the loop did to it.
    discard_optimised_scale: bool = False

    def __post_init__(self):
        if self.steps < 0:
            raise ValueError(f"steps must not be negative, got {self.steps}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")
        for name in ("b1", "b2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        if self.scale_step not in ("fixed_depths", "root_depth", "keep"):
            raise ValueError(f"scale_step must be fixed_depths, root_depth or keep, got {self.scale_step!r}")


DEFAULT = TailorSettings()

PAPER = TailorSettings(
    learning_rate=0.003,
    b1=0.9,
    b2=0.999,
    pose_weight=0.1,
    shape_weight=0.1,
    plane_weight=1.0,
    bend_weight=1.0,
    mean_terms=False,
    scale_step="root_depth",
    scale_factor_min=0.0,
)
"""HandTailor as printed (section 4.1, eqs. 8-13): scale first, then pose and shape. b1 and b2, which it does not give,
are Adam's own. At this learning rate 20 steps stop well before the minimum."""

RELEASED = TailorSettings(
    correction_offset=1,
    plane_weight=1e4,
    bend_weight=1e5,
    clip_each_finger=False,
    twist_in_bones=False,
    optimise_scale=True,
    discard_optimised_scale=True,
)
"""HandTailor as its authors' code runs. Against the paper: another optimiser, other weights, means for sums, the bend
clipped after summing over fingers, and the scale optimised with the rest but left out of the final mesh. Its loop
counts from 1 where its optimiser counts from 0, so the first step is 0.816 of the learning rate."""
