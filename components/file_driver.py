"""A driver for nodes that read files which are not artifacts: changed files rerun the node."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx.dsl.components.base import base_driver
from tfx.orchestration import metadata
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import driver_output_pb2

from storage.files import fileio


class FileDriver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Adds the names, sizes and times of the files to the cache key.

    Clusters do not run this driver; there, such a node is never cached.
    """

    def __init__(self, connection: metadata.Metadata):
        base_driver.BaseDriver.__init__(self, connection)
        portable_driver.BaseDriver.__init__(self, connection)

    def files(self, properties: Mapping[str, Any]) -> Sequence[str]:
        """Returns the paths of the files, given the node's execution properties."""
        raise NotImplementedError

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Returns the execution property `fingerprint`."""
        found = self.files(execution_info.exec_properties)
        digest = hashlib.sha256()
        for file in found:
            digest.update(os.fsencode(f"{file}\0{_state(file)}\0"))
        result = driver_output_pb2.DriverOutput()
        result.exec_properties["fingerprint"].string_value = f"{len(found)} files, sha256:{digest.hexdigest()}"
        return result


def _state(file: str) -> tuple[int, int]:
    """Returns the size and the time of a file; TFX's `fileio` cannot open local names that are not UTF-8."""
    if "://" in file:
        stat = fileio.stat(file)
        return stat.length, stat.mtime_nsec
    local = Path(file).stat()
    return local.st_size, local.st_mtime_ns
