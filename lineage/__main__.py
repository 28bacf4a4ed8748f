"""Entry point of `python -m lineage`."""

import sys

from errors import UserError
from lineage import cli, text

OK, USER_ERROR = 0, 2


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns the exit code: 0, or 2 for a user error."""
    args = cli.parser().parse_args(argv)
    try:
        args.answer(args)
    except UserError as error:
        print(f"lineage: {text.safe(error)}", file=sys.stderr)
        return USER_ERROR
    except BrokenPipeError:  # the reader closed the pipe, as `head` does
        sys.stderr.close()
    return OK


if __name__ == "__main__":
    sys.exit(main())
