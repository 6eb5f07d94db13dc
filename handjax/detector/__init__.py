"""The default model: our own networks find the hands of a photograph, and the 21 keypoints of each."""

from handjax.detector.default import default_detector

__all__ = ["default_detector"]
