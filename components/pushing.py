"""Pusher's executor: TFX's, except that two pushes never share a version."""

import json
import logging
import time
from typing import Any

from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from tfx import types
from tfx.components.pusher import executor
from tfx.types.standard_component_specs import CUSTOM_CONFIG_KEY, PUSH_DESTINATION_KEY, PUSHED_MODEL_KEY
from tfx.utils import io_utils

from components import pushed_versions
from components.artifacts import Artifacts
from components.edge.formats import ACCEPTED, FOLDER
from errors import UserError
from storage.files import fileio
from storage.versions import LAST

EDGE = "edge"  # the input with the files of the node Edge; absent without the node
DEPLOYMENT = "deployment"  # key of custom_config: the settings of components.endpoint
_ADVICE = {
    403: "give the account of the task the role 'Vertex AI User'",
    404: "check cluster.deployment",
    429: "ask for more quota, or lower cluster.deployment.max_replicas",
}


class Executor(executor.Executor):
    """Copies a blessed model into a new version, and deploys it.

    With a deployment, a model that is the latest version already is only deployed: a retry does not push it again.

    TFX's executor names the version by the second. Of two pushes in one second, it mixes the files, or skips the second
    push and records it as done.
    """

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Pushes the model if it is blessed, and records the folder, the version and whether the model was pushed."""
        self._log_startup(input_dict, output_dict, exec_properties)
        (pushed,) = output_dict[PUSHED_MODEL_KEY]
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        model = self.GetModelPath(input_dict)
        base = json.loads(exec_properties[PUSH_DESTINATION_KEY])["filesystem"]["base_directory"].rstrip("/")
        settings = (json.loads(exec_properties.get(CUSTOM_CONFIG_KEY) or "null") or {}).get(DEPLOYMENT)
        folder = (_same(base, model) if settings else None) or _push(base, model, input_dict.get(EDGE, []))
        io_utils.copy_dir(model, pushed.uri)
        self._MarkPushed(pushed, pushed_destination=folder, pushed_version=folder.rpartition("/")[2])
        if settings:
            for name, value in _deploy(folder, settings).items():
                pushed.set_string_custom_property(name, value)


def _same(base: str, model: str) -> str | None:
    """Returns the folder of the latest version if it is this model, as after a deployment that failed."""
    latest, fingerprint = next(pushed_versions.complete(base), None), pushed_versions.fingerprint(model)
    return latest if latest and fingerprint and pushed_versions.fingerprint(latest) == fingerprint else None


def _push(base: str, model: str, edge: list[types.Artifact]) -> str:
    """Copies the model and the accepted files of Edge to a version that `base` does not have; returns its folder."""
    version = time.time_ns() // 1000
    while fileio.exists(folder := f"{base}/{version}"):
        version += 1
    io_utils.copy_dir(model, folder, deny_regex_patterns=[rf"/{LAST}$"])
    for each in edge:
        if fileio.exists(accepted := f"{each.uri}/{ACCEPTED}"):
            io_utils.copy_dir(accepted, f"{folder}/{FOLDER}")
    io_utils.copy_file(f"{model}/{LAST}", f"{folder}/{LAST}")
    return folder


def _deploy(folder: str, settings: dict[str, Any]) -> dict[str, str]:
    """Deploys the pushed version, and returns the names to record; in a rehearsal on this machine, none.

    Raises:
      UserError: when Vertex AI refuses or cannot be reached; the model is then pushed, but not deployed.
    """
    if not folder.startswith("gs://"):
        logging.warning("%s is not in Cloud Storage, so it is not deployed to %s", folder, settings["endpoint"])
        return {}
    from components import endpoint  # Google's SDK takes seconds to import

    try:
        return endpoint.deploy(folder, settings)
    except (GoogleAPIError, GoogleAuthError, OSError) as error:  # an answer, the credentials or the connection
        answer = error if isinstance(error, GoogleAPICallError) else None
        text = " ".join(str(answer.message if answer else error).split())[:500]
        advice = _ADVICE.get(int(answer.code or 0) if answer else 0, "the next run deploys its model")
        name = settings["endpoint"]
        raise UserError(f"pushed to {folder}, but not deployed to endpoint {name}: {text}; {advice}") from None
