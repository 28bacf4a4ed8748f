"""A folder of real photos becomes a pushed model, by the commands of the README."""

import json
import re
from pathlib import Path

import pytest
import tensorflow as tf

from ingest import __main__ as ingest
from lineage import __main__ as lineage
from pipeline import settings
from pipeline.exit_codes import INTERRUPTED, PUSHED, REFUSED
from pipeline.local import minutes
from pipeline.local import run as run_module
from pipeline.local.failure import Interrupted

LINE = re.compile(r"^(done|cached|failed) +(\w+)", re.MULTILINE)


@pytest.fixture(scope="module")
def photos(real_data, tmp_path_factory) -> Path:
    """Real photos of two classes, as files in class folders."""
    folder, shard = tmp_path_factory.mktemp("photos"), real_data / "flowers-native" / "flowers00-200.tfrec"
    spec = {key: tf.io.FixedLenFeature([], tf.string) for key in ("image", "label")}
    for number, record in enumerate(tf.data.TFRecordDataset(str(shard))):
        example = tf.io.parse_single_example(record, spec)
        label = example["label"].numpy().decode()
        if label in ("roses", "sunflowers"):
            (folder / label).mkdir(exist_ok=True)
            (folder / label / f"{number}.jpg").write_bytes(example["image"].numpy())
    return folder


@pytest.fixture(scope="module")
def data(photos, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "photos"
    assert ingest.main(["photos", str(photos), "--to", str(folder), "--size", "96"]) == 0
    return folder


def test_a_probe_first_then_the_fine_tuning_that_fits_in_the_time(data, photos, main, tmp_path, capfd):
    flags = ["--config", data / "settings.yaml", "--output", tmp_path / "out", "--set", "trainer.epochs=1"]
    code, printed = main(*flags, "--minutes", "60")
    assert code in (0, 3), printed  # the second model is compared with the first one
    first, second = printed.split("of fine-tuning follow")
    assert dict(map(reversed, LINE.findall(first)))["Embeddings"] == "done"
    assert dict(map(reversed, LINE.findall(second)))["Embeddings"] == "cached"
    assert "Trained probe" in first and "Trained efficientnet_lite0" in second
    assert re.search(r"minutes are enough for \d{2,} epochs; 1 follow", printed)
    assert re.search(
        r"^60 minutes: accuracy [01]\.\d{4} after \d+ s, [01]\.\d{4} after \d+ s(; no epoch was better.*)?$",
        second,
        re.M,
    )
    assert lineage.main(["runs", "--store", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)[-1]["state"] == "pushed"
    roses = tf.constant([path.read_bytes() for path in sorted((photos / "roses").iterdir())[:8]])
    for pushed in (tmp_path / "out" / "pushed").glob("*/*"):
        answer = tf.saved_model.load(str(pushed)).signatures["serving_default"](image_bytes=roses)
        assert list(answer["label"].numpy()).count(b"roses") > 5


def test_minutes_that_are_no_number_or_too_few_and_other_models(data, run):
    done = run("--config", data / "settings.yaml", "--minutes", "soon")
    assert (done.returncode, "expected a number of minutes of 2 or more" in done.stderr) == (2, True)
    assert "received 'soon'" in done.stderr
    done = run("--config", data / "settings.yaml", "--minutes", "1.9")
    assert (done.returncode, "the probe alone takes one to two; received '1.9'" in done.stderr) == (2, True)
    done = run("--minutes", "5")
    assert done.returncode == 2
    assert "--minutes works only with a probe of one whole trunk" in done.stderr
    assert "received model.name convnet and no trunk. Give a preset of such a probe (--preset" in done.stderr
    trunk = "{name: efficientnet_lite0, layer: head}"
    done = run("--config", data / "settings.yaml", "--minutes", "5", "--set", f"embeddings.trunks=[{trunk}]")
    assert "received model.name probe and efficientnet_lite0 up to head" in done.stderr


def test_the_batches_of_the_fine_tuning_are_checked_before_the_probe_runs(data, run):
    done = run("--config", data / "settings.yaml", "--minutes", "5", "--set", "trainer.batch_size=500")
    assert done.returncode == 2
    assert "trainer.batch_size: expected a batch of at most" in done.stderr


@pytest.mark.parametrize(("open_report", "opened"), [(True, ["file:///probe.html"]), (False, [])])
def test_the_probes_report_is_opened_if_no_time_is_left(open_report, opened, monkeypatch):
    outcome = run_module.Outcome(PUSHED, 0.9, seconds_from_trainer=50.0, report=Path("/probe.html"))
    monkeypatch.setattr(run_module, "run", lambda *args: outcome)
    urls = []
    monkeypatch.setattr("webbrowser.open", urls.append)
    config = settings.load("photos-probe")
    assert minutes.run_within(config, minutes=1, verbose=False, open_report=open_report) == PUSHED
    assert urls == opened


@pytest.mark.parametrize(
    ("first", "left"),
    [(PUSHED, "The probe was pushed before, and is in use: /pushed"), (REFUSED, "The gate refused the probe too")],
)
@pytest.mark.parametrize("second", [INTERRUPTED, REFUSED, Interrupted])
def test_what_the_probe_has_left_is_printed_if_the_fine_tuning_pushes_nothing(second, first, left, monkeypatch, capsys):
    results = iter([run_module.Outcome(first, 0.9), second])

    def run_once(*args: object) -> run_module.Outcome:
        if (result := next(results)) is Interrupted:
            raise Interrupted
        return result if isinstance(result, run_module.Outcome) else run_module.Outcome(result)

    monkeypatch.setattr(run_module, "run", run_once)
    config = settings.load("photos-probe", changes={"pusher.directory": "/pushed"})
    code = minutes.run_within(config, minutes=5, verbose=False, open_report=False)
    printed = capsys.readouterr().out
    assert (code, left in printed) == (REFUSED if second == REFUSED else INTERRUPTED, True)
    assert ("Interrupted. Run the same command again" in printed) == (second is Interrupted)
