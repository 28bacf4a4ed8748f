"""The names of container images, with real git repositories."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import kubeflow_runner
from errors import UserError
from pipeline.cluster.container_images import image_of
from tests.conftest import ROOT
from tests.test_kubeflow_runner import KUBEFLOW, _spec

NAME = "europe-docker.pkg.dev/a-project/photos/pipeline"
DIGEST = "@sha256:" + "0123456789abcdef" * 4


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A repository with one commit."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    return tmp_path


@pytest.mark.parametrize(("kind", "end"), [("cpu", ""), ("gpu", "-gpu"), ("tpu", "-tpu")])
@pytest.mark.parametrize("name", [NAME, "localhost/photos", "localhost:5000/a/b__c", "registry:5000/photos"])
def test_an_image_without_a_tag_gets_the_commit(checkout, name, kind, end):
    commit = git(checkout, "rev-parse", "HEAD")
    assert image_of(name, kind, checkout, allow_dirty=False) == f"{name}:{commit[:12]}{end}"


@pytest.mark.parametrize("change", ["edited", "untracked"])
def test_a_checkout_with_changes_needs_allow_dirty(checkout, change):
    file = {"edited": "file", "untracked": "another"}[change]
    (checkout / file).write_text("2")
    with pytest.raises(UserError, match=f"received changes in {file}. Commit or stash them, or give the image a tag"):
        image_of(NAME, "cpu", checkout, allow_dirty=False)
    commit = git(checkout, "rev-parse", "--short=12", "HEAD")
    assert image_of(NAME, "cpu", checkout, allow_dirty=True) == f"{NAME}:{commit}-dirty"
    assert image_of(NAME, "tpu", checkout, allow_dirty=True) == f"{NAME}:{commit}-dirty-tpu"


def test_of_many_changes_three_are_named(checkout):
    for number in range(5):
        (checkout / f"new{number}").write_text("")
    with pytest.raises(UserError, match="new0, new1, new2 and 2 more"):
        image_of(NAME, "cpu", checkout, allow_dirty=False)


@pytest.mark.parametrize(
    ("name", "kind", "image"),
    [
        (f"{NAME}:v1.2_rc", "cpu", f"{NAME}:v1.2_rc"),
        (f"{NAME}:v1", "tpu", f"{NAME}:v1-tpu"),
        (NAME + DIGEST, "cpu", NAME + DIGEST),
        (f"{NAME}:v1{DIGEST}", "cpu", f"{NAME}:v1{DIGEST}"),
        ("localhost:5000/photos:v1", "cpu", "localhost:5000/photos:v1"),
    ],
)
def test_a_tag_or_a_digest_is_kept_without_a_repository(tmp_path, name, kind, image):
    assert image_of(name, kind, tmp_path / "nowhere", allow_dirty=False) == image


@pytest.mark.parametrize("name", [NAME + DIGEST, f"{NAME}:v1{DIGEST}"])
def test_a_tpu_image_cannot_have_a_digest(tmp_path, name):
    with pytest.raises(
        UserError, match="expected no digest with a trainer on a TPU.*Give REGISTRY/NAME or REGISTRY/NAME:TAG"
    ):
        image_of(name, "tpu", tmp_path, allow_dirty=False)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "photos",
        "photos:v1",
        "user/photos",
        "gcr.io",
        "gcr.io/",
        "gcr.io/Photos",
        "GCR.io/photos",
        "gcr.io/a photo",
        "gcr.io/photos:",
        "gcr.io/photos:a/b",
        "gcr.io//photos",
        "gcr.io/-photos",
        "gcr.io/photos@sha256:12",
        "https://gcr.io/photos",
        "gcr.io/photos;ls",
        "gcr.io/photos\n",
        "gcr.io/photos:" + "a" * 129,
    ],
)
def test_an_invalid_name_is_refused_with_an_example(checkout, name):
    with pytest.raises(UserError, match="expected REGISTRY/NAME or REGISTRY/NAME:TAG in lower case") as caught:
        image_of(name, "cpu", checkout, allow_dirty=False)
    assert repr(name) in str(caught.value)
    assert "on Docker Hub, docker.io/USER/photos" in str(caught.value)
    assert image_of("docker.io/user/photos:1", "cpu", checkout, allow_dirty=False) == "docker.io/user/photos:1"


def test_a_tag_too_long_for_the_tpus_suffix_is_refused(tmp_path):
    name = f"{NAME}:{'a' * 125}"
    assert image_of(name, "cpu", tmp_path, allow_dirty=False) == name
    with pytest.raises(UserError, match="at most 124 characters"):
        image_of(name, "tpu", tmp_path, allow_dirty=False)


def test_without_a_repository_or_a_commit_a_tag_is_required(tmp_path):
    with pytest.raises(UserError, match="expected a git checkout.*not a git repository.*Give the image a tag"):
        image_of(NAME, "cpu", tmp_path, allow_dirty=True)
    git(tmp_path, "init", "--quiet")
    with pytest.raises(UserError, match="expected a git checkout with a commit.*Give the image a tag"):
        image_of(NAME, "cpu", tmp_path, allow_dirty=False)


def test_without_git_a_tag_is_required(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="'git'.*Give the image a tag"):
        image_of(NAME, "cpu", tmp_path, allow_dirty=False)


@pytest.mark.parametrize("target", ["cpu", "gpu", "tpu"])
def test_make_builds_the_image_that_a_cluster_runs(checkout, target):
    shutil.copy(ROOT / "Makefile", checkout)
    (checkout / "bin").mkdir()
    (checkout / "bin" / "docker").write_text('#!/bin/sh\nprintf "%s " "$@"\n')
    (checkout / "bin" / "docker").chmod(0o755)
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "-m", "two")
    environment = {**os.environ, "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}"}
    command = ["make", "--silent", "image", f"IMAGE={NAME}", f"TARGET={target}"]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    image = image_of(NAME, target, checkout, allow_dirty=False)
    assert f"--target {target} " in done.stdout
    assert f"COMMIT={git(checkout, 'rev-parse', 'HEAD')} " in done.stdout
    assert f"--build-arg DEBIAN={'trixie' if target == 'tpu' else 'bookworm'} --tag {image} . " in done.stdout
    assert done.stdout.endswith(f"next: docker push {image}\n")
    command[3] = "IMAGE=user/photos"  # which Docker accepts
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Name the image with its registry, for example IMAGE=docker.io/user/photos\n" in done.stderr
    command[3] = f"IMAGE={NAME}"
    (checkout / "file").write_text("2")
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "Commit or stash the changes first" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("trainer", "devices", "tag"), [("cpu-8", "CPU", ":1"), ("l4", "GPU", ":1-gpu"), ("tpu-v3-8", "TPU", ":1-tpu")]
)
def test_the_trainer_gets_the_image_of_its_devices(tmp_path, trainer, devices, tag):
    file = tmp_path / "sample.yaml"
    assert kubeflow_runner.main(["compile", *KUBEFLOW, "--set", f"cluster.trainer={trainer}", "-o", str(file)]) == 0
    executors = _spec(file)["deploymentSpec"]["executors"]
    assert executors["Trainer_executor"]["container"]["image"].endswith(tag)
    assert executors["Evaluator_executor"]["container"]["image"].endswith(":1")
    config = _spec(file)["root"]["dag"]["tasks"]["Trainer"]["inputs"]["parameters"]["custom_config"]
    assert json.loads(config["runtimeValue"]["constant"])["devices"] == devices


def test_each_container_has_a_command_because_the_images_entry_point_is_a_worker_of_beam(tmp_path):
    file = tmp_path / "sample.yaml"
    assert kubeflow_runner.main(["compile", *KUBEFLOW, "-o", str(file)]) == 0
    executors = _spec(file)["deploymentSpec"]["executors"].values()
    commands = [executor["container"]["command"] for executor in executors if "container" in executor]
    assert len(commands) > 5
    assert {command[0] for command in commands} == {"python"}
