"""Finds settings that have no effect on a target. They are allowed: one file can have the settings of both targets."""

from pipeline.config import Cluster

_OF_OTHER = {
    "vertex": ("endpoint", "namespace", "s3_endpoint", "s3_secret"),
    "kubeflow": ("project", "region", "service_account", "deployment"),
}
_NAMES = {"vertex": "Vertex AI", "kubeflow": "Kubeflow Pipelines"}


def note(cluster: Cluster, target: str) -> str:
    """Returns a line with the settings that differ from the defaults, and that only another target uses; '' if none.

    >>> note(Cluster(s3_endpoint="http://minio:9000", namespace="team"), "vertex")
    'no effect on Vertex AI: cluster.namespace, cluster.s3_endpoint'
    """
    default = Cluster()
    names = [name for name in _OF_OTHER[target] if getattr(cluster, name) != getattr(default, name)]
    return f"no effect on {_NAMES[target]}: {', '.join(f'cluster.{name}' for name in names)}" if names else ""
