"""`python -m serving --model DIR`: serves a pushed model; see --help."""

import argparse
import math
import os
import sys
from pathlib import Path

from errors import UserError, choices, quoted
from serving import folders, kept_files, ports, tokens
from serving.settings import Settings, Share
from storage import aliases, uris

_FAILED, _NOT_STARTED, _INTERRUPTED = 1, 2, 130
_PREDICT, _MANIFEST = "predict", "manifest"
_MOST_MB = 2047  # of a message of gRPC


def main(argv: list[str] | None = None) -> int:
    """Serves until Ctrl-C or SIGTERM, and returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        if argv[:1] == [_PREDICT]:
            from serving import predict

            return predict.run(predict.parser().parse_args(argv[1:]))
        if argv[:1] == [_MANIFEST]:
            from serving import manifest

            return manifest.run(manifest.parser().parse_args(argv[1:]))
        if argv and not argv[0].startswith("-"):
            raise UserError(
                f"unknown command {quoted(argv[0])}; {choices(argv[0], (_PREDICT, _MANIFEST))}, or --model DIR to serve"
            )
        settings = _settings(_parser().parse_args(argv))
        if settings.model in folders.check(settings.model).values() and (settings.canary or settings.shadow):
            raise UserError(
                f"--canary and --shadow: expected a folder with numbered versions and their aliases as --model, "
                f"received one version, {settings.model}; give the folder above it"
            )
        token = tokens.read(settings.token_file) if settings.token_file else None
        if settings.keep:
            kept_files.prepare(settings.keep)
        return _serve(settings, token)
    except UserError as error:
        print(f"serving: {error}", file=sys.stderr)
        return _NOT_STARTED
    except KeyboardInterrupt:
        if argv[:1] == [_PREDICT]:
            print("serving: interrupted; a file of --to was not written", file=sys.stderr)
            return _INTERRUPTED
        return 0  # of a server that has not begun to load; later ones end by themselves
    except BrokenPipeError:  # of `predict | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED


def _parser() -> argparse.ArgumentParser:
    default = Settings("", "")
    parser = argparse.ArgumentParser(
        prog="python -m serving",
        description="Serves a pushed model over HTTP.",
        epilog="python -m serving predict --help: predicts photos and writes a table. "
        "python -m serving manifest --help: writes Kubernetes objects",
        allow_abbrev=False,
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
    parser.add_argument(
        "--grpc-port", type=int, metavar="N", help="port of gRPC; 0 for any free port (default: no gRPC)"
    )
    parser.add_argument(
        "--keep",
        metavar="DIR",
        type=uris.local_path,
        help="keep a sample of the answers in this folder, without photos",
    )
    parser.add_argument(
        "--keep-photos", action="store_true", help="keep the photos, too: tell the people who send them"
    )
    parser.add_argument(
        "--keep-share", type=float, default=default.keep_share, metavar="N", help="of the photos (default: %(default)s)"
    )
    parser.add_argument(
        "--keep-mb", type=int, default=default.keep_mb, metavar="N", help="MiB of all kept files (default: %(default)s)"
    )
    parser.add_argument(
        "--canary",
        metavar="ALIAS=SHARE",
        help="this share of the requests without a version is for the alias's version",
    )
    parser.add_argument(
        "--shadow",
        metavar="ALIAS=SHARE",
        help="the alias's version computes this share of the requests, too; its predictions are only counted",
    )
    parser.add_argument("--token-file", metavar="FILE", type=Path, help="a file with the token that requests must have")
    return parser


def _settings(args: argparse.Namespace) -> Settings:
    """Returns the settings.

    Raises:
      UserError: when a value is out of its range, or the token file cannot be read.
    """
    model = args.model.rstrip("/")
    shares = {"canary": _share("canary", args.canary), "shadow": _share("shadow", args.shadow)}
    settings = Settings(**vars(args) | shares | {"model": model, "name": args.name or folders.name(model)})
    for key in ("workers", "max_batch", "max_queue", "max_body_mb", "timeout_s", "poll_s", "keep_mb"):
        if not 0 < getattr(settings, key) < math.inf:
            raise UserError(
                f"--{key.replace('_', '-')}: expected a number above 0, received {getattr(settings, key):g}"
            )
    if settings.max_body_mb > _MOST_MB:
        raise UserError(f"--max-body-mb: expected at most {_MOST_MB}, received {settings.max_body_mb}")
    if not settings.name or set(settings.name) & set("/:?#%") or not settings.name.isprintable():
        raise UserError(f"--name: expected a name for URLs without / : ? # and %, received {settings.name!r}")
    _check_keep(settings)
    return settings


def _share(flag: str, text: str | None) -> Share | None:
    """Returns the value of a flag; all requests may have a shadow, but some must be left for the champion.

    Raises:
      UserError: when the text is not one of an alias and a share.
    """
    if text is None:
        return None
    alias, _, number = text.partition("=")
    try:
        share = float(number)
    except ValueError:
        share = math.nan
    is_share = 0 < share <= 1 if flag == "shadow" else 0 < share < 1
    if not is_share or not aliases.is_name(alias) or alias == aliases.CHAMPION:
        raise UserError(
            f"--{flag}: expected ALIAS=SHARE with another alias than {aliases.CHAMPION} and a share above 0 and "
            f"{'at most' if flag == 'shadow' else 'below'} 1, such as challenger=0.1; received {quoted(text)}"
        )
    return Share(alias, share)


def _check_keep(settings: Settings) -> None:
    if settings.keep_photos and not settings.keep:
        raise UserError("--keep-photos: expected with --keep DIR; give the folder for the photos")
    if not 0 < settings.keep_share <= 1:
        raise UserError(f"--keep-share: expected a number above 0 and at most 1, received {settings.keep_share:g}")


def _serve(settings: Settings, token: str | None) -> int:
    with ports.listening(settings.host, settings.port) as listening, ports.reserved(settings) as settings:
        from serving import run  # after the checks, because it imports uvicorn

        url = f"http://{ports.address(settings.host, listening.getsockname()[1])}/v1/models/{settings.name}"
        grpc = "" if settings.grpc_port is None else f"  gRPC {ports.address(settings.host, settings.grpc_port)}"
        print(f"{url}{grpc}  (Ctrl-C to stop)", flush=True)
        if settings.keep:
            what = "with their photos" if settings.keep_photos else "without photos"
            kept = f"keeps {settings.keep_share * 100:.3g} % of the answers {what}"
            print(f"{kept} in {settings.keep}, at most {settings.keep_mb:,} MiB", flush=True)
        return 0 if run.serve(settings, listening, token) else _FAILED


if __name__ == "__main__":
    sys.exit(main())
