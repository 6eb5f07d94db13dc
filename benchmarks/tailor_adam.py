"""Speed of the published tailor: 20 Adam steps, with the first step and the final mesh.

python -m benchmarks.tailor_adam
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from handjax import mano, optim
from handjax.camera import Camera, project

BATCHES = (8, 64, 256)
SINGLE_LIMIT_MS, BATCH_LIMIT_MS = 0.6, 0.15
CAMERA = Camera(jnp.array([500.0, 500.0]), jnp.array([128.0, 128.0]))


class Row(NamedTuple):
    """One line of the table: milliseconds a hand, with the tenth and ninetieth percentile, and what is asked for."""

    name: str
    median_ms: float
    low_ms: float
    high_ms: float
    limit_ms: float | None


def rows(rounds: int = 20) -> list[Row]:
    """Median times a hand, functions interleaved. Run on one pinned core to compare with the limits."""
    functions: dict[str, Callable[[], object]] = {"single, Python call without mesh": _without_mesh()}
    hands, limits = {"single, Python call without mesh": 1}, {}
    for name, settings in {"": optim.DEFAULT, ", as released": optim.RELEASED, ", as printed": optim.PAPER}.items():
        functions[f"single{name}"] = _whole(1, settings)
        hands[f"single{name}"], limits[f"single{name}"] = 1, SINGLE_LIMIT_MS
    functions["single, weak perspective"] = _whole(1, optim.DEFAULT, camera=None)
    hands["single, weak perspective"] = 1
    for batch in BATCHES:
        functions[f"batch {batch}"] = _whole(batch, optim.DEFAULT)
        hands[f"batch {batch}"] = batch
    limits["batch 64"] = BATCH_LIMIT_MS
    functions["batch 64 by jax.vmap"] = _mapped(64)
    hands["batch 64 by jax.vmap"] = 64
    measured = timing.measure(functions, rounds)
    return [Row(name, *_milliseconds(measured[name], hands[name]), limits.get(name)) for name in functions]


def _milliseconds(measured: timing.Timing, hands: int) -> tuple[float, float, float]:
    each = 1e3 / hands
    return measured.median * each, measured.low * each, measured.high * each


def problem(batch: int) -> tuple[mano.HandModel, mano.HandParams, jax.Array, jax.Array, jax.Array]:
    """-> model, starts 0.1 rad off, pixels (B, 21, 2), roots (B, 3) and bone lengths (B,)."""
    model = jax.tree.map(jnp.asarray, mano.default())
    rng = np.random.default_rng(0)
    sizes = ((10, 1.0), (3, 0.5), (45, 0.2), (3, 0.03))
    true = mano.HandParams(*(jnp.asarray(rng.normal(size=(batch, n)) * s, jnp.float32) for n, s in sizes))
    true = true._replace(transl=true.transl + jnp.array([[0.1, 0.0, 0.6]]))
    points = jax.vmap(mano.keypoints, (None, 0))(model, true)
    start = jax.tree.map(lambda field: field + jnp.asarray(0.1 * rng.normal(size=field.shape), jnp.float32), true)
    bone = jnp.linalg.norm(points[:, 0] - points[:, 9], axis=-1)
    return model, start, project(CAMERA, points), points[:, 9], bone


def _whole(batch: int, settings: optim.TailorSettings, camera: Camera | None = CAMERA) -> Callable[[], object]:
    @jax.jit
    def fit(model, start, pixels, root, bone):
        run = optim.tailor if batch == 1 else optim.tailor_batch
        result = run(
            model,
            start,
            pixels,
            camera,
            root=None if camera is None else root,
            bone_length=bone,
            settings=settings,
        )
        return result, optim.tailored_mesh(model, result)

    model, *given = problem(batch)
    if batch == 1:
        given = jax.tree.map(lambda field: field[0], given)
    return lambda: fit(model, *given)


def _mapped(batch: int) -> Callable[[], object]:
    def fit(model, start, pixels, root, bone):
        result = optim.tailor(model, start, pixels, CAMERA, root=root, bone_length=bone)
        return result, optim.tailored_mesh(model, result)

    mapped = jax.jit(jax.vmap(fit, (None, 0, 0, 0, 0)))
    given = problem(batch)
    return lambda: mapped(*given)


def _without_mesh() -> Callable[[], object]:
    model, *given = problem(1)
    start, pixels, root, bone = jax.tree.map(lambda field: field[0], given)
    return lambda: optim.tailor(model, start, pixels, CAMERA, root=root, bone_length=bone)


def main() -> None:
    print(f"core {timing.pin_to_one_core()}; ms a hand: median, 10 %, 90 %, at most")
    for row in rows():
        limit = "" if row.limit_ms is None else f"{row.limit_ms:9.2f}"
        print(f"{row.name:<34}{row.median_ms:9.3f}{row.low_ms:9.3f}{row.high_ms:9.3f}{limit}")


if __name__ == "__main__":
    main()
