"""A report that fails after the gate: the gate decides the exit code, and the suggested command writes the report."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from lineage.__main__ import main as lineage
from tests.conftest import ROOT


def _ask(capfd, output: Path, *words: str) -> list | dict:
    assert lineage([*words, "--store", str(output), "--json"]) == 0
    return json.loads(capfd.readouterr().out)


def test_a_failed_report_does_not_undo_the_push(tiny, main, capfd, tmp_path):
    output = tmp_path / "out"
    (output / "artifacts" / "sample").mkdir(parents=True)
    (output / "artifacts" / "sample" / "Report").write_text("a file at the path of the node's folder")
    code, printed = main(*tiny)
    assert code == 0, printed
    (pushed,) = (output / "pushed" / "sample").iterdir()
    assert f"Blessed and pushed to {pushed}" in printed
    assert "failed Report" in printed
    (why, command) = re.search(
        r"^report +failed: (.+); fix the problem, then run: (.+)$", printed, re.MULTILINE
    ).groups()
    assert "Error" in why
    assert "Traceback" not in printed
    (log,) = re.findall(r"^log +(/.+)$", printed, re.MULTILINE)
    assert Path(log).exists()
    (row,) = _ask(capfd, output, "runs", "--state", "pushed")
    assert (row["state"], row["pushed"], row["report"]) == ("pushed", str(pushed), None)
    assert _ask(capfd, output, "runs", "--state", "failed") == []
    *_, pusher, report = _ask(capfd, output, "show", "latest")["nodes"]
    assert (pusher["state"], report["state"]) == ("complete", "failed")
    assert why.partition(": ")[0] in report["error"]
    code, printed = main(*tiny, "--set", "evaluator.min_accuracy=1")
    assert code == 3, printed
    assert "Refused by the gate" in printed
    assert "report       failed: " in printed
    assert [row["state"] for row in _ask(capfd, output, "runs")] == ["refused", "pushed"]
    python, *words = shlex.split(command)
    assert python == "python"
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Refused by the gate" in Path(done.stdout.strip()).read_text()
