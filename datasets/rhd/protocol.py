"""Which of two hands the single-hand protocols look at."""

import numpy as np

from datasets import schema


def dominant_side(mask: np.ndarray) -> int:
    """(H, W) or (H, W, 1), an example's mask -> 0 if the left hand has more pixels than the right one, else 1.

    A tie goes to the right hand, and so does a picture without hands (Zimmermann and Brox 2017).
    """
    left, right = (np.count_nonzero(mask == side + 1) for side in (schema.LEFT, schema.RIGHT))
    return schema.LEFT if left > right else schema.RIGHT
