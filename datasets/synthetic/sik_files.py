"""A fixed set of joint-rotation pairs as files: written shard by shard, read back whole.

A folder holds about.json and shards train-00000-of-00016.npz ..., test-.... Each shard has joints (n, 21, 3) float32
metres from the middle knuckle, quaternions (n, 16, 4) float32 w x y z, betas (n, S) float32, and hand (n,) int32, the
number of the hand of which a row is a view. All views of a hand are in one split, and in one shard of it.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datasets.synthetic.sik import SikBatch

FORMAT = 1
SPLITS = ("train", "test")
ABOUT = "about.json"


class SikSet(NamedTuple):
    """N pairs on the host: joints (N, 21, 3) metres, quaternions (N, 16, 4), betas (N, S), hand (N,) int32."""

    joints: np.ndarray
    quaternions: np.ndarray
    betas: np.ndarray
    hand: np.ndarray


class Shard(NamedTuple):
    """One file: its split and number in it, of how many, and the hands first to last - 1 of the set."""

    split: str
    number: int
    of: int
    first: int
    last: int

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:05d}-of-{self.of:05d}.npz"


def plan(hands: int, hands_per_shard: int, train_share: float) -> list[Shard]:
    """All shards of a set: the first hands train, the rest test. Raises ValueError where a split has no hand."""
    if hands_per_shard < 1:
        raise ValueError(f"hands_per_shard must be at least 1, got {hands_per_shard}")
    train = round(hands * train_share)
    if not 0 < train < hands:
        raise ValueError(f"hands must be enough for two splits at a share of {train_share}, got {hands}")
    shards = []
    for split, start, end in (("train", 0, train), ("test", train, hands)):
        firsts = range(start, end, hands_per_shard)
        shards += [
            Shard(split, number, len(firsts), first, min(first + hands_per_shard, end))
            for number, first in enumerate(firsts)
        ]
    return shards


def write_sik(
    folder: Path, about: dict[str, Any], shards: list[Shard], views: int, draw: Callable[[Shard], SikBatch]
) -> Iterator[tuple[Shard, bool]]:
    """Writes what is not there yet; yields each shard and whether it had to be written.

    Every file is complete or not there, so a run that was stopped goes on where it was. `about` is what decides the
    numbers. Raises ValueError where the folder holds a set of other settings, or files that are no such set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = json.loads(json.dumps({"format": FORMAT, **about, "shards": [shard.name for shard in shards]}))
    path = folder / ABOUT
    if path.exists():
        stored = _about(folder)
        differing = [f"{key} {stored.get(key)!r}" for key in about if key != "shards" and stored.get(key) != about[key]]
        if differing or stored != about:
            raise ValueError(f"{folder} holds another set ({', '.join(differing)}): choose another folder")
    elif any(folder.glob("*.npz")):
        raise ValueError(f"{folder} holds npz files but no {ABOUT}: choose another folder")
    else:
        _replace(path, lambda file: file.write(json.dumps(about, indent=2).encode()))
    for shard in shards:
        target = folder / shard.name
        missing = not target.exists()
        if missing:
            arrays = _rows(shard, views, draw(shard))
            _replace(target, lambda file, arrays=arrays: np.savez(file, allow_pickle=False, **arrays._asdict()))
        yield shard, missing


def read_sik(folder: str | os.PathLike, split: str) -> SikSet:
    """All pairs of a split. Raises ValueError for another split or a folder that is no set, FileNotFoundError naming
    the shard where one is missing."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    names = [name for name in _about(Path(folder))["shards"] if name.startswith(f"{split}-")]
    parts = []
    for name in names:
        path = Path(folder) / name
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: the set is not complete, run the same command again")
        with np.load(path, allow_pickle=False) as stored:
            parts.append(SikSet(*(stored[field] for field in SikSet._fields)))
    return SikSet(*(np.concatenate(fields) for fields in zip(*parts, strict=True)))


def _rows(shard: Shard, views: int, pairs: SikBatch) -> SikSet:
    hand = np.repeat(np.arange(shard.first, shard.last, dtype=np.int32), views)
    return SikSet(np.asarray(pairs.joints), np.asarray(pairs.quaternions), np.asarray(pairs.betas), hand)


def _about(folder: Path) -> dict[str, Any]:
    path = folder / ABOUT
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} must hold a set of joint-rotation pairs, but {ABOUT} cannot be read") from error
    if not isinstance(stored, dict) or stored.get("format") != FORMAT or not isinstance(stored.get("shards"), list):
        raise ValueError(f"{path} must be of format {FORMAT}")
    return stored


def _replace(path: Path, write: Callable) -> None:
    """Complete or not there at all."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("wb") as file:
            write(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
