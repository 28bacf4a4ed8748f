"""The bearer token of a server, and the links that it signs with the token."""

from pathlib import Path

from itsdangerous import BadSignature, TimestampSigner

from errors import UserError

_LINK_S = 3600  # a link that leaks is of use for this time


def read(file: Path) -> str:
    """Returns the token in a file, because a command line is visible to other users.

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


def sign(token: str, what: str) -> str:
    """Returns a text that proves for an hour that a server with this token allowed to see `what`."""
    return _signer(token).sign(what).decode()


def is_signed(token: str, what: str, text: str) -> bool:
    """Returns whether `sign` returned this text for this token and `what`, within the last hour.

    >>> text = sign("secret", "7")
    >>> is_signed("secret", "7", text), is_signed("secret", "8", text), is_signed("other", "7", text)
    (True, False, False)
    """
    try:
        return _signer(token).unsign(text, max_age=_LINK_S).decode() == what
    except BadSignature:
        return False


def _signer(token: str) -> TimestampSigner:
    return TimestampSigner(token, salt="report")
