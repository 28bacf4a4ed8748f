"""Converts your own photos, or MNIST, to TFRecords, and shows data: `python -m ingest --help`."""

import argparse
import importlib
import os
import shlex
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from errors import UserError
from ingest.flags import Flag, Number
from ingest.paths import absolute
from ingest.sources import INSPECTIONS, SOURCES, Command, Inspection
from ingest.split_names import SPLITS
from storage import uris

if TYPE_CHECKING:
    from ingest.output import WrittenDataset

WRITTEN, REFUSED, INTERRUPTED = 0, 2, 130
_LISTED = 20  # skipped files
_SEED = Number(0, 2**63, 0, "seed of the shuffle")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or SIGTERM.

    Imports run `eval` for namedtuples. When a plain KeyboardInterrupt leaves an `eval`, CPython ends
    `python -m` by the signal and ignores the exit code.
    """


def main(argv: list[str] | None = None) -> int:
    """Writes or shows the data that the flags describe and returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    args = vars(_parser().parse_args(argv))
    args["command"] = shlex.join(["python", "-m", "ingest", *argv])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow prints when it is imported
    try:
        module, _, name = args.pop("function").rpartition(".")
        function, source = getattr(importlib.import_module(module), name), args.pop("source")
        if not args.pop("writes_dataset"):
            return function(source, **args)
        target = args.pop("to")
        _print_summary(function(source, target, **args), target)
        return WRITTEN
    except UserError as error:
        print(f"ingest: {error}", file=sys.stderr)
        return REFUSED
    except ModuleNotFoundError as error:
        advice = "activate the environment: source .venv/bin/activate"
        print(f"ingest: {sys.executable} has no package {error.name}; {advice}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("ingest: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    commands = {name: source.command for name, source in SOURCES.items() if source.command}
    names = [*commands, *INSPECTIONS]
    result = argparse.ArgumentParser(
        prog="python -m ingest",
        description="Convert labelled photos to TFRecords, with settings for a run; or look at them.",
        allow_abbrev=False,
    )
    kinds = result.add_subparsers(required=True, metavar=" | ".join(names))
    for name, command in commands.items():
        kind = _add(kinds, name, command, {**command.flags, "seed": _SEED})
        kind.add_argument(
            "--to", metavar="DIR", type=uris.local_path, required=True, help="a new folder for the dataset"
        )
        kind.set_defaults(function=command.make, writes_dataset=True)
    for name, inspection in INSPECTIONS.items():
        _add(kinds, name, inspection, inspection.flags).set_defaults(function=inspection.run, writes_dataset=False)
    return result


def _add(kinds: Any, name: str, command: Command | Inspection, flags: Mapping[str, Flag]) -> argparse.ArgumentParser:
    kind = kinds.add_parser(name, help=command.help)
    kind.add_argument("source", metavar=command.source, type=uris.local_path, help=command.source_help)
    for flag, takes in flags.items():
        kind.add_argument(f"--{flag}", **takes.arguments())
    return kind


def _print_summary(written: "WrittenDataset", folder: Path) -> None:
    from ingest import output

    _print_counts(written.counts)
    print(f"{sum(written.counts.values()):,} photos in {written.shards} shards: {output.printable(folder)}")
    if written.splits:
        in_order = [(split, written.splits[split]) for split in SPLITS if split in written.splits]
        print("  " + ", ".join(f"{split}: {count:,}" for split, count in in_order))
    for notice in written.notices:
        print(f"notice: {notice}")
    if written.skipped:
        print(f"{len(written.skipped):,} skipped:")
    for path, reason in written.skipped[:_LISTED]:
        print(f"  {output.printable(path)}: {output.printable(reason)}")
    if len(written.skipped) > _LISTED:
        print(f"  … all of them: {output.printable(folder / output.SKIPPED)}")
    _print_next(absolute(folder), written.is_feedback)  # a relative path might begin with a dash


def _print_next(folder: Path, is_feedback: bool) -> None:
    from ingest import output

    if not is_feedback:
        settings = shlex.quote(str(folder / output.SETTINGS))
        print(f"next: python local_runner.py --config {output.printable(settings)}")
        return
    parent = output.printable(shlex.quote(str(folder.parent)))
    print(
        "next: train on the earlier data too. EARLIER is its folder, beside this one; PATTERN matches the record files"
    )
    print("of both, such as span-*/*")
    print(
        f"python local_runner.py --config {parent}/EARLIER/settings.yaml --data {parent} --set 'data.pattern=PATTERN'"
    )


def _print_counts(counts: Mapping[str, int]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ingest.names import printable_class

    table = Table("class")
    table.add_column("photos", justify="right")
    for name, count in counts.items():
        table.add_row(Text(printable_class(name)), f"{count:,}")
    Console().print(table)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise Interrupted


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)  # as `timeout` and `docker stop` send it
    if (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):  # not if SIGINT is ignored, as in a background job
        signal.signal(signal.SIGINT, _interrupt)
    sys.exit(main())
