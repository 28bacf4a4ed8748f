"""A complete run and its report, made once."""

import json
from pathlib import Path

import pytest

from components.report.make import make
from components.report.sources import Sources
from tests.helpers.report_run import complete_run


@pytest.fixture(scope="session")
def complete(tmp_path_factory) -> Sources:
    """The outputs of a run with 55 photos, hostile class names and an untrained model that was refused."""
    return complete_run(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="session")
def report(complete) -> tuple[dict, str, Path]:
    """The report of the complete run: its numbers, its page and its folder."""
    folder = Path(complete.root) / "Report" / "report" / "7"
    numbers = make(complete, str(folder))
    assert json.loads((folder / "report.json").read_text()) == numbers
    return numbers, (folder / "report.html").read_text(), folder
