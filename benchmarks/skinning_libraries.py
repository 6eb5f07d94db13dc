"""The same random hands posed by each library, for `benchmarks.skinning`. A library lives in a process of its own.

All have one random model of MANO's sizes (`tests.toy`). The compiled ones close over it: a constant to their compiler.
"""

import gc
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests import toy

LIBRARIES = ("handjax", "smplx", "body-models", "gemm")
WARM_UP, LEAST_CALLS = 3, 7
SEED = 0
BLEND_ROWS, BLEND_COLUMNS = 145, 2334


class Measurement(NamedTuple):
    """Seconds a call, median and best, and the pages a call had to be given by the system."""

    median: float
    best: float
    page_faults: float


def measure(library: str, batch: int, backward: bool, seconds: float) -> Measurement:
    """Calls for `seconds`, at least seven times, after three calls that may compile."""
    call = prepared(library, batch, backward)
    for _ in range(WARM_UP):
        call()
    taken, faults = [], _page_faults()
    gc.disable()
    until = time.perf_counter() + seconds
    while len(taken) < LEAST_CALLS or time.perf_counter() < until:
        before = time.perf_counter()
        call()
        taken.append(time.perf_counter() - before)
    gc.enable()
    return Measurement(float(np.median(taken)), min(taken), (_page_faults() - faults) / len(taken))


def posed(library: str, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """-> vertices (B, 778, 3) and joints (B, 16, 3), to see that all libraries do the same."""
    vertices, joints = prepared(library, batch, backward=False)()
    return np.asarray(vertices), np.asarray(joints)


@cache
def prepared(library: str, batch: int, backward: bool) -> Callable[[], tuple]:
    """One call: vertices and joints, or with `backward` the sum of their squared distances to targets and its
    derivatives by all four inputs. Returns when the result is there."""
    make = {"handjax": _handjax, "smplx": _smplx, "body-models": _body_models, "gemm": _gemm}
    return make[library](batch, backward)


def _targets(batch: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(SEED + 2)
    vertices, joints = (0.1 * rng.normal(size=(batch, points, 3)) for points in (778, 16))
    return vertices.astype(np.float32), joints.astype(np.float32)


def _handjax(batch: int, backward: bool) -> Callable[[], tuple]:
    import jax

    from handjax import mano

    fields: dict[str, Any] = toy.arrays(SEED)
    model = jax.device_put(mano.build(**fields))

    def pose(*given):
        output = mano.forward_batch(model, mano.HandParams(*given))
        return output.vertices, output.joints

    return _with_jax(pose, batch, backward)


def _body_models(batch: int, backward: bool) -> Callable[[], tuple]:
    from body_models.mano.jax import MANO

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.npz"
        np.savez(path, **_mano_fields())
        model = MANO(model_path=path, flat_hand_mean=True)

    def pose(betas, global_orient, hand_pose, transl):
        identity = model.prepare_identity(betas)
        given = {"wrist_rotation": global_orient, "identity": identity, "global_translation": transl}
        fingers = hand_pose.reshape(-1, 15, 3)
        # One jit holds both calls: what they share is computed once.
        vertices = model.forward_vertices(fingers, **given)
        return vertices, model.forward_skeleton(fingers, **given)[..., :3, 3]

    return _with_jax(pose, batch, backward)


def _with_jax(pose: Callable, batch: int, backward: bool) -> Callable[[], tuple]:
    import jax

    given = jax.device_put(toy.params(SEED + 1, batch))
    if not backward:
        run = jax.jit(lambda arrays: pose(*arrays))
        return lambda: jax.block_until_ready(run(given))
    targets = jax.device_put(_targets(batch))

    def loss(arrays, targets):
        return sum(((found - wanted) ** 2).sum() for found, wanted in zip(pose(*arrays), targets, strict=True))

    both = jax.jit(jax.value_and_grad(loss))
    return lambda: jax.block_until_ready(both(given, targets))


def _smplx(batch: int, backward: bool) -> Callable[[], tuple]:
    import smplx
    import torch
    from smplx.utils import Struct

    torch.set_num_threads(1)
    data = Struct(**_mano_fields())
    options = {"is_rhand": True, "use_pca": False, "flat_hand_mean": True, "batch_size": batch}
    with redirect_stdout(StringIO()):  # It tells every time that the model has ten betas.
        model = smplx.MANO(model_path="", data_struct=data, **options)
    names = ("betas", "global_orient", "hand_pose", "transl")
    given = {
        name: torch.from_numpy(array).requires_grad_(backward)
        for name, array in zip(names, toy.params(SEED + 1, batch), strict=True)
    }
    if not backward:

        def forward():
            with torch.no_grad():
                output = model(**given)
            return output.vertices, output.joints

        return forward
    targets = [torch.from_numpy(array) for array in _targets(batch)]

    def both():
        output = model(**given)
        loss = ((output.vertices - targets[0]) ** 2).sum() + ((output.joints - targets[1]) ** 2).sum()
        return loss, torch.autograd.grad(loss, list(given.values()))

    return both


def _gemm(batch: int, backward: bool) -> Callable[[], tuple]:
    """The one product that a folded hand model cannot do without: its blend shapes."""
    import jax

    if backward:
        raise ValueError("gemm has no backward pass here")
    rng = np.random.default_rng(SEED)
    weights, basis = (
        jax.device_put(rng.normal(size=size).astype(np.float32))
        for size in ((batch, BLEND_ROWS), (BLEND_ROWS, BLEND_COLUMNS))
    )
    run = jax.jit(lambda weights: jax.numpy.matmul(weights, basis, precision="highest"))
    return lambda: (jax.block_until_ready(run(weights)),)


def _mano_fields() -> dict[str, Any]:
    """The random model under the names of MANO's file."""
    raw = toy.arrays(SEED)
    return {
        "v_template": raw["v_template"],
        "shapedirs": raw["shapedirs"],
        "posedirs": raw["posedirs"],
        "J_regressor": raw["J_regressor"],
        "weights": raw["lbs_weights"],
        "kintree_table": np.stack([raw["parents"] % 2**32, np.arange(16)]),
        "f": raw["faces"],
        "hands_components": raw["hands_components"],
        "hands_mean": raw["hands_mean"],
    }


def _page_faults() -> int:
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
