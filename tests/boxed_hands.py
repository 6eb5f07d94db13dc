"""Hands in boxes of a picture of noise, and what tests of inference do with them."""

import jax
import jax.numpy as jnp
import numpy as np

from handjax.camera import Camera
from handjax.infer import BoxedHands
from tests import crop_steps

HEIGHT, WIDTH = 48, 64
CAMERA = Camera(jnp.array([80.0, 80.0]), jnp.array([30.0, 26.0]))
PICTURE = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
BOXES = np.float32([[22, 16, 42, 34], [-6, 20, 12, 44], [40, 2, 70, 20], [10, 10, 30, 22]])
HANDS = BoxedHands(PICTURE, BOXES, [1, 0, 0, 1], CAMERA, [0.0, 0.0, -0.8, 2.5])
"""In the middle, a left one over the edge, a left one turned, a right one turned."""


def views(hands, focal, center, size, margin):
    """Each hand's crop by the steps, as that of a right hand, with whatever else they know of it."""
    rotations = np.zeros(len(hands.boxes)) if hands.rotations is None else hands.rotations
    for box, side, rotation in zip(hands.boxes, hands.sides, rotations, strict=True):
        given = crop_steps.as_right(hands.image, box, rotation, focal, center, side)
        yield crop_steps.cut(*given, size, margin)


def mirrored(hands):
    """The same hands in the mirrored picture."""
    image, boxes = np.ascontiguousarray(hands.image[:, ::-1]), np.asarray(hands.boxes)
    boxes = np.stack([WIDTH - boxes[:, 2], boxes[:, 1], WIDTH - boxes[:, 0], boxes[:, 3]], -1)
    center = jnp.array([WIDTH - hands.camera.center[0], hands.camera.center[1]])
    return hands._replace(
        image=image,
        boxes=boxes,
        sides=1 - np.asarray(hands.sides),
        camera=hands.camera._replace(center=center),
        rotations=-np.asarray(hands.rotations),
    )


def rows(hands, chosen):
    """Some hands of the same picture."""
    return hands._replace(
        **{name: np.asarray(getattr(hands, name))[chosen] for name in ("boxes", "sides", "rotations")}
    )


def assert_same(found, expected):
    for got, want in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


def pick(found, chosen):
    """Some hands of a result."""
    fields = {name: values for name, values in found._asdict().items() if name not in ("camera", "weak")}
    return found._replace(**jax.tree.map(lambda values: values[np.array(chosen, int)], fields))
