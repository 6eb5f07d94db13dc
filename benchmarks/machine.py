"""What a figure was measured on, in words, and tables to put it in."""

import os
import platform
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path


def describe(*packages: str) -> str:
    """One line: processor, cores, load, Python, and the versions of some installed packages."""
    versions = [f"{name} {metadata.version(name)}" for name in packages]
    parts = [f"{_processor()}, {os.cpu_count()} cores, {load()}", f"Python {platform.python_version()}", *versions]
    return "; ".join(parts)


def load() -> str:
    """The load of the last minute: figures taken above one busy process a core are too slow."""
    if not hasattr(os, "getloadavg"):
        return "load unknown"
    return f"load {os.getloadavg()[0]:.1f}"


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    if known.exists():
        for line in known.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def verdict(met) -> str:
    """How a table says whether a figure is as asked for; None where nothing is asked."""
    return "" if met is None else "met" if met else "**missed**"
