"""Results and hand models in the conventions of others: joint orders, axes, units; any model file as a plain npz."""

import os
from typing import Any

import numpy as np

from handjax import mano
from handjax.checks import check_choice
from handjax.conventions import FRAMES, JOINT_ORDERS, change_unit, frame_rotation, from_common, move_params
from handjax.mano import HandModel, HandParams
from handjax.predict.hands import Hands, read_hands, side_names, write_arrays

UNITS = ("m", "cm", "mm")
JOINTS = ("joints", "keypoints_2d", "reprojected")


def convert_model(
    path: str | os.PathLike,
    out: str | os.PathLike,
    *,
    side: str | None = None,
    fix_left_shapedirs: bool = False,
    mirror: bool = False,
) -> None:
    """Reads any model file that `mano.load` knows and writes it as an npz of plain arrays, mirrored if asked for."""
    _check_npz(out)
    model = mano.load(path, side=side, fix_left_shapedirs=fix_left_shapedirs)
    mano.save(mano.mirror(model) if mirror else model, out)


def convert_result(
    path: str | os.PathLike,
    out: str | os.PathLike,
    *,
    order: str = "handjax",
    frame: str = "opencv",
    unit: str = "m",
    model: HandModel | None = None,
) -> None:
    """An image's NAME.npz with its joints in another order, its points in other axes, its lengths in another unit.

    Pixels, shape and fingers stay as they are. `model` is the hand of either side that the result was made with, for
    the root's turn; default: the free hand. Raises ValueError for an unknown convention or a file of something else.
    """
    _check_npz(out)
    check_choice("joints", order, tuple(JOINT_ORDERS))
    check_choice("frame", frame, tuple(FRAMES))
    check_choice("unit", unit, UNITS)
    arrays = _in_frame(read_hands(path), frame, mano.default() if model is None else model)._asdict()
    for field in JOINTS:
        arrays[field] = np.asarray(from_common(order, arrays[field]))
    for field in ("confidence", "error_px"):
        arrays[field] = np.asarray(from_common(order, arrays[field][..., None]))[..., 0]
    for field in ("vertices", "joints", "transl"):
        arrays[field] = np.asarray(change_unit(arrays[field], "m", unit))
    # A transform is of one frame and unit only.
    del arrays["transforms"]
    write_arrays(out, arrays | {"joint_order": np.array(order), "frame": np.array(frame), "unit": np.array(unit)})


def _in_frame(hands: Hands, frame: str, model: HandModel) -> Hands:
    if frame == "opencv" or not len(hands.side):
        return hands
    turn = frame_rotation("opencv", frame).astype(np.float32)
    moved = []
    for hand, side in enumerate(side_names(hands)):
        own = model if model.side == side else mano.mirror(model)
        fields: Any = (getattr(hands, field)[hand] for field in HandParams._fields)
        moved.append(move_params(own, HandParams(*fields), turn, np.zeros(3, np.float32)))
    return hands._replace(
        vertices=hands.vertices @ turn.T,
        joints=hands.joints @ turn.T,
        global_orient=np.stack([np.asarray(params.global_orient) for params in moved]),
        transl=np.stack([np.asarray(params.transl) for params in moved]),
    )


def _check_npz(out: str | os.PathLike) -> None:
    if not os.fspath(out).endswith(".npz"):
        raise ValueError(f"the converted file must be called NAME.npz, got {out}")
