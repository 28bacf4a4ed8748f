"""`python -m ingest quarantine` shows what ExampleGen writes."""

import os
from pathlib import Path

import pytest

from components import quarantine as written
from components import record_order
from ingest import __main__ as command_line
from ingest import quarantine
from ingest.bad_records import BadRecord
from tests.helpers import browser, records

NO_CLASS = [
    BadRecord("b.tfrec", index, "no class", "class: expected one value", "cat/1.jpg", 0, b"") for index in range(7)
]
DAMAGED = BadRecord("a.tfrec", 3, "damaged record", "wrong checksum <at> record 3", "", 5, b"\xff no example")


def _run(root: Path, bad: list[BadRecord], number: int = 1) -> Path:
    """Writes a quarantine as ExampleGen does, into the outputs of a run; returns its folder."""
    folder = root / "artifacts" / "pets" / "ImportExampleGen" / "quarantine" / str(number)
    folder.mkdir(parents=True)
    rows = [written.SourceCounts("a.tfrec", 90, len(bad), sum(each.lost for each in bad), None)._asdict()]
    if bad:
        folders = record_order.Folders("", "", str(folder))
        record_order._write_quarantine(sorted(bad), folders, "00000-of-00001")
        rows.append({"reasons": record_order._reasons(bad)})
    written.write_counts(rows, str(folder), 0)
    written.merge_counts(str(folder))
    return folder


@pytest.fixture
def bad() -> list[BadRecord]:
    example = records.example(1).SerializeToString()
    return [DAMAGED, *(each._replace(data=example) for each in NO_CLASS)]


def test_records_are_counted_by_reason_with_their_places(tmp_path, capsys, bad):
    folder = _run(tmp_path, bad)
    for path in (tmp_path, folder):
        assert command_line.main(["quarantine", str(path)]) == 0
        printed = capsys.readouterr().out
        assert "│ no class       │       7 │            1 │" in printed
        assert "│ damaged record │       1 │            1 │" in printed
        assert "  b.tfrec record 4 (cat/1.jpg): class: expected one value\n  … and 2 more" in printed
        assert "  a.tfrec record 3: wrong checksum <at> record 3" in printed
        assert f"8 records in the quarantine, 90 used, about 5 cannot be read: {folder}" in printed


def test_the_page_shows_pictures_that_can_be_decoded(tmp_path, capsys, bad):
    _run(tmp_path, bad)
    page = tmp_path / "page.html"
    assert command_line.main(["quarantine", str(tmp_path), "--html", str(page)]) == 0
    text = page.read_text()
    assert (text.count("data:image/jpeg;base64,"), text.count("no picture")) == (7, 1)
    assert "wrong checksum &lt;at&gt; record 3" in text
    seen = browser.look(page, audit=True)
    assert seen.errors == seen.undrawn == seen.unreached == seen.violations == []


def test_an_empty_quarantine(tmp_path, capsys):
    _run(tmp_path, [])
    assert command_line.main(["quarantine", str(tmp_path)]) == 0
    assert "0 records in the quarantine, 90 used: " in capsys.readouterr().out


def test_the_newest_of_several_runs(tmp_path, bad):
    older, newer = _run(tmp_path, bad, 9), _run(tmp_path, [], 10)
    os.utime(older / "counts.json", (1, 1))
    assert quarantine.find(tmp_path) == newer


def test_refused(tmp_path, capsys, bad):
    assert command_line.main(["quarantine", str(tmp_path / "nowhere")]) == 2
    assert "nowhere is not a folder" in capsys.readouterr().err
    assert command_line.main(["quarantine", str(tmp_path)]) == 2
    assert "contains no quarantine; give the output folder of a run" in capsys.readouterr().err
    folder = _run(tmp_path, bad)
    (folder / "quarantine-00000-of-00001.tfrecord").unlink()
    assert command_line.main(["quarantine", str(tmp_path)]) == 2
    assert "cannot read the quarantine" in capsys.readouterr().err
