"""Flags: what cannot work is refused in a sentence, before anything is compiled."""

import dataclasses

import pytest
from absl import flags

from launch import config as config_module
from launch import (
    train_deephandmesh,
    train_hamr,
    train_handtailor,
    train_liftnet,
    train_multihand,
    train_seednet,
    train_siknet,
)
from launch.config import Run, about, check, define_flags, read_flags

PRESETS = {"tiny": {"batch_size": 8, "steps": 5}, "small": {}, "paper": {"steps": 7}}


@pytest.fixture
def parse(monkeypatch):
    """Flags of a run, as a command line gives them, apart from those of the test runner."""

    def parsed(*arguments, config=Run, presets=PRESETS):
        values = flags.FlagValues()
        monkeypatch.setattr(flags, "FLAGS", values)
        define = {
            kind: lambda *given, one=one: one(*given, flag_values=values) for kind, one in config_module._DEFINE.items()
        }
        monkeypatch.setattr(config_module, "_DEFINE", define)
        enum = flags.DEFINE_enum
        monkeypatch.setattr(flags, "DEFINE_enum", lambda *given: enum(*given, flag_values=values))
        try:
            define_flags(config, presets)
            values(["launch", *arguments])
            return read_flags(config, presets)
        finally:
            monkeypatch.undo()

    return parsed


def test_flags_go_before_presets_and_presets_before_defaults(parse):
    found = parse("--preset=tiny", "--steps=9", "--notensorboard")
    assert (found.batch_size, found.steps, found.seed, found.tensorboard) == (8, 9, 0, False)
    assert parse("--preset=paper").steps == 7


@pytest.mark.parametrize(
    "argument, said",
    [
        ("--batch_sise=8", "Unknown command line flag 'batch_sise'"),
        ("--batch_size=eight", "flag --batch_size=eight: invalid literal"),
        ("--learning_rate=fast", "flag --learning_rate=fast: could not convert"),
        ("--preset=huge", "flag --preset=huge: value should be one of"),
    ],
)
def test_unknown_flags_and_wrong_types_are_refused(parse, argument, said):
    with pytest.raises(flags.Error, match=said):
        parse(argument)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"batch_size": 30}, "--batch_size must be a multiple of the 4 devices, got 30"),
        ({"batch_size": 16, "accumulate": 3}, "--accumulate must part the 4 examples of a device, got 3"),
        ({"steps": 0}, "--steps must be at least 1, got 0"),
        ({"ema": 1.0}, r"--ema must lie in \[0, 1\), got 1.0"),
        ({"dtype": "float16"}, "--dtype must be float32 or bfloat16, got float16"),
        ({"keep": 1}, "--keep must be at least 2, got 1"),
        ({"learning_rate": -1.0}, "--learning_rate must not be negative"),
    ],
)
def test_impossible_combinations_are_named_by_their_flag(changes, said):
    with pytest.raises(ValueError, match=said):
        check(dataclasses.replace(Run(), **changes), 4)


def test_presets_can_change_only_what_there_is(parse):
    with pytest.raises(ValueError, match="preset tiny must change fields of the settings, got size"):
        parse(presets={"tiny": {"size": 3}, "small": {}, "paper": {}})


def test_a_checkpoint_agrees_with_all_but_what_is_free():
    settings = about(Run())
    assert "batch_size" in settings and "seed" in settings and "steps" in settings
    assert not {"out", "log_every", "keep", "tensorboard"} & settings.keys()


LAUNCHES = [
    train_deephandmesh,
    train_hamr,
    train_handtailor,
    train_liftnet,
    train_multihand,
    train_seednet,
    train_siknet,
]


@pytest.mark.parametrize("launch", LAUNCHES)
def test_every_preset_of_a_launch_makes_settings_that_work(launch, parse):
    assert set(launch.PRESETS) == {"tiny", "small", "paper"}
    for preset in launch.PRESETS:
        found = parse(f"--preset={preset}", config=launch.Config, presets=launch.PRESETS)
        check(found, 8)


@pytest.mark.parametrize("launch", LAUNCHES)
def test_every_flag_of_a_launch_has_help_and_a_default_of_its_type(launch):
    for field in dataclasses.fields(launch.Config):
        assert field.metadata["help"].endswith("."), field.name
        assert isinstance(field.default, field.type), field.name
