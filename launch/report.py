"""What a run tells: a line on the terminal, a line of JSON in a file, and TensorBoard's files where it is installed."""

import importlib.util
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

BAR_WIDTH = 20
LEADING = ("loss",)
"""Metrics that the bar shows first; terms follow by name as far as the terminal is wide."""


class Report:
    """The log of one run in `folder`; of one that goes on, after what is there. A file is one line per call.

    total: steps of the whole run. done: those that were made before. examples: of one step. quiet: nothing is told,
    for all processes but the first.
    """

    def __init__(
        self,
        folder: Path,
        total: int,
        done: int,
        examples: int,
        *,
        tensorboard: bool = True,
        quiet: bool = False,
        stream: TextIO | None = None,
    ):
        self._stream = sys.stderr if stream is None else stream
        self._redrawn = self._stream.isatty()
        self._total, self._examples, self._quiet = total, examples, quiet
        self._since = (time.perf_counter(), done)
        self._writer = None
        self._file = None
        if quiet:
            return
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "log.jsonl"
        torn = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
        self._file = path.open("a", encoding="utf-8")
        if torn:
            # A run that was killed may leave half a line, which must not run into the next.
            self._file.write("\n")
        if tensorboard and all(importlib.util.find_spec(name) for name in ("tensorflow", "tensorboard")):
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
            import tensorflow as tf

            # The accelerator's memory is for training.
            tf.config.set_visible_devices([], "GPU")
            self._writer = tf.summary.create_file_writer(str(folder / "tensorboard"))

    def log(self, step: int, metrics: Mapping[str, float], group: str = "train") -> None:
        """Metrics of the steps up to `step`; with speed and time left for those of training."""
        if self._quiet:
            return
        shown = dict(metrics)
        if group == "train":
            shown |= self._speed(step)
        self._write_line({"step": step, "group": group, "time": time.time(), **shown})
        self._write_scalars(step, shown, group)
        self._show(step, shown, group)

    @property
    def shows_pictures(self) -> bool:
        """Whether there is anywhere to show them."""
        return self._writer is not None

    def pictures(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """Each (N, H, W, 3) in [0, 1]; nothing without TensorBoard."""
        if self._writer is None:
            return
        import tensorflow as tf

        with self._writer.as_default(step=step):
            for name, images in pictures.items():
                tf.summary.image(name, np.clip(images, 0.0, 1.0), max_outputs=len(images))
        self._writer.flush()

    def say(self, text: str) -> None:
        if self._quiet:
            return
        self._stream.write(f"\r\x1b[K{text}\n" if self._redrawn else f"{text}\n")
        self._stream.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._writer is not None:
            self._writer.close()
        if self._redrawn and not self._quiet:
            self._stream.write("\n")

    def _speed(self, step: int) -> dict[str, float]:
        now = time.perf_counter()
        seconds, steps = now - self._since[0], step - self._since[1]
        self._since = (now, step)
        if steps <= 0:
            return {}
        each = seconds / steps
        return {"examples_per_second": self._examples / each, "seconds_left": each * (self._total - step)}

    def _write_line(self, row: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def _write_scalars(self, step: int, metrics: Mapping[str, float], group: str) -> None:
        if self._writer is None:
            return
        import tensorflow as tf

        with self._writer.as_default(step=step):
            for name, value in metrics.items():
                tf.summary.scalar(f"{group}/{name}", value)
        self._writer.flush()

    def _show(self, step: int, metrics: Mapping[str, float], group: str) -> None:
        left = metrics.get("seconds_left")
        speed = metrics.get("examples_per_second")
        hidden = ("examples_per_second", "seconds_left", "learning_rate", "gradient_norm")
        values = " ".join(f"{name} {value:.4g}" for name, value in _ordered(metrics).items() if name not in hidden)
        pace = "" if speed is None else f" {speed:.0f}/s"
        ends = "" if left is None else f" {_clock(left)} left"
        if not self._redrawn or group != "train":
            self.say(f"[{step}/{self._total}] {'' if group == 'train' else group + ': '}{values}{pace}{ends}")
            return
        filled = BAR_WIDTH * step // max(self._total, 1)
        line = f"[{'#' * filled}{'-' * (BAR_WIDTH - filled)}] {step}/{self._total}{pace}{ends} {values}"
        self._stream.write("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()


def _ordered(metrics: Mapping[str, float]) -> dict[str, float]:
    first = {name: metrics[name] for name in LEADING if name in metrics}
    return first | {name: value for name, value in metrics.items() if name not in first}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
