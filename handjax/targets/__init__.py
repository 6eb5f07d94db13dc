"""From an example to what networks are trained on, on the device: pure functions of one hand or one picture.

`jax.vmap` for batches. `crop_example` cuts one hand out of an example; `heatmaps`, `uvd`, `silhouette`,
`normalised_depth`, `relative_joints`, `rotations` and `crop_coordinates` are targets of one hand in its crop,
`center_maps` those of a whole picture. What is not labelled gives zeros, and 0 where a loss asks what is valid.
"""

from handjax.targets.centers import CenterMaps, center_maps, center_radius
from handjax.targets.crop import crop_example, crop_labels, hand_affine, mirror_labels, one_hand
from handjax.targets.hand import (
    RelativeJoints,
    crop_coordinates,
    relative_joints,
    rotations,
    uvd,
)
from handjax.targets.heatmaps import BIHAND, BIHAND_PAPER, HAMR, HANDTAILOR, HeatmapForm, heatmaps
from handjax.targets.surface import normalised_depth, shrink, silhouette

__all__ = [
    "BIHAND",
    "BIHAND_PAPER",
    "HAMR",
    "HANDTAILOR",
    "CenterMaps",
    "HeatmapForm",
    "RelativeJoints",
    "center_maps",
    "center_radius",
    "crop_coordinates",
    "crop_example",
    "crop_labels",
    "hand_affine",
    "heatmaps",
    "mirror_labels",
    "normalised_depth",
    "one_hand",
    "relative_joints",
    "rotations",
    "shrink",
    "silhouette",
    "uvd",
]
