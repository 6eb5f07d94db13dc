"""The hands of COCO-WholeBody: TFDS name `coco_hands`."""
