"""Runs the tasks of a compiled pipeline in the order of their data.

What a cluster does and this does not: containers, so that every image is this machine's environment; caching; running
tasks side by side; and waiting between the tries of a task. A bucket's folder, the pipeline root, is a folder here.
"""

import json
import re
import time
import uuid
from pathlib import Path
from typing import NamedTuple

from pipeline.cluster.launcher import containers, executor_input
from pipeline.cluster.launcher.store import Artifact, Store
from pipeline.cluster.spec import Json, in_order

DONE, FAILED, LEFT_OUT = "done", "failed", "left out"


class Finished(NamedTuple):
    """What became of a task: DONE, FAILED or LEFT_OUT, the seconds it took, and its artifacts by name."""

    state: str
    seconds: float
    outputs: dict[str, list[Artifact]]


class Launcher:
    """One run of a compiled pipeline.

    Args:
      spec: the PipelineSpec.
      parameters: the run's own.
      folder: in place of the pipeline root; its store is kept from run to run.
      work: the folder that the tasks start in, as an image's.
    """

    def __init__(self, spec: Json, parameters: Json, folder: Path, work: Path):
        self._spec = json.loads(
            re.sub(rf"{re.escape(spec['defaultPipelineRoot'])}(?=[/\"\\])", str(folder), json.dumps(spec))
        )
        self._parameters, self._work = parameters, work
        self._run = f"{spec['pipelineInfo']['name']}-{time.strftime('%Y%m%d%H%M%S')}-{uuid.uuid4().hex[:6]}"
        self._folder = folder / self._run
        self._folder.mkdir(parents=True)
        self._store = Store(folder / f"{spec['pipelineInfo']['name']}.sqlite")  # a query is of one pipeline
        self._tasks: Json = self._spec["root"]["dag"]["tasks"]
        self._context = containers.warm_up()

    def run(self) -> dict[str, Finished]:
        """Runs all tasks; one that fails stops those that depend on it, and no others."""
        finished: dict[str, Finished] = {}
        for name, upstream in in_order(self._spec):
            if all(finished[other].state == DONE for other in upstream):
                finished[name] = self._timed(name, finished)
            else:
                finished[name] = Finished(LEFT_OUT, 0.0, {})
            _say(f"{finished[name].state:<8} {name:<42} {finished[name].seconds:7.1f} s")
        return finished

    def log(self, name: str) -> Path:
        """Returns where a task's output is."""
        return self._folder / f"{name}.log"

    def _timed(self, name: str, finished: dict[str, Finished]) -> Finished:
        started = time.monotonic()
        outputs = self._task(name, finished)
        state = FAILED if outputs is None else DONE
        for artifacts in (outputs or {}).values():
            for artifact in artifacts:
                if artifact["name"].startswith(f"{self._run}/"):  # else a resolver has found it there
                    self._store.put(artifact)
        return Finished(state, time.monotonic() - started, outputs or {})

    def _task(self, name: str, finished: dict[str, Finished]) -> dict[str, list[Artifact]] | None:
        """Returns the artifacts of a task, or None when it failed."""
        task = self._tasks[name]
        component = self._spec["components"][task["componentRef"]["name"]]
        executor = self._spec["deploymentSpec"]["executors"][component["executorLabel"]]
        inputs = {}
        for key, source in task.get("inputs", {}).get("artifacts", {}).items():
            output = source["taskOutputArtifact"]
            inputs[key] = finished[output["producerTask"]].outputs[output["outputArtifactKey"]]
        if "resolver" in executor:
            return self._resolve(executor["resolver"], inputs)
        values = executor_input.parameters_of(task, self._parameters)
        if name == "Trainer":
            values["custom_config"] = _on_any_device(values["custom_config"])
        made = self._new_artifacts(name, component)
        if "importer" in executor:
            return self._import(executor["importer"], values, made)
        for attempt in range(1 + int(task.get("retryPolicy", {}).get("maxRetryCount", 0))):
            if attempt:
                _say(f"again    {name} (try {attempt + 1}); see {self.log(name)}")
            output_file = self._folder / name / str(attempt) / "executor_output.json"
            output_file.parent.mkdir(parents=True)
            for artifact in made.values():  # a bucket has no folders that would have to be there
                Path(artifact["uri"]).mkdir(parents=True, exist_ok=True)
            if self._contain(name, executor["container"], values, inputs, made, output_file):
                return {key: [artifact] for key, artifact in _updated(made, output_file).items()}
        return None

    def _contain(
        self,
        name: str,
        container: Json,
        values: Json,
        inputs: dict[str, list[Artifact]],
        made: dict[str, Artifact],
        output_file: Path,
    ) -> bool:
        """Runs a task's driver, if it has one, and its container; returns whether both went well."""
        driver = container.get("lifecycle", {}).get("preCacheCheck")
        if driver:
            given = executor_input.executor_input(self._spec, values, inputs, made, str(output_file))
            if self._start(name, driver, given):
                return False
            values = values | executor_input.Words(self._spec).outputs(json.loads(output_file.read_text()))
            made = _updated(made, output_file)
        given = executor_input.executor_input(self._spec, values, inputs, made, str(output_file))
        return self._start(name, container, given) == 0

    def _start(self, name: str, container: Json, given: Json) -> int:
        words = [*container.get("command", []), *container.get("args", [])]
        command = [word.replace("{{$}}", json.dumps(given)) for word in words]
        return containers.run(self._context, command, self.log(name), self._work)

    def _new_artifacts(self, name: str, component: Json) -> dict[str, Artifact]:
        specs = component.get("outputDefinitions", {}).get("artifacts", {})
        return {
            key: {
                "name": f"{self._run}/{name}/{key}",
                "uri": str(self._folder / name / key),
                "type": spec["artifactType"],
                "metadata": {},
            }
            for key, spec in specs.items()
        }

    def _resolve(self, resolver: Json, inputs: dict[str, list[Artifact]]) -> dict[str, list[Artifact]]:
        """Answers a resolver's queries; one that asks for what was not found finds nothing."""
        found: dict[str, list[Artifact]] = {}
        for key, query in resolver["outputArtifactQueries"].items():
            found[key] = self._store.latest(query["filter"], inputs)
        return found

    def _import(self, importer: Json, values: Json, made: dict[str, Artifact]) -> dict[str, list[Artifact]]:
        ((key, artifact),) = made.items()
        uri = importer["artifactUri"]
        place = values[uri["runtimeParameter"]] if "runtimeParameter" in uri else executor_input.constant(uri)
        return {key: [artifact | {"uri": place, "metadata": importer.get("metadata", {})}]}


def _on_any_device(custom_config: str) -> str:
    """Returns the Trainer's configuration without the kind of devices that a cluster's machine would have."""
    custom = json.loads(custom_config)
    return json.dumps({key: value for key, value in custom.items() if key != "devices"})


def _say(line: str) -> None:
    print(line, flush=True)


def _updated(made: dict[str, Artifact], output_file: Path) -> dict[str, Artifact]:
    """Returns the artifacts with what a task says of them in its ExecutorOutput."""
    said = json.loads(output_file.read_text()).get("artifacts", {})
    return {
        key: artifact | {field: value for field, value in _first(said.get(key)).items() if field in ("uri", "metadata")}
        for key, artifact in made.items()
    }


def _first(artifact_list: Json | None) -> Json:
    return artifact_list["artifacts"][0] if artifact_list else {}
