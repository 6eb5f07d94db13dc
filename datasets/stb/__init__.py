"""The Stereo Hand Pose Benchmark: TFDS name `stb`."""

from datasets.stb.wrist import palm_of_wrist as palm_of_wrist
from datasets.stb.wrist import wrist_of_palm as wrist_of_palm
