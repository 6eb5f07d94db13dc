"""What takes seconds to make and is the same in every picture: the hand, its mesh and its baked skins."""

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from handjax import mano, skin
from handjax.checks import check_choice
from handjax.mano.capsules import Capsules, capsules_of
from handjax.skin.bake import SIZES
from handjax.skin.texture import LEVELS, stack_textures


class Assets(NamedTuple):
    """A right hand, the bone (F,) that moves each of its faces most, its capsules, its mesh with a forearm, and the
    baked skins of some people, one after the other. photos (P, h, w, 3) uint8: for some of the backgrounds, see
    `read_photos`; `assets()._replace(photos=...)`."""

    model: mano.HandModel
    face_bones: Array
    bodies: Capsules
    mesh: skin.SkinMesh
    texture: skin.SkinTexture
    photos: Array | None = None

    @property
    def people(self) -> int:
        levels = sum((self.texture.size >> level) ** 2 for level in range(LEVELS))
        return self.texture.words.shape[1] // levels


@cache
def assets(resolution: str = "low", texture: int = 256, people: int = 3) -> Assets:
    """Made once for each set of arguments, in some seconds a person.

    resolution: of the hand that ships with handjax; texture: side of a skin in texels, 256 suits hands of up to some
    200 pixels. Raises ValueError for an unknown resolution or texture size, or for no people.
    """
    check_choice("texture", texture, SIZES)
    if people < 1:
        raise ValueError(f"people must be at least 1, got {people}")
    # Kept for later calls, so nothing of it may belong to a function that is being traced.
    with jax.ensure_compile_time_eval():
        model = mano.default(resolution=resolution)
        return make_assets(model, stack_textures([skin.bake_skin(model, texture, seed) for seed in range(people)]))


def make_assets(model: mano.HandModel, texture: skin.SkinTexture) -> Assets:
    """Of any right hand with MANO's joints and an open wrist. Raises ValueError for another model."""
    if model.side != "right":
        raise ValueError(f"model must be a right hand, got {model.side}")
    weights = np.asarray(model.lbs_weights)[np.asarray(model.faces)].sum(axis=1)
    face_bones = jnp.asarray(weights.argmax(axis=1), jnp.int32)
    return Assets(model, face_bones, capsules_of(model), skin.skin_mesh(model), texture)
