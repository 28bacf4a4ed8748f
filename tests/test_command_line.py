"""Commands and errors that must not import TFX or TensorFlow."""

import os
import subprocess
import sys

import pytest
import yaml

import kubeflow_runner
from tests.conftest import ROOT
from tests.test_kubeflow_runner import KUBEFLOW, VERTEX


@pytest.mark.parametrize("flag", ["--help", "--list-presets", "--show-config"])
def test_answers_without_tfx(flag):
    code = (
        "import sys, local_runner\n"
        f"try: local_runner.main(['{flag}'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'tensorflow', 'tfx', 'apache_beam', 'requests', 'keras'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_show_config_shows_what_was_set(run):
    done = run("--show-config", "--preset", "flowers-xception", "--set", "trainer.epochs=2", "--data", "photos")
    shown = yaml.safe_load(done.stdout)
    assert (shown["name"], shown["trainer"]["epochs"], shown["data"]["directory"]) == ("flowers-xception", 2, "photos")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--set", "trainer.epoch=5", "--set", "modle.name=x"], "2 settings are not valid"),
        (["--set", "trainer.epochs"], "expected KEY=VALUE"),
        (
            ["--preset", "flower"],
            "unknown preset 'flower'; did you mean 'flowers-probe'? expected one of: digits, flowers-convnet",
        ),
        (["--config", "nowhere.yaml"], "cannot read the settings file nowhere.yaml"),
        (["--config", "docs"], "expected a settings file (--config), received the folder docs; give a file\n"),
        (["--sett", "a=b"], "unrecognized arguments"),
    ],
)
def test_an_error_is_one_line(run, tmp_path, arguments, says):
    done = run(*arguments, "--output", tmp_path / "out")
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_devices_reports_a_tpu_that_fails(run):
    done = run("--devices", TPU_NAME="local")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("local_runner.py: cannot use the devices: expected to train on the TPU found by TPU_")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--help"], ["photos", "--help"], ["mnist", "--help"]])
def test_help_of_ingest_without_tensorflow(arguments):
    code = (
        "import sys; from ingest.__main__ import main\n"
        f"try: main({arguments})\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'tensorflow', 'numpy', 'tensorflow_metadata', 'pipeline'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "photos" in done.stdout or "IDX_DIR" in done.stdout


def test_ingest_without_the_environment_says_how_to_activate_it(tmp_path):
    command = [sys.executable, "-S", "-m", "ingest", "photos", "photos", "--to", str(tmp_path / "new")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert f"ingest: {sys.executable} has no package " in done.stderr
    assert done.stderr.endswith("; activate the environment: source .venv/bin/activate\n")


def test_compile_as_a_command(tmp_path):
    file = tmp_path / "sample.json"
    command = [sys.executable, "kubeflow_runner.py", "compile", *VERTEX, "-o", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said = f"{file}: sample for vertex, 13 tasks\nnext: python kubeflow_runner.py submit {file} --wait\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


def test_next_commands_work_from_any_folder_and_rehearse_on_kubeflow(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert kubeflow_runner.main(["compile", *KUBEFLOW, "-o", "sample.yaml"]) == 0
    _, rehearsal, submission = capsys.readouterr().out.splitlines()
    program = os.path.relpath(ROOT / "kubeflow_runner.py")
    assert rehearsal == f"try: python {program} run-local sample.yaml --store gs://a-bucket/root/rehearsal"
    assert submission == f"next: python {program} submit sample.yaml --endpoint http://127.0.0.1:8080 --wait"
    assert (tmp_path / program).samefile(ROOT / "kubeflow_runner.py")


@pytest.mark.parametrize(("target", "name"), [("kubeflow", "photos.json"), ("vertex", "photos.yaml")])
def test_a_compiled_file_is_not_named_as_that_of_the_other_target(tmp_path, monkeypatch, capsys, target, name):
    monkeypatch.chdir(tmp_path)
    expected = {"photos.json": "photos.yaml", "photos.yaml": "photos.json"}[name]
    assert kubeflow_runner.main(["compile", *(KUBEFLOW if target == "kubeflow" else VERTEX), "-o", name]) == 2
    says = f"kubeflow_runner.py: -o: expected a file like {expected} with --target {target}, received {name}\n"
    assert capsys.readouterr().err == says
    assert list(tmp_path.iterdir()) == []
