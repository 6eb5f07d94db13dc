"""STB labels the middle of the palm, not the wrist: the rules by which others made one of the other."""

import numpy as np

WRIST_RULES: dict[str, tuple[int, float] | None] = {
    "palm": None,
    "wrist_mid2.2": (9, 2.2),
    "wrist_ring2": (13, 2.0),
}
"""Knuckle, and how far beyond it the wrist lies, in its distances to the palm. palm: no wrist. wrist_mid2.2: BiHand
and Minimal-Hand. wrist_ring2: Zimmermann and Brox 2017, Hand-Graph-CNN and HAMR."""


def wrist_of_palm(keypoints: np.ndarray, rule: str) -> np.ndarray | None:
    """(..., 21, 3) in our order but for the palm in the wrist's place -> (..., 3) the wrist; None for the rule "palm".

    Raises ValueError for a rule that is none.
    """
    line = _line(rule)
    if line is None:
        return None
    knuckle, times = keypoints[..., line[0], :], line[1]
    return knuckle + times * (keypoints[..., 0, :] - knuckle)


def palm_of_wrist(keypoints: np.ndarray, rule: str) -> np.ndarray:
    """(..., 21, 3) with a wrist made by `rule` -> (..., 3) the palm it was made of, the root of hand3d's protocol.

    Raises ValueError for a rule that is none or makes no wrist.
    """
    line = _line(rule)
    if line is None:
        raise ValueError("rule must make a wrist, got 'palm'")
    knuckle, times = keypoints[..., line[0], :], line[1]
    return knuckle + (keypoints[..., 0, :] - knuckle) / times


def _line(rule: str) -> tuple[int, float] | None:
    if rule not in WRIST_RULES:
        raise ValueError(f"rule must be one of {', '.join(WRIST_RULES)}, got {rule!r}")
    return WRIST_RULES[rule]
