"""Turns the generator's dials until the implicit hand measures what was asked for."""

import functools

import numpy as np

from launch.freehand.anatomy import FINGERS, MIDDLE, POPULATION_MEAN, SECTIONS, THUMB, HandSize, hand_size
from launch.freehand.field_tape import HandMeasures, measure_field
from launch.freehand.skeleton import Hand, rest_hand

ROUNDS, TOLERANCE = 8, 0.001
DIAL_STEP = 0.03
LARGEST_TURN = 0.15  # of the logarithm of a dial, in one round
UNASKED = np.full(len(FINGERS), np.nan)


def asked(
    length: float,
    breadth: float,
    circumference: float,
    wrist: float,
    palm: float = np.nan,
    fingers: np.ndarray = UNASKED,
    joint_sizes: np.ndarray | None = None,
) -> HandMeasures:
    """What a hand shall measure, mm. A palm that is not asked for takes its share of the length, and so do fingers.

    Palm and middle finger make up the length: where both are asked for, the finger counts. Joint sizes are those of
    mean proportions to the breadth unless given.
    """
    fingers = np.array(fingers, float)
    if np.isnan(palm):
        palm = POPULATION_MEAN[2] / POPULATION_MEAN[0] * length
    if not np.isnan(fingers[MIDDLE]):
        palm = np.nan
    sizes = SECTIONS[:, 1:3] * breadth if joint_sizes is None else np.asarray(joint_sizes, float)
    unknown = np.full((len(FINGERS), 2), np.nan)
    return HandMeasures(length, breadth, palm, circumference, wrist, fingers, sizes, unknown)


def mean_measures() -> HandMeasures:
    """The mean adult's, women and men half and half."""
    length, breadth, palm, circumference, wrist = POPULATION_MEAN
    return asked(length, breadth, circumference, wrist, palm=palm)


def calibrated_hand(wanted: HandMeasures) -> Hand:
    """The flat hand that measures `wanted` (from `asked`) to 0.1 %.

    Raises RuntimeError if the dials do not get within 1 %: no hand of this kind is like that.
    """
    size, error, rounds = hand_size(wanted.length, wanted.breadth), np.inf, 0
    while error > TOLERANCE and rounds < ROUNDS:
        size, error = corrected(size, wanted)
        rounds += 1
    if error > 0.01:
        raise RuntimeError(f"no hand measures what was asked, the nearest is off by {100.0 * error:.1f} %: {wanted}")
    return rest_hand(size)


def corrected(size: HandSize, wanted: HandMeasures) -> tuple[HandSize, float]:
    """The dials turned by what the hand's measures lack, and the largest relative error before."""
    found = measure_field(rest_hand(size))
    segments, lengthening, middle = longer_fingers(size, wanted, found)
    knuckle = size.length * size.palm * KNUCKLE_HEIGHT + (wanted.length - found.length) - middle
    girths = np.array([wanted.breadth, wanted.circumference, wanted.wrist]) / girths_of(found)
    turns = np.clip(np.linalg.solve(girth_slopes(), np.log(girths)), -LARGEST_TURN, LARGEST_TURN)
    breadth, depth, wrist = np.array([size.breadth, size.depth, size.wrist]) * np.exp(turns)
    thicker = wanted.joint_sizes / found.joint_sizes
    sections = size.sections * thicker[:, [0, 0, 1, 1]]
    sections[:, 0] = SECTIONS[:, 0] * [breadth, breadth * depth]
    palm = knuckle / wanted.length / KNUCKLE_HEIGHT
    changed = HandSize(wanted.length, breadth, palm, depth, wrist, segments, sections)
    errors = [wanted.length / found.length - 1.0, *(girths - 1.0), *(thicker.ravel() - 1.0), *(lengthening)]
    return changed, float(np.abs(errors).max())


KNUCKLE_HEIGHT = 0.446  # of the middle finger, a fraction of the hand's length


def longer_fingers(size: HandSize, wanted: HandMeasures, found: HandMeasures):
    """Bones stretched to the fingers asked for, those not asked for like the middle finger; how much (5,) relative,
    and by how many mm the middle finger grows."""
    lack = wanted.fingers - found.fingers
    if np.isnan(lack[MIDDLE]):
        lack[MIDDLE] = found.palm - wanted.palm
    chains = np.array([bones[finger == THUMB :].sum() for finger, bones in enumerate(size.segments)])
    middle = lack[MIDDLE] / chains[MIDDLE]
    stretch = np.where(np.isnan(lack), middle, lack / chains)
    stretch[THUMB] = 0.0 if np.isnan(lack[THUMB]) else stretch[THUMB]
    return size.segments * (1.0 + stretch[:, None]), np.nan_to_num(lack / found.fingers), middle * chains[MIDDLE]


def girths_of(found: HandMeasures) -> np.ndarray:
    return np.array([found.breadth, found.circumference, found.wrist])


@functools.cache
def girth_slopes() -> np.ndarray:
    """(3, 3) how the logarithms of breadth, circumference and wrist follow those of their dials, at the mean hand."""
    mean = hand_size(POPULATION_MEAN[0], POPULATION_MEAN[1])
    base, columns = girths_of(measure_field(rest_hand(mean))), []
    for name in ("breadth", "depth", "wrist"):
        turned = mean._replace(sections=mean.sections.copy(), **{name: getattr(mean, name) * (1.0 + DIAL_STEP)})
        turned.sections[:, 0] = SECTIONS[:, 0] * [turned.breadth, turned.breadth * turned.depth]
        columns.append(np.log(girths_of(measure_field(rest_hand(turned))) / base) / np.log(1.0 + DIAL_STEP))
    return np.stack(columns, axis=1)
