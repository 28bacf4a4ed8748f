"""The table of data sources: all that is known of a source outside its own file. Imports nothing heavy."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Number(NamedTuple):
    """A flag of `python -m ingest NAME` that takes a whole number from `low` to `high`."""

    low: int
    high: int
    default: int
    help: str


class Command(NamedTuple):
    """What `python -m ingest NAME` makes.

    Attributes:
      make: the dotted path of `make(source, target, *, seed, command, **flags)`, which returns an `ingest.output.Made`.
      help: what it makes the TFRecords of.
      source: the name of its argument in the help.
      holds: what the argument is.
      flags: its own flags, by name without dashes.
    """

    make: str
    help: str
    source: str
    holds: str
    flags: Mapping[str, Number] = {}


class Source(NamedTuple):
    """A row of SOURCES: a value of `data.source`, if it has `buckets` or `ensure`, or a command, or both.

    Attributes:
      buckets: a public folder of TFRecords for each image_size, as gs://BUCKET/FOLDER; a local run downloads it.
      ensure: the dotted path of `ensure(cache, image_size)`, which makes the TFRecords in the cache and returns their
        folder. Not needed with `buckets`.
      drawn: whether its photos are drawings, in a folder of the cache that is named NAME-v….
      command: what `python -m ingest NAME` does.
    """

    buckets: Mapping[int, str] = {}
    ensure: str = ""
    drawn: bool = False
    command: Command | None = None


SOURCES = {
    "sample": Source(ensure="ingest.sample.ensure", drawn=True),
    "flowers": Source(
        buckets={
            192: "gs://flowers-public/tfrecords-jpeg-192x192-2",
            224: "gs://flowers-public/tfrecords-jpeg-224x224",
            331: "gs://flowers-public/tfrecords-jpeg-331x331",
            512: "gs://flowers-public/tfrecords-jpeg-512x512",
        }
    ),
    "photos": Source(
        command=Command(
            "ingest.photos.make",
            help="a folder of photos that holds a folder for each class",
            source="PHOTOS_DIR",
            holds="holds a folder for each class",
            flags={
                "size": Number(16, 1024, 192, "pixels a side, cropped"),
                "shards": Number(2, 10_000, 16, "files, at most"),
            },
        )
    ),
    "mnist": Source(
        command=Command(
            "ingest.mnist.make",
            help="the four IDX files of MNIST, gzipped or not",
            source="IDX_DIR",
            holds="holds train-images-idx3-ubyte.gz and the others",
        )
    ),
}


def data_sources() -> list[str]:
    """Returns the values of `data.source`."""
    return [name for name, source in SOURCES.items() if source.buckets or source.ensure]


def is_drawn(folder: Path) -> bool:
    """Returns whether a folder of the cache holds drawings."""
    return any(source.drawn and folder.name.startswith(f"{name}-v") for name, source in SOURCES.items())
