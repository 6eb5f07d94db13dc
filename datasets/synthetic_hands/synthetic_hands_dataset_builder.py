"""Drawn hands as TFDS, so that several runs or people train on the very same pictures."""

import dataclasses
from collections.abc import Iterator

import jax
import numpy as np
import tensorflow_datasets as tfds

from datasets import manual, schema
from datasets.synthetic import Assets, Settings, assets, batch, frame, many, read_photos, single, two

AT_ONCE = 16
"""Pictures of one key. Another number would draw others."""
SPLITS = ("train", "test")
CONVENTIONS = {
    "mano": "parameters of this library's own hands, handjax.mano.default(side), not of the licensed MANO",
    "pixels": "ours: nothing is shifted",
    "box": "cut at the border of the picture",
}


@dataclasses.dataclass
class SyntheticConfig(tfds.core.BuilderConfig):
    """settings: what is drawn. train, test: how many pictures. seed: of both splits, which share no key. photos: a
    folder of photographs without hands for some of the backgrounds. maps: masks and depths are stored too.

    Give one of your own as `config` for other pictures; its name is the folder's.
    """

    settings: Settings = dataclasses.field(default_factory=single)
    train: int = 10_000
    test: int = 1_000
    seed: int = 0
    photos: str = ""
    maps: bool = True

    def assets(self) -> Assets | None:
        """Those with photographs, or None for the usual ones."""
        return assets()._replace(photos=read_photos(self.photos).photos) if self.photos else None


class Builder(tfds.core.GeneratorBasedBuilder):
    """As many slots as the scene has. Nothing is downloaded."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [
        SyntheticConfig(name="single", description="One hand, 128 x 128", settings=single()),
        SyntheticConfig(name="two", description="Two hands that touch or are near, 192 x 192", settings=two()),
        SyntheticConfig(name="many", description="1 to 10 hands, 512 x 512", settings=many()),
        SyntheticConfig(name="frame", description="0 to 4 hands in whole pictures, 288 x 384", settings=frame()),
    ]

    @property
    def config(self) -> SyntheticConfig:
        assert isinstance(self.builder_config, SyntheticConfig)
        return self.builder_config

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.config
        metadata = CONVENTIONS | {"settings": repr(config.settings), "seed": config.seed}
        return self.dataset_info_from_configs(
            features=schema.features(config.settings.slots, mask=config.maps, depth=config.maps),
            supervised_keys=None,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(metadata),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        counts = {"train": self.config.train, "test": self.config.test}
        return {split: self._generate_examples(split, count) for split, count in counts.items() if count}

    def _generate_examples(self, split: str, count: int) -> Iterator[tuple[int, dict]]:
        key = jax.random.fold_in(jax.random.key(self.config.seed), SPLITS.index(split))
        source = self.config.assets()
        for first in range(0, count, AT_ONCE):
            one_key = jax.random.fold_in(key, first // AT_ONCE)
            drawn = jax.device_get(batch(one_key, AT_ONCE, self.config.settings, source))
            for index in range(first, min(first + AT_ONCE, count)):
                one = {name: values[index - first] for name, values in drawn.items()}
                yield manual.ordered_key(index, count), example(f"{split}/{index:08d}", one, self.config.maps)


def example(name: str, drawn: dict[str, np.ndarray], maps: bool = True) -> dict:
    """One drawn picture with the axis that stored masks and depths have, or without both."""
    if not maps:
        nothing = {"mask_valid": False, "depth_valid": False}
        return (
            {field: value for field, value in drawn.items() if field not in ("mask", "depth")}
            | nothing
            | {"name": name}
        )
    pictures = {"mask": drawn["mask"].astype(np.uint8)[..., None], "depth": drawn["depth"][..., None]}
    return drawn | {"name": name} | pictures
