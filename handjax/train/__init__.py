"""Training: one loop for all systems, on one device or many, one process or several.

    objective = partial(seednet_objective.seednet, network)
    optimiser = Optimiser(optax.scale_by_adam(), step_decay(1e-4, [50_000]), clip=10.0)
    state = start(initialised(network, "seednet", key, image), optimiser)
    step = on_all_devices(train_step(objective, bihand.RELEASED, optimiser), gives_state_away=True)
    state = run_steps(step, state, batches, key, optimiser, Tasks(log=print), until=1000)

**The contract of an objective** (`handjax.models.objective`): a pure function
`objective(variables, batch, key, *, train) -> Outcome(terms, batch_stats, outputs)` of one device's batch, one for each
stage of a system, in `handjax/models/<system>_objective.py`; what it is bound to (networks, a hand model) comes first
and is given by `functools.partial`.

- `variables` are nested by the network's name: `variables["params"]["seednet"]`. `objective.run(network, "seednet",
  variables, image, train=train)` gives its outputs and its moved batch statistics, by name. A stage of several networks
  runs those that it freezes with `train=False`, and returns batch statistics of the others alone; a stage that does not
  is refused when it is traced.
- `terms` are `CountedSum` or `PixelSum` by name, of any shape: all entries are added up, then those of all devices, and
  divided once. An objective takes no mean over its batch. Their names are the fields of the weights, a NamedTuple of
  `handjax.losses`. Counts carry no gradient.
- `outputs` are what `score(outputs, batch) -> dict[str, CountedSum]` and pictures are made of.
- `key` is this step's and this device's. In evaluation nothing may depend on it but what the objective says.
- The objective does not know on how many devices it runs. Networks that do, for their batch statistics, are cloned with
  `Compute(dtype, axis_name=AXIS)`.

**Batches** either come to the step, each leaf with a leading axis of this process's devices, or are drawn in it:
`make_batch(key, source) -> batch` on each device, `source` being that device's part of what comes instead.
"""

from handjax.train.loop import Every, NotFinite, Tasks, run_steps
from handjax.train.parts import is_under, joined, part
from handjax.train.schedules import Plateau, decay_at, step_decay
from handjax.train.state import Optimiser, TrainState, judged, learning_rate, start
from handjax.train.step import AXIS, eval_step, on_all_devices, replicated, stacked, summed_step, train_step

__all__ = [
    "AXIS",
    "Every",
    "NotFinite",
    "Optimiser",
    "Plateau",
    "Tasks",
    "TrainState",
    "decay_at",
    "eval_step",
    "is_under",
    "joined",
    "judged",
    "learning_rate",
    "on_all_devices",
    "part",
    "replicated",
    "run_steps",
    "stacked",
    "start",
    "step_decay",
    "summed_step",
    "train_step",
]
