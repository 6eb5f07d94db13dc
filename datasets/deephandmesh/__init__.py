"""DeepHandMesh's multi-view studio: TFDS name `deephandmesh`."""
