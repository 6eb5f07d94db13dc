"""Folders that a user downloaded: what is missing is said by name, and a few damaged records stop no build.

Nothing here knows a set. Paths may be `pathlib`'s or the ones of `dl_manager.manual_dir`.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from absl import logging
from etils import epath

from handjax.image_header import HEAD_BYTES, image_kind, image_size, is_whole

MAX_UNREADABLE_SHARE = 0.01
"""Of all records of a split. More than that is no damage but a wrong folder or an unfinished download."""
UNREADABLE_AT_ONCE = 10
"""Damage comes in clusters: so many are let pass before the share of what was read so far is looked at."""
_NAMED = 5

Record = TypeVar("Record")


def require(path: os.PathLike, what: str, where: str) -> epath.Path:
    """`path`, if it is there.

    Raises FileNotFoundError saying which file (`what` it holds) is missing in which folder, and `where` to get it.
    """
    path = epath.Path(path)
    require_files(path.parent, {path.name: what}, where)
    return path


def require_files(root: os.PathLike, files: Mapping[str, str], homepage: str) -> None:
    """Checks for all `files`, {path of a file or folder below root: what it holds}, at once.

    Raises FileNotFoundError naming each that is missing, the folder that was searched, what stands there instead, and
    where to get them.
    """
    root = epath.Path(root)
    missing = [(name, what) for name, what in files.items() if not (root / name).exists()]
    if not missing:
        return
    lines = [f"{root}: {len(missing)} of {len(files)} expected files or folders are missing:"]
    lines += [f"  {root / name}  ({what})" for name, what in missing]
    lines.append(f"That folder holds: {_listing(root)}")
    lines.append(f"Get them from {homepage} and unpack them so that they stand at these paths.")
    raise FileNotFoundError("\n".join(lines))


def unpacked(manual_dir: os.PathLike, *folders: str) -> epath.Path:
    """The folder that an archive made: the first of `folders` that is in `manual_dir`, else `manual_dir` itself."""
    manual_dir = epath.Path(manual_dir)
    return next((manual_dir / folder for folder in folders if (manual_dir / folder).is_dir()), manual_dir)


def present_parts(root: os.PathLike, parts: Mapping[str, Mapping[str, str]], homepage: str) -> list[str]:
    """The names of the parts of a set (splits, say) that are there, for sets that come in several downloads.

    A part of which nothing is there was not wanted: it is left out with a warning. One that is there by half is an
    error, as is none at all: FileNotFoundError, as of `require_files`.
    """
    root = epath.Path(root)
    begun = [part for part, files in parts.items() if any((root / name).exists() for name in files)]
    for part, files in parts.items():
        if part in begun or not begun:
            require_files(root, files, homepage)
        else:
            logging.warning("%s: nothing of %r is there, it is left out (%s)", root, part, ", ".join(files))
    return begun


def readable(
    records: Iterable[Record],
    read: Callable[[Record], Any],
    *,
    name: Callable[[Record], str],
    homepage: str,
    max_share: float = MAX_UNREADABLE_SHARE,
) -> Iterator[tuple[Record, Any]]:
    """(record, read(record)) of every record that can be read; the others are logged by name, counted and left out.

    Unreadable is a record whose `read` raises OSError (a missing or damaged file), ValueError, KeyError, TypeError or
    IndexError (a label that is not what it should be). Raises ValueError naming the first of them as soon as they are
    more than `UNREADABLE_AT_ONCE` and than `max_share` of the records so far, or at the end more than `max_share`.
    One is always let pass, if there are others.
    """
    seen, bad = 0, []
    for record in records:
        seen += 1
        try:
            example = read(record)
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            bad.append(f"{name(record)}: {_reason(error)}")
            logging.warning("left out %s", bad[-1])
            if len(bad) > max(UNREADABLE_AT_ONCE, max_share * seen):
                raise ValueError(_too_many(bad, seen, max_share, homepage)) from error
        else:
            yield record, example
    if bad and (len(bad) > max(1, math.ceil(max_share * seen)) or len(bad) == seen):
        raise ValueError(_too_many(bad, seen, max_share, homepage))
    if bad:
        logging.warning("%d of %d records were left out, as they could not be read", len(bad), seen)


def ordered_key(index: int, count: int) -> int:
    """A key for builders with `disable_shuffling`: the `count` examples keep their order.

    TFDS sorts by key in 1,000 buckets that share out [0, 2^128). Plain numbers would all go to the first one, which it
    reads into memory as a whole.
    """
    return index * ((1 << 128) // max(count, 1))


def picture(path: os.PathLike) -> bytes:
    """The bytes of a whole JPEG or PNG file, to be stored as they are.

    Raises FileNotFoundError, or ValueError naming the file if it is empty, cut off or neither of the two.
    """
    data = epath.Path(path).read_bytes()
    kind = image_kind(data[:HEAD_BYTES])
    if kind not in ("JPEG", "PNG") or not is_whole(kind, data):
        raise ValueError(f"{path} must be a whole JPEG or PNG file, got {len(data)} bytes that are not one")
    return data


def picture_size(data: bytes) -> tuple[int, int]:
    """(height, width) of the bytes that `picture` gave."""
    width, height = image_size(image_kind(data[:HEAD_BYTES]) or "", data) or (0, 0)
    return height, width


def _listing(root: epath.Path) -> str:
    if not root.is_dir():
        return "nothing, it does not exist"
    names = sorted(entry.name + "/" * entry.is_dir() for entry in root.iterdir())
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more if names else "nothing"


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return f"it has no {text}"[:300] if isinstance(error, KeyError) else text[:300]


def _too_many(bad: list[str], seen: int, max_share: float, homepage: str) -> str:
    shown = "\n".join(f"  {line}" for line in bad[:_NAMED])
    more = f"\n  and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
    return (
        f"{len(bad)} of the first {seen} records could not be read, at most {max_share:.0%} may be left out:\n"
        f"{shown}{more}\nComplete the download from {homepage} and build again."
    )
