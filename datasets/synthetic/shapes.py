"""Soft-edged flat shapes painted one over the other: ellipses, boxes, polygons and tapered tubes."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

CORNERS = 5
ELLIPSE, BOX, POLYGON, TUBE = range(4)
"""`Shape.kind`; a tube lies along u."""


class Shape(NamedTuple):
    """One shape, or with a leading axis many. Lengths in units of the image's longer side.

    center (2,); turn () radians; half (2,) half axes along its own u and v; angles, reach (5,): half-planes of a
    polygon, reach in units of `half`; kind () int32, see below; taper () of a tube: its
    half width changes by this share to either end; soft () width of the edge; opacity (); color, far_color (3,): at
    either end of v; round () in [0, 1]: how much darker the sides are, as on a cylinder; texture (): how strongly the
    canvas's texture shows; shadow () in [0, 1] on what lies behind.
    """

    center: Array
    turn: Array
    half: Array
    angles: Array
    reach: Array
    kind: Array
    taper: Array
    soft: Array
    opacity: Array
    color: Array
    far_color: Array
    round: Array
    texture: Array
    shadow: Array


def paint(canvas: Array, x: Array, y: Array, texture: Array, shapes: Shape) -> Array:
    """(3, H, W), x (1, W), y (H, 1), texture (H, W), N shapes back to front -> (3, H, W)."""

    def present(below: Array, shape: Shape) -> Array:
        u, v = turned(x - shape.center[0], y - shape.center[1], shape.turn)
        # A branch's result is computed once; without one XLA would compute it again for each colour.
        return _painted(below, lax.switch(shape.kind, DISTANCES, u, v, shape), v, texture, shape)

    def step(below: Array, shape: Shape) -> tuple[Array, None]:
        return lax.cond(shape.opacity > 0.0, present, lambda same, _: same, below, shape), None

    return lax.scan(step, canvas, shapes)[0]


def _painted(below: Array, distance: Array, v: Array, texture: Array, shape: Shape) -> Array:
    alpha = shape.opacity * covered(distance, shape.soft)
    shade = (0.55 * shape.opacity * shape.shadow) * covered(distance - 0.01, 0.08 + shape.soft)
    side = jnp.clip(v * (1.0 / shape.half[1]), -1.0, 1.0)
    lit = (1.0 - shape.round * side * side) * (1.0 + shape.texture * texture)
    color, change = (part[:, None, None] for part in (shape.color, shape.far_color - shape.color))
    behind = below * (1.0 - shade)[None]
    return behind + alpha[None] * ((color + change * (0.5 + 0.5 * side)[None]) * lit[None] - behind)


def _ellipse(u: Array, v: Array, shape: Shape) -> Array:
    """(H, W) signed distance to the edge, negative inside; nearly a true length, here and below."""
    a, b = 1.0 / shape.half
    return (jnp.sqrt((u * a) ** 2 + (v * b) ** 2 + 1e-9) - 1.0) * shape.half.min()


def _box(u: Array, v: Array, shape: Shape) -> Array:
    corner = 0.25 * shape.half.min()
    beyond_u, beyond_v = jnp.abs(u) - shape.half[0] + corner, jnp.abs(v) - shape.half[1] + corner
    outside = jnp.sqrt(jnp.maximum(beyond_u, 0.0) ** 2 + jnp.maximum(beyond_v, 0.0) ** 2 + 1e-12)
    return outside + jnp.minimum(jnp.maximum(beyond_u, beyond_v), 0.0) - corner


def _polygon(u: Array, v: Array, shape: Shape) -> Array:
    along, across = jnp.cos(shape.angles), jnp.sin(shape.angles)
    reach = shape.reach * (shape.half[0] * along**2 + shape.half[1] * across**2)
    distance = u * along[0] + v * across[0] - reach[0]
    for edge in range(1, CORNERS):
        distance = jnp.maximum(distance, u * along[edge] + v * across[edge] - reach[edge])
    return distance


def _tube(u: Array, v: Array, shape: Shape) -> Array:
    width = shape.half[1] * (1.0 + shape.taper * jnp.clip(u * (1.0 / shape.half[0]), -1.0, 1.0))
    return jnp.sqrt(jnp.maximum(jnp.abs(u) - shape.half[0], 0.0) ** 2 + v**2 + 1e-12) - width


DISTANCES = (_ellipse, _box, _polygon, _tube)


def turned(x: Array, y: Array, turn: Array) -> tuple[Array, Array]:
    """Coordinates along and across a direction."""
    cosine, sine = jnp.cos(turn), jnp.sin(turn)
    return cosine * x + sine * y, cosine * y - sine * x


def covered(distance: Array, soft: Array) -> Array:
    """How much of a pixel lies inside an edge `soft` wide."""
    share = jnp.clip(0.5 - distance / soft, 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)
