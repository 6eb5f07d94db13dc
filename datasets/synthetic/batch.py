"""Labelled pictures of hands as a pure function of a key."""

from functools import partial
from typing import Any

import jax
from jax import Array, lax

from datasets.synthetic.assets import Assets
from datasets.synthetic.assets import assets as made_assets
from datasets.synthetic.picture import picture
from datasets.synthetic.settings import Settings

DEFAULT = Settings()


def batch(
    key: Array, count: int, settings: Settings = DEFAULT, assets: Assets | None = None, together: int | None = None
) -> dict[str, Array]:
    """`count` examples with labels, each field with a leading B, drawn on whatever device JAX has. Pure and jitted.

    image (H, W, 3) uint8; intrinsics (3, 3). For each of N slots of hands: valid, side (0 left, 1 right), box (4,) cut
    at the border, keypoints_2d (21, 2) and keypoints_3d (21, 3) metres in the camera frame, right where hidden or
    outside too, keypoints_visible (21,) bool, betas (10,), global_orient (3,), hand_pose (45,), transl (3,) of the
    default hand of its side. Hands of which fewer than 3 keypoints are seen are not valid and leave all zeros. mask
    (H, W) int8, 0 or slot + 1: what is seen of hands without their forearms, and depth (H, W) metres there, 0
    elsewhere. keypoints_2d_valid, keypoints_3d_valid, mano_valid, vertices_valid; mask_valid, depth_valid,
    intrinsics_valid.

    assets: `assets()` if not given, which are made at the first call, in some seconds. together: so many pictures are
    drawn at once; 1 on a CPU, where caches are small, 32 elsewhere. The same key, settings and assets give the same
    bits on one machine. Compiled once for each count and for what `Settings` says, in half a minute or more.
    Raises ValueError for a count or together below 1, TypeError for other settings.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"count must be a whole number of at least 1, got {count!r}")
    if not isinstance(settings, Settings):
        raise TypeError(f"settings must be Settings, got {type(settings).__name__}")
    if together is None:
        together = 1 if jax.default_backend() == "cpu" else 32
    if together < 1:
        raise ValueError(f"together must be at least 1, got {together}")
    assets = made_assets() if assets is None else assets
    return _batch(key, assets, settings.dials(), count, settings.fixed(), min(together, count))


@partial(jax.jit, static_argnames=("count", "fixed", "together"))
def _batch(key: Array, assets: Assets, dials: dict[str, Any], count: int, fixed: Settings, together: int):
    settings = fixed.turned(dials)
    keys = jax.random.split(key, count)
    batch_size = None if together == 1 else together
    return lax.map(lambda one: picture(one, assets, settings), keys, batch_size=batch_size)
