"""Builds a set from the files that you downloaded, into TFDS's folder or another one.

    python -m datasets.build --name=freihand --manual_dir=~/Downloads/freihand

Some sets come in several configurations (--config=v3); --name=NAME alone lists them, and what to download from where.
`datasets.pipeline.open_records` reads what is built. A trial, --max_examples=20, is kept apart from the whole set.
"""

import importlib
import os
import sys
from pathlib import Path
from typing import Any

# Before TensorFlow is imported: it tells of its processor's instructions, and of GPUs that it does not find.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import flags

FOLDER = Path(__file__).parent
FORMATS = ("array_record", "tfrecord")


class BuildError(Exception):
    """What to tell the user, without a traceback."""


def names() -> list[str]:
    """The sets that can be built."""
    return sorted(path.parent.name for path in FOLDER.glob("*/*_dataset_builder.py"))


def builder_class(name: str):
    """Raises BuildError for a name that is none."""
    if name not in names():
        raise BuildError(f"--name must be one of {', '.join(names())}, got {name!r}")
    return importlib.import_module(f"datasets.{name}.{name}_dataset_builder").Builder


def build(
    name: str,
    *,
    config: str | None = None,
    manual_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    max_examples: int | None = None,
    file_format: str = "array_record",
    overwrite: bool = False,
) -> Path:
    """Builds one set with a progress bar and returns its folder; one that is built already is left as it is.

    name: may hold the configuration too, as "ho3d/v3". max_examples: of each split; such a trial goes to
    `data_dir`/trial and is always built anew. Raises BuildError for an unknown set or configuration or missing files,
    and whatever the set's builder raises.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import constants

    if config is None and "/" in name:
        name, config = name.split("/", 1)
    kind = builder_class(name)
    options = {"config": _checked_config(name, kind, config)} if kind.BUILDER_CONFIGS else {}
    if config is not None and not options:
        raise BuildError(f"--config must not be given: {name} has only one configuration, got {config!r}")
    manual_dir = _checked_manual_dir(name, kind, manual_dir)
    root = Path(data_dir or constants.DATA_DIR).expanduser()
    if max_examples is not None:
        # In the same place, TFDS would take it for the whole set ever after.
        root, overwrite = root / "trial", True
    builder = kind(data_dir=root, file_format=file_format, **options)
    if builder.is_prepared() and not overwrite:
        print(f"{builder.data_path} is built already (--overwrite builds it again)")
        return Path(builder.data_path)
    mode = tfds.GenerateMode.REUSE_CACHE_IF_EXISTS if overwrite else tfds.GenerateMode.REUSE_DATASET_IF_EXISTS
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            manual_dir=manual_dir, max_examples_per_split=max_examples, download_mode=mode
        ),
        file_format=file_format,
    )
    return Path(builder.data_path)


def _checked_config(name: str, kind, config: str | None) -> str:
    known = [one.name for one in kind.BUILDER_CONFIGS]
    config = config or kind.DEFAULT_BUILDER_CONFIG_NAME
    if config is None or config not in known:
        raise BuildError(f"--config must be one of {', '.join(known)} for {name}, got {config!r}")
    return config


def _checked_manual_dir(name: str, kind, manual_dir: str | Path | None) -> Path | None:
    instructions = " ".join((kind.MANUAL_DOWNLOAD_INSTRUCTIONS or "").split())
    if manual_dir is None:
        if instructions:
            raise BuildError(f"--manual_dir must be given: {name} cannot be downloaded by a program.\n{instructions}")
        return None
    folder = Path(manual_dir).expanduser()
    if not folder.is_dir() or not any(folder.iterdir()):
        state = "is empty" if folder.is_dir() else "is no folder"
        raise BuildError(f"--manual_dir {folder} {state}.\n{instructions}")
    return folder


def main(arguments: list[str]) -> int:
    """The command: 0 if the set is there, 1 if it could not be built, 2 for flags that are none, 130 if stopped."""
    values = _flags()
    try:
        rest = values(arguments)[1:]
    except flags.Error as error:
        print(f"{error}\nSee python -m datasets.build --help", file=sys.stderr)
        return 2
    if values.help:
        print(f"{__doc__}\n{values.get_help()}")
        return 0
    if rest:
        print(f"arguments must be flags, as --manual_dir={rest[0]}, got {' '.join(rest)}", file=sys.stderr)
        return 2
    try:
        if values.name is None:
            raise BuildError(f"--name must be given, one of {', '.join(names())}")
        chosen = ("name", "config", "manual_dir", "data_dir", "max_examples", "file_format", "overwrite")
        options: dict[str, Any] = {name: values[name].value for name in chosen}
        _report(build(**options))
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return 130
    except Exception as error:
        if values.traceback:
            raise
        print(f"\n{_message(error)}", file=sys.stderr)
        return 1
    return 0


def _flags() -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_bool("help", False, "Shows this.", flag_values=values)
    flags.DEFINE_string("name", None, "The set.", flag_values=values)
    flags.DEFINE_string("config", None, "Its configuration, if it has several.", flag_values=values)
    text = "Folder with the files that you downloaded, as the set's README says."
    flags.DEFINE_string("manual_dir", None, text, flag_values=values)
    text = "Where built sets are. Default: ~/tensorflow_datasets, or $TFDS_DATA_DIR."
    flags.DEFINE_string("data_dir", None, text, flag_values=values)
    text = "Of each split, for a trial, which goes to DATA_DIR/trial."
    flags.DEFINE_integer("max_examples", None, text, lower_bound=1, flag_values=values)
    text = "array_record can be read at any place at once."
    flags.DEFINE_enum("file_format", "array_record", FORMATS, text, flag_values=values)
    flags.DEFINE_bool("overwrite", False, "Build it again though it is there.", flag_values=values)
    flags.DEFINE_bool("traceback", False, "After an error, show where in the code it came up.", flag_values=values)
    return values


def _message(error: Exception) -> str:
    if isinstance(error, BuildError | FileNotFoundError | ValueError):
        return str(error)
    return f"{type(error).__name__}: {error}\n(--traceback shows where)"


def _report(folder: Path) -> None:
    import tensorflow_datasets as tfds

    info = tfds.builder_from_directory(folder).info
    print(f"\n{folder}")
    for name, split in info.splits.items():
        print(f"  {name}: {split.num_examples} examples, {split.num_bytes / 1e6:.1f} MB")
    print(f'Read it: datasets.pipeline.open_records("{folder}", "{next(iter(info.splits), "train")}")')


if __name__ == "__main__":
    sys.exit(main(sys.argv))
