"""Checks a folder of record files before a run starts. It reads only a few bytes of them."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from google.protobuf.message import DecodeError

from errors import UserError, shortened
from ingest import record_file, records
from ingest.example_proto import Example
from ingest.feature_names import CLASS, IMAGE, fitting
from ingest.split_names import TRAIN

_NOTICE_FACTOR = 1.5  # to the default fractions, 0.315 together: without a notice, 8 shards hold out 0.38
_LISTED = 5  # files that a message names
_KINDS = {IMAGE: ("bytes",), CLASS: ("int64", "bytes")}


def check_features(files: Sequence[str], features: Mapping[str, str], needed: Collection[str] = tuple(_KINDS)) -> None:
    """Checks that a record has the features that a run reads.

    ExampleGen checks every record. Here, only the first record of the first readable files is parsed.

    Args:
      files: the paths of local record files.
      features: the records' names; see `ingest.feature_names`.
      needed: the features that must exist, of IMAGE and CLASS.

    Raises:
      UserError: when no file has a readable record, or the first readable records lack a feature.
    """
    problems: list[str] = []
    missing = ""
    for file in files:
        record = _first(file)
        if isinstance(record, str):
            problems.append(record)
            continue
        kinds = {name: str(feature.WhichOneof("kind")).removesuffix("_list") for name, feature in record.items()}
        if not (missing := missing or _missing(file, kinds, features, needed)):
            return
        if len(problems) + 1 >= _LISTED:
            break
    if missing:
        raise UserError(missing)
    listed = "\n  ".join(problems[:_LISTED] + ["…"] * (len(problems) > _LISTED))
    raise UserError(f"no record can be read in {len(files)} files; download or make them again:\n  {listed}")


def _first(file: str) -> Mapping | str:
    """Returns the features of the first record of a file, or why it cannot be read."""
    name = file.rpartition("/")[2]
    try:
        record = record_file.first(Path(file))
        if record is None:
            return f"{name}: contains no records"
        return f"{name}: {record.problem}" if record.problem else Example.FromString(record.data).features.feature
    except OSError as error:
        return f"{name}: {error.strerror}"
    except DecodeError:
        return f"{name}: the first record is not a tf.Example"


def _missing(file: str, kinds: Mapping[str, str], features: Mapping[str, str], needed: Collection[str]) -> str:
    """Returns an error if a feature is missing or has another kind, or ''."""
    wrong = [name for name in needed if kinds.get(features[name]) not in _KINDS[name]]
    if not wrong:
        return ""
    expected = ", ".join(f"{features[name]} ({' or '.join(_KINDS[name])})" for name in wrong)
    found = shortened(", ".join(f"{name} ({kind})" for name, kind in sorted(kinds.items())) or "none")
    row = fitting([name for name, kind in kinds.items() if kind in ("bytes", "int64")])
    command = f"--set data.features={row}" if row else " ".join(f"--set data.features.{name}=NAME" for name in wrong)
    return (
        f"data.features: expected the features {expected} in the records; received in {file.rpartition('/')[2]}: "
        f"{found}. Give the names: {command}"
    )


def check_batches(files: Sequence[str], splits: Sequence[str], batches: Mapping[str, int]) -> None:
    """Checks that the training split fills one batch on one replica.

    The sizes of a split by hash are not known yet, so a batch is refused only if it is larger than all records.

    Args:
      files: the paths of local record files.
      splits: the split of each file, or [] for a split by hash; see `records.splits_of_files`.
      batches: the largest batch size of each setting.

    Raises:
      UserError: naming the largest batch.
    """
    training = [file for file, split in zip(files, splits, strict=True) if split == TRAIN] if splits else files
    largest, most = max(batches.values()), 0
    for file in training:
        most += record_file.count(Path(file), largest - most)
        if most >= largest:
            return
    of, suggested = ("the training split", most) if splits else ("all splits", most // 2 or 1)
    for setting, batch in batches.items():
        if batch > most:
            command = f" (--set {setting}={suggested})" if setting == "trainer.batch_size" else ""
            raise UserError(
                f"{setting}: expected a batch of at most {most}, the examples of {of}; received {batch}. "
                f"Lower it{command} or give more data"
            )


def split_notice(files: Sequence[str], splits: Sequence[str], held_out_fraction: float) -> str:
    """Returns a notice if the held-out shards have a fraction of the bytes far from `held_out_fraction`, or ''."""
    sizes = [Path(file).stat().st_size for file in files]
    held_out = sum(size for size, split in zip(sizes, splits, strict=True) if split != TRAIN) / max(1, sum(sizes))
    if held_out_fraction / _NOTICE_FACTOR <= held_out <= held_out_fraction * _NOTICE_FACTOR:
        return ""
    return (
        f"whole shards are held out for evaluation: {held_out:.0%} of the data, and data.eval_fraction and "
        f"data.test_fraction are {held_out_fraction:g} together. To split by record: --set data.split=hash"
    )


def unmatched_notice(directory: Path, pattern: str, files: Sequence[str]) -> str:
    """Returns a notice that names the record files which the pattern does not match, or ''."""
    names = records.unmatched(directory, files)
    more = " …" if len(names) > _LISTED else ""
    if not names:
        return ""
    count = f"{len(names)} file{'s' * (len(names) > 1)}"
    return f"skipped {count} that {pattern!r} (data.pattern) does not match: {', '.join(names[:_LISTED])}{more}"
