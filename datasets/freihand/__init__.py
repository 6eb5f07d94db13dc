"""FreiHAND v2: TFDS name `freihand`."""
