"""The table of data sources: everything that other modules read about a source. Imports only the standard library."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ingest.feature_names import FEATURES
from ingest.flags import Choice, File, Flag, Fraction, Number, Switch, Text
from ingest.idx_names import NAMES


class Command(NamedTuple):
    """The command `python -m ingest NAME`.

    Attributes:
      make: the dotted path of `make(source, target, *, seed, command, **flags)`, which returns a
        `WrittenDataset`.
      help: describes the command.
      source: the name of the command's argument in the help.
      source_help: describes the argument.
      flags: the command's flags, by name without the leading dashes.
    """

    make: str
    help: str
    source: str
    source_help: str
    flags: Mapping[str, Flag] = {}


class Inspection(NamedTuple):
    """The command `python -m ingest NAME`, which shows data and writes no data set.

    Attributes:
      run: the dotted path of `run(source, *, command, **flags)`, which returns the exit code.
      help: describes the command.
      source: the name of the command's argument in the help.
      source_help: describes the argument.
      flags: the command's flags, by name without the leading dashes.
    """

    run: str
    help: str
    source: str
    source_help: str
    flags: Mapping[str, Flag] = {}


class Source(NamedTuple):
    """A row of SOURCES: a value of `data.source` (if it has `buckets` or `ensure`), a command, or both.

    Attributes:
      buckets: a public folder of TFRecords for each image_size, as gs://BUCKET/FOLDER; a local run downloads it.
      ensure: the dotted path of `ensure(cache, image_size)`, which makes the TFRecords in the cache and returns their
        folder. Not needed with `buckets`.
      drawn: whether the photos are drawings; their folder in the cache is then named NAME-v….
      command: the command `python -m ingest NAME`.
    """

    buckets: Mapping[int, str] = {}
    ensure: str = ""
    drawn: bool = False
    command: Command | None = None


# The flags that describe a layout: the fields of ingest.layouts.entries.Options.
_LAYOUT: dict[str, Flag] = {
    "nested": Choice(
        ["join", "top"],
        None,
        "label photos in nested folders by the whole path (animals/cat) or by the top folder (animals)",
    ),
    "follow-links": Switch("follow links to targets outside the folder of photos"),
    "path-column": Text("NAME", "the manifest's column of paths (guessed)"),
    "label-column": Text("NAME", "the manifest's column of labels (guessed)"),
    "split-column": Text("NAME", "the manifest's column of splits (guessed)"),
    "photos-root": File("DIR", "folder that the manifest's paths are relative to (the manifest's)"),
}
# The values of --fit, and the setting data.resize with which the transform graph does the same.
FITS = {"crop": "fill-crop", "pad": "pad", "stretch": "plain"}
SIZE = Number(16, 1024, 192, "side of the square photos in pixels")
EVAL_FRACTION, TEST_FRACTION = 0.1, 0.15
_MAX_MEGAPIXELS = Number(1, 4096, 250, "skip larger photos")

SOURCES = {
    "sample": Source(ensure="ingest.sample.ensure", drawn=True),
    "digits": Source(ensure="ingest.digits.ensure"),
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
            help="convert labelled photos, in class folders or listed in a manifest",
            source="PHOTOS_DIR",
            source_help="a folder with one folder per class, or with train, val and test above them; or a manifest "
            "(CSV, TSV, JSON lines, Parquet) with columns of paths and labels",
            flags={
                **_LAYOUT,
                "size": SIZE,
                "fit": Choice(
                    tuple(FITS), "crop", "keep the centre of a photo, add white at two sides, or change its proportions"
                ),
                "keep-original": Switch("store the photos at their own size, so that data.image_size can be changed"),
                "max-megapixels": _MAX_MEGAPIXELS,
                "eval-fraction": Fraction(
                    0.01, 0.5, EVAL_FRACTION, "of the photos, for the split that chooses the epoch"
                ),
                "test-fraction": Fraction(0, 0.45, TEST_FRACTION, "of the photos, for the split that the gate judges"),
                "edits": File("FILE", "CSV of corrected labels, with the columns digest and label; empty to drop"),
                "shards": Number(3, 10_000, 16, "maximum number of files"),
            },
        )
    ),
    "mnist": Source(
        command=Command(
            "ingest.mnist.make",
            help="convert the four IDX files of MNIST, Fashion-MNIST, KMNIST or EMNIST, gzipped or not",
            source="IDX_DIR",
            source_help="contains the four files, such as train-images-idx3-ubyte.gz",
            flags={
                "names": Choice(
                    tuple(NAMES), None, "class names; without it, those of EMNIST or NAME-mapping.txt, or the labels"
                ),
                "dataset": Text("NAME", "the start of the files' names, if the folder contains several data sets"),
            },
        )
    ),
}

_FEATURES = Choice(tuple(FEATURES), None, "the names of the features in TFRecords (guessed)")
_HTML = File("FILE", "also write a page with the photos")

INSPECTIONS = {
    "check": Inspection(
        "ingest.checking.command.run",
        help="look at labelled photos before a training: counts, copies, dark, bright, blurred and narrow photos",
        source="DIR",
        source_help="a folder of TFRecords, or what `photos` reads",
        flags={**_LAYOUT, "features": _FEATURES, "max-megapixels": _MAX_MEGAPIXELS, "html": _HTML},
    ),
    "kept": Inspection(
        "ingest.kept_photos.run",
        help="write the photos that a server has kept as files to label",
        source="DIR",
        source_help="the folder that a server fills with --keep",
        flags={"to": File("DIR", "a new folder for the photos, labels.csv and a page", required=True)},
    ),
    "quarantine": Inspection(
        "ingest.quarantine.run",
        help="show the records that a run could not use, by reason",
        source="DIR",
        source_help="the output folder of a run, of which the newest quarantine is shown, or the quarantine's folder",
        flags={"html": _HTML},
    ),
}


def data_sources() -> list[str]:
    """Returns the values of `data.source`."""
    return [name for name, source in SOURCES.items() if source.buckets or source.ensure]


def is_drawn(folder: Path) -> bool:
    """Returns whether a folder of the cache contains drawings."""
    return any(source.drawn and folder.name.startswith(f"{name}-v") for name, source in SOURCES.items())
