"""The Dockerfile and its locks. tests/image/build.sh builds the images and checks them; it is started by hand."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOCKS = ROOT / "requirements"


def pins(name: str) -> dict[str, str]:
    text = (LOCKS / name).read_text()
    return dict(re.findall(r"^([\w.-]+)==(\S+) (?!; sys_platform == 'never')", text, re.MULTILINE))


def test_the_cpu_image_has_the_old_lock_with_a_smaller_tensorflow():
    image, lock = pins("cpu.txt"), pins("lock-old.txt")
    assert image.pop("tensorflow-cpu") == lock.pop("tensorflow")
    assert image == lock


@pytest.mark.parametrize("name", ["cpu.txt", "gpu.txt", "tpu.txt", "lock-old.txt", "dev-old.txt"])
def test_no_lock_has_an_unused_package(name):
    unused = re.findall(r'^([\w-]+); sys_platform == "never"$', (LOCKS / "unused.in").read_text(), re.MULTILINE)
    assert unused
    assert not set(unused) & set(pins(name))


def test_the_workers_boot_program_has_the_version_of_beam():
    dockerfile = (ROOT / "Dockerfile").read_text()
    (version,) = re.findall(r"apache/beam_python3\.11_sdk:(\S+)", dockerfile)
    assert version == pins("cpu.txt")["apache-beam"]
    assert "ENTRYPOINT" in dockerfile.split("FROM run AS cpu\n")[1]


def test_the_build_names_an_unknown_target():
    command = ["bash", str(ROOT / "tests" / "image" / "build.sh"), "cpu", "mars"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "expected the targets cpu, gpu or tpu, received 'mars'\n"


def test_the_documents_name_each_package_with_a_copyleft_or_unknown_licence():
    """Reads the installed packages that cpu.txt has too; `make sbom` reads all of an environment made from cpu.txt."""
    command = [Path(sys.executable).with_name("pip-licenses"), "--format=json", "--packages", *pins("cpu.txt")]
    packages = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert len(packages) > 100
    named = {
        package["Name"].lower() for package in packages if re.search(r"GPL|MPL|Mozilla|UNKNOWN", package["License"])
    }
    section = (ROOT / "docs" / "images.md").read_text().split("## Packages and licences\n")[1].split("\n## ")[0]
    assert named == set(re.findall(r"`([\w.-]+)`", section.split("| licence | packages |")[1].split("\n\n")[0]))
