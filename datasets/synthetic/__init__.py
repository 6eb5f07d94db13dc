"""An endless supply of labelled hands, drawn on whatever device JAX has."""

from datasets.synthetic.assets import Assets, assets
from datasets.synthetic.backgrounds import Backgrounds
from datasets.synthetic.batch import batch
from datasets.synthetic.degrade import Degradation
from datasets.synthetic.occluders import Occluders
from datasets.synthetic.photographs import read_photos
from datasets.synthetic.settings import Settings, frame, many, single, two

__all__ = [
    "Assets",
    "Backgrounds",
    "Degradation",
    "Occluders",
    "Settings",
    "assets",
    "batch",
    "frame",
    "many",
    "read_photos",
    "single",
    "two",
]
