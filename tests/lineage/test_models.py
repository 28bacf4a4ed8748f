"""`models`: the state of each pushed version, and why it is unknown."""

import html
import os
import re
import shutil
import subprocess
import sys

import pytest

from lineage import serve
from lineage.store import open_store
from storage import aliases
from tests.conftest import ROOT
from tests.helpers.judged_runs import KNOWN


def _page(runs) -> str:
    app = serve.make_app(lambda: open_store(str(runs.output)), runs.output, {"localhost"})
    return html.unescape(re.sub("<[^>]+>", "", app.test_client().get("/models").text))


@pytest.mark.parametrize("content", ["{", '{"champion": "2"}'])
def test_a_version_whose_aliases_cannot_be_read_is_listed_with_the_reason(content, pushed, ask, runs, said):
    (pushed / "aliases.json").write_text(content)
    shutil.rmtree(pushed / "1")
    rows = ask("models", "--served")
    assert [row["pushed"] for row in rows] == [[str(pushed / "3")], [str(pushed / "2")]]
    for row in rows:
        (problem,) = (state["problem"] for state in row["service"])
        assert row["served"] is None and problem.startswith(f"{pushed}/aliases.json")
        line = f"pushed to {row['pushed'][0]}: unknown whether it is in service, because {problem}\n"
        assert line in said("models", "--served") and line in said("models")
        assert line.removeprefix("pushed to ").strip() in _page(runs)


def test_a_bucket_that_cannot_be_read_does_not_hide_its_models(runs):
    pytest.importorskip("boto3")
    place = "s3://bucket/pushed/flowers/1"
    model = runs.store.artifact("Model", "s3://bucket/model")
    pushed = runs.store.artifact("PushedModel", "s3://bucket/push", pushed=1, pushed_destination=place)
    run = runs.store.run("2026-02-01T00:00:00", KNOWN)
    runs.store.execution(run, "Pusher", {"model": [model]}, {"pushed_model": [pushed]})
    command = [sys.executable, "-m", "lineage", "models", "--store", str(runs.output)]
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_MAX_ATTEMPTS": "1"}
    env = {**os.environ, **keys, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_DEFAULT_REGION": "us-east-1"}
    for words, says in (
        ([], f"pushed to {place}\n"),
        (["--served"], f"pushed to {place}: unknown whether it is in service, because cannot access s3://bucket/"),
    ):
        done = subprocess.run([*command, *words], cwd=ROOT, env=env, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "") and says in done.stdout


def test_a_model_that_was_pushed_twice_has_a_state_for_each_folder(runs, ask, said):
    runs.judge(True, served="")
    folder = runs.output / "pushed" / "flowers"
    (model,) = ask("models")
    copied = runs.store.artifact("PushedModel", folder, pushed=1, pushed_destination=str(folder / "2"))
    run = runs.store.run("2026-02-01T00:00:00", KNOWN)
    runs.store.execution(run, "Pusher", {"model": [model["id"]]}, {"pushed_model": [copied]})
    shutil.copytree(folder / "1", folder / "2")
    places = [f"pushed to {folder}/{version}" for version in (1, 2)]
    assert f"blessed  {places[0]}; {places[1]}: in service\n" in said("models")
    aliases.change(str(folder), lambda present: {"champion": 1, "challenger": 2})
    assert f"blessed  {places[0]}: in service (champion); {places[1]}: alias (challenger)\n" in said("models")
    assert f"{folder}/1: in service (champion); {folder}/2: alias (challenger)" in _page(runs)
    (row,) = ask("models", "--served")
    assert [(state["folder"], state["served"], state["aliases"]) for state in row["service"]] == [
        (f"{folder}/1", True, ["champion"]),
        (f"{folder}/2", False, ["challenger"]),
    ]
    assert (row["served"], row["aliases"]) == (True, ["challenger", "champion"])
