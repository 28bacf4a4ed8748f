"""Converts bucket URIs to the local paths that Kubeflow's launcher uses, and back.

The launcher downloads gs://B/K to /gcs/B/K, minio://B/K to /minio/B/K and s3://B/K to /s3/B/K before a task starts, and
uploads the task's outputs from there (LocalPathForURI in backend/src/v2/component/launcher_v2.go).
"""

import json
import os
import re
from typing import Any

# Environment variable: the folder that replaces /. `run-local` sets it for each attempt, `pipeline.cluster.task` to /.
ROOT = "LAUNCHER_ROOT"
_FOLDERS = {"gs": "gcs", "minio": "minio", "s3": "s3"}
_returned: dict[str, str] = {}  # local path of this task's artifacts to URI: what `to_local` returned for its own root
# before a path: no part of another path, of a URI or of base64; but the end of a line, also in JSON in a text
_BEFORE = r"(?:(?<![\w./:+~-])|(?<=\\[nrt]))"
_AFTER = r"(?![\w~-]|\.\w)"


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
    if root is not None:
        return f"{root}/{_FOLDERS[scheme]}/{rest}"
    local = f"{os.environ.get(ROOT, '/').rstrip('/')}/{_FOLDERS[scheme]}/{rest}"
    _returned[local.rstrip("/")] = uri.rstrip("/")
    return local


def to_uri(path: str) -> str:
    """Returns the URI of a path at or below one that `to_local` returned; other paths and URIs do not change.

    Outside a task on Kubeflow Pipelines, where LAUNCHER_ROOT is not set, no path changes.
    """
    return _replace(path, r"\A") if ROOT in os.environ else path


def with_uris(value: Any) -> Any:
    """Returns a text, or a JSON value with texts, in which URIs replace the paths that `to_uri` knows.

    A text may contain JSON. Names that only look like the launcher's paths do not change, and outside a task nothing.
    """
    if ROOT not in os.environ:
        return value
    if isinstance(value, str):
        return _replace(value, _BEFORE)
    if isinstance(value, tuple):
        mapped = map(with_uris, value)
        return type(value)(*mapped) if hasattr(value, "_fields") else tuple(mapped)
    if isinstance(value, list):
        return [with_uris(each) for each in value]
    if isinstance(value, dict):
        return {key: with_uris(each) for key, each in value.items()}
    return value


def _replace(text: str, before: str) -> str:
    uris = _returned | {_in_json(local): _in_json(uri) for local, uri in _returned.items()}
    if not uris:
        return text
    paths = "|".join(map(re.escape, sorted(uris, key=len, reverse=True)))
    return re.sub(f"{before}({paths}){_AFTER}", lambda match: uris[match[1]], text)


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]
