"""DexYCB: TFDS name `dexycb`."""
