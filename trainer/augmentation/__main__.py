"""Writes a contact sheet of all augmentations; see --help."""

import argparse
import os
import sys
from pathlib import Path

from errors import UserError
from storage import uris


def main(argv: list[str] | None = None) -> int:
    """Runs the command of the flags and returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.augmentation",
        description="Shows each operation of trainer.augment, with its default options, on a few photos.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--show",
        metavar="DATA",
        type=uris.local_path,
        nargs="+",
        required=True,
        help="files or folders with TFRecords, or with JPEG, PNG, GIF or BMP photos",
    )
    parser.add_argument(
        "--to", metavar="FILE.png", type=_png, default=Path("augmentation.png"), help="default: augmentation.png"
    )
    args = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow prints when it is imported
    from trainer.augmentation import contact_sheet

    try:
        contact_sheet.write(args.show, args.to)
    except UserError as error:
        print(f"augmentation: {error}", file=sys.stderr)
        return 2
    print(args.to)
    return 0


def _png(text: str) -> Path:
    if not text.endswith(".png"):
        raise argparse.ArgumentTypeError(f"expected a file that ends in .png, received {text!r}")
    return uris.local_path(text)


if __name__ == "__main__":
    sys.exit(main())
