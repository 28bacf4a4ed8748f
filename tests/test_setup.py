"""The set-up: the checks of `make`, the locks, and the files in the package."""

import importlib.metadata
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile

import pytest
from packaging.specifiers import SpecifierSet

from tests.conftest import PACKAGES, ROOT


def test_tensorboard_listens_to_this_machine_alone():
    done = subprocess.run(["make", "--dry-run", "tensorboard"], cwd=ROOT, capture_output=True, text=True)
    (command,) = [line for line in done.stdout.splitlines() if "--logdir" in line]
    assert "--host 127.0.0.1" in command


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("PYTHON=/bin/false", "Expected a Python interpreter, received '/bin/false'"),
        ("PYTHON=no-such-python", "Expected a Python interpreter, received 'no-such-python'"),
        ("STACK=newer", "Expected STACK to be new or old, received 'newer'"),
        ("CXX=no-such-compiler", "A C++ compiler is needed"),
    ],
)
def test_what_is_missing_is_one_line_before_any_download(argument, says, tmp_path):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    for name in ("Makefile", "setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    done = subprocess.run(["make", "run", argument], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    chosen = [line for line in done.stderr.splitlines() if line.startswith("Stack ")]
    first, *rest = [line for line in done.stderr.splitlines() if line not in chosen]
    assert says in first
    assert all(line.startswith("make") for line in rest)
    assert len(chosen) == (1 if says.startswith("A C++") else 0)
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("glibc", "python", "asked", "expected"),
    [
        ("2.36", (3, 11), "", "old"),  # Debian 12
        ("2.35", (3, 11), "old", "old"),  # Ubuntu 22.04 with its python3.11
        ("2.41", (3, 13), "", "new"),  # Debian 13
        ("2.39", (3, 12), "", "new"),  # Ubuntu 24.04
        ("2.39", (3, 11), "", "new"),
        ("2.39", (3, 11), "old", "old"),
        ("2.39.9000", (3, 13), "new", "new"),
        ("2.36", (3, 12), "", "Install python3.11, or: make PYTHON=/path/to/python3.11"),
        ("2.41", (3, 14), "", "Install python3.13, or: make PYTHON=/path/to/python3.13"),
        ("2.41", (3, 10), "", "the new stack needs glibc 2.39 or newer and Python 3.11 to 3.13"),
        ("2.36", (3, 11), "new", "No stack fits glibc 2.36, Python 3.11: the new stack needs glibc 2.39 or newer"),
        ("2.41", (3, 13), "old", "the old stack needs glibc 2.28 or newer and Python 3.11. Install python3.11"),
        ("2.17", (3, 11), "", "No stack fits glibc 2.17, Python 3.11"),
        ("", (3, 11), "", "Expected Linux with glibc"),
        ("2.41", (3, 13), "newest", "Expected STACK to be new or old, received 'newest'"),
    ],
)
def test_the_stack_follows_glibc_and_python(glibc, python, asked, expected):
    assert expected in chosen("Linux", "x86_64", glibc, python, asked)


@pytest.mark.parametrize(("system", "machine"), [("Darwin", "arm64"), ("Linux", "aarch64"), ("Windows", "AMD64")])
def test_other_systems_are_sent_to_the_devcontainer(system, machine):
    assert "Use the devcontainer" in chosen(system, machine, "2.41", (3, 13), "")


def chosen(*machine) -> str:
    """What requirements/choose.py says: a stack's name, or why there is none, in one line."""
    choose = runpy.run_path(str(ROOT / "requirements" / "choose.py"))
    try:
        name, why = choose["choose"](*machine)
    except choose["Unfit"] as unfit:
        name, why = str(unfit), ""
    assert "\n" not in name + why
    assert not why or why.startswith(f"Stack {name}: TFX ")
    return name


def test_each_stack_has_its_locks_and_the_package_allows_its_pythons():
    stacks = runpy.run_path(str(ROOT / "requirements" / "choose.py"))["STACKS"]
    for stack in stacks:
        lock = (ROOT / "requirements" / f"lock-{stack.name}.txt").read_text()
        for package in stack.holds.lower().split(", "):
            assert re.search(rf"^{package.replace(' ', '==')}\.\d+ ", lock, re.MULTILINE)
        assert (ROOT / "requirements" / f"dev-{stack.name}.txt").exists()
    needs = SpecifierSet(importlib.metadata.metadata("tfx-photo-pipeline")["Requires-Python"])
    assert all(f"{major}.{minor}" in needs for stack in stacks for major, minor in (stack.oldest, stack.newest))
    assert "3.14" not in needs


LOCKS = ["lock-old.txt", "lock-new.txt", "dev-old.txt", "dev-new.txt", "gpu.txt", "tpu.txt", "uv.txt", "pytorch.txt"]


@pytest.mark.parametrize("name", LOCKS)
def test_the_locks_name_versions_and_hashes_and_no_host(name):
    text = (ROOT / "requirements" / name).read_text()
    packages = re.split(r"\n(?=\S)", text.strip())
    assert all(
        re.match(r"[\w.\-\[\]]+==\S+( ; .+)? \\\n", package) and "--hash=sha256:" in package for package in packages
    )
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
    for folder in PACKAGES:
        for pattern in ("*.py", "*.yaml", "*.pbtxt", "*.html", "*.css"):
            assert {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob(pattern)} <= held


def test_the_devcontainer_installs_what_the_readme_says_and_is_not_root():
    """It cannot be started here: no Docker."""
    settings = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    dockerfile = (ROOT / ".devcontainer" / settings["build"]["dockerfile"]).read_text()
    (packages,) = re.findall(r"`apt-get install ([^`]+)`", (ROOT / "README.md").read_text())
    assert packages in dockerfile
    assert f"--shell /bin/bash {settings['remoteUser']}\n" in dockerfile
    assert settings["remoteUser"] != "root"
    command = settings["postCreateCommand"].split()
    assert command[0] == "make"
    subprocess.run([*command, "--dry-run"], cwd=ROOT, check=True, capture_output=True)


STUBS = {
    "id": "echo 0",
    "apt-get": "exit 100",  # as on Fedora, or where its configuration is broken
    "debootstrap": "",
    "mount": "",
    "unshare": """printf '%s\\n' "$@" >>"$HOME/arguments"
        shift 6  # its own
        [ "$1" != debootstrap ] || exec mkdir -p "${@: -1}"
        exec "$@" """,
    "chroot": """printf '%s\\n' "$@" >>"$HOME/arguments"
        shift
        exec "${@:1:$#-1}" /usr/bin/env --null >"$HOME/environment" """,
}


def test_the_other_stacks_system_inherits_passwords_and_no_argument_has_them(tmp_path):
    """Without the system: its tools are replaced by ones that write down what they are given."""
    for name, text in STUBS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    given = {"PIP_INDEX_URL": "https://me:secret@pypi.example", "https_proxy": "http://me:secret@proxy.example:1"}
    dropped = {"PIP_CACHE_DIR": "/cache", "MY_TOKEN": "secret", "XDG_CACHE_HOME": str(tmp_path)}
    system = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    command = ["bash", str(ROOT / ".ci" / "debian-13")]
    done = subprocess.run(command, env=given | dropped | system, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "secret" not in (tmp_path / "arguments").read_text()
    lines = (tmp_path / "environment").read_text().rstrip("\0").split("\0")
    received = dict(line.split("=", 1) for line in lines)
    for name in ("PWD", "OLDPWD", "SHLVL", "_"):  # bash's own
        received.pop(name, None)
    own = {"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "CI": ""}
    assert received == given | own


def test_without_debootstrap_or_root_the_other_stack_is_skipped_with_its_reason(tmp_path):
    for tool in ("dirname", "id"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    command = [shutil.which("bash"), str(ROOT / ".ci" / "debian-13")]
    done = subprocess.run(command, env={"PATH": str(tmp_path), "HOME": str(tmp_path)}, capture_output=True, text=True)
    reason = "debootstrap and chroot need root" if os.getuid() else "debootstrap is not installed"
    assert done.stdout.startswith(f"== Debian 13: skipped, because {reason}")
    assert (done.returncode, done.stderr) == (0, "")
