"""`kubeflow_runner.py run-local`: executes a compiled file."""

import json
import signal
from pathlib import Path
from typing import Any

from components.report.sources import REPORT, REPORT_NODE
from errors import UserError
from ingest import prepare
from ingest.logs import log_to_file
from lineage.text import safe
from pipeline.cluster import compiled
from pipeline.cluster.launcher import buckets, causes, executor_input
from pipeline.exit_codes import FAILED, PUSHED, REFUSED
from pipeline.local.output import writable
from storage import uris


def run(
    path: Path, data: str | None, values: dict[str, Any], output: Path, work: Path, store: str | None = None
) -> int:
    """Executes a compiled file and returns the exit code: FAILED if a task failed, else PUSHED or REFUSED.

    Args:
      path: the compiled file.
      data: replaces the data folder that the file names.
      values: parameters that differ from the file's defaults.
      output: the folder for the logs; without `store`, it replaces the pipeline root.
      work: the working directory of the tasks, without `store`.
      store: the bucket folder that replaces the pipeline root, such as s3://BUCKET/FOLDER.

    Raises:
      UserError: when the file or the data cannot be used. This happens before the first task starts.
    """
    job = compiled.read(path)
    spec, parameters = job["pipelineSpec"], compiled.parameters_of(job, values)
    if data:
        parameters["data"] = uris.without_slash(data)
    output = writable(output, "the folder", "--output DIR", make=False)
    if store and compiled.target_of(job) != "kubeflow":
        raise UserError(f"--store: expected a file that was compiled with --target kubeflow, received {path}")
    store = buckets.check(store) if store else None
    if store and "://" in str(parameters.get("data")):
        buckets.check_data(parameters["data"])
    else:
        folder = _local_folder(parameters.get("data"))
        parameters["data"] = str(prepare.prepare_data(None, folder, _pattern(spec), 0)[0])
    from pipeline.cluster.launcher import run as tasks

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    output.mkdir(parents=True, exist_ok=True)
    with log_to_file(output / "launcher.log", also_terminal=False):
        launcher = tasks.Launcher(spec, parameters, output, work, store)
        finished = launcher.run()
    failed = [name for name, result in finished.items() if result.state == tasks.FAILED]
    for name in failed:
        error = causes.last_error(log := launcher.log(name))
        print(f"{name} failed{': ' if error else ''}{safe(error)}; log: {log}")
    return FAILED if failed else _verdict(finished)


def _local_folder(data: str | None) -> Path | None:
    if data and "://" in data:
        raise UserError(f"expected a data folder on this machine, received {data}; give a local copy (--data DIR)")
    return Path(data) if data else None


def _pattern(spec: dict[str, Any]) -> str:
    parameters = executor_input.parameters_of(spec["root"]["dag"]["tasks"]["ImportExampleGen"], {"data": ""})
    return json.loads(parameters["input_config"])["splits"][0]["pattern"]


def _verdict(finished: dict[str, Any]) -> int:
    """Prints the report's file and the gate's decision; returns the exit code."""
    (report,) = finished[REPORT_NODE].outputs["report"]
    print(f"report: {report['uri']}/{REPORT}")
    if across := _copies_across_splits(finished):
        print(f"warning: {across:,} pairs of equal or similar photos are in different splits; the accuracy is too high")
    evaluator = finished["Evaluator"].outputs
    verdicts = [(evaluator["blessing"], evaluator["evaluation"])]
    if serving_check := finished.get("ServingCheck"):  # files that were compiled before have no such task
        verdicts.append((serving_check.outputs["blessing"],) * 2)
    for blessings, reasons in verdicts:
        if blessings[0]["metadata"].get("blessed") != 1:
            print(f"refused by the gate; nothing was pushed: {reasons[0]['metadata']['refused']}")
            return REFUSED
    (pushed,) = finished["Pusher"].outputs["pushed_model"]
    print(f"blessed and pushed to {pushed['metadata'].get('pushed_destination')}")
    return PUSHED


def _copies_across_splits(finished: dict[str, Any]) -> int:
    review = finished.get("DataReview")  # only pipelines with embeddings have this node
    return int(review.outputs["duplicates"][0]["metadata"].get("across", 0)) if review else 0
