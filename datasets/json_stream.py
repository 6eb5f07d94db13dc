"""Long JSON lists one item at a time: label files of gigabytes never stand in memory as a whole."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import IO, Any

from etils import epath

CHUNK = 1 << 20
MAX_VALUE = 1 << 26
"""Characters of one item; a file that is damaged in its middle is not read to its end in search of one."""
_END = object()
_SPACE = " \t\r\n\ufeff"


def items(path: os.PathLike, key: str | None = None) -> Iterator[Any]:
    """The items of the list that a JSON file holds; with `key`, of the list under that key of its outermost object.

    Raises ValueError naming the file if it is no such list or object, damaged or cut off, as soon as that is met.
    """
    with epath.Path(path).open("r") as file:
        text = _Text(file)
        try:
            if key is not None:
                _find(text, key)
            yield from _elements(text)
        except ValueError as error:
            raise ValueError(f"{path} is not a JSON file as expected: {error}") from error


def count(path: os.PathLike) -> int:
    """How many items the list in a JSON file has."""
    return sum(1 for _ in items(path))


def rows(paths: Mapping[str, os.PathLike]) -> Iterator[dict[str, Any]]:
    """Lists that go together, item by item as {name: item}.

    Raises ValueError naming the files that end before the others do.
    """
    lists = {name: items(path) for name, path in paths.items()}
    number = 0
    while True:
        row = {name: next(values, _END) for name, values in lists.items()}
        ended = [str(paths[name]) for name, value in row.items() if value is _END]
        if len(ended) == len(row):
            return
        if ended:
            raise ValueError(f"{' and '.join(ended)} must be as long as the other lists, got only {number} items")
        yield row
        number += 1


def _find(text: "_Text", key: str) -> None:
    """Goes to the value of `key` of an object, reading over what stands before it."""
    text.expect("{")
    while text.peek() != "}":
        name = text.value()
        text.expect(":")
        if name == key:
            return
        if text.peek() == "[":
            for _ in _elements(text):
                pass
        else:
            text.value()
        if text.peek() != "}":
            text.expect(",")
    raise ValueError(f"it has no {key!r}")


def _elements(text: "_Text") -> Iterator[Any]:
    text.expect("[")
    while text.peek() != "]":
        yield text.value()
        if text.peek() != "]":
            text.expect(",")
    text.expect("]")


class _Text:
    """A window on a file of JSON, from which whole values are taken."""

    def __init__(self, file: IO[str]):
        self._file = file
        self._window = ""
        self._at = 0
        self._read = 0
        self._decode = json.JSONDecoder().raw_decode

    def peek(self) -> str:
        """The next character that is no space; stays before it."""
        while True:
            while self._at < len(self._window) and self._window[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._window):
                return self._window[self._at]
            if not self._more():
                raise ValueError(f"it ends early, after {self._read} characters")

    def expect(self, character: str) -> None:
        found = self.peek()
        if found != character:
            raise ValueError(f"expected {character!r}, found {found!r} at character {self._position()}")
        self._at += 1

    def value(self) -> Any:
        """The next whole value."""
        self.peek()
        while True:
            try:
                value, end = self._decode(self._window, self._at)
                # A number may go on behind the window's end, where at most a `.` or an `e-` is left of it.
                if end + 3 < len(self._window) or not self._more():
                    self._at = end
                    return value
            except json.JSONDecodeError as error:
                # The window cannot tell damage from its own end.
                if len(self._window) - self._at > MAX_VALUE or not self._more():
                    raise ValueError(f"no whole value at character {self._position()}: {error.msg}") from error

    def _more(self) -> bool:
        """Appends to the window as much as it holds, or one chunk: long values are not tried too often."""
        piece = self._file.read(max(CHUNK, len(self._window) - self._at))
        if not piece:
            return False
        self._window, self._at = self._window[self._at :] + piece, 0
        self._read += len(piece)
        return True

    def _position(self) -> int:
        return self._read - len(self._window) + self._at
