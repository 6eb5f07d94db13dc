"""`python -m launch.freehand --out=handjax/mano/data`: the free hand at its three resolutions, in a few minutes."""

import argparse
import hashlib
import os
from pathlib import Path

import numpy as np

from handjax.mano.default import FILES
from launch.freehand.assemble import SHAPED, free_hand, mean_hand, pose_arrays, shape_space, skinned_mesh

SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m launch.freehand", description="Makes the free hand.")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the .npz files")
    parser.add_argument("--seed", type=int, default=SEED, help="of the pose samples")
    arguments = parser.parse_args()
    hand = mean_hand()
    shaped = skinned_mesh(hand, SHAPED)
    space = shape_space(hand, shaped)
    poses = pose_arrays(hand, shaped, space, arguments.seed)
    for resolution, name in FILES.items():
        mesh = shaped if resolution == SHAPED else skinned_mesh(hand, resolution)
        path = arguments.out / name
        write(path, free_hand(hand, mesh, space, poses))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{path}: {len(mesh.vertices)} vertices, {path.stat().st_size / 1e6:.2f} MB, sha256 {digest}", flush=True)


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
