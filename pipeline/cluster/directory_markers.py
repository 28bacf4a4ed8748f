"""Removes the directory markers that TensorFlow creates in Cloud Storage: empty objects whose names end with '/'.

TensorFlow's file system creates a marker for each folder. Kubeflow's launcher downloads a marker as a file, and then
fails on the objects in that folder: "not a directory" (kubeflow/pipelines#13476).
"""

from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

import requests
from absl import logging
from google.api_core.exceptions import GoogleAPIError, NotFound, PreconditionFailed
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Client


def remove(uris: Iterable[str]) -> int:
    """Removes the markers at and below each gs:// URI, logs their number, and returns it.

    Other URIs, objects with content and objects outside these folders are not changed. A failure is logged and not
    raised, because the task's outputs are complete.
    """
    count = 0
    for uri in uris:
        parts = urlsplit(uri)
        if parts.scheme == "gs":
            count += _remove(parts.netloc, parts.path.strip("/") + "/", uri)
    return count


def _remove(bucket: str, prefix: str, uri: str) -> int:
    removed = 0
    try:
        client = Client(project=None)  # listing and deleting objects needs no project
        for blob in client.list_blobs(bucket, prefix=prefix, fields="items(name,size,generation),nextPageToken"):
            if blob.size == 0 and blob.name.endswith("/"):
                with suppress(NotFound, PreconditionFailed):  # another attempt of this task removed or replaced it
                    blob.delete(if_generation_match=blob.generation)
                    removed += 1
    except (GoogleAPIError, GoogleAuthError, requests.RequestException) as error:
        logging.warning(
            "%s: cannot remove its directory markers: %s. If the next task cannot download it ('not a directory'), "
            "allow this account to delete objects (roles/storage.objectAdmin) and run the pipeline again",
            uri,
            error,
        )
    logging.info("%s: removed %d directory markers", uri, removed)
    return removed
