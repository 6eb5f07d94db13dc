"""A run's settings: the fields of a frozen dataclass, each an absl flag with help, and presets that change defaults."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from absl import flags

flags.disclaim_key_flags()  # --help lists them under the launch file, not here
_DEFINE = {int: flags.DEFINE_integer, float: flags.DEFINE_float, bool: flags.DEFINE_bool, str: flags.DEFINE_string}
_Config = TypeVar("_Config")


def setting(default: Any, help: str, *, free: bool = False) -> Any:
    """A field. free: it may change when a run goes on; any other must be as it was."""
    return dataclasses.field(default=default, metadata={"help": help, "free": free})


def define_flags(config: type, presets: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises ValueError for a preset of a field that there is not."""
    fields = {field.name: field for field in dataclasses.fields(config)}
    for name, changes in presets.items():
        if unknown := changes.keys() - fields.keys():
            raise ValueError(f"preset {name} must change fields of the settings, got {', '.join(sorted(unknown))}")
    for name, field in fields.items():
        if name == "preset":
            flags.DEFINE_enum(name, str(field.default), list(presets), field.metadata["help"])
        else:
            _DEFINE[field.type](name, field.default, field.metadata["help"])


def read_flags(config: type[_Config], presets: Mapping[str, Mapping[str, Any]]) -> _Config:
    """What was given on the command line, else what the preset says, else the default."""
    names = [field.name for field in dataclasses.fields(config)]  # pyright: ignore[reportArgumentType]
    given = {name: flags.FLAGS[name].value for name in names if flags.FLAGS[name].present}
    preset = str(flags.FLAGS["preset"].value)
    return config(**{**presets[preset], "preset": preset, **given})


def about(config: Any) -> dict[str, Any]:
    """What a checkpoint must agree with: every field that is not free."""
    fields = dataclasses.fields(config)
    return {field.name: getattr(config, field.name) for field in fields if not field.metadata.get("free")}


@dataclasses.dataclass(frozen=True)
class Run:
    """What all launches have in common."""

    preset: str = setting("small", "Sizes of network, batch and run: tiny for a look, paper as published.")
    out: str = setting(
        "", "Folder of the run; by default runs/<system>-<preset>. A run that was stopped goes on.", free=True
    )
    dataset: str = setting("", "A prepared TFDS set instead of synthetic data, e.g. rhd, or several: rhd,stb.")
    dataset_weights: str = setting("", "How often each of --dataset is taken, e.g. 3,1; by default as large as it is.")
    split: str = setting("train", "Of --dataset, for training.")
    evaluation_dataset: str = setting("", "Sets for evaluation, if others than --dataset.", free=True)
    evaluation_split: str = setting("test", "Of the sets for evaluation.", free=True)
    data_dir: str = setting("", "Where TFDS sets are, if not in its default folder.", free=True)
    batch_size: int = setting(64, "Examples of a step, on all devices together.")
    steps: int = setting(10_000, "Updates of the whole run.")
    learning_rate: float = setting(1e-3, "Of the optimiser, at its highest.")
    warmup: int = setting(0, "Steps over which the learning rate rises to its highest.")
    clip: float = setting(0.0, "Largest norm of the gradient; 0: any.")
    ema: float = setting(0.0, "Share of the old in a running average of the parameters, e.g. 0.999; 0: none.")
    accumulate: int = setting(1, "Parts into which each device's batch is cut, one after the other, to save memory.")
    dtype: str = setting("float32", "Of activations: float32 or bfloat16. Parameters are float32.")
    seed: int = setting(0, "Of initial parameters and synthetic data.")
    log_every: int = setting(50, "Steps between lines of the log.", free=True)
    evaluate_every: int = setting(1000, "Steps between evaluations; 0: at the end only.", free=True)
    evaluate_batches: int = setting(8, "Batches of an evaluation.", free=True)
    save_every: int = setting(1000, "Steps between checkpoints.", free=True)
    keep: int = setting(3, "Newest checkpoints that are kept, besides the best.", free=True)
    distributed: bool = setting(False, "This process is one of several; the same command on every host.", free=True)
    coordinator: str = setting("", "host:port of process 0, where the cluster does not say it itself.", free=True)
    processes: int = setting(1, "How many there are, with --coordinator.", free=True)
    process: int = setting(0, "Which of them this is, with --coordinator.", free=True)
    tensorboard: bool = setting(True, "Also write TensorBoard files, where TensorFlow is installed.", free=True)


def check(config: Run, devices: int) -> None:
    """Raises ValueError, naming the flag, for what cannot work, before anything is compiled."""
    positive = ("batch_size", "steps", "accumulate", "log_every", "evaluate_batches", "save_every")
    for name in positive:
        if getattr(config, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(config, name)}")
    for name in ("warmup", "clip", "evaluate_every", "learning_rate"):
        if getattr(config, name) < 0:
            raise ValueError(f"--{name} must not be negative, got {getattr(config, name)}")
    if not 0 <= config.ema < 1:
        raise ValueError(f"--ema must lie in [0, 1), got {config.ema}")
    if config.keep < 2:
        raise ValueError(f"--keep must be at least 2, got {config.keep}")
    if config.dtype not in ("float32", "bfloat16"):
        raise ValueError(f"--dtype must be float32 or bfloat16, got {config.dtype}")
    if config.batch_size % devices:
        raise ValueError(f"--batch_size must be a multiple of the {devices} devices, got {config.batch_size}")
    if (config.batch_size // devices) % config.accumulate:
        raise ValueError(
            f"--accumulate must part the {config.batch_size // devices} examples of a device, got {config.accumulate}"
        )
