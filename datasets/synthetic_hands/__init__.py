"""Drawn hands in fixed files: TFDS name `synthetic_hands`. `datasets.synthetic` draws them without files."""
