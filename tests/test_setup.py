"""What the first two minutes of a stranger hang on: the checks of `make`, the lock, what the package holds."""

import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.conftest import ROOT


def test_tensorboard_listens_to_this_machine_alone():
    done = subprocess.run(["make", "--dry-run", "tensorboard"], cwd=ROOT, capture_output=True, text=True)
    (command,) = [line for line in done.stdout.splitlines() if "--logdir" in line]
    assert "--host 127.0.0.1" in command


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("PYTHON=/bin/false", "Python 3.11 is needed"),
        ("PYTHON=no-such-python", "Python 3.11 is needed"),
        ("CXX=no-such-compiler", "A C++ compiler is needed"),
    ],
)
def test_what_is_missing_is_one_line_before_any_download(argument, says):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(["make", "check", argument], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    first, *rest = done.stderr.splitlines()
    assert says in first
    assert all(line.startswith("make") for line in rest)
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["lock.txt", "dev.txt", "gpu.txt", "tpu.txt", "uv.txt", "pytorch.txt"])
def test_the_locks_name_versions_and_hashes_and_no_host(name):
    text = (ROOT / "requirements" / name).read_text()
    packages = re.split(r"\n(?=\S)", text.strip())
    assert all(re.match(r"[\w.\-\[\]]+==\S+", package) and "--hash=sha256:" in package for package in packages)
    assert "://" not in text
    assert "index-url" not in text


def test_the_wheel_holds_the_code_the_schemas_and_the_presets(tmp_path):
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(".*", "runs", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("pipeline", "components", "trainer", "datasets", "lineage", "schemas"):
        for pattern in ("*.py", "*.yaml", "*.pbtxt", "*.html", "*.css"):
            assert {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob(pattern)} <= held
