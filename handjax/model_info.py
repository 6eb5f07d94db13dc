"""What is in a hand model file, in words."""

import os

import numpy as np

from handjax import mano
from handjax.mano import HandModel

MM = 1000.0


def model_info(path: str | os.PathLike | None, side: str | None = None) -> str:
    """A few lines on a model file, or on the free hand. Raises ValueError or OSError if it cannot be read."""
    model = mano.default(side or "right") if path is None else mano.load(path, side=side)
    components = len(model.hands_components)
    rows = {
        "model": "the free hand" if path is None else os.fspath(path),
        "side": model.side,
        "vertices": f"{model.num_vertices:,}",
        "faces": f"{len(model.faces):,}",
        "joints": f"{model.num_joints}, parents {' '.join(map(str, model.parents))}",
        "shape components": str(model.num_betas),
        "pose components": f"{components} over {len(model.hands_mean)} angles",
        "pose correctives": str(9 * (model.num_joints - 1)),
        "influences": f"at most {int((np.asarray(model.lbs_weights) > 0).sum(1).max())} joints a vertex",
        "fingertip vertices": " ".join(map(str, model.fingertip_ids)) + " (thumb, index, middle, ring, little)",
        "flat hand": _measures(model),
    }
    width = max(map(len, rows))
    return "\n".join(f"{label:{width}}  {value}" for label, value in rows.items())


def _measures(model: HandModel) -> str:
    """Lengths along the flat hand of mean shape."""
    points = np.asarray(mano.keypoints(model, mano.zero_params(model)))
    if len(points) != 21:
        return f"{len(points)} keypoints"
    wrist, index, middle_tip, little = points[[0, 5, 12, 17]]
    length, breadth = np.linalg.norm(middle_tip - wrist), np.linalg.norm(index - little)
    return f"wrist to middle fingertip {MM * length:.0f} mm, index to little knuckle {MM * breadth:.0f} mm"
