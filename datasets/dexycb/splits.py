"""DexYCB's four official setups, by position: of subject, of sequence within the subject, of camera."""

from typing import NamedTuple

SUBJECTS = (
    "20200709-subject-01",
    "20200813-subject-02",
    "20200820-subject-03",
    "20200903-subject-04",
    "20200908-subject-05",
    "20200918-subject-06",
    "20200928-subject-07",
    "20201002-subject-08",
    "20201015-subject-09",
    "20201022-subject-10",
)
SERIALS = (
    "836212060125",
    "839512060362",
    "840412060917",
    "841412060263",
    "932122060857",
    "932122060861",
    "932122061900",
    "932122062010",
)
SEQUENCES_OF_SUBJECT = 100
"""Of the whole set. The positions below count in the sorted list of all of them."""
SPLITS = ("train", "val", "test")


class Part(NamedTuple):
    """Positions of subjects and cameras in the tuples above."""

    subjects: tuple[int, ...]
    cameras: tuple[int, ...]


_ALL = tuple(range(10))
_CAMERAS = tuple(range(8))
_PARTS = {
    "s0": {"train": Part(_ALL, _CAMERAS), "val": Part((0, 1), _CAMERAS), "test": Part(_ALL[2:], _CAMERAS)},
    "s1": {
        "train": Part((0, 1, 2, 3, 4, 5, 9), _CAMERAS),
        "val": Part((6,), _CAMERAS),
        "test": Part((7, 8), _CAMERAS),
    },
    "s2": {"train": Part(_ALL, _CAMERAS[:6]), "val": Part(_ALL, (6,)), "test": Part(_ALL, (7,))},
    "s3": dict.fromkeys(SPLITS, Part(_ALL, _CAMERAS)),
}
SETUPS = {
    "s0": "new sequences: every fifth one of each subject is held out",
    "s1": "new subjects",
    "s2": "new views",
    "s3": "new grasped objects",
}


def part_of(setup: str, split: str) -> Part:
    return _PARTS[setup][split]


def in_split(setup: str, split: str, position: int) -> bool:
    """Whether the sequence at `position` of a subject's sorted ones belongs to the split, if its subject does.

    Each object was grasped in five sequences running: `position // 5` is the object.
    """
    if setup == "s0":
        return (position % 5 != 4) == (split == "train")
    if setup == "s3":
        grasped = position // 5
        held_out = "val" if grasped in (3, 19) else "test" if grasped in (7, 11, 15) else "train"
        return split == held_out
    return True
