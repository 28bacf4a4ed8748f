"""The command `kubeflow_runner.py endpoint`: shows an endpoint of Vertex AI, divides its requests, or rolls back."""

import argparse
from typing import Any

from errors import UserError, quoted
from pipeline.cluster import deployment
from pipeline.config import Deployment


def add(commands: Any) -> None:
    """Adds the command to the parser's commands."""
    about = "show an endpoint of Vertex AI, divide its requests, roll back, or undeploy models without requests"
    parser = commands.add_parser("endpoint", help=about)
    parser.add_argument("action", choices=("show", "divide", "rollback", "undeploy"))
    parser.add_argument("name", metavar="NAME", help="the endpoint's display name (cluster.deployment.endpoint)")
    parser.add_argument("shares", metavar="MODEL=PERCENT", nargs="*", help="divide: deployed models, as of show")
    parser.add_argument("--project", metavar="ID", required=True, help="Google Cloud project")
    parser.add_argument("--region", metavar="REGION", required=True, help="region of Vertex AI")
    parser.set_defaults(command=_run)


def _run(args: argparse.Namespace) -> int:
    shares = _shares(args.shares)
    if bool(shares) != (args.action == "divide"):
        raise UserError(f"endpoint: expected MODEL=PERCENT with divide, and only with divide; received {args.action}")
    deployment.check(Deployment(endpoint=args.name))
    from pipeline.cluster import endpoints  # Google's SDK takes seconds to import

    found = endpoints.find(args.name, args.project, args.region)
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
        if not model or not percent.isdecimal() or model in shares:
            raise UserError(f"endpoint: expected different models, each as MODEL=PERCENT, received {quoted(word)}")
        shares[model] = int(percent)
    return shares
