"""Fitting a hand model to what was seen of a hand."""

from handjax.optim.from_keypoints import HandFit, fit_keypoints
from handjax.optim.image_settings import ImageSettings
from handjax.optim.multistart import MultistartResult, MultistartSettings, fit_2d
from handjax.optim.refine import RefineResult, RefineSettings, refine, refine_batch
from handjax.optim.tailor import TailorResult, tailor, tailor_batch, tailored_mesh
from handjax.optim.tailor_image import ImageFit, tailor_image
from handjax.optim.tailor_settings import DEFAULT, PAPER, RELEASED, TailorSettings
from handjax.optim.window import Smoothness, WindowResult, refine_window

__all__ = [
    "DEFAULT",
    "PAPER",
    "RELEASED",
    "HandFit",
    "ImageFit",
    "ImageSettings",
    "MultistartResult",
    "MultistartSettings",
    "RefineResult",
    "RefineSettings",
    "Smoothness",
    "TailorResult",
    "TailorSettings",
    "WindowResult",
    "fit_2d",
    "fit_keypoints",
    "refine",
    "refine_batch",
    "refine_window",
    "tailor",
    "tailor_batch",
    "tailor_image",
    "tailored_mesh",
]
