"""The Rendered Hand Dataset: TFDS name `rhd`."""

from datasets.rhd.protocol import dominant_side as dominant_side
