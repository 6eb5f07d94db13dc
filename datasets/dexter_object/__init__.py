"""Dexter+Object and EgoDexter: TFDS name `dexter_object`, one config each."""
