"""Validates the settings of the endpoint to which Pusher deploys the model."""

import re
from collections.abc import Iterator

from errors import UserError, quoted
from pipeline.config import Deployment

_ENDPOINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_MACHINE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+){1,3}")
_SERVING_IMAGE = re.compile(r"[a-z0-9-]+-docker\.pkg\.dev/[a-z0-9._/-]+:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def check(deployment: Deployment) -> None:
    """Checks the settings.

    Raises:
      UserError: naming all settings of the endpoint that Vertex AI would refuse.
    """
    if problems := list(_problems(deployment)):
        raise UserError("\n".join(problems))


def _problems(deployment: Deployment) -> Iterator[str]:
    """Yields the settings of the endpoint that Vertex AI would refuse."""
    if deployment.endpoint is None:
        return
    if not _ENDPOINT.fullmatch(deployment.endpoint):
        received = quoted(deployment.endpoint)
        yield f"cluster.deployment.endpoint: expected at most 128 letters, digits and _ . -, received {received}"
    if not _MACHINE.fullmatch(deployment.machine_type):
        received = quoted(deployment.machine_type)
        yield f"cluster.deployment.machine_type: expected a machine like n1-standard-4, received {received}"
    if deployment.max_replicas < deployment.min_replicas:
        yield (
            f"cluster.deployment.max_replicas: expected {deployment.min_replicas} (min_replicas) or more, received "
            f"{deployment.max_replicas}"
        )
    if not _SERVING_IMAGE.fullmatch(deployment.image):
        received = quoted(deployment.image)
        yield f"cluster.deployment.image: expected REGION-docker.pkg.dev/…/IMAGE:TAG, received {received}"
