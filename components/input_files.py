"""The driver of nodes that read the files of a folder: their names, sizes and times are part of the cache key."""

import hashlib
import os
from pathlib import Path
from typing import Any

from tfx.dsl.components.base import base_driver
from tfx.orchestration import metadata
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import driver_output_pb2

from storage.files import fileio


class FilesDriver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Adds the execution property `fingerprint` to the cache key; a subclass lists the files.

    Clusters do not run this driver; there, the node is never cached.
    """

    def __init__(self, connection: metadata.Metadata):
        base_driver.BaseDriver.__init__(self, connection)
        portable_driver.BaseDriver.__init__(self, connection)

    def files(self, properties: dict[str, Any]) -> list[str]:
        """Returns the paths or URIs of the files that the node reads, given its execution properties."""
        raise NotImplementedError

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Returns the execution property `fingerprint`."""
        found, digest = self.files(execution_info.exec_properties), hashlib.sha256()
        for file in found:
            digest.update(os.fsencode(f"{file}\0{_state(file)}\0"))
        result = driver_output_pb2.DriverOutput()
        result.exec_properties["fingerprint"].string_value = f"{len(found)} files, sha256:{digest.hexdigest()}"
        return result


def _state(file: str) -> tuple[int, int]:
    """Returns the size and the time of a file; (0, 0) if it is a link to nothing, for which the node has a row.

    TFX's `fileio` cannot open local names that are not UTF-8.
    """
    if "://" in file:
        stat = fileio.stat(file)
        return stat.length, stat.mtime_nsec
    try:
        local = Path(file).stat()
    except OSError:
        return 0, 0
    return local.st_size, local.st_mtime_ns
