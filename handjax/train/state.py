"""All that a run is at a moment, as arrays: what a checkpoint holds."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from handjax.models.objective import Tree
from handjax.train.parts import part
from handjax.train.schedules import Plateau


class Optimiser(NamedTuple):
    """How gradients become updates.

    transform: gradients -> directions of descent of unit learning rate, e.g. optax.scale_by_adam() (which points
    uphill: the step goes against it). learning_rate: by step. clip: the largest norm of the whole gradient; None: any.
    ema: the share of the old in the running average of the parameters; None: none is kept. plateau: of the validation
    metric, which then also turns the learning rate down.
    """

    transform: optax.GradientTransformation
    learning_rate: Callable[[Any], Any]
    clip: float | None = None
    ema: float | None = None
    plateau: Plateau | None = None


class TrainState(NamedTuple):
    """step (): updates made. params, batch_stats, buffers (what else the networks store): nested by network. opt_state:
    of the parameters that move. ema: their running average, {} if none is kept. plateau: what the learning rate is
    scaled by, and why; {} without one. best (): the best validation metric yet, its sign such that less is better.
    halted (): a loss that was not finite stopped the run; this is the state before it."""

    step: Array
    params: Tree
    batch_stats: Tree
    buffers: Tree
    opt_state: Any
    ema: Tree
    plateau: Any
    best: Array
    halted: Array

    def variables(self, *, averaged: bool = True) -> Tree:
        """For `Network.apply` and objectives; with the running average where one is kept, unless averaged=False."""
        params = self.ema if averaged and self.ema else self.params
        return {"params": params, "batch_stats": self.batch_stats, **self.buffers}


def start(variables: Tree, optimiser: Optimiser, *, frozen: Sequence[str] = ()) -> TrainState:
    """The state before the first step. variables: nested by network, as `models.objective.initialised` makes them.

    frozen: prefixes of the paths of parameters that stay as they are ("seednet", or "hamr/encoder").
    Raises ValueError for prefixes that fit nothing or leave nothing.
    """
    params = variables["params"]
    moving, _ = part(params, frozen)
    buffers = {name: tree for name, tree in variables.items() if name not in ("params", "batch_stats")}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        buffers=buffers,
        opt_state=optimiser.transform.init(moving),
        # A copy, because a step gives away the memory of its state.
        ema={} if optimiser.ema is None else jax.tree.map(jnp.copy, params),
        plateau={} if optimiser.plateau is None else optimiser.plateau.transform().init({}),
        best=jnp.asarray(jnp.inf, jnp.float32),
        halted=jnp.zeros((), bool),
    )


def judged(state: TrainState, optimiser: Optimiser, metric: float) -> TrainState:
    """The state after a validation whose metric, less being better, was `metric`: the best yet, and the plateau."""
    value = jnp.asarray(metric, jnp.float32)
    plateau = state.plateau
    if optimiser.plateau is not None:
        _, plateau = optimiser.plateau.transform().update({}, plateau, value=value)
    return state._replace(best=jnp.minimum(state.best, value), plateau=plateau)


def learning_rate(state: TrainState, optimiser: Optimiser) -> Array:
    """() of the next update."""
    scale = 1.0 if optimiser.plateau is None else state.plateau.scale
    return jnp.asarray(optimiser.learning_rate(state.step) * scale, jnp.float32)
