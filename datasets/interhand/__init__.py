"""InterHand2.6M at 5 frames a second: TFDS name `interhand`."""
