"""Pusher's executor: TFX's, except that two pushes never share a version."""

import json
import time
from typing import Any

from tfx.components.pusher import executor
from tfx.types.standard_component_specs import PUSH_DESTINATION_KEY, PUSHED_MODEL_KEY
from tfx.utils import io_utils

from components.artifacts import Artifacts
from components.edge.formats import ACCEPTED, FOLDER
from storage.files import fileio

EDGE = "edge"  # the input with the files of the node Edge; absent without the node
_LAST = "saved_model.pb"  # is copied last: a version without it is not complete


class Executor(executor.Executor):
    """Copies a blessed model into a new version.

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
        version, folder = _new(json.loads(exec_properties[PUSH_DESTINATION_KEY])["filesystem"]["base_directory"])
        io_utils.copy_dir(model, folder, deny_regex_patterns=[rf"/{_LAST}$"])
        for each in input_dict.get(EDGE, []):
            if fileio.exists(accepted := f"{each.uri}/{ACCEPTED}"):
                io_utils.copy_dir(accepted, f"{folder}/{FOLDER}")
        io_utils.copy_file(f"{model}/{_LAST}", f"{folder}/{_LAST}")
        io_utils.copy_dir(model, pushed.uri)
        self._MarkPushed(pushed, pushed_destination=folder, pushed_version=version)


def _new(base: str) -> tuple[str, str]:
    """Returns a version that `base` does not have, and its folder."""
    version = time.time_ns() // 1000
    while fileio.exists(folder := f"{base.rstrip('/')}/{version}"):
        version += 1
    return str(version), folder
