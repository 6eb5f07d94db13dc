"""One reader for all formats of published weights."""

from os import PathLike
from pathlib import Path

import numpy as np

from handjax.torch_weights.archives import read_npz
from handjax.torch_weights.safetensors import read_safetensors
from handjax.torch_weights.torch_files import LEGACY_START, read_legacy, read_zip

MAX_FILE_BYTES = 8 << 30


def read_state_dict(path: str | PathLike) -> dict[str, np.ndarray]:
    """The tensors of a `.pth`, `.pth.tar`, `.pt` (of any PyTorch), `.safetensors` or `.npz` file, by their names.

    The format is told by the contents, but for `.safetensors`. A state_dict inside a training checkpoint is found, and
    DataParallel's "module." left out. bfloat16 becomes float32, every other type stays. PyTorch is not needed, nothing
    of the file is run, and it cannot take more memory than a few times its size.
    Raises ValueError naming the file if it is damaged, too large, of another format, holds anything that tensors do
    not need, or no tensors.
    """
    path = Path(path)
    try:
        return _read(path)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _read(path: Path) -> dict[str, np.ndarray]:
    size = path.stat().st_size
    if not 16 <= size <= MAX_FILE_BYTES:
        raise ValueError(f"weights must have 16 to {MAX_FILE_BYTES} bytes, got {size}")
    with open(path, "rb") as file:
        start = file.read(len(LEGACY_START))
    if path.suffix == ".npz":
        return read_npz(path)
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    if start.startswith(b"PK\x03\x04"):
        return read_zip(path)
    if start == LEGACY_START:
        return read_legacy(path)
    raise ValueError("weights must be a file of torch.save, .safetensors or .npz, got none of these")
