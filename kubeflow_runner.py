"""Compiles the pipeline for a cluster, checks it, submits it, or executes it locally; see --help."""

import argparse
import sys

from errors import UserError
from pipeline.cluster import cli
from pipeline.cluster.errors import ContactLost
from pipeline.exit_codes import INTERRUPTED, LOST, NOT_STARTED


def main(argv: list[str] | None = None) -> int:
    """Runs the command of the flags and returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    args = cli.parser().parse_args(words, argparse.Namespace(words=words))
    try:
        return int(args.command(args))
    except (ContactLost, UserError) as error:
        print(f"kubeflow_runner.py: {error}", file=sys.stderr)
        return NOT_STARTED if isinstance(error, UserError) else LOST
    except KeyboardInterrupt:
        submits = args.words[0] == "submit" or getattr(args, "action", "") == "batch"
        continues = "; a submitted run continues" if submits else ""
        print(f"kubeflow_runner.py: interrupted{continues}", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
