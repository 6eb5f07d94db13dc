"""EgoHands: TFDS name `egohands`."""
