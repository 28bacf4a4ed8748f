"""One run on this machine, from prepared settings to an exit code."""

import datetime
import json
import logging
import signal
import warnings
import webbrowser
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape

from lineage.report.sources import REPORT
from pipeline.config import Config
from pipeline.failure import Interrupted, cause
from pipeline.logs import chatter_to, say_everything

PUSHED, FAILED, REFUSED, INTERRUPTED = 0, 1, 3, 130


def run(config: Config, verbose: bool, show: bool = False) -> int:
    """Runs the pipeline, opens its report in a browser if that is to be shown, and returns the exit code.

    0: blessed and pushed. 1: a node failed. 3: refused by the gate. 130: interrupted.
    """
    stamp = f"{config.name}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    log = config.output / "logs" / f"{stamp}.log"
    console = Console()
    console.print(f"[bold]{config.name}[/]: {escape(str(config.data.directory))}", highlight=False, soft_wrap=True)
    console.print(f"log: {log}", highlight=False, markup=False, soft_wrap=True)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(signum, _interrupt)
    with chatter_to(log, also_terminal=verbose):
        try:
            return _run_nodes(config, console, log, show)
        except Interrupted:
            console.print(
                "\n[yellow]Interrupted.[/] The same command goes on: finished nodes come from the cache, and training "
                "from its last finished epoch.",
                highlight=False,
            )
            return INTERRUPTED


def _run_nodes(config: Config, console: Console, log: Path, show: bool) -> int:
    with console.status("loading TensorFlow and TFX …"):
        warnings.simplefilter("ignore", FutureWarning)
        import tensorflow as tf

        from components import checks
        from pipeline import metadata, source_code, summary
        from pipeline.dag_runner import NodeFailed, ReportingDagRunner
        from pipeline.display import NodeLines
        from pipeline.pipeline import code_of, create_pipeline, here, root
        from trainer import devices
        from trainer.features import CODE

        say_everything()
        devices.limit_gpu_memory(tf.config.list_physical_devices("GPU"), config.trainer.gpu_memory_mb)
    store = str(config.metadata.url or config.output / metadata.SQLITE)
    connection = metadata.connection(store, config.metadata.password_file)
    lines = NodeLines(console, config)
    made = create_pipeline(config, here(config), connection)
    code = code_of(made.components)
    facts = {"pipeline": config.name, "settings": config.model_dump_json(), "log": str(log)}
    facts |= {"code": source_code.digest(code), CODE: json.dumps(code)}
    try:
        ReportingDagRunner(lines, facts).run(made)
    except NodeFailed as failure:
        lines.failed(failure.node)
        if isinstance(failure.__cause__, Interrupted):
            raise Interrupted from None
        _explain(console, failure, log)
        return FAILED
    finally:
        lines.stop()
    report = Path(lines.results["Report"].outputs["report"][0].uri) / REPORT
    evaluation = checks.read(lines.results["Evaluator"].outputs)
    runs = Path(lines.results["Trainer"].outputs["model_run"][0].uri)
    places = {"report": report, "metadata": store, "artifacts": root(config), "tensorboard": runs, "log": log}
    summary.show(console, config, lines.results, evaluation, places)
    if show:
        webbrowser.open(report.as_uri())
    return PUSHED if evaluation.blessed else REFUSED


def _explain(console: Console, failure: Exception, log: Path) -> None:
    from components.data_gate import DataRefused

    error = failure.__cause__ or failure
    if isinstance(error, DataRefused):
        text = f"{error}\nCorrect the data, or the schema if the data is right, and run again."
    else:
        logging.error(failure, exc_info=error)
        text = f"{cause(error)}\nThe whole story is in the log: {log}\nWhen it is mended, the same command goes on."
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends the process at once
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
