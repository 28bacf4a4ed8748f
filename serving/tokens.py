"""Reads the bearer token of a server from a file, because a command line is visible to other users."""

from pathlib import Path

from errors import UserError


def read(file: Path) -> str:
    """Returns the token in a file.

    Raises:
      UserError: when the file cannot be read, or contains something else.
    """
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--token-file: cannot read {file}: {error}") from None
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UserError(
            f"--token-file: expected one line of printable ASCII without spaces in {file}, received other text"
        )
    return token
