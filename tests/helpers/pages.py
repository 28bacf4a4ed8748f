"""Writes a store of two runs, one with hostile text, and starts `lineage serve` on it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import ROOT
from tests.helpers import stores

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}"
REPORT = (
    "<!doctype html><title>a report</title><style>p { color: green }</style><p>It says.</p><script>alert(3)</script>"
)


def write(output: Path) -> dict[str, int]:
    """Writes the store and returns the ids of its artifacts and runs by name."""
    store, root = stores.Store(output, HOSTILE), output / "artifacts" / "p"
    report = root / "Report" / "report" / "5"  # the fifth execution
    report.mkdir(parents=True)
    (report / "report.html").write_text(REPORT)
    (model := root / "Trainer" / "model" / "2").mkdir(parents=True)
    (model / "weights").write_bytes(b"x" * 1500)
    ids = {
        "examples": store.artifact("Examples", root / "gone", input_fingerprint=HOSTILE),
        "model": store.artifact("Model", model, val_accuracy=0.5, parameters=1234),
        "evaluation": store.artifact("ModelEvaluation", root / "e", accuracy=0.75, refused=HOSTILE),
        "blessing": store.artifact("ModelBlessing", root / "b", blessed=0),
        "report": store.artifact("RunReport", report),
    }
    first = ids["first"] = store.run("2026-01-01T00:00:00", {"pipeline": HOSTILE, "settings": '{"a": 1}', "code": "c1"})
    store.execution(first, "ImportExampleGen", {}, {"examples": [ids["examples"]]})
    store.execution(
        first, "Trainer", {"examples": [ids["examples"]]}, {"model": [ids["model"]]}, custom_config={"recipe": HOSTILE}
    )
    judged = {"evaluation": [ids["evaluation"]], "blessing": [ids["blessing"]]}
    store.execution(first, "Evaluator", {"model": [ids["model"]]}, judged)
    store.execution(first, "Pusher", {"model": [ids["model"]]}, {})
    store.execution(first, "Report", {"model": [ids["model"]]}, {"report": [ids["report"]]})
    told = {"settings": f'{{"a": "{"x" * 200}"}}', "code": HOSTILE, "failed": "Trainer", "error": HOSTILE}
    second = ids["second"] = store.run("2026-01-02T00:00:00", {"pipeline": HOSTILE} | told)
    store.execution(second, "Trainer", {"examples": [ids["examples"]]}, {}, state=stores.FAILED)
    return ids


@contextmanager
def serving(*arguments: object) -> Iterator[str]:
    """Starts the server on a free port and yields its address."""
    command = [sys.executable, "-m", "lineage", "serve", "--port", "0", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().split()[0]
    finally:
        process.terminate()
        process.communicate()
