"""Makes TFRecords of one's own photos, or of MNIST: `python -m ingest --help`."""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from errors import UserError

MADE, REFUSED, INTERRUPTED = 0, 2, 130


class Interrupted(KeyboardInterrupt):
    """Ctrl-C.

    Where a KeyboardInterrupt itself leaves an `eval`, as those that TensorFlow's import makes for namedtuples, CPython
    ends a `python -m` by the signal, whatever exit code it asks for.
    """


def main(argv: list[str] | None = None) -> int:
    """Makes the dataset that the flags ask for and returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow greets when it is imported
    try:
        args.make(args, shlex.join(["python", "-m", "ingest", *argv]))
        _say_next(args.to.expanduser())
        return MADE
    except UserError as error:
        print(f"ingest: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("ingest: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m ingest", description="Make TFRecords, with the settings to run them.", allow_abbrev=False
    )
    kinds = result.add_subparsers(required=True, metavar="photos | mnist")
    photos = kinds.add_parser("photos", help="a folder of photos that holds a folder for each class")
    photos.add_argument("source", metavar="PHOTOS_DIR", type=Path, help="holds a folder for each class")
    photos.add_argument("--size", type=_between(16, 1024), default=192, help="pixels a side, cropped (192)")
    photos.add_argument("--shards", type=_between(2, 10_000), default=16, help="files, at most (16)")
    photos.set_defaults(make=_photos)
    mnist = kinds.add_parser("mnist", help="the four IDX files of MNIST, gzipped or not")
    mnist.add_argument("source", metavar="IDX_DIR", type=Path, help="holds train-images-idx3-ubyte.gz and the others")
    mnist.set_defaults(make=_mnist)
    for kind in (photos, mnist):
        kind.add_argument("--to", metavar="DIR", type=Path, required=True, help="a new folder for the dataset")
        kind.add_argument("--seed", type=_between(0, 2**63), default=0, help="of the order (0)")
    return result


def _between(low: int, high: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, received {text!r}")
        return value

    return whole_number


def _photos(args: argparse.Namespace, command: str) -> None:
    from ingest import output, photos

    made = photos.make(args.source, args.to, args.size, args.shards, args.seed, command)
    _show(made.counts)
    print(f"{sum(made.counts.values()):,} photos in {made.shards} shards: {output.printable(args.to)}")
    if made.left_out:
        print(f"{len(made.left_out):,} left out:")
    for path, reason in made.left_out:
        print(f"  {output.printable(path)}: {output.printable(reason)}")


def _mnist(args: argparse.Namespace, command: str) -> None:
    from ingest import mnist, output

    counts = mnist.make(args.source, args.to, args.seed, command)
    _show(counts)
    print(f"{sum(counts.values()):,} digits in {output.printable(args.to)}")


def _say_next(folder: Path) -> None:
    from ingest import output

    settings = shlex.quote(str(folder / output.SETTINGS))
    print(f"next: python local_runner.py --config {output.printable(settings)}")


def _show(counts: Mapping[str, int]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ingest import output

    table = Table("class")
    table.add_column("photos", justify="right")
    for name, count in counts.items():
        table.add_row(Text(output.printable(name)), f"{count:,}")
    Console().print(table)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise Interrupted


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell's background job ignores it
        signal.signal(signal.SIGINT, _interrupt)
    sys.exit(main())
