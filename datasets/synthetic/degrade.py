"""What a camera and a file do to a picture: lens, motion, few pixels, noise, colour processing, JPEG, borders."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from datasets.synthetic.checks import check_chances, check_image, check_ranges
from datasets.synthetic.draws import Draws
from datasets.synthetic.fields import enlarge, pixel_grid
from datasets.synthetic.jpeg import as_jpeg
from datasets.synthetic.once import once
from datasets.synthetic.resample import apply_rows, gaussian, low_resolution, sharpening

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
CHROMA_CELL = 3
MOTION_STEPS = 9


@dataclass(frozen=True)
class Degradation:
    """How often each is applied, in [0, 1], and how strongly, (low, high). A chance of 0 leaves it out altogether.

    defocus_px: sigma; motion_px: length of the streak; resolution: pixels left along a side, as a share; sharpen:
    amount of an unsharp mask; vignette: what the corners lose; noise_level: deviation at mid grey, of a range of 1;
    color: gain, cast, saturation, contrast and gamma together, each within its range; grey: no colour; jpeg_quality as
    libjpeg counts; border: parts of the picture beyond the photograph's edge, by share of a side, filled with
    its last pixels (three in five) or one colour.
    """

    defocus: float = 0.3
    defocus_px: tuple[float, float] = (0.3, 1.4)
    motion: float = 0.1
    motion_px: tuple[float, float] = (2.0, 9.0)
    resolution: float = 0.3
    resolution_share: tuple[float, float] = (0.3, 0.8)
    sharpen: float = 0.2
    sharpen_amount: tuple[float, float] = (0.3, 1.5)
    vignette: float = 0.3
    vignette_loss: tuple[float, float] = (0.05, 0.5)
    noise: float = 0.8
    noise_level: tuple[float, float] = (0.003, 0.05)
    color: float = 0.8
    gain: tuple[float, float] = (0.75, 1.25)
    cast: tuple[float, float] = (0.88, 1.14)
    saturation: tuple[float, float] = (0.6, 1.35)
    contrast: tuple[float, float] = (0.7, 1.25)
    gamma: tuple[float, float] = (0.75, 1.35)
    grey: float = 0.05
    jpeg: float = 0.45
    jpeg_quality: tuple[float, float] = (20.0, 92.0)
    border: float = 0.12
    border_share: tuple[float, float] = (0.02, 0.15)

    def __post_init__(self) -> None:
        check_chances(self)
        check_ranges(self, 0.0)
        if not 1.0 <= self.jpeg_quality[0] <= self.jpeg_quality[1] <= 100.0:
            raise ValueError(f"jpeg_quality must lie in [1, 100], got {self.jpeg_quality!r}")
        for name in ("resolution_share", "gamma"):
            if getattr(self, name)[0] <= 0.0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)!r}")
        if self.resolution_share[1] > 1.0 or self.border_share[1] > 0.4:
            raise ValueError(
                f"resolution_share must be at most 1 and border_share at most 0.4, got {self.resolution_share!r} "
                f"and {self.border_share!r}"
            )


UNTOUCHED = Degradation(
    defocus=0.0, motion=0.0, resolution=0.0, sharpen=0.0, vignette=0.0, noise=0.0, color=0.0, grey=0.0, jpeg=0.0,
    border=0.0,
)  # fmt: skip
"""Nothing is done to the picture. `dataclasses.replace(UNTOUCHED, jpeg=1.0)` does one thing alone."""


def degrade(key: Array, image: ArrayLike, settings: Degradation = Degradation()) -> Array:
    """(H, W, 3) displayed colour in [0, 1] -> the same as a camera may have taken it. For many: vmap or lax.map.

    What its borders hide: `beyond_edge`. Raises ValueError for an image of another shape.
    """
    image = jnp.asarray(image, jnp.float32)
    check_image("image", image)
    number_key, motion_key, noise_key, border_key = jax.random.split(key, 4)
    draws = Draws.of(number_key, 40)
    planes = image.transpose(2, 0, 1)
    planes = _lens(planes, draws, settings)
    if settings.motion > 0.0:
        planes = _when(draws.chance(settings.motion), _moved, planes, motion_key, draws.between(*settings.motion_px))
    if settings.vignette > 0.0:
        planes = planes * _vignette(planes, draws, settings)
    if settings.noise > 0.0:
        level = draws.spread(*_positive(settings.noise_level))
        planes = _when(draws.chance(settings.noise), _noisy, planes, noise_key, level, draws.between(0.1, 0.9))
    planes = _colored(planes, draws, settings)
    planes = jnp.clip(planes, 0.0, 1.0)
    if settings.jpeg > 0.0:
        planes = _when(draws.chance(settings.jpeg), as_jpeg, planes, draws.between(*settings.jpeg_quality))
    if settings.border > 0.0:
        planes = _bordered(planes, border_key, settings)
    return planes.transpose(1, 2, 0)


def _when(chosen: Array, change, planes: Array, *how) -> Array:
    return lax.cond(chosen, lambda old: change(old, *how), lambda old: old, planes)


def _positive(between: tuple[float, float]) -> tuple[float, float]:
    return max(between[0], 1e-6), max(between[1], 1e-6)


def _lens(planes: Array, draws: Draws, settings: Degradation) -> Array:
    """Blur, few pixels and the camera's sharpening act on rows and columns alike: one matrix for each."""
    if settings.defocus == settings.resolution == settings.sharpen == 0.0:
        return planes
    blurred, reduced = draws.chance(settings.defocus), draws.chance(settings.resolution)
    sharpened = draws.chance(settings.sharpen)
    sigma = jnp.where(blurred, draws.between(*settings.defocus_px), 0.0)
    share = jnp.where(reduced, draws.between(*settings.resolution_share), 1.0)
    amount = jnp.where(sharpened, draws.between(*settings.sharpen_amount), 0.0)

    def applied(old: Array) -> Array:
        def of(side: int) -> Array:
            blur = jnp.matmul(low_resolution(side, share), gaussian(side, sigma))
            return jnp.matmul(sharpening(side, amount), blur)

        rows = of(planes.shape[1])
        columns = rows if planes.shape[1] == planes.shape[2] else of(planes.shape[2])
        return apply_rows(rows, columns, old)

    return lax.cond(blurred | reduced | sharpened, applied, lambda old: old, planes)


def _moved(planes: Array, key: Array, length: Array) -> Array:
    """The mean of pictures along a straight streak, each moved by whole pixels."""
    reach = 16
    padded = jnp.pad(planes, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    angle = 2.0 * jnp.pi * jax.random.uniform(key)
    step = jnp.minimum(length, 2.0 * reach) / (MOTION_STEPS - 1) * jnp.stack([jnp.sin(angle), jnp.cos(angle)])

    def add(index: Array, total: Array) -> Array:
        shift = jnp.round((index - 0.5 * (MOTION_STEPS - 1)) * step).astype(jnp.int32) + reach
        return total + lax.dynamic_slice(padded, (0, shift[0], shift[1]), planes.shape)

    return lax.fori_loop(0, MOTION_STEPS, add, jnp.zeros_like(planes)) / MOTION_STEPS


def _vignette(planes: Array, draws: Draws, settings: Degradation) -> Array:
    x, y = pixel_grid((planes.shape[1], planes.shape[2]))
    loss = draws.chance(settings.vignette) * draws.between(*settings.vignette_loss)
    across = x.shape[1] / max(planes.shape[1:]) * draws.between(0.35, 0.65)
    down = y.shape[0] / max(planes.shape[1:]) * draws.between(0.35, 0.65)
    return (1.0 - 2.0 * loss * ((x - across) ** 2 + (y - down) ** 2))[None]


def _noisy(planes: Array, key: Array, level: Array, colored: Array) -> Array:
    """Adds grain of brightness, grain and blotches of colour; dark parts show more of it (as displayed)."""
    bits_key, blotch_key = jax.random.split(key)
    height, width = planes.shape[1:]
    bits = once(blotch_key, partial(jax.random.bits, shape=(2, height, width)), bits_key)
    byte = [(bits >> shift & 255).astype(jnp.float32) for shift in (0, 8, 16, 24)]
    # Four bytes make a normal number, good to three deviations; two make one that is good enough for colours.
    bright = (byte[0][0] + byte[1][0] + byte[2][0] + byte[3][0] - 510.0) / 147.8
    red, blue = ((byte[k][1] + byte[k + 1][1] - 255.0) / 104.5 for k in (0, 2))
    cells = jax.random.uniform(
        blotch_key, (2, -(-height // CHROMA_CELL), -(-width // CHROMA_CELL)), minval=-3, maxval=3
    )
    blotch = enlarge(cells, (height, width))
    tint = jnp.stack([red + 0.5 * blotch[0], -0.3 * (red + blue), blue + 0.7 * blotch[1]])
    strength = level * (1.35 - 0.7 * (LUMA[0] * planes[0] + LUMA[1] * planes[1] + LUMA[2] * planes[2]))
    return planes + strength[None] * (bright[None] + colored * tint)


def _colored(planes: Array, draws: Draws, settings: Degradation) -> Array:
    """White balance, exposure and saturation as one matrix, then a tone curve about mid grey."""
    wanted = draws.chance(settings.color)

    def of(neutral: float, drawn: Array) -> Array:
        return jnp.where(wanted, drawn, neutral)

    gain = of(1.0, draws.between(*settings.gain)) * of(1.0, draws.between(*settings.cast, 3))
    saturation = of(1.0, draws.between(*settings.saturation)) * jnp.where(draws.chance(settings.grey), 0.0, 1.0)
    contrast, gamma = of(1.0, draws.between(*settings.contrast)), of(1.0, draws.spread(*settings.gamma))
    if settings.color == settings.grey == 0.0:
        return planes
    matrix = (saturation * jnp.eye(3) + (1.0 - saturation) * LUMA[None]) * gain[None]
    planes = jnp.einsum("dc,chw->dhw", matrix, planes, precision="highest")
    if settings.color == 0.0:
        return planes
    planes = jnp.clip(0.5 + contrast * (planes - 0.5), 1e-4, 1.0)
    return jnp.exp(gamma * jnp.log(planes))


def beyond_edge(key: Array, size: tuple[int, int], settings: Degradation = Degradation()) -> Array:
    """(H, W) bool: where `degrade` with this key shows nothing of the picture, but what lies beyond its edge."""
    if settings.border <= 0.0:
        return jnp.zeros(size, bool)
    rows, columns = _sources(Draws.of(jax.random.split(key, 4)[3], 12), size, settings)
    return (rows != jnp.arange(size[0]))[:, None] | (columns != jnp.arange(size[1]))[None]


def _sources(draws: Draws, size: tuple[int, int], settings: Degradation) -> list[Array]:
    """The row (H,) and the column (W,) that each shows: up to two sides lie beyond the photograph."""
    wanted, first = draws.chance(settings.border), draws.uniform(2) < 0.5
    width = draws.between(*settings.border_share, 2)
    present = jnp.stack([wanted & (draws.uniform() < 0.8), wanted])
    sources = []
    for axis, side in enumerate(size):
        strip = jnp.where(present[axis], jnp.round(width[axis] * side), 0.0).astype(jnp.int32)
        index = jnp.arange(side)
        sources.append(jnp.where(first[axis], jnp.maximum(index, strip), jnp.minimum(index, side - 1 - strip)))
    return sources


def _bordered(planes: Array, key: Array, settings: Degradation) -> Array:
    size = (planes.shape[1], planes.shape[2])
    draws = Draws.of(key, 12)
    rows, columns = _sources(draws, size, settings)
    color = jnp.where(draws.uniform() < 0.5, 0.0, draws.uniform())
    stretched = draws.uniform() < 0.6
    outside = (rows != jnp.arange(size[0]))[:, None] | (columns != jnp.arange(size[1]))[None]

    def edged(old: Array) -> Array:
        moved = jnp.take(jnp.take(old, rows, axis=1), columns, axis=2)
        return jnp.where((outside & ~stretched)[None], color, moved)

    return lax.cond(outside.any(), edged, lambda old: old, planes)
