"""One run on this machine, from resolved settings to an exit code."""

import datetime
import json
import logging
import shlex
import signal
import warnings
import webbrowser
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from components.report.sources import REPORT, REPORT_NODE
from ingest.quiet import chatter_to, log_info
from lineage.text import safe
from pipeline.config import Config
from pipeline.exit_codes import FAILED, INTERRUPTED, PUSHED, REFUSED
from pipeline.local.failure import Interrupted, Interruption, cause
from pipeline.local.spinner import spinner

if TYPE_CHECKING:
    from pipeline.local.dag_runner import NodeResult


def run(config: Config, verbose: bool, show: bool = False) -> int:
    """Runs the pipeline, opens its report in a browser if that is to be shown, and returns the exit code.

    FAILED is for the nodes before the report. A report that fails leaves PUSHED or REFUSED: the gate has decided and
    the push is done.
    """
    stamp = f"{config.name}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    log = config.output / "logs" / f"{stamp}.log"
    console = Console()
    console.print(Text.assemble((config.name, "bold"), ": ", safe(config.data.directory)), soft_wrap=True)
    console.print(Text("log: ").append_text(safe(log)), soft_wrap=True)
    Interruption.came = False
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(signum, _interrupt)
    with chatter_to(log, also_terminal=verbose):
        try:
            return _run_nodes(config, console, log, show)
        except Exception:
            if not Interruption.came:  # else an import, TFX or Beam turned Interrupted into an error of its own
                raise
            console.print(
                "\n[yellow]Interrupted.[/] The same command goes on: finished nodes come from the cache, and training "
                "from its last finished epoch.",
                highlight=False,
            )
            return INTERRUPTED
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)  # see `_interrupt`


def _run_nodes(config: Config, console: Console, log: Path, show: bool) -> int:
    with spinner(console, "loading TensorFlow and TFX …"):
        warnings.simplefilter("ignore", FutureWarning)
        import tensorflow as tf

        from lineage import metadata, source_code
        from pipeline.local.dag_runner import NodeFailed, ReportingDagRunner
        from pipeline.local.display import NodeLines
        from pipeline.pipeline import code_of, create_pipeline, local_environment
        from trainer import devices
        from trainer.features import CODE

        log_info()
        devices.limit_gpu_memory(tf.config.list_physical_devices("GPU"), config.trainer.gpu_memory_mb)
    connection = metadata.connection_config(_store(config), config.metadata.password_file)
    made = create_pipeline(config, local_environment(config), connection)
    lines = NodeLines(console, made.components)
    code = code_of(made.components)
    facts = {"pipeline": config.name, "settings": config.model_dump_json(), "log": str(log)}
    facts |= {"code": source_code.digest(code), CODE: json.dumps(code)}
    missing = ""
    try:
        ReportingDagRunner(lines, facts).run(made)
    except NodeFailed as failure:
        if isinstance(failure.__cause__, Interrupted):
            raise Interrupted from None
        lines.failed(failure.node)
        if failure.node != REPORT_NODE:
            _explain(console, failure, log)
            return FAILED
        logging.error(failure, exc_info=failure.__cause__)
        missing = _missing(config, failure)
    finally:
        lines.stop()
    return _conclude(config, console, lines.results, missing, log, show)


def _conclude(
    config: Config, console: Console, results: "dict[str, NodeResult]", missing: str, log: Path, show: bool
) -> int:
    """Prints the summary, opens the report if that is to be shown, and returns the exit code; `missing`: why none."""
    from components import checks
    from pipeline.local import summary
    from pipeline.pipeline import root

    evaluation = checks.read(results["Evaluator"].outputs)
    runs = Path(results["Trainer"].outputs["model_run"][0].uri)
    report = None if missing else Path(results[REPORT_NODE].outputs["report"][0].uri) / REPORT
    places = {"report": report or missing, "metadata": _store(config), "artifacts": root(config)}
    places |= {"tensorboard": runs, "log": log}
    summary.show(console, config, results, evaluation, places)
    if show and report:
        webbrowser.open(report.as_uri())
    return PUSHED if evaluation.blessed else REFUSED


def _store(config: Config) -> str:
    from lineage import metadata

    return str(config.metadata.url or config.output / metadata.SQLITE)


def _missing(config: Config, failure: Exception) -> str:
    """Returns why there is no report, and the command that makes it: of the latest run of this name."""
    command = ["python", "-m", "lineage", "report", config.name, "--store", str(config.metadata.url or config.output)]
    if config.metadata.password_file:
        command += ["--password-file", str(config.metadata.password_file)]
    return f"failed: {cause(failure.__cause__ or failure)}; fix it, then: {shlex.join(command)}"


def _explain(console: Console, failure: Exception, log: Path) -> None:
    from components.data_gate import DataRefused

    error = failure.__cause__ or failure
    if isinstance(error, DataRefused):
        text = f"{error}\nCorrect the data, or the schema if the data is right, and run again."
    else:
        logging.error(failure, exc_info=error)
        text = f"{cause(error)}\nFull log: {log}\nFix the problem and run the same command again; it resumes."
    for line in text.splitlines():
        console.print(safe(line), soft_wrap=True)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends the process at once
    Interruption.came = True
    if _is_deaf(frame):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
    else:
        raise Interrupted


def _is_deaf(frame: FrameType | None) -> bool:
    """Returns whether Python would ignore an exception raised here: in a finalizer or a weak reference's callback."""
    while frame:
        if frame.f_code.co_name == "__del__" or frame.f_globals.get("__name__") == "weakref":
            return True
        frame = frame.f_back
    return False
