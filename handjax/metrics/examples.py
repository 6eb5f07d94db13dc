"""True hands out of a batch of the common example schema, for a protocol."""

from collections.abc import Mapping

import numpy as np

from handjax.metrics.hands import Hands

RIGHT = 1


def hands_of_examples(examples: Mapping[str, np.ndarray], *, two_hands: bool = False) -> Hands:
    """Labels of B pictures with N hand slots, as the data sets give them in batches -> the truth for `evaluate`.

    A row for each valid slot, picture by picture, which is the order that predictions must have; with `two_hands` a
    row for each picture, left then right. Vertices are those stored under `vertices`, if any. Joints without a label of
    visibility count as visible. Raises ValueError for a picture with two hands of one side, and KeyError for a batch
    without keypoints.
    """
    slots = np.asarray(examples["valid"], bool)
    labels = {
        "joints": np.asarray(examples["keypoints_3d"], np.float64),
        "valid": np.asarray(examples["keypoints_3d_valid"], bool) & slots[..., None],
        "visible": np.asarray(examples["keypoints_visible"], bool)
        | ~np.asarray(examples["keypoints_visible_valid"], bool),
    }
    if "vertices" in examples:
        labels["vertices"] = np.asarray(examples["vertices"], np.float64)
        labels["vertices_valid"] = np.asarray(examples["vertices_valid"], bool) & slots
    if not two_hands:
        return Hands(**{name: label[slots] for name, label in labels.items()})
    side = np.asarray(examples["side"])
    left, right = (slots & (side == which) for which in (1 - RIGHT, RIGHT))
    there = np.stack([left.sum(axis=1), right.sum(axis=1)], axis=1)
    if (there > 1).any():
        raise ValueError(
            f"examples must have one hand of a side, got two in picture {int(np.argmax(there.max(axis=1)))}"
        )
    slot = np.stack([left.argmax(axis=1), right.argmax(axis=1)], axis=1)
    pictures = np.arange(len(slots))[:, None]
    sided = {name: label[pictures, slot] for name, label in labels.items()}
    for name in sided.keys() & {"valid", "vertices_valid"}:
        # Where a side has no slot the choice above is any slot.
        sided[name] &= there.astype(bool).reshape(*there.shape, *(1,) * (sided[name].ndim - 2))
    known = np.all(np.asarray(examples["side_valid"], bool) | ~slots, axis=1)
    return Hands(**sided, hand_type=there.astype(bool), hand_type_valid=known)
