"""Writes a dataset's folder atomically, with its schema and a settings file for `--config`."""

import csv
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from errors import UserError
from ingest import schema
from ingest.names import printable, run_name, safe_name
from ingest.split_names import SPLITS, split_in_file_name
from ingest.target import atomic_folder, check_free

SETTINGS = "settings.yaml"
SCHEMA = "schema.pbtxt"
SKIPPED = "skipped.csv"
_BATCH = 32  # the default of trainer.batch_size
_OTHER_PRESET = "flowers-convnet"  # the example of a preset for the same photos, in the header of the settings


class WrittenDataset(NamedTuple):
    """A written dataset.

    Attributes:
      counts: the number of records of each class.
      shards: the number of shards.
      skipped: files that are not in the dataset, with reasons.
      notices: what else the user should know.
      splits: the number of records of each split, if known.
      is_feedback: whether the photos are those of `ingest kept`, which a training uses together with earlier data.
    """

    counts: Mapping[str, int]
    shards: int
    skipped: Sequence[tuple[Path, str]] = ()
    notices: Sequence[str] = ()
    splits: Mapping[str, int] = {}
    is_feedback: bool = False


@contextmanager
def dataset_folder(target: Path) -> Iterator[Path]:
    """Yields a temporary folder, as `atomic_folder` does, for the folder that `--to` names.

    Raises:
      UserError: when `target` exists and is not an empty folder, or cannot be written.
    """
    check_free(target)
    try:
        with atomic_folder(target, last=SETTINGS) as folder:
            yield folder
    except OSError as error:
        raise UserError(
            f"cannot write {printable(target)}: {error.strerror or error}; nothing was written. "
            "Free disk space or give another folder (--to DIR)"
        ) from None


def write_settings(
    folder: Path,
    source: Path,
    target: Path,
    command: str,
    data: dict[str, Any],
    preset: str,
    sections: Mapping[str, Any] = {},
) -> None:
    """Writes settings.yaml and schema.pbtxt to `folder`, for a dataset that is then moved to `target`.

    Args:
      folder: where the files are written.
      source: the absolute path of the dataset's source, from which the name of the runs is made.
      target: the absolute path of the dataset.
      command: the command that made the dataset, for the header.
      data: settings of the section `data` that describe the dataset, `classes` included.
      preset: the model and the recipe; it accepts the sizes and the number of channels of these photos.
      sections: other sections of the settings.
    """
    settings = {
        "preset": preset,
        "name": run_name(source),
        "data": {"directory": ".", "schema_file": SCHEMA, **data},  # relative to this file, so that it can be moved
        # null: computed from the judged split, because a preset's floors are for other data
        "evaluator": {"min_accuracy": None, "min_class_recall": None},
        **sections,
    }
    run = f"--config {_quoted(target / SETTINGS)}"
    header = f"# Made by: {printable(command)}\n# Run it:  python local_runner.py {run}\n"
    if preset != _OTHER_PRESET:
        header += (
            "# With another preset's model and recipe (the other settings of this file override the preset's):\n"
            f"#          python local_runner.py --preset {_OTHER_PRESET} {run}\n"
        )
    text = header + yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    (folder / SETTINGS).write_text(text, encoding="utf-8")
    made = f"# Made from schemas/flowers.pbtxt by: {printable(command)}\n"
    (folder / SCHEMA).write_text(made + schema.to_text(schema.for_classes(data["classes"])), encoding="utf-8")


def write_skipped(folder: Path, skipped: Sequence[tuple[Path, str]]) -> None:
    """Writes the files that are not in the dataset to skipped.csv, with the columns `file` and `reason`, if any."""
    if skipped:
        with (folder / SKIPPED).open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            csv.writer(file).writerows([("file", "reason"), *skipped])


def fitting_batch(training: int) -> dict[str, Any]:
    """Returns the section `trainer`: a batch size that a training split fills, if it is smaller than the default."""
    return {"trainer": {"batch_size": 1 << (training.bit_length() - 1)}} if training < _BATCH else {}


def shard_names(stem: str, counts: Sequence[int]) -> list[str]:
    """Returns a name for each shard, with its index and its number of records; the names sort in this order."""
    digits = max(2, len(str(len(counts) - 1)))
    stem += "-" if stem[-1].isdigit() else ""
    return [f"{stem}{index:0{digits}d}-{count}.tfrec" for index, count in enumerate(counts)]


def split_stem(name: str, split: str) -> str:
    """Returns the start of the names of a split's shards, without other words that name a split.

    >>> split_stem("Pets", "train"), split_stem("test-photos", "train")
    ('pets-train-', 'photos-train-')
    """
    stem = safe_name(name)
    clear = all(split_in_file_name(f"{stem}-{each}-") == each for each in SPLITS)
    return f"{stem if clear else 'photos'}-{split}-"


def _quoted(path: Path) -> str:
    return printable(shlex.quote(str(path)))
