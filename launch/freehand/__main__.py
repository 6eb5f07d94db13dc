"""`python -m launch.freehand --out=handjax/mano/data/free_hand.npz`: about two minutes on one core."""

import argparse
import hashlib
import os
from pathlib import Path

import numpy as np

from launch.freehand.assemble import free_hand, mean_hand

SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m launch.freehand", description="Makes the free hand.")
    parser.add_argument("--out", type=Path, required=True, help="the .npz file to write")
    parser.add_argument("--seed", type=int, default=SEED, help="of the shape and pose samples")
    arguments = parser.parse_args()
    write(arguments.out, free_hand(mean_hand(), arguments.seed))
    digest = hashlib.sha256(arguments.out.read_bytes()).hexdigest()
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.2f} MB, sha256 {digest}")


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Compressed npz, complete or not there at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.partial.npz")
    try:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
