"""Checkpoints of a run: written beside the training, complete or not there, the newest few and the best.

    folder = CheckpointFolder("out/checkpoints", about={"batch_size": 64})
    found = folder.restore(like=state)
    folder.save(100, state, metric=0.3)
    folder.close()

A checkpoint is a folder of orbax with the tree, what the run is about, the path, shape and type of each leaf, and a
fingerprint of its bits, because orbax itself gives back flipped bits without a word.
"""

import json
import shutil
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax import Array, lax
from orbax.checkpoint import checkpoint_managers as policies

DELETED, DAMAGED = "deleted", "damaged"
"""Subfolders: of old checkpoints about to go, and of those that could not be read."""

METRIC = "metric"
HALF_WRITTEN = "*.orbax-checkpoint-tmp*"


class Restored(NamedTuple):
    """step: what it was saved as. tree: as `like`, on the same devices. damaged: steps of newer checkpoints that could
    not be read, which are now in the folder `damaged`."""

    step: int
    tree: Any
    damaged: list[int]


class CheckpointFolder:
    """A run's checkpoints. Holds orbax's manager, which writes in a thread of its own; `close` waits for it.

    about: what the run is, of JSON's types; a checkpoint that says otherwise is not restored. keep: how many of the
    newest are kept, besides the best. say: told, in a sentence, what the user should know.
    Raises ValueError for a `keep` below 2: of one alone a damaged checkpoint would be the end of the run.
    """

    def __init__(
        self, folder: str | Path, about: Mapping[str, Any], *, keep: int = 3, say: Callable[[str], None] = print
    ):
        if keep < 2:
            raise ValueError(f"keep must be at least 2, got {keep}")
        self._folder = Path(folder).absolute()
        self._about = json.loads(json.dumps(dict(about)))
        self._say = say
        newest = policies.LatestN(keep)
        best = policies.BestN(get_metric_fn=_less_is_better, n=1, keep_checkpoints_without_metrics=False)
        self._manager = ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                # Metrics are written only where orbax is told what they are for.
                best_fn=_less_is_better,
                preservation_policy=policies.AnyPreservationPolicy([newest, best]),
                # Renamed before it is deleted: a kill in between leaves no half of a checkpoint among the others.
                todelete_subdir=DELETED,
            ),
        )
        self._delete_old()
        if jax.process_index() == 0:
            for half in self._folder.glob(HALF_WRITTEN):
                shutil.rmtree(half, ignore_errors=True)

    def save(self, step: int, tree: Any, *, metric: float | None = None) -> None:
        """Writes a tree of arrays while the caller goes on; what is on devices is copied before this returns.

        metric: less is better. Raises what went wrong with the checkpoint before, if anything did.
        """
        self._manager.wait_until_finished()
        self._manager.check_for_errors()
        if step in self._manager.all_steps():
            return
        self._delete_old()
        items = {
            "tree": ocp.args.StandardSave(tree),
            "fingerprint": ocp.args.StandardSave({"bits": fingerprint(tree)}),
            "about": ocp.args.JsonSave(_sealed({"about": self._about, "leaves": _leaves(tree)})),
        }
        metrics = None if metric is None else {METRIC: float(metric)}
        self._manager.save(step, args=ocp.args.Composite(**items), metrics=metrics, force=True)

    def restore(self, like: Any) -> Restored | None:
        """The newest checkpoint that can be read, as a tree of the shapes, types and places of `like`; None where there
        is none yet.

        One that is damaged is put aside, with a word to the user. Raises ValueError, naming what differs, for a
        checkpoint of another run or other arrays, and where there are checkpoints but all of them are damaged.
        """
        self._manager.wait_until_finished()
        damaged = []
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                tree = self._read(step, like)
            except (_OtherRun, KeyboardInterrupt) as other:
                raise ValueError(f"{self._folder / str(step)} {other}") from other
            except Exception as error:  # Whatever libraries raise for files that are cut off, missing or changed.
                self._say(
                    f"checkpoint {step} in {self._folder} is damaged ({_first_line(error)}), trying the one before"
                )
                damaged.append(step)
                continue
            self._put_aside(damaged)
            return Restored(step, tree, damaged)
        if damaged:
            raise ValueError(f"{self._folder} must hold a checkpoint that can be read, all {len(damaged)} are damaged")
        return None

    @property
    def steps(self) -> list[int]:
        """Of all complete checkpoints, from the oldest."""
        return sorted(self._manager.all_steps())

    @property
    def best(self) -> int | None:
        """The step whose metric is the smallest of those that are kept, None where none has one."""
        ranked = [(info.metrics[METRIC], info.step) for info in self._infos() if info.metrics]
        return min(ranked)[1] if ranked else None

    def close(self) -> None:
        """Waits until all is written."""
        self._manager.wait_until_finished()
        self._delete_old()
        self._manager.close()

    def _infos(self) -> list[Any]:
        steps = self._manager.all_steps()
        return [_Info(step, self._manager.metrics(step)) for step in steps]

    def _read(self, step: int, like: Any) -> Any:
        stored = _unsealed(self._manager.restore(step, args=ocp.args.Composite(about=ocp.args.JsonRestore()))["about"])
        if other := differing(stored["about"], self._about):
            raise _OtherRun(f"is of another run: {'; '.join(other)}")
        if other := differing(stored["leaves"], _leaves(like)):
            shown = "; ".join(other[:3]) + ("" if len(other) <= 3 else f"; and {len(other) - 3} more")
            raise _OtherRun(f"holds other arrays: {shown}")
        bits = jax.eval_shape(fingerprint, like)
        target = ocp.args.Composite(
            tree=ocp.args.StandardRestore(jax.tree.map(ocp.utils.to_shape_dtype_struct, like)),
            fingerprint=ocp.args.StandardRestore({"bits": np.zeros(bits.shape, bits.dtype)}),
        )
        found = self._manager.restore(step, args=target)
        if not np.array_equal(np.asarray(fingerprint(found["tree"])), np.asarray(found["fingerprint"]["bits"])):
            raise ValueError("its bits are not those that were saved")
        return found["tree"]

    def _put_aside(self, steps: list[int]) -> None:
        if not steps:
            return
        if jax.process_index() == 0:
            for step in steps:
                target = self._folder / DAMAGED / str(step)
                shutil.rmtree(target, ignore_errors=True)
                target.parent.mkdir(exist_ok=True)
                (self._folder / str(step)).rename(target)
        self._manager.reload()

    def _delete_old(self) -> None:
        if jax.process_index() == 0:
            shutil.rmtree(self._folder / DELETED, ignore_errors=True)


def read_variables(folder: str | Path) -> dict[str, Any]:
    """Of a run's best checkpoint, or the newest where none was judged: `params` (the running average where one was
    kept), `batch_stats` and what else networks store, as NumPy arrays nested by network.

    Raises ValueError where there is no checkpoint, or its bits are not those that were saved.
    """
    folder = Path(folder).absolute()
    if not folder.is_dir():
        raise ValueError(f"{folder} must be the folder of checkpoints of a run, there is none")
    options = ocp.CheckpointManagerOptions(read_only=True, best_fn=_less_is_better)
    with ocp.CheckpointManager(folder, options=options) as manager:
        steps = manager.all_steps()
        if not steps:
            raise ValueError(f"{folder} must hold a checkpoint, it has none")
        judged = {step: metrics[METRIC] for step in steps if (metrics := manager.metrics(step))}
        step = min(judged, key=lambda step: judged[step]) if judged else max(steps)
        whole = ocp.args.Composite(tree=ocp.args.StandardRestore(), fingerprint=ocp.args.StandardRestore())
        found = manager.restore(step, args=whole)
    tree = found["tree"]
    # Read as dicts, leaves come by name; they were saved in the order of their tuples' fields.
    if not np.array_equal(np.sort(fingerprint(tree)), np.sort(found["fingerprint"]["bits"])):
        raise ValueError(f"{folder / str(step)} must be whole, but its bits are not those that were saved")
    state = jax.device_get(tree["state"])
    params = state["ema"] or state["params"]
    return {"params": params, "batch_stats": state["batch_stats"], **state["buffers"]}


class _OtherRun(ValueError):
    """Not damage: going on from an older checkpoint would be wrong, too."""


class _Info(NamedTuple):
    step: int
    metrics: Mapping[str, float] | None


def differing(stored: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """What differs, each in words: "batch_size is 32 there, 64 here"."""
    names = [*stored, *(name for name in current if name not in stored)]
    pairs = [(name, stored.get(name, "absent"), current.get(name, "absent")) for name in names]
    return [f"{name} is {there} there, {here} here" for name, there, here in pairs if there != here]


@jax.jit
def fingerprint(tree: Any) -> Array:
    """(leaves,) uint32 of any arrays: any one changed bit changes it, however the sums are ordered."""
    return jnp.stack([_fingerprint(leaf) for leaf in jax.tree.leaves(tree)])


def _fingerprint(leaf: Array) -> Array:
    leaf = jnp.asarray(leaf)
    if leaf.dtype == bool:
        words = leaf.astype(jnp.uint32)
    else:
        words = lax.bitcast_convert_type(leaf, jnp.dtype(f"uint{8 * min(leaf.dtype.itemsize, 4)}")).astype(jnp.uint32)
    words = words.reshape(-1)
    # Odd factors lose no bit modulo 2^32, and are all different, so that swapped values are seen, too.
    factors = 2 * jnp.arange(words.size, dtype=jnp.uint32) + 1
    return (words * factors * jnp.uint32(2654435761)).sum(dtype=jnp.uint32)


def _leaves(tree: Any) -> dict[str, str]:
    """Each leaf's path: its type and shape."""
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): f"{np.dtype(leaf.dtype).name}{tuple(leaf.shape)}"
        for path, leaf in flat
    }


def _sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps(content, sort_keys=True)
    return {"text": text, "crc32": zlib.crc32(text.encode())}


def _unsealed(stored: Mapping[str, Any]) -> dict[str, Any]:
    if zlib.crc32(stored["text"].encode()) != stored["crc32"]:
        raise ValueError("its description has changed")
    return json.loads(stored["text"])


def _less_is_better(metrics: Mapping[str, float]) -> float:
    return -metrics[METRIC]


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:120]}" if lines else type(error).__name__
