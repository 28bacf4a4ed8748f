"""The check of a TPU machine, and the notebook that runs it, on the CPU."""

import json
import re
import sys

import pytest

from tests.conftest import ROOT
from trainer import tpu_check

NOTEBOOK = ROOT / "notebooks" / "tpu.ipynb"


def _lines(printed: str) -> dict[str, tuple[str, str]]:
    """Result and text of each check, by its name."""
    found = re.findall(r"^(ok|FAILED) +(\S.*?) +[\d.]+ s  (.*)$", printed, re.MULTILINE)
    return {name: (result, seen) for result, name, seen in found}


def test_every_check_but_that_of_the_devices_passes_without_a_tpu(capfd):
    """Runs the notebook's cells as IPython does; the packages of its second cell are those of this environment."""
    shell = pytest.importorskip("IPython.core.interactiveshell", reason="IPython is missing").InteractiveShell()
    first, install, check = (c for c in json.loads(NOTEBOOK.read_text())["cells"] if c["cell_type"] == "code")
    assert install["metadata"]["tags"] == ["install"]
    assert "--require-hashes -r {REPOSITORY}/requirements/tpu-check.txt" in "".join(install["source"])
    shell.run_cell("".join(first["source"])).raise_error()
    assert (NOTEBOOK.parent / shell.user_ns["REPOSITORY"] / "requirements" / "tpu-check.txt").is_file()
    shell.user_ns |= {"REPOSITORY": str(ROOT), "PYTHON": sys.executable, "ARGUMENTS": "--models mlp"}
    shell.run_cell("".join(check["source"])).raise_error()
    printed = capfd.readouterr().out.replace("\r", "")
    lines = _lines(printed)
    result, seen = lines["devices"]
    assert result == "FAILED"
    assert "expected to train on a TPU, because the task requested one, received 1 × CPU" in seen
    assert lines["mlp: is lowered"][0] == lines["mlp: trains"][0] == "ok"
    assert re.search(r"6 steps of 8 photos, loss [\d.]+, [\d.]+; [\d.]+ ms a step", lines["mlp: trains"][1])
    assert "2 of 3 checks passed" in printed


def test_a_failed_check_does_not_end_the_report(capsys):
    line = tpu_check._checked("what fails", lambda: str(1 / 0))
    assert (line.result, line.seen) == ("FAILED", "ZeroDivisionError: division by zero")
    assert _lines(capsys.readouterr().out) == {"what fails": ("FAILED", line.seen)}


def test_its_packages_are_those_of_the_image():
    def pins(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE))

    image, check = pins("tpu.txt"), pins("tpu-check.txt")
    for package in ("tensorflow-tpu", "libtpu", "keras", "numpy", "pydantic", "scikit-learn"):
        assert check[package] == image[package], package


def test_dynamic_shapes_are_seen(monkeypatch):
    monkeypatch.setattr(tpu_check, "_DYNAMIC", "f32[")
    with pytest.raises(ValueError, match="expected static shapes"):
        tpu_check._lowered("mlp")
