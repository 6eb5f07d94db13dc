"""The hand that ships with the package: free, made by `python -m launch.freehand`, nothing to download."""

from functools import cache
from importlib import resources

from handjax.checks import check_choice
from handjax.mano.io import load
from handjax.mano.sides import mirror
from handjax.mano.types import HandModel


def default(side: str = "right") -> HandModel:
    """The free hand: MANO's sizes, joints, axes and names, its own surface. `data/PROVENANCE.md` tells what it is.

    A left hand is the mirror image. Raises ValueError for another side.
    """
    check_choice("side", side, ("left", "right"))
    return _right() if side == "right" else mirror(_right())


@cache
def _right() -> HandModel:
    with resources.as_file(resources.files("handjax.mano") / "data" / "free_hand.npz") as path:
        return load(path)
