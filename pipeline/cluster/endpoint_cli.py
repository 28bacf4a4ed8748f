"""The command `kubeflow_runner.py endpoint`: shows an endpoint, divides its requests, or predicts a batch."""

import argparse
from typing import Any

from errors import UserError, quoted
from pipeline.cluster import deployment
from pipeline.config import Deployment
from storage import uris


def add(commands: Any) -> None:
    """Adds the command to the parser's commands."""
    about = "show an endpoint of Vertex AI, divide its requests, roll back, undeploy idle models, or predict a batch"
    parser = commands.add_parser("endpoint", help=about)
    parser.add_argument("action", choices=("show", "divide", "rollback", "undeploy", "batch"))
    parser.add_argument("name", metavar="NAME", help="the endpoint's display name (cluster.deployment.endpoint)")
    shares = "divide: deployed models, as of show"
    parser.add_argument("shares", metavar="MODEL=PERCENT", nargs="*", default=[], help=shares)
    parser.add_argument("--photos", metavar="gs://…", help="batch: a file with the gs:// URI of a photo in each line")
    parser.add_argument("--to", metavar="gs://…", help="batch: the folder for the predictions")
    parser.add_argument(
        "--wait", action="store_true", help="batch: print its progress until it ends; exit with its code"
    )
    parser.add_argument("--project", metavar="ID", required=True, help="Google Cloud project")
    parser.add_argument("--region", metavar="REGION", required=True, help="region of Vertex AI")
    parser.set_defaults(command=_run)


def _run(args: argparse.Namespace) -> int:
    shares = _shares(args.shares)
    if bool(shares) != (args.action == "divide"):
        raise UserError(f"endpoint: expected MODEL=PERCENT with divide, and only with divide; received {args.action}")
    _check_batch(args)
    deployment.check(Deployment(endpoint=args.name))
    from pipeline.cluster import endpoints  # Google's SDK takes seconds to import

    found = endpoints.find(args.name, args.project, args.region)
    if args.action == "batch":
        from pipeline.cluster import batch

        return batch.start(found, args.photos, args.to, args.wait)
    if args.action == "divide":
        found = endpoints.divide(found, shares)
    if args.action == "rollback":
        found = endpoints.roll_back(found)
    if args.action == "undeploy":
        print(f"undeployed models without requests: {endpoints.undeploy(found)}")
        found = endpoints.find(args.name, args.project, args.region)
    endpoints.show(found)
    return 0


def _shares(words: list[str]) -> dict[str, int]:
    shares = {}
    for word in words:
        model, _, percent = word.partition("=")
        if not model or not percent.isdecimal() or len(percent) > 3 or model in shares:
            raise UserError(f"endpoint: expected different models, each as MODEL=PERCENT, received {quoted(word)}")
        shares[model] = int(percent)
    return shares


def _check_batch(args: argparse.Namespace) -> None:
    batch = args.action == "batch"
    if [args.photos is not None, args.to is not None] != [batch, batch] or (args.wait and not batch):
        raise UserError(f"endpoint: expected --photos and --to with batch, and only with batch; received {args.action}")
    for flag, text, form in (("--photos", args.photos, "FILE"), ("--to", args.to, "FOLDER")):
        uri = uris.parse(text or "")
        if batch and (uri is None or uri.scheme != "gs" or not uri.key or form == "FILE" and text.endswith("/")):
            raise UserError(f"{flag}: expected gs://BUCKET/{form}, received {uris.shown(text)}{uris.rule(text)}")
