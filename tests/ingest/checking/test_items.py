"""A file that cannot be read to its end is reported, and the other files are read."""

from pathlib import Path

import pytest

from ingest.checking import items
from ingest.layouts.entries import Options
from tests.helpers import records
from tests.helpers.damage import Interrupted


@pytest.mark.parametrize("readable", [0.3, 0.7])
def test_a_record_file_whose_disk_fails(tmp_path, monkeypatch, readable):
    folder = records.folder(tmp_path / "data", shards=2, per_shard=10)
    bad, good = sorted(folder.iterdir())
    data = bad.read_bytes()
    real = Path.open

    def interrupted(path, *args, **options):
        if path == bad:
            return Interrupted(data[: round(readable * len(data))])
        return real(path, *args, **options)

    monkeypatch.setattr(Path, "open", interrupted)
    found = items.find(folder, Options())
    assert {item.path for item, _ in found.read()} == {bad, good}
    assert found.unreadable == [(bad.name, "Input/output error")]
