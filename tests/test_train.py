"""One training step: the same on any number of devices, whatever is frozen, accumulated or averaged."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from chex import assert_trees_all_close, assert_trees_all_equal

from handjax.losses import mean_of
from handjax.models.objective import initialised, run
from handjax.train import (
    AXIS,
    NotFinite,
    Plateau,
    Tasks,
    eval_step,
    is_under,
    judged,
    learning_rate,
    on_all_devices,
    part,
    run_steps,
    start,
    step_decay,
    train_step,
)
from tests import train_toys as toys
from tests.train_toys import Toy, ToyWeights

KEY = jax.random.key(3)
SPEC = jax.sharding.PartitionSpec


def stepped(devices, step, state, examples, key=KEY):
    """On the first few devices."""
    mapped = jax.pmap(step, axis_name=AXIS, in_axes=(None, 0, None), out_axes=None, devices=jax.devices()[:devices])
    return jax.device_get(mapped(state, toys.on(devices, examples), key))


def checked(step, devices=4):
    """The step under shard_map, which proves that what leaves is the same on all devices."""
    mesh = jax.make_mesh((devices,), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:devices])

    def on_one(state, batch, key):
        return step(state, jax.tree.map(lambda leaf: leaf[0], batch), key)

    return jax.jit(jax.shard_map(on_one, mesh=mesh, in_specs=(SPEC(), SPEC(AXIS), SPEC()), out_specs=SPEC()))


def test_four_devices_equal_one_on_the_same_batch_with_uneven_counts():
    optimiser = toys.optimiser(clip=1.0, ema=0.9)
    step = train_step(toys.plain, ToyWeights(), optimiser)
    state, examples = toys.toy_state(optimiser=optimiser), toys.batch()
    counts = toys.on(4, examples)["valid"].sum(-1)
    assert len(set(counts.tolist())) > 1
    one, four = stepped(1, step, state, examples), stepped(4, step, state, examples)
    assert_trees_all_close(one, four, rtol=1e-5, atol=1e-5)


def test_the_loss_is_the_weighted_sum_of_means_over_all_that_is_valid():
    examples = toys.batch()
    state = toys.toy_state(Toy(batch_norm=False))
    step = train_step(partial(toys.objective, Toy(batch_norm=False)), ToyWeights(), toys.optimiser())
    _, metrics = stepped(4, step, state, examples)
    y = Toy(batch_norm=False).apply({"params": state.params["toy"]}, examples["x"])["y"]
    away, valid = np.asarray(y) - examples["y"], examples["valid"]
    squares = (valid * (away**2).sum(-1)).sum() / valid.sum()
    edges = (valid[:, None] * np.abs(away)).sum() / (2 * valid.sum())
    np.testing.assert_allclose([metrics["squares"], metrics["edges"]], [squares, edges], rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"], 2.0 * squares + 0.5 * edges, rtol=1e-5)


def test_the_step_traces_under_shard_map_and_gives_the_same():
    optimiser = toys.optimiser(clip=1.0, ema=0.9)
    step = train_step(partial(toys.objective, Toy(dropout=0.3)), ToyWeights(), optimiser)
    state, examples = toys.toy_state(optimiser=optimiser), toys.on(4, toys.batch())
    mapped = jax.device_get(on_all_devices(step)(state, examples, KEY))
    assert_trees_all_close(mapped, jax.device_get(checked(step)(state, examples, KEY)), rtol=1e-6, atol=1e-6)


def test_a_step_that_does_not_agree_is_refused_by_shard_map(monkeypatch):
    step = train_step(toys.plain, ToyWeights(), toys.optimiser())
    monkeypatch.setattr("handjax.train.step.lax.pmean", lambda found, axis: found)
    # Batch statistics agree by themselves; gradients and metrics do not.
    with pytest.raises(ValueError, match="out_specs"):
        checked(step)(toys.toy_state(), toys.on(4, toys.batch()), KEY)


def test_accumulation_equals_the_big_batch_with_uneven_counts():
    network = Toy(batch_norm=False)
    objective, state, examples = partial(toys.objective, network), toys.toy_state(network), toys.batch()
    whole = stepped(2, train_step(objective, ToyWeights(), toys.optimiser()), state, examples)
    # Each device cuts its half; halves are then cut in four.
    parts = stepped(2, train_step(objective, ToyWeights(), toys.optimiser(), accumulate=4), state, examples)
    assert_trees_all_close(whole, parts, rtol=1e-5, atol=1e-6)


def test_accumulation_moves_batch_statistics_with_each_part_and_traces_under_shard_map():
    step = train_step(toys.plain, ToyWeights(), toys.optimiser(), accumulate=2)
    state, examples = toys.toy_state(), toys.on(4, toys.batch())
    mapped, _ = on_all_devices(step)(state, examples, KEY)
    twice, _ = checked(step)(state, examples, KEY)
    assert_trees_all_close(jax.device_get(mapped), jax.device_get(twice), rtol=1e-6, atol=1e-6)
    assert not np.allclose(mapped.batch_stats["toy"]["norm"]["mean"], 0.0)


def test_a_batch_that_does_not_part_evenly_is_refused():
    step = train_step(toys.plain, ToyWeights(), toys.optimiser(), accumulate=3)
    with pytest.raises(ValueError, match="3 equal parts, got 4 examples"):
        on_all_devices(step)(toys.toy_state(), toys.on(4, toys.batch()), KEY)
    with pytest.raises(ValueError, match="accumulate must be at least 1, got 0"):
        train_step(toys.plain, ToyWeights(), toys.optimiser(), accumulate=0)


def test_frozen_parts_stay_bit_equal_and_have_no_optimiser_state():
    extra, frozen, optimiser = Toy(), ("extra", "toy/last"), toys.optimiser(ema=0.5)
    optimiser = optimiser._replace(transform=optax.scale_by_adam())
    state = toys.toy_state(extra=extra, frozen=frozen, optimiser=optimiser)
    step = train_step(partial(toys.objective, Toy(), extra=extra), ToyWeights(), optimiser, frozen=frozen)
    new = state
    for seed in range(3):
        new, _ = on_all_devices(step)(new, toys.on(4, toys.batch(seed)), KEY)
    for old, now in ((state.params, new.params), (state.ema, new.ema)):
        assert_trees_all_equal(old["extra"], now["extra"])
        assert_trees_all_equal(old["toy"]["last"], now["toy"]["last"])
        assert not np.array_equal(old["toy"]["first"]["kernel"], now["toy"]["first"]["kernel"])
    assert_trees_all_equal(state.batch_stats["extra"], new.batch_stats["extra"])
    assert not np.array_equal(state.batch_stats["toy"]["norm"]["mean"], new.batch_stats["toy"]["norm"]["mean"])
    assert "extra" not in state.opt_state.mu


def test_a_frozen_network_that_runs_in_training_mode_is_refused():
    extra = Toy()
    step = train_step(partial(toys.thawed, Toy(), extra), ToyWeights(), toys.optimiser(), frozen=("extra",))
    with pytest.raises(ValueError, match="train=False, but moves batch statistics of extra"):
        on_all_devices(step)(toys.toy_state(extra=extra, frozen=("extra",)), toys.on(4, toys.batch()), KEY)


def test_a_prefix_ends_where_a_part_of_a_path_does():
    assert is_under("toy/last/kernel", ["toy"]) and is_under("toy/hg.0.1/kernel", ["toy/hg.0"])
    assert not is_under("toys/last", ["toy"]) and not is_under("toy/hg.01/kernel", ["toy/hg.0"])


@pytest.mark.parametrize(
    "frozen, said", [(("ext",), "none begins with ext"), (("toy",), "leave something to train, got toy")]
)
def test_prefixes_that_fit_nothing_or_leave_nothing_are_refused(frozen, said):
    with pytest.raises(ValueError, match=said):
        part(toys.toy_state().params, frozen)


def test_the_running_average_is_that_of_the_parameters():
    optimiser = toys.optimiser(ema=0.99)
    state, step = toys.toy_state(optimiser=optimiser), None
    step = on_all_devices(train_step(toys.plain, ToyWeights(), optimiser))
    expected = np.asarray(state.params["toy"]["first"]["kernel"], np.float64)
    for number in range(4):
        state, _ = step(state, toys.on(4, toys.batch(number)), KEY)
        keep = min(0.99, (1 + number) / (10 + number))
        expected = keep * expected + (1 - keep) * np.asarray(state.params["toy"]["first"]["kernel"], np.float64)
    np.testing.assert_allclose(state.ema["toy"]["first"]["kernel"], expected, rtol=1e-5)
    assert state.variables()["params"] is state.ema and state.variables(averaged=False)["params"] is state.params


def test_clipping_bounds_the_norm_of_the_whole_gradient():
    moved = {}
    for name, optimiser in (("plain", toys.optimiser(1.0)), ("clipped", toys.optimiser(1.0, clip=0.01))):
        state = toys.toy_state(optimiser=optimiser)
        new, metrics = on_all_devices(train_step(toys.plain, ToyWeights(), optimiser))(
            state, toys.on(4, toys.batch()), KEY
        )
        away = jax.tree.map(lambda new, old: np.sum((np.asarray(new) - old) ** 2), new.params, state.params)
        moved[name] = np.sqrt(sum(jax.tree.leaves(away))), float(metrics["gradient_norm"])
    np.testing.assert_allclose(moved["plain"][0], moved["plain"][1], rtol=1e-3)
    np.testing.assert_allclose(moved["clipped"][0], 0.01, rtol=1e-3)
    np.testing.assert_allclose(moved["plain"][1], moved["clipped"][1], rtol=1e-6)


def test_a_loss_that_is_not_finite_names_its_step_and_term_and_keeps_the_last_good_state():
    step = on_all_devices(train_step(toys.plain, ToyWeights(), toys.optimiser()))
    good = [toys.on(4, toys.batch(seed)) for seed in range(6)]
    bad = dict(good[2], y=np.full_like(good[2]["y"], np.nan))
    saved = []
    tasks = Tasks(log=lambda *_: None, save=lambda state, _: saved.append(state))
    with pytest.raises(NotFinite, match="step 3: edges, squares not finite|step 3: squares, edges not finite") as error:
        run_steps(step, toys.toy_state(), iter([*good[:2], bad, *good[3:]]), KEY, toys.optimiser(), tasks, until=6)
    expected = run_steps(step, toys.toy_state(), iter(good), KEY, toys.optimiser(), Tasks(log=print), until=2)
    assert error.value.step == 3 and int(error.value.state.step) == 2
    assert_trees_all_equal(jax.device_get(error.value.state), jax.device_get(expected))
    assert_trees_all_equal(jax.device_get(saved[-1]), jax.device_get(expected))


def test_evaluation_adds_sums_over_devices_and_uses_running_statistics():
    state, examples = toys.toy_state(), toys.batch()

    def score(outputs, batch):
        return {"count": toys.CountedSum(batch["valid"], jnp.ones_like(batch["valid"]))}

    sums = on_all_devices(eval_step(toys.plain, score))(state, toys.on(4, examples), KEY)
    found, _ = run(Toy(), "toy", state.variables(), examples["x"], train=False)
    squares = (examples["valid"] * ((np.asarray(found["y"]) - examples["y"]) ** 2).sum(-1)).sum()
    np.testing.assert_allclose(mean_of(sums["squares"]), squares / examples["valid"].sum(), rtol=1e-5)
    np.testing.assert_allclose(mean_of(sums["count"]), examples["valid"].mean(), rtol=1e-6)


def test_batches_can_be_drawn_in_the_step_each_device_its_own():
    def make_batch(key, source):
        x = source["scale"] * jax.random.normal(key, (4, 4))
        return {"x": x, "y": x[:, :2], "valid": jnp.ones(4)}

    step = on_all_devices(train_step(toys.plain, ToyWeights(), toys.optimiser(), make_batch=make_batch))
    source = {"scale": jnp.ones(4)}
    state, first = step(toys.toy_state(), source, KEY)
    _, second = step(state, source, KEY)
    _, again = step(toys.toy_state(), source, KEY)
    assert float(first["squares"]) == float(again["squares"]) != float(second["squares"])
    shares = jax.pmap(lambda s: jax.random.uniform(jax.random.fold_in(KEY, jax.lax.axis_index(AXIS))), axis_name=AXIS)
    assert len(set(np.asarray(shares(jnp.arange(4))).tolist())) == 4


def test_a_plateau_of_the_validation_turns_the_learning_rate_down():
    optimiser = toys.optimiser(1.0, plateau=Plateau(0.5, patience=2))
    state = toys.toy_state(optimiser=optimiser)
    rates = []
    for metric in (3.0, 2.0, 2.0, 2.0, 1.0, 1.5):
        state = judged(state, optimiser, metric)
        rates.append(float(learning_rate(state, optimiser)))
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5] and float(state.best) == 1.0


def test_steps_decay_after_the_warm_up():
    rate = step_decay(1.0, [10, 20], 0.1, warmup=4)
    np.testing.assert_allclose([rate(step) for step in (0, 2, 4, 9, 10, 19, 20)], [0, 0.5, 1, 1, 0.1, 0.1, 0.01])
    with pytest.raises(ValueError, match="beyond the warm-up of 4, got"):
        step_decay(1.0, [4, 8], warmup=4)
    with pytest.raises(ValueError, match="steps must increase"):
        step_decay(1.0, [8, 4])


def test_batches_that_end_too_early_are_named():
    step = on_all_devices(train_step(toys.plain, ToyWeights(), toys.optimiser()))
    with pytest.raises(ValueError, match="last for 3 steps, but ended after 1"):
        run_steps(
            step, toys.toy_state(), iter([toys.on(4, toys.batch())]), KEY, toys.optimiser(), Tasks(log=print), until=3
        )


def test_initial_variables_are_those_that_running_the_network_makes_but_it_does_not_run():
    ran = []

    class Heard(Toy):
        def __call__(self, x, *, train=False):
            jax.debug.callback(lambda _: ran.append(1), x)
            return super().__call__(x, train=train)

    x = jnp.ones((2, 4))
    found = initialised(Heard(), "toy", KEY, x)
    jax.effects_barrier()
    assert not ran
    expected = Heard().init(KEY, x)
    jax.effects_barrier()
    assert ran and found.keys() == expected.keys() == {"params", "batch_stats"}
    assert_trees_all_equal(found, {collection: {"toy": tree} for collection, tree in expected.items()})


def test_start_refuses_unknown_frozen_parts():
    state = toys.toy_state()
    with pytest.raises(ValueError, match="none begins with nothing"):
        start(state.variables(), toys.optimiser(), frozen=("nothing",))
