"""`python -m serving predict`: predicts photos with a server or a model on this machine, and writes a table."""

import argparse
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import track

from components.stage import plural
from errors import UserError, quoted
from ingest import regular_file
from serving import photo_files, tables, tokens
from serving.tables import Row

_AT_ONCE = 16  # photos in a request
_REQUESTS = 4  # at the same time
_UNUSED = 1  # exit code


class _Model(Protocol):
    name: str

    def predict(self, photos: Sequence[bytes]) -> tuple[int, list[dict[str, Any]]]:
        """Returns the version that answered, and an answer for each photo."""


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command."""
    result = argparse.ArgumentParser(
        prog="python -m serving predict", description="Predicts photos and writes a row for each.", allow_abbrev=False
    )
    result.add_argument("photos", nargs="+", metavar="FILE|DIR|GLOB", help="photos, folders of photos, or patterns")
    where = result.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="the model at a server: http://HOST:PORT/v1/models/NAME")
    where.add_argument("--model", metavar="DIR", help="a model on this machine, such as runs/pushed/sample")
    result.add_argument(
        "--to", metavar="FILE", type=Path, help="a .csv, .jsonl or .parquet file (default: CSV to the terminal)"
    )
    result.add_argument("--token-file", metavar="FILE", type=Path, help="with --url: a file with the server's token")
    return result


def run(args: argparse.Namespace) -> int:
    """Predicts, and returns the exit code: 0, or 1 if a photo was not used; the rows have the reasons.

    Raises:
      UserError: when the flags, the photos, the server or the model cannot be used.
    """
    tables.check(args.to)
    if args.token_file and not args.url:
        raise UserError(
            "--token-file: expected with --url, received with --model; a model on this machine needs no token"
        )
    found = photo_files.find(args.photos)
    model = _model(args)
    counts: Counter[str] = Counter()
    with tables.writer(args.to) as table:
        for rows in _progress(_predicted(model, found.photos), len(found.photos)):
            table.write(rows)
            counts.update("unused" if row["status"] else "used" for row in rows)
    where = f"; written to {args.to}" if args.to else ""
    others = f"; skipped {found.others} other files in the folders" if found.others else ""
    summary = f"{plural(counts['used'], 'photo')} predicted, {counts['unused']} not used (column status){others}{where}"
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(summary)
    return _UNUSED if counts["unused"] else 0


def _model(args: argparse.Namespace) -> _Model:
    if args.url:
        from serving.client import Server

        return Server(args.url, tokens.read(args.token_file) if args.token_file else None)
    from serving import folders

    folders.check(args.model)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from serving.local_model import LocalModel  # after the check, because it imports TensorFlow

    return LocalModel(args.model, folders.name(args.model))


def _progress(batches: Iterator[list[Row]], photos: int) -> Iterable[list[Row]]:
    console = Console(stderr=True)
    total = -(-photos // _AT_ONCE)
    return track(batches, f"{photos} photos", total=total, console=console, disable=not console.is_terminal)


def _predicted(model: _Model, photos: list[Path]) -> Iterator[list[Row]]:
    """Yields the rows in the order of the photos. Only a few batches are in memory."""
    with ThreadPoolExecutor(_REQUESTS) as executor:
        for several in _slices(_slices(photos, _AT_ONCE), _REQUESTS):
            yield from executor.map(lambda files: _rows(model, files), several)


def _slices(values: list[Any], size: int) -> list[Any]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _rows(model: _Model, files: Sequence[Path]) -> list[Row]:
    contents = [_read(file) for file in files]
    photos = [each for each in contents if isinstance(each, bytes)]
    version, answers = model.predict(photos) if photos else (None, [])
    remaining = iter(answers)
    rows = []
    for file, content in zip(files, contents, strict=True):
        answer = next(remaining) if isinstance(content, bytes) else {"status": content}
        rows.append(_row(file, answer, model.name, version))
    return rows


def _read(file: Path) -> bytes | str:
    """Returns the content of a file, or why it cannot be read."""
    try:
        return regular_file.photo(file)
    except OSError as error:
        return f"the file cannot be read: {error.strerror}"


def _is_answer(answer: Any) -> bool:
    """Returns whether an answer has the form of this pipeline's models."""
    if not isinstance(answer, dict) or not isinstance(answer.get("status"), str):
        return False
    values = answer.get("probabilities")
    numbers = isinstance(values, list) and all(isinstance(each, int | float) for each in values)
    return bool(answer["status"]) or (numbers and isinstance(answer.get("label"), str))


def _row(file: Path, answer: Any, model: str, version: int | None) -> Row:
    if not _is_answer(answer):
        raise UserError(
            f"expected answers with label, probabilities and status, received {quoted(answer)} from {model}; give a "
            "model that this pipeline has pushed"
        )
    used = not answer["status"]
    probabilities = answer["probabilities"] if used else []
    return {
        "file": os.fsencode(file).decode(errors="backslashreplace"),
        "label": answer["label"] if used else None,
        "probability": max(probabilities, default=None),
        "probabilities": probabilities,
        "sure": answer.get("sure") if used else None,
        "familiar": answer.get("familiar") if used else None,
        "status": answer["status"],
        "model": model,
        "version": version,
    }
