"""Published hand measurements as ratios of hand length and breadth, and how they vary between people.

Millimetres and degrees, in the generator's axes: X to the little finger, Y to the fingertips, Z out of the back of
a right hand, the wrist crease at the origin. Sources are named beside each table and in PROVENANCE.md.
"""

from typing import NamedTuple

import numpy as np

FINGERS = ("index", "middle", "little", "ring", "thumb")
INDEX, MIDDLE, LITTLE, RING, THUMB = range(5)
ACROSS = (INDEX, MIDDLE, RING, LITTLE)  # neighbours beside each other, which the joint order does not give
PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)

# Fractions of hand length, joint centre to joint centre, the last to the end of the fingertip: (proximal, middle,
# distal), and (metacarpal, proximal, distal) of the thumb. Buchholz, Armstrong and Goldstein 1992, Ergonomics 35:261,
# whose fingers end where the bone does: 3.8 mm of soft tissue are added (Buryanov and Kotiuk 2010, Int J Morphol
# 28:755), and middle phalanges give back what then exceeds the hand's length. The ring finger ends 9 mm short of the
# middle finger and the index finger 13 mm.
SEGMENT_LENGTHS = np.array(
    [
        [0.242, 0.1335, 0.1155],
        [0.266, 0.160, 0.128],
        [0.206, 0.112, 0.1145],
        [0.248, 0.158, 0.1275],
        [0.251, 0.196, 0.158],
    ]
)

# The same source: knuckle positions as (fraction of breadth, fraction of length); the height above the palm's
# middle in mm follows the transverse arch.
KNUCKLES = np.array(
    [[-0.251, 0.443, -0.5], [0.0, 0.446, 1.0], [0.402, 0.374, -6.0], [0.206, 0.418, -1.5], [-0.215, 0.085, -9.0]]
)

# Fractions of hand breadth: (breadth, depth) at the base, the two joints and the tip, so that half way between them
# the skin has the diameters that Sancho-Bru's hand model gives for proximal, middle and distal phalanges.
SECTIONS = np.array(
    [
        [[0.258, 0.296], [0.233, 0.214], [0.205, 0.172], [0.186, 0.134]],
        [[0.252, 0.298], [0.229, 0.214], [0.206, 0.176], [0.188, 0.137]],
        [[0.216, 0.241], [0.192, 0.176], [0.172, 0.146], [0.156, 0.117]],
        [[0.239, 0.277], [0.215, 0.200], [0.194, 0.164], [0.176, 0.129]],
        [[0.296, 0.300], [0.266, 0.240], [0.252, 0.208], [0.242, 0.160]],
    ]
)

# ANSUR II, women and men half and half, rounded: hand length, hand breadth, palm length, hand circumference, wrist
# circumference. `handjax.mano.population` has the table.
POPULATION_MEAN = np.array([187.2, 83.2, 112.6, 199.4, 165.4])


class HandSize(NamedTuple):
    """One person's hand. Lengths in mm; `depth` and `wrist` scale the tabulated hand's."""

    length: float  # wrist crease to middle fingertip
    breadth: float  # across the four knuckles
    palm: float  # ratio of the knuckles' distance from the wrist to the mean hand's, at equal hand length
    depth: float  # palm to back
    wrist: float
    segments: np.ndarray  # (5, 3)
    sections: np.ndarray  # (5, 4, 2) breadth and depth

    @property
    def scale(self) -> float:
        """Soft tissue of the palm is tabulated for a hand 84 mm broad."""
        return self.breadth / 84.0


def hand_size(length: float, breadth: float, palm: float = 1.0, depth: float = 1.0, wrist: float = 1.0) -> HandSize:
    """A hand of mean proportions; a longer palm takes its length from the fingers."""
    finger = (1.0 - 0.446 * palm) / (1.0 - 0.446)
    per_digit = np.array([finger, finger, finger, finger, np.sqrt(finger)])[:, None]
    segments, sections = SEGMENT_LENGTHS * length * per_digit, SECTIONS * breadth * [1.0, depth]
    return HandSize(length, breadth, palm, depth, wrist, segments, sections)
