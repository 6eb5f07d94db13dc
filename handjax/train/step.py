"""One update, one evaluation: pure functions of (state, batch, key) on one device of several, which agree once."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import traverse_util
from jax import Array, lax

from handjax.losses import CountedSum, PixelSum, weighted
from handjax.models.objective import Objective, Outcome, Tree
from handjax.train.parts import is_under, joined, part
from handjax.train.state import Optimiser, TrainState, learning_rate

AXIS = "devices"
"""The mapped axis: `Compute(axis_name=AXIS)` gives networks the batch statistics of all devices."""

Step = Callable[[TrainState, Any, Array], Any]
MakeBatch = Callable[[Array, Any], Mapping[str, Array]]
Score = Callable[[dict[str, Any], Mapping[str, Array]], dict[str, CountedSum]]


def train_step(
    objective: Objective,
    weights: NamedTuple,
    optimiser: Optimiser,
    *,
    frozen: Sequence[str] = (),
    accumulate: int = 1,
    make_batch: MakeBatch | None = None,
) -> Callable[[TrainState, Any, Array], tuple[TrainState, dict[str, Array]]]:
    """-> step(state, batch, key) -> (state, metrics): one update, for `on_all_devices` or any other map over `AXIS`.

    key: the run's; what is drawn depends on it, the state's step and the device. batch: this device's, each leaf with
    a leading axis; accumulate > 1 cuts it into so many parts, whose gradients are added before the one update. Or
    make_batch(key, batch) draws it here, and `batch` is what it draws from, data on the device.

    metrics: `loss`, each term's mean, `gradient_norm` before clipping, `learning_rate`. Means are over all that the
    whole batch counts, on all devices and in all parts, however unevenly it is spread. Where the loss or its gradient
    is not finite the state stays as it was, but for `halted`, from then on.
    Raises ValueError, when traced, for a batch that does not part evenly, a term without a weight, and an objective
    that moves batch statistics of a frozen network: that must run with train=False.
    """
    if accumulate < 1:
        raise ValueError(f"accumulate must be at least 1, got {accumulate}")

    def step(state: TrainState, batch: Any, key: Array) -> tuple[TrainState, dict[str, Array]]:
        data_key, key = jax.random.split(_device_key(key, state.step))
        if make_batch is not None:
            batch = make_batch(data_key, batch)
        gradient = partial(device_gradient, objective, weights, state, frozen)
        if accumulate == 1:
            found = gradient(state.batch_stats, batch, key, None)
        else:
            found = _accumulated(gradient, objective, state, _in_parts(batch, accumulate), key)
        # The one place where devices agree: out_axes=None of the map trusts it without checking.
        grads, batch_stats, metrics = lax.pmean(found, AXIS)
        return _updated(state, optimiser, frozen, grads, batch_stats, metrics)

    return step


def eval_step(
    objective: Objective, score: Score, *, make_batch: MakeBatch | None = None, averaged: bool = True
) -> Callable[[TrainState, Any, Array], dict[str, CountedSum]]:
    """-> step(state, batch, key) -> sums over all devices: each term's, and those of score(outputs, batch).

    Networks run with train=False, on the running average of the parameters if one is kept. `mean_of` gives the means,
    after sums of several batches are added.
    """

    def sums_of(state: TrainState, batch: Mapping[str, Array], key: Array) -> dict[str, CountedSum]:
        outcome = objective(state.variables(averaged=averaged), batch, key, train=False)
        sums = {**outcome.terms, **score(outcome.outputs, batch)}
        return {name: CountedSum(*(each.sum() for each in pair)) for name, pair in sums.items()}

    return summed_step(sums_of, make_batch=make_batch)


def summed_step(
    sums_of: Callable[[Any, Any, Array], Any], *, make_batch: MakeBatch | None = None
) -> Callable[[Any, Any, Array], Any]:
    """-> step(tree, batch, key) -> sums_of(tree, batch, key), over all devices. `make_batch` as in training."""

    def step(tree: Any, batch: Any, key: Array) -> Any:
        data_key, key = jax.random.split(jax.random.fold_in(key, lax.axis_index(AXIS)))
        if make_batch is not None:
            batch = make_batch(data_key, batch)
        return lax.psum(sums_of(tree, batch, key), AXIS)

    return step


def on_all_devices(step: Step, *, gives_state_away: bool = False) -> Step:
    """The step on every device of every process: state and key are the same on all of them, batches are stacked on a
    leading axis of this process's devices, and what comes out is the same on all.

    gives_state_away: the memory of the state that goes in is used for the one that comes out.
    """
    donated = (0,) if gives_state_away else ()
    return jax.pmap(step, axis_name=AXIS, in_axes=(None, 0, None), out_axes=None, donate_argnums=donated)


def replicated(tree: Any) -> Any:
    """The same arrays on every device of every process, which a checkpoint of several processes is written from.

    What `on_all_devices` gives back is on the devices of each process for itself.
    """
    everywhere = jax.sharding.NamedSharding(
        jax.sharding.Mesh(np.array(jax.devices()), (AXIS,)), jax.sharding.PartitionSpec()
    )

    def copied(leaf: Any) -> Array:
        if isinstance(leaf, jax.Array):
            # Equivalent is not enough: of one device every sharding is, and the step would be compiled for each.
            if leaf.sharding == everywhere:
                return leaf
            leaf = leaf.addressable_data(0)
        # Each process gives its own devices their copies: between processes nothing is moved.
        copies = [jax.device_put(leaf, device) for device in jax.local_devices()]
        return jax.make_array_from_single_device_arrays(np.shape(leaf), everywhere, copies)

    return jax.tree.map(copied, tree)


def stacked(tree: Any) -> Any:
    """One copy of each array for each device of this process, on a leading axis: what batches are drawn from."""
    devices = jax.local_devices()
    mesh = jax.sharding.Mesh(np.array(devices), (AXIS,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(AXIS))

    def copies(leaf: Any) -> Array:
        shape = (len(devices), *np.shape(leaf))
        return jax.make_array_from_single_device_arrays(
            shape, sharding, [jax.device_put(leaf, device)[None] for device in devices]
        )

    return jax.tree.map(copies, tree)


def _device_key(key: Array, step: Array) -> Array:
    return jax.random.fold_in(jax.random.fold_in(key, step), lax.axis_index(AXIS))


class Found(NamedTuple):
    """Of one device, such that the mean over devices is what is wanted."""

    grads: Tree
    batch_stats: Tree
    metrics: dict[str, Array]


def device_gradient(
    objective: Objective,
    weights: NamedTuple,
    state: TrainState,
    frozen: Sequence[str],
    batch_stats: Tree,
    batch: Any,
    key: Array,
    numbers: dict[str, Array] | None = None,
) -> Found:
    """What this device contributes. numbers: what each term counts on all devices; None: what this batch does."""
    moving, still = part(state.params, frozen)
    # Each device differentiates its own share of the loss. Without this a checked map adds gradients up by itself.
    moving = _varying(moving)

    def loss_of(moving: Tree) -> tuple[Array, tuple[Tree, dict[str, Array]]]:
        variables = {"params": joined(moving, still), "batch_stats": batch_stats, **state.buffers}
        outcome = objective(variables, batch, key, train=True)
        means = _shares(outcome.terms, numbers or _numbers(outcome))
        _check_frozen(outcome, frozen)
        loss = weighted(means, weights)
        return loss, (batch_stats | outcome.batch_stats, {"loss": loss, **means})

    grads, (moved, metrics) = jax.grad(loss_of, has_aux=True)(moving)
    return Found(grads, moved, metrics)


def _numbers(outcome: Outcome) -> dict[str, Array]:
    """What each term counts on all devices."""
    return lax.psum({name: lax.stop_gradient(sums[1]).sum() for name, sums in outcome.terms.items()}, AXIS)


def _shares(terms: Mapping[str, CountedSum | PixelSum], numbers: dict[str, Array]) -> dict[str, Array]:
    """Each term's total here over its number everywhere, times the number of devices, so that the mean over devices is
    the mean over all that is counted. Totals are never added up before they are differentiated: how a sum over devices
    differentiates is not the same in every map."""
    devices = lax.axis_size(AXIS)
    shares = {}
    for name, sums in terms.items():
        number = numbers[name]
        share = devices * sums[0].sum() / jnp.where(number > 0, number, 1.0)
        shares[name] = jnp.where(number > 0, share, 0.0)
    return shares


def _accumulated(gradient: Callable, objective: Objective, state: TrainState, parts: Any, key: Array) -> Found:
    """The gradient of all parts' common mean. Batch statistics move with each part, and are normalised by it."""
    count = jax.tree.leaves(parts)[0].shape[0]
    keys = jax.random.split(key, count)

    def counted(one: Any) -> dict[str, Array]:
        # Only counts leave, so whatever the networks compute for anything else is not compiled.
        batch, key = one
        variables = state.variables(averaged=False)
        return _numbers(objective(variables, batch, key, train=True))

    numbers = jax.tree.map(lambda each: each.sum(0), lax.map(counted, (parts, keys)))

    def add(carry: tuple[Tree, Any], one: Any) -> tuple[tuple[Tree, Any], None]:
        batch_stats, sums = carry
        found = gradient(batch_stats, *one, numbers)
        # What a loop carries is either the same on all devices or not: statistics are, sums are not yet.
        return (lax.pmean(found.batch_stats, AXIS), jax.tree.map(jnp.add, sums, (found.grads, found.metrics))), None

    one = jax.tree.map(lambda each: each[0], (parts, keys))
    shapes = jax.eval_shape(gradient, state.batch_stats, *one, numbers)
    nothing = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), (shapes.grads, shapes.metrics))
    (moved, (grads, metrics)), _ = lax.scan(add, (state.batch_stats, _varying(nothing)), (parts, keys))
    return Found(grads, moved, metrics)


def _in_parts(batch: Any, count: int) -> Any:
    def cut(leaf: Array) -> Array:
        if leaf.shape[0] % count:
            raise ValueError(f"batch must part into {count} equal parts, got {leaf.shape[0]} examples on a device")
        return leaf.reshape(count, leaf.shape[0] // count, *leaf.shape[1:])

    return jax.tree.map(cut, batch)


def _updated(
    state: TrainState,
    optimiser: Optimiser,
    frozen: Sequence[str],
    grads: Tree,
    batch_stats: Tree,
    metrics: dict[str, Array],
) -> tuple[TrainState, dict[str, Array]]:
    norm = optax.tree.norm(grads)
    rate = learning_rate(state, optimiser)
    metrics = metrics | {"gradient_norm": norm, "learning_rate": rate}
    if optimiser.clip is not None:
        clipped, _ = optax.clip_by_global_norm(optimiser.clip).update(grads, optax.EmptyState())
        grads = cast(Tree, clipped)
    moving, still = part(state.params, frozen)
    directions, opt_state = optimiser.transform.update(grads, state.opt_state, moving)
    moving = jax.tree.map(lambda param, way: (param - rate * way).astype(param.dtype), moving, directions)
    params = joined(moving, still)
    ema = state.ema
    if optimiser.ema is not None:
        # Short at first, so that the average is not of the initial parameters for long.
        keep = jnp.minimum(optimiser.ema, (1.0 + state.step) / (10.0 + state.step))
        averaged = optax.incremental_update(moving, part(state.ema, frozen)[0], 1.0 - keep)
        ema = joined(cast(Tree, averaged), still)
    new = state._replace(step=state.step + 1, params=params, batch_stats=batch_stats, opt_state=opt_state, ema=ema)
    good = jnp.isfinite(metrics["loss"]) & jnp.isfinite(norm) & ~state.halted
    kept = jax.tree.map(lambda new, old: jnp.where(good, new, old), new, state)
    return kept._replace(halted=~good), metrics


def _check_frozen(outcome: Outcome, frozen: Sequence[str]) -> None:
    paths = traverse_util.flatten_dict(outcome.batch_stats, sep="/")
    if moved := [prefix for prefix in frozen if any(is_under(path, [prefix]) for path in paths)]:
        raise ValueError(
            f"objective must run frozen networks with train=False, but moves batch statistics of {', '.join(moved)}"
        )


def _varying(tree: Any) -> Any:
    """The same numbers, no longer known to be the same on all devices."""
    return jax.tree.map(lambda leaf: lax.pcast(leaf, AXIS, to="varying"), tree)
