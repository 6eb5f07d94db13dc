"""`python -m launch.backgrounds --real_hands=DIR --out=DIR`: parts of photographs without hands, as backgrounds.

`launch/backgrounds.json` lists squares of the sets that `launch.real_hands` reads, each looked at: walls, gardens,
clothes, faces and arms, but no hand. Of pictures that a measured photograph nearly equals there is none.
"""

import json
import os
from pathlib import Path

import cv2
from absl import app, flags

from handjax.export.files import write_bytes
from handjax.images import read_image

SIDE = 256
LIST = Path(__file__).with_suffix(".json")


def cut(folder: str | os.PathLike, out: str | os.PathLike) -> int:
    """Writes each square as a PNG of 256 px; -> how many. Raises FileNotFoundError for a picture that is missing."""
    squares = json.loads(LIST.read_text(encoding="utf-8"))["squares"]
    Path(out).mkdir(parents=True, exist_ok=True)
    for number, (name, left, top, side) in enumerate(squares):
        picture = Path(folder) / name
        if not picture.is_file():
            raise FileNotFoundError(f"{picture}: a background is to be cut from it, but there is no such picture")
        square = read_image(picture)[top : top + side, left : left + side]
        small = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        _, coded = cv2.imencode(".png", small[:, :, ::-1])
        write_bytes(Path(out) / f"{number:04d}.png", coded.tobytes())
    return len(squares)


def main(arguments: list[str]) -> None:
    if len(arguments) > 1:
        raise SystemExit(f"flags are written --name=value, got {' '.join(arguments[1:])}")
    try:
        print(f"{cut(FLAGS.real_hands, FLAGS.out)} backgrounds in {FLAGS.out}")
    except OSError as error:
        raise SystemExit(str(error)) from error


FLAGS = flags.FLAGS

if __name__ == "__main__":
    flags.DEFINE_string("real_hands", None, "Folder as `launch.real_hands` reads it.", required=True)
    flags.DEFINE_string("out", None, "Folder for the backgrounds.", required=True)
    app.run(main)
