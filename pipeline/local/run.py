"""Runs the pipeline on this machine and returns an exit code."""

import contextlib
import datetime
import logging
import os
import shlex
import signal
import sys
import warnings
import webbrowser
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.text import Text

from components.report.sources import REPORT, REPORT_NODE
from ingest.logs import log_info, log_to_file
from lineage.text import safe
from pipeline import settings
from pipeline.config import Config
from pipeline.exit_codes import FAILED, INTERRUPTED, PUSHED, REFUSED
from pipeline.imports import uncollected
from pipeline.local.failure import Interrupted, Interruption, cause
from pipeline.local.part import Part
from pipeline.local.spinner import spinner

if TYPE_CHECKING:
    from pipeline.local.dag_runner import NodeResult

_PERIOD = 0.2  # seconds between two tries to raise Interrupted
_STOPPING = b"\nStopping, which may take some seconds. A second Ctrl-C ends the process at once.\n"


class Outcome(NamedTuple):
    """The result of a run.

    Attributes:
      code: the exit code.
      accuracy: the candidate's accuracy on the judged split; None if the gate has not judged it.
      changed: whether an epoch was better than the weights before the training.
      seconds_from_trainer: the time of the Trainer and all later nodes, without the cached ones.
      report: the report's file; None if it was not written.
    """

    code: int
    accuracy: float | None = None
    changed: bool = True
    seconds_from_trainer: float = 0.0
    report: Path | None = None


def run(config: Config, verbose: bool, open_report: bool = False, part: Part | None = None) -> Outcome:
    """Runs the pipeline, or a part of it, with resolved settings, and optionally opens the report in a browser.

    FAILED means that a node before the report failed. If only the report fails, the code is PUSHED or REFUSED, because
    the gate has decided and the model is pushed.
    """
    stamp = f"{config.name}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    log = config.output / "logs" / f"{stamp}.log"
    console = Console()
    data = part.data(config) if part else config.data.directory
    console.print(Text.assemble((config.name, "bold"), ": ", safe(data)), soft_wrap=True)
    console.print(Text("log: ").append_text(safe(log)), soft_wrap=True)
    Interruption.requested = False
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(signum, _interrupt)
    with log_to_file(log, also_terminal=verbose):
        try:
            return _run_nodes(config, console, log, open_report, part)
        except Exception:
            if not Interruption.requested:  # TFX, Beam or an import may have replaced Interrupted by another error
                raise
            rest = "" if part else ", and training continues after the last finished epoch"
            console.print(
                "\n[yellow]Interrupted.[/] Run the same command again to resume: finished nodes are cached"
                + rest
                + ".",
                highlight=False,
            )
            return Outcome(INTERRUPTED)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)  # see `_interrupt`


def _run_nodes(config: Config, console: Console, log: Path, open_report: bool, part: Part | None) -> Outcome:
    with spinner(console, "loading TensorFlow and TFX …"), uncollected():
        warnings.simplefilter("ignore", FutureWarning)
        import tensorflow as tf

        from lineage import metadata, source_code
        from pipeline.local.dag_runner import NodeFailed, ReportingDagRunner
        from pipeline.local.display import NodeLines
        from pipeline.pipeline import code_of, create_pipeline, local_environment, settings_file
        from trainer import devices

        log_info()
        devices.limit_gpu_memory(tf.config.list_physical_devices("GPU"), config.trainer.gpu_memory_mb)
    settings_file(config).write_text(settings.to_yaml(config), encoding="utf-8")
    connection = metadata.connection_config(_store(config), config.metadata.password_file)
    pipeline = create_pipeline(config, local_environment(config), connection, part.nodes if part else ())
    lines = NodeLines(console, pipeline.components)
    facts = {"pipeline": config.name, "settings": config.model_dump_json(), "log": str(log)}
    facts["code"] = source_code.digest(code_of(pipeline.components))
    report_error = ""
    try:
        ReportingDagRunner(lines, facts).run(pipeline)
    except NodeFailed as failure:
        if isinstance(failure.__cause__, Interrupted):
            raise Interrupted from None
        lines.failed(failure.node)
        if failure.node != REPORT_NODE:
            _print_failure(console, failure, log)
            return Outcome(FAILED)
        logging.error(failure, exc_info=failure.__cause__)
        report_error = _report_error(config, failure)
    finally:
        lines.stop()
    if part:
        return Outcome(part.finish(config, console, lines.results, log))
    return _finish(config, console, lines.results, report_error, log, open_report)


def _finish(
    config: Config, console: Console, results: "dict[str, NodeResult]", report_error: str, log: Path, open_report: bool
) -> Outcome:
    """Prints the summary, and opens the report if `open_report`."""
    from components import checks
    from components.edge import component as edge
    from components.edge import formats as edge_files
    from components.serving_check import component as serving_check
    from components.trainer import history
    from pipeline.local import bulk, summary
    from pipeline.pipeline import root

    evaluation = checks.read(results["Evaluator"].outputs).joined(*serving_check.read(results["ServingCheck"].outputs))
    runs = Path(results["Trainer"].outputs["model_run"][0].uri)
    report = None if report_error else Path(results[REPORT_NODE].outputs["report"][0].uri) / REPORT
    locations: dict[str, object] = {
        "report": report or report_error,
        "metadata": _store(config),
        "artifacts": root(config),
    }
    locations |= {"tensorboard": runs, "log": log}
    if edge.STAGE.name in results and evaluation.blessed:
        locations["edge"] = f"{edge_files.FOLDER}: {edge.verdicts(results[edge.STAGE.name].outputs)}"
    summary.show(console, config, results, evaluation, locations)
    bulk.show(console, results)
    if open_report and report:
        webbrowser.open(report.as_uri())
    changed = history(results["Trainer"].outputs)["best_epoch"] > 0
    names = list(results)
    seconds = sum(results[name].seconds for name in names[names.index("Trainer") :] if not results[name].cached)
    return Outcome(PUSHED if evaluation.blessed else REFUSED, evaluation.accuracy, changed, seconds, report)


def _store(config: Config) -> str:
    from lineage import metadata

    return str(config.metadata.url or config.output / metadata.SQLITE)


def _report_error(config: Config, failure: Exception) -> str:
    """Returns why there is no report, and the command that writes it for the latest run with this name."""
    command = ["python", "-m", "lineage", "report", config.name, "--store", str(config.metadata.url or config.output)]
    if config.metadata.password_file:
        command += ["--password-file", str(config.metadata.password_file)]
    return f"failed: {cause(failure.__cause__ or failure)}; fix the problem, then run: {shlex.join(command)}"


def _print_failure(console: Console, failure: Exception, log: Path) -> None:
    from components.data_gate import DataRefused

    error = failure.__cause__ or failure
    if isinstance(error, DataRefused):
        text = f"{error}\nCorrect the data (or the schema, if the data is correct), and run the same command again."
    else:
        logging.error(failure, exc_info=error)
        text = f"{cause(error)}\nFull log: {log}\nFix the problem and run the same command again; it resumes."
    for line in text.splitlines():
        console.print(safe(line), soft_wrap=True)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """Raises Interrupted in the main thread, and again with each SIGALRM until `run` ends.

    Libraries swallow exceptions: AutoGraph, for example, ignores each error while it converts a function. An alarm is
    ignored while an exception is handled: that may be Interrupted, and TFX then removes the outputs of the node.
    """
    if signum != signal.SIGALRM:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends the process at once
        Interruption.requested = True
        signal.setitimer(signal.ITIMER_REAL, _PERIOD, _PERIOD)
        with contextlib.suppress(OSError):  # print may fail in a handler: the signal may have interrupted a print
            os.write(1, _STOPPING)
    handled = signum == signal.SIGALRM and sys.exception() is not None
    if not handled and not _ignores_exceptions(frame):
        raise Interrupted


def _ignores_exceptions(frame: FrameType | None) -> bool:
    """Returns whether Python ignores exceptions in this frame: in a finalizer or a weak reference's callback."""
    while frame:
        if frame.f_code.co_name == "__del__" or frame.f_globals.get("__name__") == "weakref":
            return True
        frame = frame.f_back
    return False
