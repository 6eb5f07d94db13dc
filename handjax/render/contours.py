"""Where the outline of what is seen cuts the rows and columns of pixel centres, and what each cut does to a picture.

A contour edge has a drawn face on one side of it only, or two that are turned oppositely on the screen. Where it runs
more upright than flat it cuts rows of pixel centres, else columns. A cut between two neighbouring pixels of which the
nearer shows the surface that ends there tells how far that surface reaches into the gap: from 0, just its own centre,
to 1, the other centre. That reach moves with the vertices, and through it pictures have gradients at outlines.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from handjax.render.interpolate import DROP, FILL
from handjax.render.topology import Topology
from handjax.render.view import View

SLACK = 1e-4
"""A contour hides what is farther by this share of its nearness: less is the rounding of one surface with itself."""


class Contours(NamedTuple):
    """Cuts (M,): pixel in front and behind, as row * W + column, or H * W in unused rows; reach, differentiable.

    overflow () bool: there were more than M cuts.
    """

    front: Array
    behind: Array
    reach: Array
    overflow: Array


def find_contours(seen: View, topology: Topology, face_ids: Array, room: int) -> Contours:
    """The cuts that show in face_ids (H, W); `room` is M. Of those of one pixel pair, the one that reaches farthest."""
    height, width = face_ids.shape
    end, first_row, upright, inner_side = _edge_rows(lax.stop_gradient(seen), topology, height, width)
    row = jnp.arange(room, dtype=jnp.int32)
    edge = jnp.searchsorted(end, row, side="right", method="scan").astype(jnp.int32)
    used = row < end[-1]
    edge = jnp.minimum(edge, len(topology.edges) - 1)
    line = first_row[edge] + row - jnp.where(edge > 0, end[edge - 1], 0)
    upright, inner_side = upright[edge], inner_side[edge]

    # Unused rows read past the end, so that the transpose drops them instead of adding them to a vertex.
    ends = jnp.where(used[:, None], jnp.asarray(topology.edges)[edge], len(seen.pixels))
    x, y = (seen.pixels[:, axis].at[ends].get(**FILL) for axis in range(2))
    along, across = jnp.where(upright[:, None], y, x), jnp.where(upright[:, None], x, y)
    rise = jnp.where(used, along[:, 1] - along[:, 0], 1.0)
    share = (line + 0.5 - along[:, 0]) / rise
    cut = across[:, 0] + share * (across[:, 1] - across[:, 0]) - 0.5

    known = lax.stop_gradient(cut)
    limit = jnp.where(upright, width, height) - 1
    used &= (known >= 0) & (known < limit)
    before = jnp.where(used, known, 0.0).astype(jnp.int32)
    step = jnp.where(upright, 1, width)
    low = jnp.where(used, jnp.where(upright, line * width + before, before * width + line), 0)
    high = low + jnp.where(used, step, 0)
    ids = face_ids.reshape(-1)
    near_low, near_high = (_nearness_at(seen, topology, ids[pixel], pixel, width) for pixel in (low, high))
    near_ends = seen.nearness.at[ends].get(**FILL)
    near_cut = near_ends[:, 0] + lax.stop_gradient(share) * (near_ends[:, 1] - near_ends[:, 0])
    low_in_front = near_low >= near_high
    used &= (ids[low] != ids[high]) & (low_in_front == (inner_side < 0))
    used &= near_cut > jnp.minimum(near_low, near_high) * (1.0 + SLACK)

    past = cut - before
    reach = jnp.where(low_in_front, past, 1.0 - past)
    used = _farthest(used, lax.stop_gradient(reach), low + jnp.where(upright, 0, height * width), 2 * height * width)
    nowhere = height * width
    front = jnp.where(used, jnp.where(low_in_front, low, high), nowhere)
    behind = jnp.where(used, jnp.where(low_in_front, high, low), nowhere)
    return Contours(front, behind, jnp.where(used, reach, 0.5), end[-1] > room)


def _edge_rows(seen: View, topology: Topology, height: int, width: int) -> tuple[Array, Array, Array, Array]:
    """Per edge: running count of the lines it cuts, the first of them, whether they are rows, and where its face is.

    The last is negative where the face lies towards smaller x of the rows, or smaller y of the columns.
    """
    faces, edges, edge_faces = (jnp.asarray(array) for array in topology)
    corners = seen.pixels[faces]
    side1, side2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = side1[:, 0] * side2[:, 1] - side1[:, 1] * side2[:, 0]
    drawn = (jnp.abs(area) > 1e-8) & (seen.nearness[faces] > 0).all(axis=-1)
    turn = jnp.where(drawn, jnp.sign(area), 0.0)
    first = turn[edge_faces[:, 0]]
    second = jnp.where(edge_faces[:, 1] >= 0, turn[edge_faces[:, 1]], 0.0)

    start, stop = seen.pixels[edges[:, 0]], seen.pixels[edges[:, 1]]
    reach = stop - start
    upright = jnp.abs(reach[:, 1]) >= jnp.abs(reach[:, 0])
    lines = jnp.where(upright, height, width)
    ends = jnp.where(
        upright[:, None], jnp.stack([start[:, 1], stop[:, 1]], -1), jnp.stack([start[:, 0], stop[:, 0]], -1)
    )
    # Clipped as floats: a far vertex may exceed the integers.
    rows = jnp.clip(jnp.ceil(ends - 0.5), 0, lines[:, None]).astype(jnp.int32)
    count = jnp.where(first != second, jnp.abs(rows[:, 1] - rows[:, 0]), 0)
    # The first face lies where it turns to; the second runs along the edge the other way.
    turned = jnp.where(first != 0, first, -second)
    inner_side = turned * jnp.where(upright, -reach[:, 1], reach[:, 0])
    return jnp.cumsum(count, dtype=jnp.int32), rows.min(axis=1), upright, inner_side


def _nearness_at(seen: View, topology: Topology, face: Array, pixel: Array, width: int) -> Array:
    """Nearness (M,) of faces (M,) at the centres of flat pixels (M,); 0 for no face. No gradient."""
    seen = lax.stop_gradient(seen)
    corner = jnp.asarray(topology.faces)[jnp.maximum(face, 0)]
    x, y, near = seen.pixels[:, 0][corner], seen.pixels[:, 1][corner], seen.nearness[corner]
    x1, y1, x2, y2 = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0], x[:, 2] - x[:, 0], y[:, 2] - y[:, 0]
    dx, dy = pixel % width + 0.5 - x[:, 0], pixel // width + 0.5 - y[:, 0]
    area = x1 * y2 - y1 * x2
    safe = jnp.where(jnp.abs(area) > 1e-8, area, 1.0)
    rise1, rise2 = near[:, 1] - near[:, 0], near[:, 2] - near[:, 0]
    nearness = near[:, 0] + ((dx * y2 - dy * x2) * rise1 + (dy * x1 - dx * y1) * rise2) / safe
    return jnp.where(face >= 0, nearness, 0.0)


def _farthest(used: Array, reach: Array, pair: Array, pairs: int) -> Array:
    """`used` (M,), less all cuts of a pair (M,) in [0, pairs) but the one with the greatest reach in [0, 1]."""
    bits = max((len(pair) - 1).bit_length(), 1)
    # The row number makes keys unique; what bits it leaves hold the reach.
    level = (jnp.clip(reach, 0.0, 1.0) * (2.0 ** min(31 - bits, 23) - 1)).astype(jnp.int32)
    key = (level << bits) | jnp.arange(len(pair), dtype=jnp.int32)
    best = jnp.full(pairs, -1, jnp.int32)
    best = best.at[jnp.where(used, pair, pairs)].max(key, **DROP)
    return used & (best[jnp.minimum(pair, pairs - 1)] == key)


def blend(channels: list[Array], contours: Contours) -> list[Array]:
    """Flat pictures (P,) -> the same, each pair of pixels mixed by how far the surface in front reaches past halfway.

    Every pixel becomes a weighted mean of itself and its neighbours, so values stay within their range. Reaching
    less than halfway, it gives up a part of its own pixel; more, it takes a part of the one behind.
    """
    spill = contours.reach - 0.5
    outwards = lax.stop_gradient(spill) > 0
    target = jnp.where(outwards, contours.behind, contours.front)
    source = jnp.where(outwards, contours.front, contours.behind)
    amount = jnp.abs(spill)
    # Four neighbours may claim half a pixel each.
    claimed = jnp.zeros_like(channels[0]).at[target].add(amount, **DROP).at[target].get(**FILL)
    amount = amount / jnp.maximum(claimed, 1.0)

    # One channel at a time: XLA would shade every pixel again for each column of a stack.
    def mix(channel: Array) -> Array:
        change = channel.at[source].get(**FILL) - channel.at[target].get(**FILL)
        return channel.at[target].add(amount * change, **DROP)

    return [mix(channel) for channel in channels]


def attach(channels: list[Array], contours: Contours) -> list[Array]:
    """Flat pictures (P,), unchanged, with the gradient that their pixels would have on average over a pixel's width.

    For pictures that must stay as sampled, such as depth. A surface that reaches dx farther turns the pixel behind
    into its own with the probability dx; half of that goes to either pixel of the pair, which makes it exact for
    squared errors: (f - t)^2 - (b - t)^2 = (f - b) ((f - t) + (b - t)).
    """
    moved = 0.5 * (contours.reach - lax.stop_gradient(contours.reach))

    def carry(channel: Array) -> Array:
        known = lax.stop_gradient(channel)
        change = moved * (known.at[contours.front].get(**FILL) - known.at[contours.behind].get(**FILL))
        return channel.at[contours.front].add(change, **DROP).at[contours.behind].add(change, **DROP)

    return [carry(channel) for channel in channels]


def default_room(size: tuple[int, int]) -> int:
    """Room for cuts in a `size` = (H, W) picture: four times what hands need, which cut a line about four times."""
    return 16 * int(np.max(size))
