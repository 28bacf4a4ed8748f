"""The disk of one attempt of a task, and what Kubeflow's launcher copies between the disk and the store.

The facts are those of launcher_v2.go and object_store.go in the backend (kubeflow/pipelines, 2.4 to 2.17). Where
versions differ, the disk has what a task may rely on with all of them: up to 2.5 the launcher downloads only the first
artifact of an input, and since 2.17 only objects below its folder.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from pipeline.cluster.launcher import buckets
from pipeline.cluster.launcher.buckets import Bucket, BucketError
from pipeline.cluster.launcher.store import Artifact
from pipeline.cluster.local_paths import LOGS
from storage.local_paths import ROOT, to_local

Log = Callable[[str], None]
OpenBucket = Callable[[str, str], Bucket]


class LaunchError(Exception):
    """The launcher cannot copy an artifact, so the attempt fails."""


class Disk(Protocol):
    """The files that an attempt finds and leaves."""

    folder: Path  # the working directory
    output_file: Path  # of the ExecutorOutput
    environment: dict[str, str]

    def download(self, inputs: dict[str, list[Artifact]]) -> None:
        """Makes the inputs available. Raises LaunchError."""

    def make_folders(self, outputs: dict[str, Artifact]) -> None:
        """Creates the folders that the task may expect."""

    def logs(self, uri: str) -> dict[str, Artifact]:
        """Returns the output that the launcher adds to the task's, if any."""

    def upload(self, outputs: dict[str, Artifact]) -> None:
        """Keeps the outputs. Raises LaunchError."""

    def clear(self, outputs: dict[str, Artifact]) -> None:
        """Deletes the outputs of an interrupted attempt."""

    def discard(self) -> None:
        """Deletes what the attempt leaves."""


class SharedFolder:
    """No disk of the attempt: all tasks read and write the artifacts in one folder, and nothing is copied.

    Args:
      folder: the working directory.
      attempt: the folder for the ExecutorOutput, which is kept.
    """

    def __init__(self, folder: Path, attempt: Path):
        self.folder, self.output_file = folder, attempt / "executor_output.json"
        self.environment = dict(os.environ)

    def download(self, inputs: dict[str, list[Artifact]]) -> None:
        """Does nothing."""

    def make_folders(self, outputs: dict[str, Artifact]) -> None:
        """Creates the outputs' folders, which a local disk needs, unlike a bucket."""
        self.output_file.parent.mkdir(parents=True)
        for artifact in outputs.values():
            Path(artifact["uri"]).mkdir(parents=True, exist_ok=True)

    def logs(self, uri: str) -> dict[str, Artifact]:
        """Returns nothing."""
        return {}

    def upload(self, outputs: dict[str, Artifact]) -> None:
        """Does nothing."""

    def clear(self, outputs: dict[str, Artifact]) -> None:
        """Deletes the outputs' folders."""
        for artifact in outputs.values():
            shutil.rmtree(artifact["uri"], ignore_errors=True)

    def discard(self) -> None:
        """Does nothing."""


class EmptyDisk:
    """The disk of a new container: it has only the first artifact of each input, and is deleted after the attempt.

    Args:
      store: the URI that replaces the pipeline root.
      root: the folder that replaces `/`; it must not exist.
      open_bucket: returns a bucket by its scheme and name.
      log: gets a line for each copied artifact.
      warn: gets the warnings.
    """

    def __init__(self, store: str, root: Path, open_bucket: OpenBucket, log: Log, warn: Log):
        self._store, self._root, self._open, self._log, self._warn = store, root, open_bucket, log, warn
        self.folder = root / "home"
        self.output_file = root / "tmp" / "kfp_outputs" / "output_metadata.json"
        temporary = {"TMPDIR": str(root / "tmp"), "HOME": str(self.folder), "XDG_CACHE_HOME": str(root / "home/.cache")}
        self.environment = {**os.environ, **temporary, ROOT: str(root)}
        for folder in (self.folder, root / "tmp"):
            folder.mkdir(parents=True)

    def download(self, inputs: dict[str, list[Artifact]]) -> None:
        """Downloads the first artifact of each input; every object below its URI becomes a file."""
        for name, (artifact, *others) in ((name, found) for name, found in inputs.items() if found):
            if others:
                self._log(f"input {name}: {len(others)} more artifacts are not downloaded (as up to version 2.5)")
            if not (place := buckets.split(uri := artifact["uri"])):
                self._warn(f"input {name} has no recognized storage URI ({uri}), so it is not downloaded")
                continue
            try:
                sizes = list(self._download(*place))
            except (BucketError, OSError, ValueError) as error:
                raise LaunchError(f'failed to download input artifact "{name}" from "{uri}": {error}') from None
            self._log(f"input {name}: downloaded {len(sizes)} objects, {sum(sizes):,} bytes, from {uri}")

    def make_folders(self, outputs: dict[str, Artifact]) -> None:
        """Creates the parents of the outputs' folders."""
        for artifact in outputs.values():
            self._local(artifact["uri"]).parent.mkdir(parents=True, exist_ok=True)

    def logs(self, uri: str) -> dict[str, Artifact]:
        """Creates the file for the task's log, as the launcher does since 2.5; it stays empty and is not uploaded."""
        self._local(uri).parent.mkdir(parents=True, exist_ok=True)
        self._local(uri).touch()
        return {LOGS: {"name": LOGS, "uri": uri, "type": {"schemaTitle": "system.Artifact"}, "metadata": {}}}

    def upload(self, outputs: dict[str, Artifact]) -> None:
        """Uploads each output's folder; a missing folder is only a warning."""
        for name, artifact in outputs.items():
            local = self._local(uri := artifact["uri"])
            if not f"{uri}/".startswith(f"{self._store}/"):
                raise LaunchError(f'failed to upload output artifact "{name}": {uri} is not below {self._store}')
            if not local.exists():
                self._warn(f"output {name}: {local} does not exist, so nothing is uploaded to {uri}")
                continue
            try:
                sizes = list(self._upload(local, uri))
            except (BucketError, OSError) as error:
                raise LaunchError(f'failed to upload output artifact "{name}" to "{uri}": {error}') from None
            self._log(f"output {name}: uploaded {len(sizes)} objects, {sum(sizes):,} bytes, to {uri}")

    def clear(self, outputs: dict[str, Artifact]) -> None:
        """Does nothing: nothing was uploaded, or whole objects were."""

    def discard(self) -> None:
        """Deletes the disk."""
        shutil.rmtree(self._root)

    def _download(self, scheme: str, bucket: str, key: str) -> Iterator[int]:
        """Downloads all objects at and below a key; yields their sizes in bytes."""
        opened = self._open(scheme, bucket)
        for found in opened.objects(key):
            if found.name != key and not found.name.startswith(f"{key}/"):
                continue
            path = self._local(f"{scheme}://{bucket}/{found.name}")  # without a slash at its end: a marker is a file
            _make_folder(path.parent)
            opened.download(found.name, path)
            yield found.size

    def _upload(self, local: Path, uri: str) -> Iterator[int]:
        """Uploads a file, or all files of a folder; yields their sizes in bytes."""
        scheme, bucket, key = buckets.split(uri) or ("", "", "")
        for path in sorted(local.rglob("*")) if local.is_dir() else [local]:
            if not path.is_dir():
                name = f"{key}/{path.relative_to(local)}" if path != local else key
                self._open(scheme, bucket).upload(path, name)
                yield path.stat().st_size

    def _local(self, uri: str) -> Path:
        if (local := to_local(uri, str(self._root))) == uri:
            raise LaunchError(f"failed to generate local path for URI {uri}: unsupported storage scheme")
        return Path(local)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (NotADirectoryError, FileExistsError):
        marker = next(path for path in (folder, *folder.parents) if path.exists())  # was downloaded as a file
        raise ValueError(f"mkdir {marker}: not a directory") from None
