"""The user's own MANO models, without which the labels of some sets cannot be said in the one convention."""

import os
import warnings
from collections.abc import Iterable

import numpy as np
from absl import logging
from etils import epath

from datasets import schema
from handjax import mano
from handjax.mano.file_sides import shape_follows_template
from handjax.mano.types import HandModel, HandParams

SIDES = {schema.LEFT: "left", schema.RIGHT: "right"}
FOLDER = "mano"
HOMEPAGE = "https://mano.is.tue.mpg.de"
NUM_BETAS = 10


def load(manual_dir: os.PathLike, sides: Iterable[int], *, mirror_left_shapes: bool = False) -> dict[int, HandModel]:
    """The models in manual_dir/mano (MANO_LEFT, MANO_RIGHT; .pkl or .npz) of those sides whose file is there.

    mirror_left_shapes: for sets whose left betas were fitted with mirrored shape components. The released left model
    has the right one's (see `mano.load`) and gets them mirrored; a file that has them right is taken as it is.
    Raises HandFileError if a file is no hand model.
    """
    found = {}
    for side in sides:
        for suffix in (".pkl", ".npz"):
            path = epath.Path(manual_dir) / FOLDER / f"MANO_{SIDES[side].upper()}{suffix}"
            if side not in found and path.exists():
                found[side] = _load(path, SIDES[side], mirror_left_shapes)
    return found


def say(name: str, sides: Iterable[int], models: dict[int, HandModel]) -> str:
    """One line for the log and for `info.metadata`: which hands' MANO parameters a build converts."""
    lacking = [SIDES[side] for side in sides if side not in models]
    if not lacking:
        return "MANO parameters of all labelled hands are converted"
    files = " and ".join(f"{FOLDER}/MANO_{side.upper()}" for side in lacking)
    line = (
        f"no {files} (.pkl or .npz) in manual_dir: mano_valid is False for every {' and '.join(lacking)} hand. "
        f"Put what is missing there (from {HOMEPAGE}) and build again"
    )
    logging.warning("%s: %s", name, line)
    return line


def params_dict(params: HandParams) -> dict[str, np.ndarray]:
    """Parameters as the arrays that `schema.put_hand` takes."""
    return {name: np.asarray(value) for name, value in params._asdict().items()}


def _load(path: epath.Path, side: str, mirror_left_shapes: bool) -> HandModel:
    with warnings.catch_warnings():
        # Which of both shapes a set's betas belong to is decided here; the reader can only warn of either.
        warnings.simplefilter("ignore", UserWarning)
        model = mano.load(path, side=side, num_betas=NUM_BETAS)
        if side == "left" and mirror_left_shapes:
            if shape_follows_template(np.asarray(model.v_template), np.asarray(model.shapedirs)) is False:
                model = mano.load(path, side=side, num_betas=NUM_BETAS, fix_left_shapedirs=True)
    return model
