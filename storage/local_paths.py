"""Converts bucket URIs to the local paths that Kubeflow's launcher uses, and back.

The launcher downloads gs://B/K to /gcs/B/K, minio://B/K to /minio/B/K and s3://B/K to /s3/B/K before a task starts, and
uploads the task's outputs from there (LocalPathForURI in backend/src/v2/component/launcher_v2.go).
"""

import os
import re
from typing import Any

# Environment variable: the folder that replaces /. `run-local` sets it for each attempt, `pipeline.cluster.task` to /.
ROOT = "LAUNCHER_ROOT"
_FOLDERS = {"gs": "gcs", "minio": "minio", "s3": "s3"}
_SCHEMES = {folder: scheme for scheme, folder in _FOLDERS.items()}


def to_local(uri: str, root: str | None = None) -> str:
    """Returns the launcher's local path for a gs://, minio:// or s3:// URI; other URIs and paths do not change.

    `root` is the folder that replaces /; the default is LAUNCHER_ROOT.

    >>> to_local("gs://bucket/root/model"), to_local("/a/local/folder")
    ('/gcs/bucket/root/model', '/a/local/folder')

    Raises:
      ValueError: when the URI has a part '..', which could leave the folder.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme not in _FOLDERS:
        return uri
    if ".." in rest.split("/"):
        raise ValueError(f"expected a URI without '..', received {uri}")
    return f"{_root() if root is None else root}/{_FOLDERS[scheme]}/{rest}"


def to_uri(path: str) -> str:
    """Returns the URI of a path that `to_local` returned; other paths and URIs do not change.

    Outside a task on Kubeflow Pipelines, where LAUNCHER_ROOT is not set, no path changes.
    """
    return _local(r"\A").sub(_uri, path) if ROOT in os.environ else path


def with_uris(value: Any) -> Any:
    """Returns a text, or a JSON value with texts, in which URIs replace all paths that `to_local` returned.

    Outside a task, nothing changes; see `to_uri`.
    """
    if ROOT not in os.environ:
        return value
    if isinstance(value, str):
        return _local(r"(?<![\w./:+-])").sub(_uri, value)  # + and /: base64 may contain /s3/
    if isinstance(value, tuple):
        mapped = map(with_uris, value)
        return type(value)(*mapped) if hasattr(value, "_fields") else tuple(mapped)
    if isinstance(value, list):
        return [with_uris(each) for each in value]
    if isinstance(value, dict):
        return {key: with_uris(each) for key, each in value.items()}
    return value


def _root() -> str:
    return os.environ.get(ROOT, "/").rstrip("/")


def _local(before: str) -> re.Pattern[str]:
    return re.compile(rf"{before}{re.escape(_root())}/({'|'.join(_SCHEMES)})/(?=[^/\s])")


def _uri(match: re.Match[str]) -> str:
    return f"{_SCHEMES[match[1]]}://"
