"""`python -m serving --model DIR`: serves a pushed model; see --help."""

import argparse
import math
import socket
import sys
from pathlib import Path

from errors import UserError
from serving import folders
from serving.settings import Settings

_FAILED, _NOT_STARTED = 1, 2


def main(argv: list[str] | None = None) -> int:
    """Serves until Ctrl-C or SIGTERM, and returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        settings = _settings(args)
        folders.check(settings.model)
        with _listening(settings) as listening:
            from serving import run  # after the checks, because it imports uvicorn

            host, port = listening.getsockname()[:2]
            print(
                f"http://{f'[{host}]' if ':' in host else host}:{port}/v1/models/{settings.name}  (Ctrl-C to stop)",
                flush=True,
            )
            return 0 if run.serve(settings, listening) else _FAILED
    except UserError as error:
        print(f"serving: {error}", file=sys.stderr)
        return _NOT_STARTED


def _parser() -> argparse.ArgumentParser:
    default = Settings("", "")
    parser = argparse.ArgumentParser(
        prog="python -m serving", description="Serves a pushed model over HTTP.", allow_abbrev=False
    )
    parser.add_argument(
        "--model", metavar="DIR", required=True, help="the folder of the versions, such as runs/pushed/sample"
    )
    parser.add_argument("--name", help="the model's name in URLs (default: the name of the folder)")
    parser.add_argument(
        "--host", default=default.host, help="address to bind (default: %(default)s, this machine only)"
    )
    parser.add_argument(
        "--port", type=int, default=default.port, help="port (default: %(default)s); 0 for any free port"
    )
    for flag, kind, text in (
        ("workers", int, "processes that share the port"),
        ("max-batch", int, "photos in one call of the model"),
        ("max-queue", int, "photos that may wait in a worker; more are answered with 429"),
        ("max-body-mb", int, "MiB of a request; more are answered with 413"),
        ("timeout-s", float, "seconds until a request is answered with 503"),
        ("poll-s", float, "seconds between two looks for new versions"),
    ):
        value = getattr(default, flag.replace("-", "_"))
        parser.add_argument(f"--{flag}", type=kind, default=value, metavar="N", help=f"{text} (default: {value:g})")
    parser.add_argument("--token-file", metavar="FILE", type=Path, help="a file with the token that requests must have")
    return parser


def _settings(args: argparse.Namespace) -> Settings:
    """Returns the settings.

    Raises:
      UserError: when a value is out of its range, or the token file cannot be read.
    """
    model = args.model.rstrip("/")
    settings = Settings(**vars(args) | {"model": model, "name": args.name or _name(model)})
    for key in ("workers", "max_batch", "max_queue", "max_body_mb", "timeout_s", "poll_s"):
        if not 0 < getattr(settings, key) < math.inf:
            raise UserError(
                f"--{key.replace('_', '-')}: expected a number above 0, received {getattr(settings, key):g}"
            )
    if not settings.name or set(settings.name) & set("/:") or not settings.name.isprintable():
        raise UserError(f"--name: expected a name for URLs without / and :, received {settings.name!r}")
    if settings.token_file:
        _check_token(settings.token_file)
    return settings


def _name(model: str) -> str:
    """Returns the name of a folder of versions; of a version's folder, the name of the folder above it."""
    path = Path(model).absolute()
    return path.parent.name if path.name.isdecimal() else path.name


def _check_token(file: Path) -> None:
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--token-file: cannot read {file}: {error}") from None
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise UserError(
            f"--token-file: expected one line of printable ASCII without spaces in {file}, received other text"
        )


def _listening(settings: Settings) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
        # Connections inherit it: without it, answers wait 40 ms. asyncio sets it only on sockets of IPPROTO_TCP.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, OverflowError) as error:
        raise UserError(
            f"cannot listen on {settings.host}, port {settings.port}: {error}; give another port (--port)"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
