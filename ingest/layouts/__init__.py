"""Finds labelled photos in any layout: class folders, with splits above them or nested, and manifests."""

from pathlib import Path

from errors import UserError
from ingest.layouts import folders, manifests
from ingest.layouts.entries import Entry, Options, check_labels
from ingest.names import is_utf8, printable
from ingest.parallel import Skipped
from ingest.split_names import SPLITS, TRAIN


def find(source: Path, options: Options, skipped: list[Skipped], notices: list[str] | None = None) -> list[Entry]:
    """Returns the files that a source labels, sorted by name; the files may turn out not to be photos.

    Either all entries have a split, with photos in `train` and in `eval` or `test`, or none has. With splits in a
    manifest, a photo without a split belongs to `train`.

    Args:
      source: an absolute path of a folder or of a manifest.
      options: the flags of the command.
      skipped: a list to which files, folders and rows that are left out are appended, with reasons.
      notices: a list to which what else the user should know is appended, if given.

    Raises:
      UserError: when the source cannot be read, its layout is unknown or ambiguous, or a class name is not usable.
    """
    try:
        found = _found(source, options, skipped, [] if notices is None else notices)
    except OSError as error:
        raise UserError(f"cannot read {printable(error.filename)}: {error.strerror}") from None
    check_labels({entry.label for entry in found}, "rename the folder" if source.is_dir() else "correct the manifest")
    skipped += [Skipped(each.path, "the name is not UTF-8; rename it") for each in found if not is_utf8(each.name)]
    entries = _with_whole_splits([entry for entry in found if is_utf8(entry.name)])
    return sorted(entries, key=lambda entry: (entry.name, entry.label))


def _found(source: Path, options: Options, skipped: list[Skipped], notices: list[str]) -> list[Entry]:
    if source.is_dir():
        return folders.find(source, options, skipped)
    if source.is_file():
        if options.nested:
            raise UserError(f"--nested is for folders; {printable(source)} is a manifest, which contains the labels")
        return manifests.find(source, options, skipped, notices)
    endings = ", ".join(manifests.ENDINGS)
    problem = "is neither" if source.exists() else "does not exist"
    raise UserError(f"expected a folder of photos or a manifest ({endings}); {printable(source)} {problem}")


def _with_whole_splits(entries: list[Entry]) -> list[Entry]:
    """Returns the entries with their splits, or with none if the splits cannot be used for training and evaluation."""
    given = {entry.split for entry in entries}
    if given <= {None, TRAIN}:
        return [entry._replace(split=None) for entry in entries]
    if not given & {None, TRAIN}:
        received = ", ".join(split for split in SPLITS if split in given)
        raise UserError(
            f"expected photos for training, received only the splits {received}; add a folder or a split named train"
        )
    return [entry._replace(split=entry.split or TRAIN) for entry in entries]
