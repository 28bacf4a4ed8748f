"""Converts a weights file to `.npz`, which needs only numpy: `python -m trainer.to_npz FILE TO.npz`."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from storage import uris


def main(argv: list[str] | None = None) -> int:
    """Writes an array for each variable, named 'layer/variable', and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trainer.to_npz", description="Write weights as .npz.")
    parser.add_argument("file", type=uris.local_path, help="weights: .weights.h5, .keras, .h5 or .npz")
    parser.add_argument("to", type=_npz, help="the new file, which ends in .npz")
    args = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow prints when it is imported
    import numpy as np

    from trainer import weight_files

    try:
        arrays: dict[str, Any] = weight_files.read(args.file)  # Any for the keyword argument allow_pickle
        with weight_files.atomic_write(args.to) as part:
            np.savez(part, **arrays)
    except (ValueError, OSError) as error:
        print(f"to_npz: {error}", file=sys.stderr)
        return 2
    print(f"{args.to}: {len(arrays)} arrays, {sum(array.size for array in arrays.values()):,} numbers")
    return 0


def _npz(text: str) -> Path:
    if not text.endswith(".npz"):
        raise argparse.ArgumentTypeError(f"expected a file that ends in .npz, received {text!r}")
    return uris.local_path(text)


if __name__ == "__main__":
    sys.exit(main())
