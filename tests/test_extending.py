"""The code of docs/extending.md, applied to a copy of the project and run: a component, a family, a data source."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, without_network
from tests.helpers.parsed import Page

DOCUMENT = (ROOT / "docs" / "extending.md").read_text()
WEIGHTS = """
import keras
from trainer.models.tiny import build

keras.utils.set_random_seed(0)
build((16, 16, 3), 5).save_weights("tiny.weights.h5")
"""


def _apply(copy: Path) -> None:
    """Writes the document's new files, and changes the files that its diffs name."""
    for kind, block in re.findall(r"^```(python|yaml|diff)\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL):
        name, rest = re.match(r"(?:# |--- )(\S+)\n(.*)", block, re.DOTALL).groups()
        if kind != "diff":
            assert not (copy / name).exists(), name
            (copy / name).write_text(rest)
            continue
        text = (copy / name).read_text()
        for hunk in rest.split("@@\n")[1:]:
            lines = hunk.splitlines(keepends=True)
            before, after = ("".join(line[1:] for line in lines if line[0] != sign) for sign in "+-")
            assert text.count(before) == 1, f"{name} does not contain once:\n{before}"
            text = text.replace(before, after)
        (copy / name).write_text(text)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Starts Python in the changed copy, with the weights that the row names in the cache folder."""
    copy, cache = tmp_path_factory.mktemp("copy") / "project", tmp_path_factory.mktemp("cache")
    command = ["git", "ls-files", "-co", "--exclude-standard"]  # also files that are not committed yet
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    _apply(copy)

    def run(*arguments: object) -> str:
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=copy, env=without_network(cache), capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("-c", WEIGHTS)
    content = (copy / "tiny.weights.h5").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    cached = cache / "tfx-photo-pipeline" / "weights" / digest[:12] / "tiny.weights.h5"
    cached.parent.mkdir(parents=True)
    (copy / "tiny.weights.h5").rename(cached)
    row = (copy / "trainer" / "families.py").read_text()
    row = re.sub(r"(?<=size=)20_480(.*?sha256:)\w+", rf"{len(content)}\g<1>{digest}", row, count=1, flags=re.DOTALL)
    (copy / "trainer" / "families.py").write_text(row)
    return run


@pytest.mark.slow
def test_a_run_shows_the_new_node_in_the_report_and_in_lineage(start, tmp_path):
    printed = start("local_runner.py", "--preset", "patches-tiny", "--output", tmp_path / "runs")
    assert re.search(r"^done   Audit .* 120 examples$", printed, re.MULTILINE)
    assert re.search(r"Trained tiny .* The data are drawings", printed)
    assert "Blessed and pushed to" in printed
    (numbers,) = (tmp_path / "runs").glob("artifacts/*/Report/report/*/report.json")
    report = json.loads(numbers.read_text())
    section, _ = report["sections"]  # the other section is that of ServingCheck
    assert (section["node"], sum(count for _, count in section["rows"])) == ("Audit", 120)
    assert "The examples in each split." in Page(numbers.with_name("report.html").read_text()).text
    assert report["training"]["recipe"]["model"]["options"] == {"filters": 8}

    store = ("--store", tmp_path / "runs")
    nodes = json.loads(start("-m", "lineage", "show", "latest", *store, "--json"))["nodes"]
    assert [list(each["outputs"]) for each in nodes if each["node"] == "Audit"] == [["section"]]
    start("-m", "lineage", "report", "latest", *store, "--to", tmp_path / "report")
    assert json.loads((tmp_path / "report" / "report.json").read_text())["sections"] == report["sections"]


def test_the_compiled_pipeline_has_the_node_and_the_weights_uri(start, tmp_path):
    (command,) = re.findall(r"^python (kubeflow_runner\.py compile .*) -o", DOCUMENT, re.MULTILINE)
    start(*command.split(), "-o", tmp_path / "patches.yaml")
    compiled = (tmp_path / "patches.yaml").read_text()
    assert "Audit_executor" in compiled
    assert "gs://my-bucket/tiny.weights.h5" in compiled
