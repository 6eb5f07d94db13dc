"""What one stage of a system is trained on and measured by: what a launch file says to `launch.training`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from jax import Array

from handjax.losses import CountedSum
from handjax.models.objective import Batch, Objective, Tree
from handjax.train import Optimiser


class Task(NamedTuple):
    """system: the run's name. init(key) -> variables, nested by network. draw(key, source, count) -> a batch of `count`
    synthetic examples on one device; source() -> what it draws from, arrays. score(outputs, batch) -> what evaluations
    measure; prior(batch) -> arrays whose mean over many batches `constant(mean, batch)` makes its outputs of. metric:
    the score that counts. prepare(key, examples) -> a batch of a set's examples, which must have `labels` and are as
    `datasets.pipeline.Settings(**pipeline)` says. trained(variables) -> the same with networks of earlier stages, for
    a new run. pictures(outputs, batch) -> (N, H, W, 3) in [0, 1] by name.
    """

    system: str
    init: Callable[[Array], Tree]
    objective: Objective
    weights: NamedTuple
    optimiser: Optimiser
    draw: Callable[[Array, Any, int], Batch]
    score: Callable[[dict[str, Any], Batch], dict[str, CountedSum]]
    prior: Callable[[Batch], dict[str, Array]]
    constant: Callable[[dict[str, Array], Batch], dict[str, Any]]
    metric: str
    source: Callable[[], Any] = dict
    prepare: Callable[[Array, Batch], Batch] | None = None
    labels: tuple[str, ...] = ()
    pipeline: Mapping[str, Any] = MappingProxyType({})
    frozen: tuple[str, ...] = ()
    trained: Callable[[Tree], Tree] | None = None
    less_is_better: bool = True
    pictures: Callable[[dict[str, Any], Batch], dict[str, np.ndarray]] | None = None

    def to_lower(self, value: float) -> float:
        """A value of the metric, its sign such that less is better."""
        return value if self.less_is_better else -value
