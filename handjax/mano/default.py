"""The hand that ships with the package: free, made by `python -m launch.freehand`, nothing to download."""

from functools import cache
from importlib import resources

from handjax.checks import check_choice
from handjax.mano.io import load
from handjax.mano.sides import mirror
from handjax.mano.types import HandModel

FILES = {"low": "free_hand.npz", "medium": "free_hand_medium.npz", "high": "free_hand_high.npz"}
"""778 vertices (MANO's sizes), about 3,000, and above 12,000."""


def default(side: str = "right", resolution: str = "low") -> HandModel:
    """The free hand: MANO's joints, axes and names, its own surface. `data/PROVENANCE.md` tells what it is.

    resolution: "low" has MANO's sizes (778 vertices); "medium" and "high" are finer meshes of the same hand, with the
    same joints, regions and meaning of betas. A left hand is the mirror image. Raises ValueError for another name.
    """
    check_choice("side", side, ("left", "right"))
    check_choice("resolution", resolution, tuple(FILES))
    return _right(resolution) if side == "right" else mirror(_right(resolution))


@cache
def _right(resolution: str) -> HandModel:
    with resources.as_file(resources.files("handjax.mano") / "data" / FILES[resolution]) as path:
        return load(path)
