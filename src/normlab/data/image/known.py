"""The data sets that have a name: where they are published, their checksums, their classes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from normlab.errors import UserError
from normlab.runs.cache_folders import cache_root


@dataclass(frozen=True)
class Known:
    """A published data set.

    Args:
        name: what users call it.
        url: its official archive.
        md5: the sum its authors publish.
        megabytes: the archive's size.
        about: one line for the list.
    """

    name: str
    url: str
    md5: str
    megabytes: int
    about: str

    @property
    def file(self) -> str:
        """The archive's file name."""
        return self.url.rsplit("/", 1)[-1]

    def find(self, cache_dir: str | os.PathLike[str] | None = None) -> Path:
        """Return the downloaded archive; raise UserError saying how to get it if it is not there."""
        path = downloads(cache_dir) / self.file
        if not path.is_file():
            raise UserError(f"{self.name} is not at {path}: run `normlab data get {self.name}`, or give a path to it")
        return path

    def __str__(self) -> str:
        return f"{self.name:<9}  {self.megabytes:>4} MB  {self.about}"


def downloads(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder that `normlab data get` fills unless told otherwise."""
    return Path(cache_dir or cache_root()) / "downloads"


def class_names(name: str) -> tuple[str, ...]:
    """Return the class names of `cifar10`, `cifar100` or `cifar100-coarse`."""
    return _CLASSES[name]


def name_of(classes: tuple[str, ...]) -> str | None:
    """Return the data set with exactly these classes, or None."""
    return next((name for name, known in _CLASSES.items() if known == classes), None)


_SITE = "https://www.cs.toronto.edu/~kriz/"
KNOWN: Mapping[str, Known] = {
    known.name: known
    for known in (
        Known(
            name="cifar10",
            url=_SITE + "cifar-10-python.tar.gz",
            md5="c58f30108f718f92721af3b95e74349a",
            megabytes=170,
            about="60,000 colour photographs, 32x32, 10 classes (Krizhevsky 2009)",
        ),
        Known(
            name="cifar100",
            url=_SITE + "cifar-100-python.tar.gz",
            md5="eb9058c3a382ffc7106e4002c42a8d85",
            megabytes=169,
            about="60,000 colour photographs, 32x32, 100 classes (Krizhevsky 2009)",
        ),
    )
}

PUBLISHED_MD5: Mapping[str, str] = {
    "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
    "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
    "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
    "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
    "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
    "cifar-10-batches-bin/data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "cifar-10-batches-bin/data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "cifar-10-batches-bin/data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "cifar-10-batches-bin/data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "cifar-10-batches-bin/data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "cifar-10-batches-bin/test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
    "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
    "cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8",
    "cifar-100-python/train": "16019d7e3df5f24257cddd939b257f8d",
    "cifar-100-python/test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "cifar-100-binary/train.bin": "6172c7755cfe09b2fe270c85cebc1b15",
    "cifar-100-binary/test.bin": "4499cfba6c016c1be1438163640a0898",
}
"""MD5 by file. Archives: as the authors publish them. Single files: as widely used loaders check them; those of
cifar-10-batches-bin were taken from files whose SHA-1 is the one that MXNet's loader checks."""

_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
_CIFAR100 = """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel
can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy
porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel
streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm"""
_CIFAR100_COARSE = """aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes
large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1
vehicles_2"""
_CLASSES: Mapping[str, tuple[str, ...]] = {
    "cifar10": tuple(_CIFAR10.split()),
    "cifar100": tuple(_CIFAR100.split()),
    "cifar100-coarse": tuple(_CIFAR100_COARSE.split()),
}
