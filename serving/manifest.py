"""`python -m serving manifest`: writes the Kubernetes objects that serve a pushed model."""

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import yaml

from errors import UserError, quoted
from serving import kubernetes
from serving.kubernetes import TF_SERVING, Json, Settings
from storage import uris

_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")  # the name of a Service
_PART = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_PART}(\.{_PART})*")
_CLAIM = re.compile(rf"pvc://{_PART}(\.{_PART})*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_IMAGE = re.compile(r"[^\s@]+(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|@sha256:[0-9a-f]{64})")


class _Kind(NamedTuple):
    """A way to serve.

    Attributes:
      make: returns the objects.
      schemes: where the server can read the model.
      image: the default image; '' if the image must be given, None if it cannot.
      versions: whether the server accepts the folder of one version.
    """

    make: Callable[[Settings], list[Json]]
    schemes: tuple[str, ...]
    image: str | None
    versions: bool


KINDS = {
    "kserve": _Kind(kubernetes.inference_service, ("gs", "s3", "pvc"), None, True),
    "deployment": _Kind(kubernetes.tensorflow_serving, ("gs", "pvc"), f"tensorflow/serving:{TF_SERVING}", False),
    "server": _Kind(kubernetes.own_server, ("gs", "pvc"), "", True),
}


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command."""
    about = "Writes the Kubernetes objects that serve a pushed model, as YAML for kubectl apply."
    result = argparse.ArgumentParser(prog="python -m serving manifest", description=about, allow_abbrev=False)
    kinds = "KServe's InferenceService; a Deployment of TensorFlow Serving; a Deployment of this server"
    result.add_argument("--kind", choices=KINDS, required=True, help=kinds)
    result.add_argument(
        "--model", metavar="URI", required=True, help="the folder of the versions, or of one: gs://…, s3://…, pvc://…"
    )
    result.add_argument("--name", help="the name of the objects and of the model (default: the name of the folder)")
    result.add_argument("--namespace", metavar="NAME", help="(default: that of kubectl)")
    result.add_argument("--service-account", metavar="NAME", help="of the pods, with the right to read the bucket")
    result.add_argument("--image", metavar="IMAGE:TAG", help="the project's image (server), or TensorFlow Serving's")
    result.add_argument("--replicas", type=int, default=1, metavar="N", help="pods (default: %(default)s)")
    result.add_argument("--cpu", type=float, default=2, metavar="N", help="cores of a pod (default: %(default)s)")
    result.add_argument("--memory-gb", type=float, default=4, metavar="N", help="GiB of a pod (default: %(default)s)")
    result.add_argument(
        "--canary", type=int, metavar="PERCENT", help="kserve: the requests that this version gets (default: all)"
    )
    result.add_argument("--to", metavar="FILE", type=Path, help="a file (default: the terminal)")
    return result


def run(args: argparse.Namespace) -> int:
    """Writes the objects and returns the exit code.

    Raises:
      UserError: naming all flags that cannot be used, or when the file cannot be written.
    """
    objects = KINDS[args.kind].make(_settings(args))
    text = yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=1000)
    if args.to is None:
        print(text, end="")
        return 0
    try:
        args.to.write_text(text)
    except OSError as error:
        raise UserError(f"--to: cannot write {args.to}: {error.strerror}; give another file") from None
    print(f"{args.to}: {', '.join(each['kind'] for each in objects)}; next: kubectl apply -f {args.to}")
    return 0


class _Dumper(yaml.SafeDumper):
    """Writes a mapping that is used twice in full, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _settings(args: argparse.Namespace) -> Settings:
    model = args.model.removesuffix("/")
    path = PurePosixPath(model)
    name = args.name or (path.parent.name if path.name.isdecimal() else path.name).lower().replace("_", "-")
    values = vars(args) | {"model": model, "name": name, "image": args.image or KINDS[args.kind].image or ""}
    settings = Settings(**{key: values[key] for key in Settings._fields})
    if problems := [*_place(args.kind, model), *_names(args, settings), *_sizes(settings), *_canary(args)]:
        raise UserError("\n".join(problems))
    return settings


def _place(kind: str, model: str) -> Iterator[str]:
    """Yields the reason why the server cannot read the model, if any."""
    scheme = model.partition("://")[0]
    valid = _CLAIM.fullmatch(model) if scheme == "pvc" else uris.parse(model)
    if not valid or scheme not in KINDS[kind].schemes:
        places = {"gs": "gs://BUCKET/FOLDER", "s3": "s3://BUCKET/FOLDER", "pvc": "pvc://CLAIM/FOLDER"}
        expected = " or ".join(places[each] for each in KINDS[kind].schemes)
        hint = ". TensorFlow cannot read s3://; give --kind kserve" if scheme == "s3" and kind != "kserve" else ""
        yield f"--model: expected {expected} with --kind {kind}, received {uris.shown(model)}{hint}{uris.rule(model)}"
    elif PurePosixPath(model).name.isdecimal() and not KINDS[kind].versions:
        yield f"--model: expected the folder above {model}, because TensorFlow Serving looks for numbered folders in it"


def _names(args: argparse.Namespace, settings: Settings) -> Iterator[str]:
    if not _LABEL.fullmatch(settings.name):
        received = quoted(settings.name)
        yield f"--name: expected at most 63 lower-case letters, digits and dashes, a letter first; received {received}"
    if settings.namespace is not None and not _LABEL.fullmatch(settings.namespace):
        received = quoted(settings.namespace)
        yield f"--namespace: expected the name of a namespace, received {received}. List them: kubectl get namespaces"
    if settings.service_account is not None and not _SUBDOMAIN.fullmatch(settings.service_account):
        received = quoted(settings.service_account)
        yield f"--service-account: expected a name, received {received}. List them: kubectl get serviceaccounts"
    if args.image and args.kind == "kserve":
        yield "--image: expected none with --kind kserve, whose runtime names the image; leave --image out"
    elif args.kind != "kserve" and not _IMAGE.fullmatch(settings.image):
        received = quoted(settings.image) if settings.image else "none"
        yield f"--image: expected REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:…, received {received}"


def _sizes(settings: Settings) -> Iterator[str]:
    for flag, value, lowest, highest in (
        ("--replicas", settings.replicas, 1, 1000),
        ("--cpu", settings.cpu, 0.1, 1000),
        ("--memory-gb", settings.memory_gb, 0.1, 10_000),
    ):
        if not lowest <= value <= highest:
            yield f"{flag}: expected a number from {lowest:g} to {highest:g}, received {value:g}"


def _canary(args: argparse.Namespace) -> Iterator[str]:
    """Yields the reasons why a version cannot get a share of the requests."""
    if args.canary is None:
        return
    if not 0 <= args.canary <= 100:
        yield f"--canary: expected a percentage, 0 to 100 of the requests; received {args.canary}"
    if args.kind != "kserve" or not PurePosixPath(args.model).name.isdecimal():
        yield "--canary: expected --kind kserve and --model with the folder of one version; leave --canary out"
