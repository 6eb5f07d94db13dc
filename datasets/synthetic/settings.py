"""What is drawn at random, and how far: one frozen, hashable set of settings for each kind of picture."""

import copy
import dataclasses
import math
from typing import Any

from datasets.synthetic.backgrounds import Backgrounds
from datasets.synthetic.degrade import Degradation
from datasets.synthetic.occluders import Occluders
from handjax.checks import check_choice

SCENES = ("single", "two", "many", "frame")
SIDES = ("both", "right", "left")
FIXED = ("size", "scene", "hands", "backgrounds", "occluders", "degrade")
"""Fields on which the compiled code depends."""
SMALLEST_PX, LARGEST_PX = 16, 1024


@dataclasses.dataclass(frozen=True)
class Settings:
    """A scene and its randomisations. Each can be switched off without changing the other draws.

    Ranges are (lowest, highest); shares are probabilities in [0, 1]; False, None, 0 or an empty range switch off.
    `size`, `scene`, `hands` and the three parts that may be None are compiled in; the others can change at no cost.
    Raises ValueError naming the field that is out of range.
    """

    size: tuple[int, int] = (128, 128)
    """Height and width in pixels, 16 to 1024."""
    scene: str = "single"
    """single: a crop around one hand; two: around two that touch or are near; many: laid out from the lower right to
    the upper left, so that they share the picture; frame: anywhere in it, for detection."""
    sides: str = "both"
    """both, right or left. A left draw is the mirror image of the right one of the same key."""

    betas_spread: float = 1.0
    """Of shapes, over that of adults; 0 for the mean hand."""
    poses: bool = True
    """Off: flat hands."""
    named_poses: float = 0.4
    """Share of poses from the library or between two of it."""
    open_poses: float = 0.15
    """Share of flat, spread and relaxed open hands, whose palm and back are told apart by skin alone."""
    pose_candidates: int = 8
    """Of so many poses the first whose fingers sink into each other or the palm by less than `deepest_m` (as capsules)
    is taken, or else the shallowest."""
    deepest_m: float = 0.002
    views: bool = True
    """Off: upright palms."""
    upright_views: float = 0.5
    """Share of views that show mostly a palm or a back with fingers up; the others are even over all rotations."""

    distance_m: tuple[float, float] = (0.3, 1.5)
    """single, two: from the camera; even in its logarithm."""
    off_axis: float = 0.35
    """single, two: how far from the optical axis of the camera that a crop was cut from, as a tangent."""
    hand_fill: tuple[float, float] = (0.5, 0.9)
    """single, two: longer side of the hands' box over the picture's shorter one."""
    off_centre: float = 0.09
    """single, two: of that box in the picture, in shares of the picture."""
    focal: tuple[float, float] = (0.7, 1.5)
    """many, frame: in units of the picture's longer side."""
    hands: tuple[int, int] = (1, 10)
    """many, frame: how many; fewer where there is no room."""
    hand_px: tuple[float, float] = (96.0, 320.0)
    """many, frame: longer side of a hand's box."""
    touching: float = 0.5
    """two: share of pairs that touch; the others are up to `apart_m` from each other."""
    apart_m: float = 0.08

    skin: bool = True
    """Off: one medium skin without jewellery."""
    lights: bool = True
    """Off: daylight from a window."""
    forearms: bool = True
    """Bent wrists and sleeves. Off: a straight bare forearm."""
    backgrounds: Backgrounds | None = Backgrounds()
    """None: grey."""
    ground_shadows: float = 0.25
    """Share of pictures in which hands throw a soft shadow on what is behind them."""
    occluders: Occluders | None = Occluders()
    """Things in front of one of the hands. None: nothing."""
    degrade: Degradation | None = Degradation()
    """Blur, noise, compression and colours of cameras. None: as rendered."""

    def __post_init__(self):
        _check(self)

    @property
    def slots(self) -> int:
        """N, the padded number of hands in an example."""
        return {"single": 1, "two": 2}.get(self.scene, self.hands[1])

    def dials(self) -> dict[str, Any]:
        """All that a compiled function can take as numbers, so that other values of them need no compiling."""
        dials = {name: getattr(self, name) for name in DIALS}
        return dials | {"sides": {"right": 0.0, "both": 0.5, "left": 1.0}[self.sides]}

    def fixed(self) -> "Settings":
        """The rest, with all dials at their defaults."""
        kept = {name: getattr(self, name) for name in FIXED}
        return Settings(**kept)

    def turned(self, dials: dict[str, Any]) -> "Settings":
        """These with traced dials, for use inside a compiled function only; `sides` is the share of left draws."""
        settings = copy.copy(self)
        for name, value in dials.items():
            object.__setattr__(settings, name, value)
        return settings


DIALS = tuple(field.name for field in dataclasses.fields(Settings) if field.name not in FIXED)


def single(size: int = 128, **changes) -> Settings:
    """Square crops of one hand."""
    return Settings(size=(size, size), **changes)


def two(size: int = 192, **changes) -> Settings:
    """Square crops of two hands that touch or are near."""
    return Settings(**{"size": (size, size), "scene": "two", "hand_fill": (0.65, 0.95), **changes})


def many(size: int = 512, **changes) -> Settings:
    """1 to 10 hands that fill a picture, of 96 to 320 pixels on 512 (Han et al., multi-hand reconstruction)."""
    pixels = (96.0 * size / 512, 320.0 * size / 512)
    return Settings(**{"size": (size, size), "scene": "many", "hand_px": pixels, **changes})


def frame(size: tuple[int, int] = (288, 384), **changes) -> Settings:
    """Uncropped pictures with 0 to 4 hands, most of them small, for detection."""
    pixels = (0.06 * max(size), 0.5 * max(size))
    scene = {"scene": "frame", "hands": (0, 4), "hand_px": pixels, "backgrounds": Backgrounds(people=3)}
    return Settings(**{"size": size, **scene, **changes})


def _check(settings: Settings) -> None:
    check_choice("scene", settings.scene, SCENES)
    check_choice("sides", settings.sides, SIDES)
    sides = settings.size
    if not (isinstance(sides, tuple) and len(sides) == 2 and all(isinstance(side, int) for side in sides)):
        raise ValueError(f"size must be (height, width), got {sides!r}")
    if not all(SMALLEST_PX <= side <= LARGEST_PX for side in sides):
        raise ValueError(f"size must be {SMALLEST_PX} to {LARGEST_PX} pixels, got {sides}")
    for name in ("named_poses", "open_poses", "upright_views", "touching", "ground_shadows"):
        _check_number(name, getattr(settings, name), 0.0, 1.0)
    if settings.named_poses + settings.open_poses > 1.0:
        raise ValueError(f"named_poses and open_poses must not exceed 1 together, got {settings.named_poses} and ...")
    _check_number("betas_spread", settings.betas_spread, 0.0, 3.0)
    _check_number("deepest_m", settings.deepest_m, 0.0, 1.0)
    _check_number("off_axis", settings.off_axis, 0.0, 1.5)
    _check_number("off_centre", settings.off_centre, 0.0, 0.5)
    _check_number("apart_m", settings.apart_m, 0.0, 1.0)
    _check_range("distance_m", settings.distance_m, 0.2, 10.0)
    _check_range("hand_fill", settings.hand_fill, 0.05, 2.0)
    _check_range("focal", settings.focal, 0.2, 10.0)
    _check_range("hand_px", settings.hand_px, 4.0, float(LARGEST_PX))
    _check_range("hands", settings.hands, 0, 100)
    if not all(isinstance(count, int) for count in settings.hands) or settings.hands[1] < 1:
        raise ValueError(f"hands must be two whole numbers, the second at least 1, got {settings.hands}")
    if not isinstance(settings.pose_candidates, int) or not 1 <= settings.pose_candidates <= 64:
        raise ValueError(f"pose_candidates must be 1 to 64, got {settings.pose_candidates!r}")
    parts = ("backgrounds", Backgrounds), ("occluders", Occluders), ("degrade", Degradation)
    for name, kind in parts:
        if not isinstance(getattr(settings, name), kind | None):
            raise ValueError(f"{name} must be {kind.__name__} or None, got {getattr(settings, name)!r}")
    for field in dataclasses.fields(settings):
        if isinstance(field.default, bool) and not isinstance(getattr(settings, field.name), bool):
            raise ValueError(f"{field.name} must be True or False, got {getattr(settings, field.name)!r}")


def _check_number(name: str, value: float, lowest: float, highest: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
        raise ValueError(f"{name} must be a number from {lowest:g} to {highest:g}, got {value!r}")


def _check_range(name: str, pair: tuple[float, float], lowest: float, highest: float) -> None:
    if not (isinstance(pair, tuple) and len(pair) == 2):
        raise ValueError(f"{name} must be (lowest, highest), got {pair!r}")
    for value in pair:
        _check_number(name, value, lowest, highest)
    if pair[0] > pair[1] or not math.isfinite(pair[1]):
        raise ValueError(f"{name} must not begin above its end, got {pair}")
