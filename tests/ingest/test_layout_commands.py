"""`python -m ingest photos` on folders with splits, on links, and on a manifest."""

from collections import Counter
from pathlib import Path

import pytest

from ingest import __main__ as command_line
from ingest import photos as photos_command
from pipeline import settings
from tests.helpers.records import photo_file


@pytest.fixture
def ingest(tmp_path, capsys, monkeypatch):
    """Calls `python -m ingest photos ... --to made`; returns the exit code, what was printed, and the found entries."""
    found, find = [], photos_command.layouts.find
    monkeypatch.setattr(
        photos_command.layouts, "find", lambda *args: found.append(tuple(find(*args))) or list(found[0])
    )

    def call(*arguments: object) -> tuple[int, str, Counter]:
        found.clear()
        words = ["photos", *map(str, arguments), "--to", str(tmp_path / "made"), "--size", "16"]
        code = command_line.main(words)
        entries = found[0] if found else []
        return code, "".join(capsys.readouterr()), Counter((entry.split, entry.label) for entry in entries)

    return call


def _photos(folder: Path, count: int, start: int = 0) -> Path:
    for label, name in enumerate(("cat", "dog")):
        for index in range(start, start + count):
            photo_file(folder / name / f"{index}.png", (200 * label, 5 * index, 90))
    return folder


def test_the_splits_of_folders(tmp_path, ingest):
    """The case train_and_val (huggingface/datasets#4015)."""
    _photos(tmp_path / "in" / "train", 20), _photos(tmp_path / "in" / "val", 6, start=20)
    code, said, counts = ingest(tmp_path / "in")
    assert code == 0, said
    assert counts == {("train", "cat"): 20, ("train", "dog"): 20, ("eval", "cat"): 6, ("eval", "dog"): 6}
    assert "52 photos in" in said
    assert settings.load(None, tmp_path / "made" / "settings.yaml").data.classes == ("cat", "dog")


def test_links(tmp_path, ingest):
    """The case linked_classes (huggingface/datasets#6853)."""
    _photos(tmp_path / "store", 12)
    (tmp_path / "links").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "links" / name).symlink_to(tmp_path / "store" / name)
    code, said, _ = ingest(tmp_path / "links")
    assert (code, "Add --follow-links" in said) == (2, True)
    assert not (tmp_path / "made").exists()
    code, said, counts = ingest(tmp_path / "links", "--follow-links")
    assert (code, counts.total()) == (0, 24), said


@pytest.mark.parametrize("source", ["loop", "~nobody-with-this-name", "x" * 5000])
def test_sources_that_cannot_be_opened(tmp_path, ingest, source):
    (tmp_path / "loop").symlink_to("loop")
    code, said, _ = ingest(tmp_path / source if source == "loop" else source)
    assert code == 2
    assert "does not exist" in said or "File name too long" in said


def test_a_manifest_makes_a_data_set_that_can_be_moved(tmp_path, ingest):
    folder = _photos(tmp_path / "in", 12)
    rows = [f"{path.relative_to(folder)},{path.parent.name}" for path in folder.glob("*/*")]
    (folder / "labels.csv").write_text("\n".join(["file_name,label", *rows, "gone.png,cat"]))
    code, said, _ = ingest(folder / "labels.csv")
    assert code == 0, said
    assert "gone.png: no such file" in said
    (tmp_path / "made").rename(tmp_path / "moved [1]")
    config = settings.load(None, tmp_path / "moved [1]" / "settings.yaml")
    assert (config.data.directory, config.data.schema_file) == (
        tmp_path / "moved [1]",
        tmp_path / "moved [1]" / "schema.pbtxt",
    )
