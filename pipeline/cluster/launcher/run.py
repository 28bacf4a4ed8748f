"""Runs the tasks of a compiled pipeline in topological order.

Unlike a cluster, the launcher starts no containers (every task runs in this Python environment), has no cache, runs
tasks one at a time, does not wait between retries, and gives up after two equal errors. A local folder or a bucket
replaces the pipeline root.
"""

import json
import time
import uuid
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from pipeline.cluster.launcher import buckets, causes, containers, executor_input, folders
from pipeline.cluster.launcher.disks import Disk, EmptyDisk, LaunchError, SharedFolder
from pipeline.cluster.launcher.store import Artifact, Store
from pipeline.cluster.local_paths import LOGS
from pipeline.cluster.spec import Json, constant, in_order

DONE, FAILED, SKIPPED = "done", "failed", "skipped"


class TaskResult(NamedTuple):
    """Result of a task: DONE, FAILED or SKIPPED, its duration in seconds, and its output artifacts by name."""

    state: str
    seconds: float
    outputs: dict[str, list[Artifact]]


class Launcher:
    """One run of a compiled pipeline.

    Args:
      spec: the PipelineSpec.
      parameters: the values of the pipeline's parameters.
      folder: gets the logs; the store of artifacts in it is kept between runs.
      work: the working directory of the tasks, without a bucket.
      bucket: a URI that replaces the pipeline root, a result of `buckets.check`; by default, `folder` replaces it.
    """

    def __init__(self, spec: Json, parameters: Json, folder: Path, work: Path, bucket: str | None = None):
        self._root, self._spec = bucket or str(folder), spec
        self._parameters, self._work, self._bucket = parameters, work, bucket
        self._open_bucket = cache(buckets.open_bucket)
        self._run = f"{spec['pipelineInfo']['name']}-{time.strftime('%Y%m%d%H%M%S')}-{uuid.uuid4().hex[:6]}"
        self._folder = folder / self._run
        self._folder.mkdir(parents=True)
        # Resolvers query the store of all runs with local folders; they cannot use artifacts that are in a bucket.
        self._store = Store((self._folder if bucket else folder) / f"{spec['pipelineInfo']['name']}.sqlite")
        self._tasks: Json = self._spec["root"]["dag"]["tasks"]
        self._context = containers.warm_up()

    def run(self) -> dict[str, TaskResult]:
        """Runs all tasks; only tasks downstream of a failed task are skipped."""
        results: dict[str, TaskResult] = {}
        for name, upstream in in_order(self._spec):
            if all(results[other].state == DONE for other in upstream):
                results[name] = self._run_task(name, results)
            else:
                results[name] = TaskResult(SKIPPED, 0.0, {})
            print(f"{results[name].state:<8} {name:<42} {results[name].seconds:7.1f} s", flush=True)
        return results

    def log(self, name: str) -> Path:
        """Returns the log file of a task."""
        return self._folder / f"{name}.log"

    def _run_task(self, name: str, results: dict[str, TaskResult]) -> TaskResult:
        started = time.monotonic()
        outputs = self._outputs(name, results)
        state = FAILED if outputs is None else DONE
        for artifacts in (outputs or {}).values():
            for artifact in artifacts:
                if artifact["name"].startswith(f"{self._run}/"):  # a resolver's artifact is already in the store
                    self._store.put(artifact)
        return TaskResult(state, time.monotonic() - started, outputs or {})

    def _outputs(self, name: str, results: dict[str, TaskResult]) -> dict[str, list[Artifact]] | None:
        """Runs a task and returns its output artifacts, or None if it failed."""
        task = self._tasks[name]
        component = self._spec["components"][task["componentRef"]["name"]]
        executor = self._spec["deploymentSpec"]["executors"][component["executorLabel"]]
        inputs = {}
        for key, source in task.get("inputs", {}).get("artifacts", {}).items():
            output = source["taskOutputArtifact"]
            inputs[key] = results[output["producerTask"]].outputs[output["outputArtifactKey"]]
        if "resolver" in executor:
            queries = executor["resolver"]["outputArtifactQueries"]
            return {key: self._store.latest(query["filter"], inputs) for key, query in queries.items()}
        values = executor_input.parameters_of(task, self._parameters)
        values = folders.moved(name, values, self._spec["defaultPipelineRoot"], self._root)
        if name == "Trainer":
            values["custom_config"] = _without_devices(values["custom_config"])
        outputs = self._new_artifacts(name, component)
        if "importer" in executor:
            return self._import(executor["importer"], values, outputs)
        before = ""
        for attempt in range(1 + int(task.get("retryPolicy", {}).get("maxRetryCount", 0))):
            if attempt:
                print(f"retry    {name} (attempt {attempt + 1}); log: {self.log(name)}", flush=True)
            start = self.log(name).stat().st_size if attempt else 0
            updated = self._one_attempt(name, attempt, executor["container"], values, inputs, outputs)
            if updated is not None:
                return {key: [artifact] for key, artifact in updated.items()}
            error = causes.last_error(self.log(name), start)
            if error and error == before:
                self._log(name, "two attempts failed with the same error, so there is no other")
                break
            before = error
        return None

    def _one_attempt(
        self,
        name: str,
        attempt: int,
        container: Json,
        values: Json,
        inputs: dict[str, list[Artifact]],
        outputs: dict[str, Artifact],
    ) -> dict[str, Artifact] | None:
        """Runs a task once, on a new disk; returns its outputs, or None if it failed."""
        disk = self._disk(name, attempt)
        try:
            return self._attempt(name, container, values, inputs, outputs, disk)
        except LaunchError as error:
            self._warn(name, str(error))
            return None
        except KeyboardInterrupt:
            disk.clear(outputs)
            raise
        finally:
            disk.discard()

    def _disk(self, name: str, attempt: int) -> Disk:
        folder = self._folder / name / str(attempt)
        if not self._bucket:
            return SharedFolder(self._work, folder)
        return EmptyDisk(self._bucket, folder, self._open_bucket, partial(self._log, name), partial(self._warn, name))

    def _log(self, name: str, text: str) -> None:
        with self.log(name).open("a") as file:
            file.write(f"launcher: {text}\n")

    def _warn(self, name: str, text: str) -> None:
        self._log(name, text)
        print(f"warning  {name}: {text}", flush=True)

    def _attempt(
        self,
        name: str,
        container: Json,
        values: Json,
        inputs: dict[str, list[Artifact]],
        outputs: dict[str, Artifact],
        disk: Disk,
    ) -> dict[str, Artifact] | None:
        """Runs a task's driver, if it has one, and its container; returns the outputs, or None if one failed."""
        disk.download(inputs)
        disk.make_folders(outputs)
        given = partial(executor_input.executor_input, self._spec, inputs=inputs, output_file=str(disk.output_file))
        driven = outputs
        if driver := container.get("lifecycle", {}).get("preCacheCheck"):
            if self._start(name, driver, given(values, outputs=outputs), disk):
                return None
            values = values | executor_input.Format(self._spec).outputs(json.loads(disk.output_file.read_text()))
            driven = _updated(outputs, disk.output_file)
        logs = disk.logs(f"{self._root}/{self._run}/{name}/{LOGS}")
        if code := self._start(name, container, given(values, outputs=driven | logs), disk):
            self._log(name, f"the command ended with {code}")
            return None
        updated = _updated(outputs, disk.output_file)
        disk.upload(updated)
        return updated

    def _start(self, name: str, container: Json, task_input: Json, disk: Disk) -> int:
        words = [*container.get("command", []), *container.get("args", [])]
        command = [word.replace("{{$}}", json.dumps(task_input)) for word in words]
        compiled = {variable["name"]: variable["value"] for variable in container.get("env", ())}
        environment = compiled | disk.environment  # the compiled address of a server is for a cluster
        return containers.run(self._context, command, self.log(name), disk.folder, environment)

    def _new_artifacts(self, name: str, component: Json) -> dict[str, Artifact]:
        specs = component.get("outputDefinitions", {}).get("artifacts", {})
        return {
            key: {
                "name": f"{self._run}/{name}/{key}",
                "uri": f"{self._root}/{self._run}/{name}/{key}",
                "type": spec["artifactType"],
                "metadata": {},
            }
            for key, spec in specs.items()
        }

    def _import(self, importer: Json, values: Json, outputs: dict[str, Artifact]) -> dict[str, list[Artifact]]:
        ((key, artifact),) = outputs.items()
        source = importer["artifactUri"]
        uri = values[source["runtimeParameter"]] if "runtimeParameter" in source else constant(source)
        return {key: [artifact | {"uri": uri, "metadata": importer.get("metadata", {})}]}


def _without_devices(custom_config: str) -> str:
    """Returns the Trainer's configuration without `devices`, the devices of the cluster's machine."""
    custom = json.loads(custom_config)
    return json.dumps({key: value for key, value in custom.items() if key != "devices"})


def _updated(artifacts: dict[str, Artifact], output_file: Path) -> dict[str, Artifact]:
    """Returns the artifacts with the URIs and metadata that the task wrote into its ExecutorOutput."""
    written = json.loads(output_file.read_text()).get("artifacts", {}) if output_file.exists() else {}
    updated = dict(artifacts)
    for key in artifacts.keys() & written.keys():
        fields = written[key]["artifacts"][0]
        updated[key] = artifacts[key] | {name: fields[name] for name in ("uri", "metadata") if name in fields}
    return updated
