"""Left or right: what a file's name and geometry tell, and the fault of the released left model."""

import re

import numpy as np

# A word of its own or a capital after a small letter, so that `bright.npz` names no side.
_SIDE_IN_NAME = re.compile(r"(?<![A-Za-z])(?i:(left|right))|(?<=[a-z])(Left|Right)")


def side_of_name(stem: str) -> str | None:
    """The side that a file's name tells: `MANO_LEFT`, `my-right-hand`, `handLeft`; None if it names none or both."""
    sides = {(match[1] or match[2]).lower() for match in _SIDE_IN_NAME.finditer(stem)}
    return sides.pop() if len(sides) == 1 else None


def side_of_geometry(v_template: np.ndarray, J_regressor: np.ndarray) -> str | None:
    """(V, 3), (J, V) -> the side whose fingers point this way: from the wrist, a right hand's run towards -x.

    None if the vertices' mean is less than a tenth of the hand's extent in x away from the wrist.
    """
    if not (v_template.ndim == J_regressor.ndim == 2 and v_template.size and J_regressor.size):
        return None
    if J_regressor.shape[1] != len(v_template):
        return None
    x = v_template[:, 0]
    with np.errstate(all="ignore"):
        reach = (x.mean() - J_regressor[0] @ x) / np.ptp(x)
    if not np.isfinite(reach) or abs(reach) < 0.1:
        return None
    return "right" if reach < 0 else "left"


def shape_follows_template(v_template: np.ndarray, shapedirs: np.ndarray) -> bool | None:
    """(V, 3), (V, 3, S) -> whether x grows with the rest of the hand along the first shape component.

    That component is the hand's size, so it is about a multiple of the centred template: of one sign in x and in
    (y, z). The released left model has the right one's shapedirs beside a mirrored template (vchoutas/smplx#48): the
    signs differ. None if either correlation is below 0.3, that is, if the component is not a size.
    """
    if not shapedirs.size:
        return None
    with np.errstate(all="ignore"):
        centred = v_template - v_template.mean(0)
        size = shapedirs[:, :, 0] - shapedirs[:, :, 0].mean(0)
        along_x, across = (_correlation(centred[:, axes], size[:, axes]) for axes in ([0], [1, 2]))
    if not (abs(along_x) >= 0.3 and abs(across) >= 0.3):
        return None
    return bool(along_x * across > 0)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float((first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum()))
