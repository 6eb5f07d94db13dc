"""One random picture of hands with its labels."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from datasets.synthetic import labels
from datasets.synthetic.assets import Assets
from datasets.synthetic.backgrounds import background
from datasets.synthetic.degrade import beyond_edge, degrade
from datasets.synthetic.draws import Draws
from datasets.synthetic.fields import enlarge
from datasets.synthetic.hands import RandomHand, chosen, random_hand
from datasets.synthetic.layout import laid_out, strewn
from datasets.synthetic.occluders import occluder
from datasets.synthetic.pairs import second_place
from datasets.synthetic.settings import Settings
from datasets.synthetic.views import crop_view, full_camera, place_at
from handjax.camera import Camera
from handjax.mano import HandParams, mirror_params, mirror_points
from handjax.skin import WINDOW, sample_light
from handjax.skin.group import SkinGroup, draw_group, placed

GREY = 0.5
USES = (6, 22, 26)
"""Where the numbers of each of `Numbers` begin, the first at 0."""
ONE_PERSON, ONE_OF_EACH = 0.8, 0.9
"""Shares of pairs of hands."""
SHADOW_CELLS = 20
"""Along the longer side of a picture: as sharp as shadows on the ground get."""


class Numbers(NamedTuple):
    """Uniform numbers for each use, so that a randomisation that is switched off leaves the others as they are."""

    camera: Draws
    place: Draws
    shadow: Draws
    sides: Draws


def picture(key: Array, assets: Assets, settings: Settings) -> dict[str, Array]:
    """An example as one of a batch, without the leading axis."""
    keys = jax.random.split(key, 7)
    numbers = jax.random.uniform(keys[0], (USES[-1] + settings.slots + 2,))
    numbers = Numbers(*(Draws(part) for part in jnp.split(numbers, USES)))
    hands, left = _hands(numbers.sides, keys[1], assets, settings)
    # The first hand is always drawn as a right one; in the end the whole picture is mirrored if it is to be left.
    flipped = left != left[0]
    if settings.slots > 1:
        hands = jax.vmap(_flip)(hands, flipped)
    camera, offsets, drawn = _placed(numbers, keys[2], hands, assets, settings)
    skinned = hands.skinned._replace(vertices=hands.skinned.vertices + offsets[:, None])
    light = chosen(settings.lights, sample_light(keys[3]), WINDOW)
    group = draw_group(
        camera,
        skinned,
        drawn,
        assets.mesh,
        assets.texture,
        light,
        size=settings.size,
        common_shadows=settings.scene == "two",
    )
    params = hands.params._replace(transl=hands.params.transl + offsets)
    vertices = skinned.vertices[:, : assets.model.num_vertices]
    keypoints = hands.keypoints + offsets[:, None]
    boxes = labels.boxes(camera, vertices, settings.size)
    image = _composed(numbers, keys[4], keys[5], group, boxes, drawn, assets, settings)
    image, hidden = image[..., :3], image[..., 3]
    if settings.degrade is not None:
        image = degrade(keys[6], image, settings.degrade)
        hidden = jnp.maximum(hidden, beyond_edge(keys[6], settings.size, settings.degrade))
    example = labels.example(camera, group, params, boxes, keypoints, flipped, drawn, hidden, assets.face_bones)
    example["image"] = (jnp.clip(image, 0.0, 1.0) * 255.0 + 0.5).astype(jnp.uint8)
    return lax.cond(left[0], labels.mirrored, lambda same: same, example)


def _composed(numbers, ground_key, front_key, group: SkinGroup, boxes, drawn, assets, settings) -> Array:
    """(H, W, 4): the hands on their ground and behind what is in front, and how much of each pixel that covers."""
    size = settings.size
    ground = jnp.full((*size, 3), GREY)
    if settings.backgrounds is not None:
        ground = background(ground_key, size, settings.backgrounds, assets.photos)
    ground = ground * (1.0 - _ground_shadow(numbers.shadow, group.coverage, settings))[..., None]
    image = group.image * group.coverage[..., None] + ground * (1.0 - group.coverage)[..., None]
    if settings.occluders is None:
        return jnp.concatenate([image, jnp.zeros((*size, 1))], axis=-1)
    # Without a hand there is a box in the corner, of which nothing is seen.
    front, hidden = occluder(front_key, size, boxes[jnp.argmax(drawn)], settings.occluders)
    return jnp.concatenate([image + hidden[..., None] * (front - image), hidden[..., None]], axis=-1)


def _hands(draws: Draws, key: Array, assets: Assets, settings: Settings) -> tuple[RandomHand, Array]:
    """N right hands, and which are to be left ones. Pairs are mostly of one person, and then mostly one of each."""
    count = settings.slots
    share_left: Any = settings.sides
    left, numbers = draws.chance(share_left, count), draws.uniform(2)
    keys, person_keys = jax.random.split(key, (2, count))
    if count == 1:
        one = random_hand(keys[0], person_keys[0], assets, settings)
        return jax.tree.map(lambda leaf: leaf[None], one), left
    if settings.scene == "two":
        alone = numbers[0] < ONE_PERSON
        person_keys = person_keys.at[1].set(jnp.where(alone, person_keys[0], person_keys[1]))
        either = (share_left > 0.0) & (share_left < 1.0)
        left = left.at[1].set(jnp.where(either & alone & (numbers[1] < ONE_OF_EACH), ~left[0], left[1]))
    return jax.vmap(lambda own, person: random_hand(own, person, assets, settings))(keys, person_keys), left


def _flip(hand: RandomHand, flipped: Array) -> RandomHand:
    """The mirror image about the origin, where `flipped`."""

    def turned(points: Array) -> Array:
        return jnp.where(flipped, mirror_points(points), points)

    starts, ends, radii = hand.capsules
    other = mirror_params(hand.params)
    return RandomHand(
        HandParams(*(jnp.where(flipped, two, one) for one, two in zip(hand.params, other, strict=True))),
        placed(hand.skinned, flipped, jnp.zeros(3)),
        turned(hand.keypoints),
        hand.extent,
        (turned(starts), turned(ends), radii),
    )


def _placed(numbers: Numbers, key: Array, hands: RandomHand, assets, settings) -> tuple[Camera, Array, Array]:
    """-> the camera, offsets (N, 3) of the hands, and which are drawn."""
    count, num_vertices = settings.slots, assets.model.num_vertices
    skin = hands.skinned.vertices
    if settings.scene in ("single", "two"):
        offsets = jnp.zeros((count, 3))
        if settings.scene == "two":
            first, second = (tuple(part[k] for part in hands.capsules) for k in range(2))
            offsets = offsets.at[1].set(second_place(numbers.place, first, second, settings))
        together = skin + offsets[:, None]
        points = together[:, :num_vertices].reshape(-1, 3)
        middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
        points, all_points = points - middle[None], together.reshape(-1, 3) - middle[None]
        camera, offset = crop_view(numbers.camera, points, all_points, settings)
        return camera, offsets + (offset - middle)[None], jnp.full(count, True)
    camera = full_camera(numbers.camera, settings)
    fewest, most = settings.hands
    wanted = fewest + (numbers.place.uniform() * (most + 1 - fewest)).astype(jnp.int32)
    layout = laid_out if settings.scene == "many" else strewn
    centres, sides, drawn = layout(key, hands.extent[:, :2], wanted, settings)
    offsets = jax.vmap(lambda points, *at: place_at(camera, points[:num_vertices], points, *at))(skin, centres, sides)
    return camera, offsets, drawn


def _ground_shadow(draws: Draws, coverage: Array, settings: Settings) -> Array:
    """(H, W) in [0, 1]: the hands' outline, blurred and moved."""
    height, width = coverage.shape
    cell = -(-max(height, width) // SHADOW_CELLS)
    rows, columns = -(-height // cell), -(-width // cell)
    padded = jnp.pad(coverage, ((0, rows * cell - height), (0, columns * cell - width)))
    cells = padded.reshape(rows, cell, columns, cell).mean(axis=(1, 3))
    shift = jnp.round(draws.between(-2.5, 2.5, 2)).astype(jnp.int32)
    cells = lax.dynamic_slice(jnp.pad(cells, 3), 3 + shift, cells.shape)
    strength = jnp.where(draws.chance(settings.ground_shadows), draws.between(0.2, 0.8), 0.0)
    return strength * jnp.clip(enlarge(cells[None], settings.size)[0], 0.0, 1.0)
