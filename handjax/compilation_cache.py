"""Compiled functions kept on disk, so that a command's second run does not compile again."""

import os
from pathlib import Path

import jax

VARIABLE = "HANDJAX_CACHE"
OFF = "off"


def use_compilation_cache(folder: str | None = None) -> Path | None:
    """Turns jax's persistent cache on and returns its folder, None if it is off or the folder cannot be written.

    folder: default $HANDJAX_CACHE, else handjax/jax in the user's cache folder; "off" for none. A cache that jax was
    already told to use (JAX_COMPILATION_CACHE_DIR) stays.
    """
    folder = folder or os.environ.get(VARIABLE)
    if folder == OFF:
        return None
    told = getattr(jax.config, "jax_compilation_cache_dir", None)
    if folder is None and told:
        return Path(told)
    path = _user_cache() / "handjax" / "jax" if folder is None else Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(path, os.W_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(path))
    # Small functions as well: there are dozens, and each takes longer to compile than to read.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return path


def _user_cache() -> Path:
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
