"""`python -m launch.draw_sets --kind=crops --number=0 --data_dir=DIR`: the drawn sets of the default model, in parts.

A part is a TFDS set of its own, which several runs read over and over: drawing a picture takes a CPU about as long as
a step on it. Parts of a kind differ by their number alone, the seed. `--photos` is a folder of photographs without
hands, for half of the backgrounds.
"""

from pathlib import Path

import jax
from absl import app, flags

from datasets.synthetic import Settings, frame, single, two

KINDS: dict[str, tuple[Settings, int]] = {
    "crops": (single(128, sides="right", hand_fill=(0.42, 0.8)), 20_000),
    "pairs": (two(144), 4_000),
    "scenes": (frame((256, 256)), 8_000),
}
"""What is drawn, and how many pictures make a part."""

FLAGS = flags.FLAGS


def draw(kind: str, number: int, data_dir: str, *, count: int | None = None, photos: str = "") -> Path:
    """Builds one part, unless it is there; -> its folder. count: pictures, for a trial."""
    from datasets.synthetic_hands.synthetic_hands_dataset_builder import Builder, SyntheticConfig

    settings, usual = KINDS[kind]
    config = SyntheticConfig(
        name=f"{kind}-{number}",
        description=f"{kind} of the default model, part {number}",
        settings=settings,
        train=count or usual,
        test=0,
        seed=number,
        photos=photos,
        maps=False,
    )
    builder = Builder(config=config, data_dir=data_dir, file_format="array_record")
    if not builder.is_prepared():
        builder.download_and_prepare(file_format="array_record")
    return Path(builder.data_path)


def main(arguments: list[str]) -> None:
    if len(arguments) > 1:
        raise SystemExit(f"flags are written --name=value, got {' '.join(arguments[1:])}")
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    print(draw(FLAGS.kind, FLAGS.number, FLAGS.data_dir, count=FLAGS.count, photos=FLAGS.photos))


if __name__ == "__main__":
    flags.DEFINE_enum("kind", "crops", list(KINDS), "Crops of a hand, pairs of hands, or whole scenes.")
    flags.DEFINE_integer("number", 0, "Of the part, from which its random keys follow.", lower_bound=0)
    flags.DEFINE_integer("count", None, "Pictures, if not as many as usual.", lower_bound=1)
    flags.DEFINE_string("data_dir", "data", "Where the sets are put.")
    flags.DEFINE_string("photos", "", "Folder of photographs without hands, for backgrounds.")
    app.run(main)
