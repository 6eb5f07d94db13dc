"""HO-3D, versions 2 and 3: TFDS name `ho3d`."""
