"""Which hands a picture shows."""

from handjax.metrics.arrays import mask_like, masked_mean, same_kind


def hand_type_accuracy(scores, true, valid=None):
    """() share of pictures whose hands are named rightly, nan if none is valid.

    scores (S, 2): probabilities that there is a left and a right hand; true (S, 2) bool; valid (S,). Both must fall on
    the right side of 0.5, and 0.5 itself is on neither (InterHand2.6M).
    """
    named = rightly_named(scores, true)
    xp, (named,) = same_kind(named)
    return masked_mean(xp, named, mask_like(xp, valid, named.shape), None)


def rightly_named(scores, true):
    """(S, 2), (S, 2) -> (S,) 1 or 0 for each picture of `hand_type_accuracy`. Raises ValueError for other shapes."""
    xp, (scores, true) = same_kind(scores, true)
    if scores.shape != true.shape or scores.shape[-1:] != (2,):
        raise ValueError(f"scores and true must have shape (S, 2), got {scores.shape} and {true.shape}")
    return 1.0 * xp.all(xp.where(true > 0.5, scores > 0.5, scores < 0.5), axis=-1)
