"""`serving_skew.kept` compares kept answers in a run; mistakes are reported before TFX is imported."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import local_runner
from components import photos
from ingest import kept, record_file
from ingest.kept import Kept
from ingest.sample import CLASSES
from pipeline import settings
from pipeline.local import local_settings
from testing import graphs
from tests.conftest import ROOT

LINE = re.compile(r"^(done|cached|failed) +(\w+)", re.MULTILINE)
ALWAYS = {"LatestBlessedModel"}  # a resolver is not cached


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        ("{empty}", "serving_skew.kept: expected files of --keep in {empty}, received none; give the folder of --keep"),
        ("{none}", "serving_skew.kept: cannot read the kept answers in {none}: No such file or directory; give the"),
        ("gs://bucket/kept", "serving_skew.kept: expected a path on this machine, received gs://bucket/kept"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(folder, says, sample, tmp_path, monkeypatch, capfd, cache):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    names = {"empty": tmp_path / "empty", "none": tmp_path / "none"}
    names["empty"].mkdir()
    flags = ["--set", f"serving_skew.kept={folder.format(**names)}", "--output", str(tmp_path / "out")]
    assert local_runner.main(flags) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert says.format(**names) in line
    assert not (tmp_path / "out").exists()


def test_a_mistake_does_not_import_tfx(tmp_path, cache):
    command = "import sys, local_runner; code = local_runner.main(sys.argv[1:]); print(code, 'tfx' in sys.modules)"
    arguments = ["--set", f"serving_skew.kept={tmp_path}", "--output", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", command, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.endswith("2 False\n")


def test_the_folder_is_relative_to_the_file_of_the_settings(sample, tmp_path, monkeypatch, cache):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / f"kept-1{kept.OPEN}").touch()
    (tmp_path / "mine.yaml").write_text(f"name: mine\noutput: {tmp_path}/out\nserving_skew: {{kept: kept}}\n")
    config = local_settings.resolve(settings.load("sample", tmp_path / "mine.yaml"))
    assert config.serving_skew.kept == tmp_path / "kept"


def test_a_run_compares_and_notices_a_new_file(first_run, main, sample, tmp_path):
    """Only the node and the report run again. The second file is one that the server still writes to."""
    output, _ = first_run
    files = sorted(sample.glob("*.tfrec"))[:2]
    measured = photos.measure([photo for file in files for photo in graphs.first_photos(file, 200)])
    (tmp_path / "kept").mkdir()

    def keep(name: str, shift: float) -> None:
        with (tmp_path / "kept" / name).open("wb") as file:
            for index, (size, brightness, *rest) in enumerate(measured):
                answer = Kept(CLASSES[index % 5].encode(), 0.9, 1, 1_700_000_000, size, brightness + shift, *rest)
                record_file.write_record(file, kept.serialized(answer))

    def run() -> tuple[set[str], str]:
        code, printed = main("--output", output, "--set", f"serving_skew.kept={tmp_path}/kept")
        assert code == 0, printed
        return {node for state, node in LINE.findall(printed) if state == "done"} - ALWAYS, printed

    keep(f"kept-1{kept.CLOSED}", 0.0)
    states, printed = run()
    assert states == {"ServingSkew", "Report"}
    assert "no skew in 400 kept answers\n" in printed
    assert run()[0] == set()
    keep(f"kept-2{kept.OPEN}", -0.3)
    states, printed = run()
    assert states == {"ServingSkew", "Report"}
    assert "skew in brightness: see report\n" in printed
    (report,) = re.findall(r"^report +(/.+)$", printed, re.MULTILINE)
    numbers = json.loads(Path(report).with_name("report.json").read_text())
    (section,) = (each for each in numbers["sections"] if each["node"] == "ServingSkew")
    assert section["text"].startswith("Skew in brightness. 800 kept answers from 2023-11-14 22:13 to 2023-11-14 22:13")
    assert section["title"] in Path(report).read_text()
