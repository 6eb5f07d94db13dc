"""Face ids of posed hands, against a brute-force rasteriser in float64.

Where that may decide otherwise by rounding alone, nothing is claimed: within 1e-3 px of an edge, and where the two
nearest faces are closer than two levels of the z-buffer, 2^-19 of the range of 1 / z with 1,538 faces. Of such faces
the one with the higher number is drawn.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from handjax import mano
from handjax.render import rasterize


def hand(model: mano.HandModel, rng: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray]:
    """pixels (V, 2) and depth (V,) of a hand of any pose, seen from anywhere, that fills 65 to 130 % of the picture."""
    turn = rng.normal(size=3)
    params = mano.HandParams(
        *(
            jnp.asarray(part, jnp.float32)
            for part in (rng.normal(size=10), turn, 0.4 * rng.normal(size=45), np.zeros(3))
        )
    )
    vertices = np.asarray(posed(model, params), np.float64)
    vertices += [0, 0, rng.uniform(0.35, 0.8)] - vertices.mean(axis=0)
    pixels = vertices[:, :2] / vertices[:, 2:]
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    pixels = (pixels - (low + high) / 2) * (side * rng.uniform(0.65, 1.3) / (high - low).max()) + side / 2
    return pixels.astype(np.float32), vertices[:, 2].astype(np.float32)


@jax.jit
def posed(model, params):
    return mano.forward(model, params).vertices


def brute_force(pixels, depth, faces, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids (side, side), and where rounding may decide."""
    pixels, inverse = pixels.astype(np.float64), 1 / depth.astype(np.float64)
    ids, nearest, second = np.full((side, side), -1), np.zeros((side, side)), np.zeros((side, side))
    unclear = np.zeros((side, side), bool)
    for index, face in enumerate(faces):
        corners = pixels[face]
        low = np.clip(np.floor(corners.min(axis=0) - 1), 0, side).astype(int)
        high = np.clip(np.ceil(corners.max(axis=0) + 1), 0, side).astype(int)
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        centres = np.stack(np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1])), axis=-1) + 0.5
        ends = np.roll(corners, -1, axis=0) - corners
        area = ends[0, 0] * ends[1, 1] - ends[0, 1] * ends[1, 0]
        if centres.size == 0 or area == 0:
            continue
        apart = centres[:, :, None] - corners
        cross = (ends[:, 0] * apart[..., 1] - ends[:, 1] * apart[..., 0]) * np.sign(area)
        unclear[window] |= np.abs(cross / np.linalg.norm(ends, axis=1)).min(axis=-1) < 1e-3
        inside = (cross >= 0).all(axis=-1)
        near = np.where(inside, (np.roll(cross, -1, axis=-1) * inverse[face]).sum(axis=-1) / abs(area), 0.0)
        closer = near > nearest[window]
        second[window] = np.where(closer, nearest[window], np.maximum(second[window], near))
        ids[window] = np.where(closer, index, ids[window])
        nearest[window] = np.where(closer, near, nearest[window])
    level = (inverse.max() - inverse.min()) / 2**20
    return ids, unclear | (nearest - second < 2 * level) & (nearest > 0)


def check_views(side: int, seeds: range) -> None:
    model = mano.default()
    faces = np.asarray(model.faces)
    for seed in seeds:
        pixels, depth = hand(model, np.random.default_rng(seed), side)
        expected, unclear = brute_force(pixels, depth, faces, side)
        found = rasterize(pixels, depth, faces, size=(side, side))
        assert not found.overflow
        assert unclear.mean() < 0.05 and (expected >= 0).mean() > 0.02
        np.testing.assert_array_equal(np.asarray(found.face_ids)[~unclear], expected[~unclear])


@pytest.mark.parametrize(("side", "views"), [(64, 4), (128, 2), (256, 1)])
def test_each_pixel_of_a_hand_shows_the_face_that_float64_finds(side, views):
    check_views(side, range(views))


@pytest.mark.slow
@pytest.mark.parametrize(("side", "views"), [(64, 334), (128, 333), (256, 333)])
def test_each_pixel_of_a_thousand_hands_shows_the_face_that_float64_finds(side, views):
    check_views(side, range(1000, 1000 + views))
