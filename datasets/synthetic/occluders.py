"""What may lie in front of a hand: a pen, a card, a mug, a ball, a bar, somebody's fingers."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from datasets.synthetic.checks import check_chances, check_size
from datasets.synthetic.draws import Draws
from datasets.synthetic.fields import pixel_grid, smooth_noise
from datasets.synthetic.parts import Parts
from datasets.synthetic.patterns import palette
from datasets.synthetic.shapes import BOX, ELLIPSE, TUBE, Shape, paint
from handjax.checks import check_shape

KINDS = ("pen", "card", "mug", "ball", "bar", "fingers")
TEXTURE = np.array([[0.5, 0.6, 0.5, 0.4, 0.3]], np.float32)


@dataclass(frozen=True)
class Occluders:
    """chance: how often there is one, 0 for never; largest_share: of the hand's box that it may cover."""

    chance: float = 0.22
    largest_share: float = 0.3

    def __post_init__(self) -> None:
        check_chances(self)


def occluder(
    key: Array, size: tuple[int, int], box: ArrayLike, settings: Occluders = Occluders()
) -> tuple[Array, Array]:
    """-> rgb (H, W, 3) displayed colour, alpha (H, W), 0 everywhere if there is none: image (1 - alpha) + rgb alpha.

    box (4,) x0 y0 x1 y1 in pixels, of which at most `largest_share` is covered: a thing that would hide more is
    left out. Raises ValueError for a wrong size or box shape.
    """
    check_size(size)
    check_shape("box", box, (4,))
    if settings.chance == 0.0 or settings.largest_share == 0.0:
        return jnp.zeros((*size, 3)), jnp.zeros(size)
    chosen, drawn = jax.random.split(key)

    def some(one: Array) -> tuple[Array, Array]:
        return _drawn(one, size, jnp.asarray(box, jnp.float32), settings.largest_share)

    def none(_: Array) -> tuple[Array, Array]:
        return jnp.zeros((*size, 3)), jnp.zeros(size)

    return lax.cond(jax.random.uniform(chosen) < settings.chance, some, none, drawn)


def _drawn(key: Array, size: tuple[int, int], box: Array, largest_share: float) -> tuple[Array, Array]:
    number_key, noise_key = jax.random.split(key)
    x, y = pixel_grid(size)
    box = box / max(size)
    parts = _thing(number_key, box, largest_share, 1.0 / max(size))
    texture = smooth_noise(noise_key, size, jnp.asarray(TEXTURE))[0]
    # The first part's colour all around, so that edges do not darken where they are half transparent.
    around = jnp.broadcast_to(parts.color[0][:, None, None], (3, *size))
    rgb = paint(around, x, y, texture, parts)
    white = jnp.ones_like(parts.color)
    nothing = jnp.zeros_like(parts.round)
    mask = parts._replace(color=white, far_color=white, round=nothing, texture=nothing, shadow=nothing)
    alpha = paint(jnp.zeros((3, *size)), x, y, texture, mask)[0]
    inside = ((x > box[0]) & (x < box[2])) * ((y > box[1]) & (y < box[3]))
    share = (alpha * inside).sum() / jnp.maximum(inside.sum(), 1.0)
    return jnp.clip(rgb, 0.0, 1.0).transpose(1, 2, 0), alpha * (share <= largest_share)


def _thing(key: Array, box: Array, largest_share: float, pixel: float) -> Shape:
    """The parts of one of `KINDS`, over the box; all are made and one is taken, they are few numbers."""
    draws = Draws.of(key, 160)
    sides = jnp.maximum(box[2:] - box[:2], pixel)
    area = sides[0] * sides[1]
    unit = jnp.sqrt(area)
    # Nothing straight is longer inside the box than its diagonal: a bar of this width covers the share.
    widest = 0.9 * largest_share * area / jnp.sqrt((sides**2).sum()) / unit
    largest = jnp.sqrt(0.9 * largest_share)
    origin = box[:2] + draws.between(0.0, 1.0, 2) * sides
    turn = 2.0 * jnp.pi * draws.uniform()
    made = []
    for name, build in zip(KINDS, (_pen, _card, _mug, _ball, _bar, _fingers), strict=True):
        own_turn = 0.25 * jnp.sin(turn) if name == "mug" else turn
        parts = Parts(origin, unit, own_turn)
        build(parts, draws, widest if name in ("pen", "bar", "fingers") else largest)
        made.append(parts.shapes(soft=pixel * draws.spread(1.5, 5.0), present=True, shadow=0.0))
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *made)
    kind = (draws.uniform() * len(KINDS)).astype(jnp.int32)
    return jax.tree.map(lambda leaf: leaf[kind], stacked)


def _pen(parts: Parts, draws: Draws, widest: Array) -> None:
    body, cap, tip = palette(draws, 3, 0.0)
    half, length, start = 0.5 * jnp.minimum(draws.spread(0.03, 0.12), widest), draws.between(0.5, 1.4), draws.uniform()
    place = length * (start - 0.3)
    parts.add(TUBE, (place, 0.0), (length, half), body, round_=0.6)
    parts.add(TUBE, (place - 0.75 * length, 0.0), (0.25 * length, 1.0 * half), cap, round_=0.6)
    parts.add(TUBE, (place + length, 0.0), (0.9 * half, 0.45 * half), tip, round_=0.5, taper=-0.7)
    parts.add(BOX, (place - 0.45 * length, 0.0), (0.3 * half, half), 0.4 + 0.5 * tip, round_=0.6)
    parts.add(TUBE, (place, -0.45 * half), (0.95 * length, 0.12 * half), 0.5 + 0.5 * body, opacity=0.5)
    _pad(parts, body)


def _card(parts: Parts, draws: Draws, largest: Array) -> None:
    paper, print_, band = palette(draws, 3, 0.0)
    long = jnp.minimum(draws.between(0.15, 0.4), 0.5 * largest * 1.2)
    wide = jnp.minimum(draws.between(0.5, 0.9) * long, 0.25 * largest**2 / long)
    parts.add(BOX, (0.0, 0.0), (long, wide), paper, fade=draws.between(0.75, 1.05))
    parts.add(BOX, (0.0, -0.55 * wide), (0.98 * long, 0.2 * wide), band, opacity=jnp.where(draws.chance(0.5), 1.0, 0.0))
    for line in range(3):
        length = draws.between(0.2, 0.7) * long
        place = (length - 0.8 * long, (0.05 + 0.25 * line) * wide)
        parts.add(BOX, place, (length, 0.06 * wide), print_, opacity=0.7)
    _pad(parts, paper)


def _mug(parts: Parts, draws: Draws, largest: Array) -> None:
    color, inside, band = palette(draws, 3, 0.0)
    half = 0.5 * jnp.minimum(draws.between(0.3, 0.6), 0.78 * largest)
    tall, side = 1.15 * half, jnp.where(draws.chance(0.5), 1.0, -1.0)
    for down in (-0.5, 0.5):
        parts.add(TUBE, (side * 1.2 * half, down * tall), (0.2 * half, 0.09 * half), 0.8 * color, round_=0.4)
    parts.add(TUBE, (side * 1.4 * half, 0.0), (0.5 * tall, 0.09 * half), 0.8 * color, turn=0.5 * np.pi, round_=0.4)
    parts.add(BOX, (0.0, 0.0), (tall, half), color, turn=0.5 * np.pi, round_=0.55)
    parts.add(ELLIPSE, (0.0, -tall), (half, 0.22 * half), 0.8 * inside, fade=0.5)
    parts.add(BOX, (0.0, 0.3 * tall), (0.12 * tall, half), band, turn=0.5 * np.pi, round_=0.55, opacity=0.6)


def _ball(parts: Parts, draws: Draws, largest: Array) -> None:
    color, other = palette(draws, 2, 0.1)
    half = jnp.minimum(draws.between(0.12, 0.4), 0.56 * largest)
    parts.add(ELLIPSE, (0.0, 0.0), (half, half), color, fade=draws.between(0.3, 0.7))
    parts.add(ELLIPSE, (0.2 * half, -0.25 * half), (0.6 * half, 0.5 * half), 0.15 + color, opacity=0.35)
    parts.add(ELLIPSE, (0.3 * half, -0.4 * half), (0.14 * half, 0.1 * half), 0.8 + 0.2 * color, opacity=0.6)
    parts.add(TUBE, (0.0, 0.1 * half), (0.8 * half, 0.05 * half), other, opacity=jnp.where(draws.chance(0.4), 0.8, 0.0))
    _pad(parts, color)
    _pad(parts, color)


def _bar(parts: Parts, draws: Draws, widest: Array) -> None:
    color, other = palette(draws, 2, 0.1)
    half = 0.5 * widest * draws.between(0.4, 1.0)
    parts.add(BOX, (0.0, 0.0), (3.0, half), color, round_=draws.between(0.0, 0.6), texture=0.25)
    parts.add(BOX, (0.0, -0.5 * half), (3.0, 0.12 * half), other, opacity=jnp.where(draws.chance(0.4), 0.8, 0.0))
    for _ in range(4):
        _pad(parts, color)


def _fingers(parts: Parts, draws: Draws, widest: Array) -> None:
    """One to three beside each other, from outside to somewhere in the box; nails on the middle ones now and then."""
    skin = palette(draws, 1, 1.0)[0]
    count = jnp.floor(draws.between(1.0, 3.99))
    half = 0.5 * jnp.minimum(draws.between(0.12, 0.24), 1.7 * widest / count)
    nails = jnp.where(draws.chance(0.4), 0.7, 0.0)
    for place in range(3):
        across, shown = 1.9 * half * (place - 0.5 * (count - 1.0)), jnp.where(place < count, 1.0, 0.0)
        end = draws.between(-0.06, 0.06) - 0.06 * (place == 2)
        tone = skin * (0.95 + 0.05 * place)
        parts.add(TUBE, (end - 1.2, across), (1.3, half), tone, round_=0.55, opacity=shown, taper=-0.06, texture=0.1)
        nail = 0.3 + 0.65 * tone
        parts.add(ELLIPSE, (end + 0.1, across), (0.75 * half, 0.55 * half), nail, round_=0.2, opacity=shown * nails)


def _pad(parts: Parts, color: Array) -> None:
    """Every thing has six parts; those that need fewer get some that do not show."""
    parts.add(BOX, (0.0, 0.0), (1.0, 1.0), color, opacity=0.0)
