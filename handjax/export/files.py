"""Writing a file whole or not at all."""

import os
import secrets
from pathlib import Path


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Writes `data` to `path` so that a reader sees the old file or the whole new one, never a part.

    The bytes go to a temporary file in the same folder, which must exist, and are renamed. Raises OSError when the
    folder is missing or not writable, or the disk is full; an old file of that name is then untouched.
    """
    path = Path(path)
    # Not tempfile: its files are private to the user whatever the umask says.
    temporary = path.parent / f".handjax-{secrets.token_hex(8)}.tmp"
    try:
        with open(temporary, "xb") as stream:
            stream.write(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
