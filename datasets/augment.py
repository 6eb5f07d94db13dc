"""What each paper does to its training pictures, as numbers; and what of them is drawn for one picture."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

_AUGMENT = 2
"""Tells the streams of augmentations from those of permutations, which have the same seed."""

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How far pictures are changed; ranges are (lowest, highest), drawn evenly. None or 0 leaves out.

    Raises ValueError naming the field that is out of range.
    """

    fill: Range = (0.5, 0.5)
    """Longer side of the box around a hand's keypoints over the side of its crop."""
    side_spread: float = 0.0
    """Deviation of a factor on the crop's side, from a normal distribution cut off at one deviation."""
    shift: float = 0.0
    """Of the centre, along both axes, in sides of the crop or of the picture."""
    rotation: float = 0.0
    """Radians, to both sides."""
    zoom: Range = (1.0, 1.0)
    """Of whole pictures."""
    mirror: float = 0.0
    """Share of whole pictures that are mirrored. Single hands are mirrored to the right, if asked for, and not else."""

    brightness: Range | None = None
    """Factors, and so the next two."""
    contrast: Range | None = None
    saturation: Range | None = None
    hue: Range | None = None
    """Added, in turns of the colour circle."""
    hue_factor: Range | None = None
    """Multiplied."""
    gain: Range | None = None
    """Factors, one for each channel."""
    offset: float = 0.0
    """Added to each channel, up to this to both sides, of 1 for white."""
    colour_share: float = 1.0
    """Share of pictures whose colours are changed."""
    blur: Range | None = None
    """Deviation of a Gaussian, pixels of the crop."""
    noise: float = 0.0
    """Deviation, of 1 for white; each value's own."""

    def __post_init__(self):
        for name in ("fill", "zoom", "brightness", "contrast", "saturation", "hue", "hue_factor", "gain", "blur"):
            _check_range(name, getattr(self, name), -1.0 if name == "hue" else 0.0)
        if self.fill[0] <= 0 or self.zoom[0] <= 0:
            raise ValueError(f"fill and zoom must be positive, got {self.fill} and {self.zoom}")
        for name, highest in _HIGHEST.items():
            value = getattr(self, name)
            if not 0 <= value <= highest:
                raise ValueError(f"{name} must be a number from 0 to {highest:g}, got {value!r}")


_HIGHEST = {"side_spread": 0.9, "shift": 10.0, "rotation": math.pi, "mirror": 1.0}
_HIGHEST |= {"offset": 1.0, "colour_share": 1.0, "noise": 1.0}


def _check_range(name: str, pair: Range | None, lowest: float) -> None:
    if pair is not None and not (len(pair) == 2 and lowest <= pair[0] <= pair[1] < math.inf):
        raise ValueError(f"{name} must be (lowest, highest) from {lowest:g} on, got {pair!r}")


NONE = Augmentation()

_BIHAND_COLOURS = Augmentation(
    rotation=math.pi / 2,
    brightness=(0.5, 1.5),
    contrast=(0.5, 1.5),
    saturation=(0.5, 1.5),
    hue=(-0.15, 0.15),
    blur=(0.0, 0.5),
)

PRESETS = {
    "none": NONE,
    # Of the released code: SeedNet's and SIKNet's, then LiftNet's. The paper gives none.
    "bihand": dataclasses.replace(_BIHAND_COLOURS, side_spread=0.2, shift=0.2),
    "bihand_lift": dataclasses.replace(_BIHAND_COLOURS, side_spread=0.1, shift=0.1),
    # Section 4.1. The hand fills 80 % of an unscaled crop, which the paper does not say.
    "hamr": Augmentation(
        fill=(0.8 * 0.9, 0.8 * 1.2),
        rotation=math.radians(60),
        brightness=(0.2, 1.8),
        contrast=(0.3, 1.7),
        saturation=(0.4, 1.6),
        hue_factor=(0.2, 1.8),
        noise=0.01,
    ),
    # Of the released code: first crops of one hand, then whole pictures, of which the paper mirrors half.
    "multihand_single": Augmentation(
        fill=(0.3, 0.6),
        shift=5 / 224,
        rotation=math.radians(40),
        gain=(0.7, 1.3),
        offset=0.05,
        colour_share=0.5,
    ),
    "multihand": Augmentation(brightness=(0.4, 1.6), colour_share=0.5, mirror=0.5),
    # Never published; the authors name BiHand's.
    "handtailor": dataclasses.replace(_BIHAND_COLOURS, side_spread=0.1, shift=0.1),
    # Nothing but the crop, 1.5 times the box; the code squashes it to a square, here it is one.
    "deephandmesh": Augmentation(fill=(1 / 1.5, 1 / 1.5)),
}


class Change(NamedTuple):
    """How one picture is placed: `fill` of its crop, `zoom`, `shift` (2,), `rotation` and whether it is mirrored."""

    fill: ArrayLike
    zoom: ArrayLike
    shift: ArrayLike
    rotation: ArrayLike
    mirror: ArrayLike


def generator(seed: int, which: int, epoch: int, place: int) -> np.random.Generator:
    """All that is drawn for one place of a stream comes from here, whoever draws it and when."""
    return np.random.default_rng([seed, _AUGMENT, which, epoch, place])


def draw_change(augmentation: Augmentation, random: np.random.Generator) -> Change:
    """Always the same number of draws, so that one field changes nothing but itself."""
    shares, side = random.random(6), random.standard_normal()
    side = 1 + augmentation.side_spread * min(max(side, -1.0), 1.0)
    return Change(
        fill=np.float32(_between(augmentation.fill, shares[0]) / side),
        zoom=np.float32(_between(augmentation.zoom, shares[1]) / side),
        shift=(augmentation.shift * (2 * shares[2:4] - 1)).astype(np.float32),
        rotation=np.float32(augmentation.rotation * (2 * shares[4] - 1)),
        mirror=np.bool_(shares[5] < augmentation.mirror),
    )


def _between(pair: Range, share: float) -> float:
    return pair[0] + (pair[1] - pair[0]) * share
