"""Progress on the terminal: one line that is redrawn, or plain lines where the output is kept."""

import shutil
import sys
from typing import TextIO

BAR_WIDTH = 24


class Progress:
    """Counts to `total`. `step` says what was finished, `say` what the user should know."""

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._redrawn = self._stream.isatty()
        self._total = total
        self._done = 0
        self._line = ""

    def step(self, text: str) -> None:
        self._done += 1
        if not self._redrawn:
            self._write(f"[{self._done}/{self._total}] {text}\n")
            return
        filled = BAR_WIDTH * self._done // max(self._total, 1)
        bar = "#" * filled + "-" * (BAR_WIDTH - filled)
        width = shutil.get_terminal_size().columns - 1
        self._line = f"[{bar}] {self._done}/{self._total} {text}"[:width]
        self._write("\r\x1b[K" + self._line)

    def say(self, text: str) -> None:
        self._write(f"\r\x1b[K{text}\n{self._line}" if self._redrawn else f"{text}\n")

    def close(self) -> None:
        if self._line:
            self._write("\n")
        self._line = ""

    def _write(self, text: str) -> None:
        # File names may hold bytes that are no text; a terminal may not know every letter.
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._stream.write(text.encode(encoding, "replace").decode(encoding))
        self._stream.flush()
