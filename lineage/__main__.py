"""Asks ML Metadata: `python -m lineage --help`."""

import sys

from errors import UserError
from lineage import cli, text

FOUND, NOT_FOUND = 0, 2


def main(argv: list[str] | None = None) -> int:
    """Answers one question and returns the exit code."""
    args = cli.parser().parse_args(argv)
    try:
        cli.answer(args)
    except UserError as error:
        print(f"lineage: {text.safe(error)}", file=sys.stderr)
        return NOT_FOUND
    except BrokenPipeError:  # the reader, as `head`, has seen enough
        sys.stderr.close()
    return FOUND


if __name__ == "__main__":
    sys.exit(main())
