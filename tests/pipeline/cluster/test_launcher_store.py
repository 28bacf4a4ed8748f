"""`run-local --store`: artifacts in real buckets, copied between them and each attempt's empty disk.

MinIO is the real server; Cloud Storage is an emulator. The expected behaviour is that of the backend's launcher_v2.go
and object_store.go.
"""

import json
import os
import re
from pathlib import Path

import boto3
import pytest
import tensorflow as tf

import kubeflow_runner
from pipeline.cluster.launcher import buckets
from pipeline.cluster.launcher.disks import EmptyDisk, LaunchError
from pipeline.cluster.launcher.run import DONE, FAILED, SKIPPED, Launcher
from tests.helpers import cloud_storage, minio
from tests.pipeline.cluster.test_launcher import _script, _spec
from tests.test_kubeflow_runner import KUBEFLOW, VERTEX

BUCKET = minio.BUCKET
FOLDERS = {"s3": "s3", "minio": "minio", "gs": "gcs"}
HERE = "root = pathlib.Path(os.environ['LAUNCHER_ROOT'])\n"
FILES = f"{HERE}paths = [p for p in root.rglob('*') if p.is_file() and p.name != 'executor-logs']\n"
FILES += "files = sorted(str(p.relative_to(root)) for p in paths)\n"
OUT = f"{HERE}out = root / FOLDER / given['outputs']['artifacts']['result']['artifacts'][0]['uri'].split('//')[1]\n"


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Returns the environment of a scheme's server, and starts it if it does not run."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        started = {}

        def environment(scheme: str) -> dict[str, str]:
            server = cloud_storage if scheme == "gs" else minio
            if server is minio and not minio.BINARY.exists():
                pytest.skip(minio.MISSING)
            if server not in started:
                started[server] = stack.enter_context(server.serving(tmp_path_factory.mktemp("server")))
            return started[server]

        yield environment


@pytest.fixture
def store(request, servers, monkeypatch):
    """The URI of an empty folder in a bucket, by default on MinIO."""
    scheme = getattr(request, "param", "s3")
    for name, value in servers(scheme).items():
        monkeypatch.setenv(name, value)
    folder = re.sub(r"\W+", "-", request.node.name)
    return f"{scheme}://{BUCKET}/{folder}"


EVERYWHERE = pytest.mark.parametrize("store", FOLDERS, indirect=True)


def _objects(store: str) -> dict[str, int]:
    scheme, bucket, key = buckets.split(store)
    return {each.name.removeprefix(key): each.size for each in buckets.open_bucket(scheme, bucket).objects(key)}


def _pass_on(spec: dict, *names: str) -> dict:
    """Gives each task the output `result` of the task before it as its input `given`."""
    kind = {"instanceSchema": "title: tfx.Model\ntype: object\n"}
    tasks = spec["root"]["dag"]["tasks"]
    for name, before in zip(names, (None, *names), strict=False):
        spec["components"][name]["outputDefinitions"] = {"artifacts": {"result": {"artifactType": kind}}}
        if before:
            source = {"taskOutputArtifact": {"producerTask": before, "outputArtifactKey": "result"}}
            tasks[name]["inputs"] = {"artifacts": {"given": source}}
    return spec


def _launch(store: str, folder: Path, retries: int = 0, **scripts: str):
    """Runs a chain of tasks with these scripts; returns their states and their logs."""
    place = FOLDERS[store.partition("://")[0]]
    made = {name: {"container": _script(text.replace("FOLDER", repr(place)))} for name, text in scripts.items()}
    spec = _pass_on(_spec(*scripts, **made), *scripts)
    for task in spec["root"]["dag"]["tasks"].values():
        task["retryPolicy"] = {"maxRetryCount": retries}
    launcher = Launcher(spec, {}, folder, folder, store)
    states = {name: result.state for name, result in launcher.run().items()}
    return states, {name: launcher.log(name).read_text() for name in scripts if launcher.log(name).exists()}


MAKE = OUT + "(out / 'deep').mkdir(parents=True), (out / 'empty').mkdir()\n"
MAKE += "(out / 'file').write_text('four'), (out / 'deep' / 'file').write_bytes(b'')"


@EVERYWHERE
def test_a_disk_has_only_the_inputs_and_only_outputs_are_kept(store, tmp_path):
    """A working directory, a temporary folder and a home are in the disk too."""
    leave = "; pathlib.Path('other').write_text(''), (pathlib.Path.home() / 'more').write_text('')"
    leave += "; import tempfile; tempfile.mkstemp()"
    states, logs = _launch(store, tmp_path, first=MAKE + leave, second=FILES + "print(files, os.listdir('/'))")
    assert states == {"first": DONE, "second": DONE}
    (run,) = {name.split("/")[1] for name in _objects(store)}
    assert _objects(store) == {f"/{run}/first/result/file": 4, f"/{run}/first/result/deep/file": 0}
    scheme = store.partition("://")[0]
    local = f"{FOLDERS[scheme]}/{store.partition('://')[2]}/{run}/first/result"
    assert str([f"{local}/deep/file", f"{local}/file"]) in logs["second"]
    uri = f"{store}/{run}/first/result"
    assert f"launcher: output result: uploaded 2 objects, 4 bytes, to {uri}\n" in logs["first"]
    assert f"launcher: input given: downloaded 2 objects, 4 bytes, from {uri}\n" in logs["second"]
    assert not [path for path in tmp_path.rglob("*") if path.name in ("file", "other", "more", "tmp", "home")]
    assert not list(tmp_path.glob("*.sqlite"))  # no run with local folders takes its baseline from the bucket


def test_an_output_that_no_task_writes_is_only_a_warning(store, tmp_path, capsys):
    states, logs = _launch(store, tmp_path, first="", second="")
    assert states == {"first": DONE, "second": DONE}
    printed = capsys.readouterr().out
    assert re.search(r"^warning  first: output result: \S+ does not exist, so nothing is", printed, re.MULTILINE)
    assert "does not exist" in logs["first"]
    assert "downloaded 0 objects, 0 bytes" in logs["second"]
    assert _objects(store) == {}


def test_a_killed_task_starts_again_on_an_empty_disk(store, tmp_path):
    flag = tmp_path / "was here"
    kill = f"flag = pathlib.Path({str(flag)!r})\n{FILES}print(len(files), os.getcwd())\nprint(end='', flush=True)\n"
    kill += "if not flag.exists(): flag.touch(), (root / 'left').touch(), os.kill(os.getpid(), signal.SIGKILL)"
    states, logs = _launch(store, tmp_path, retries=1, first=MAKE, second=kill)
    assert states == {"first": DONE, "second": DONE}
    assert "launcher: the command ended with -9\n" in logs["second"]
    assert logs["second"].count("downloaded 2 objects") == 2
    assert re.findall(r"^(\d+) /", logs["second"], re.MULTILINE) == ["2", "2"]


@pytest.mark.parametrize("folder", ["root", "pathlib.Path()", "pathlib.Path.home()", "out"])
def test_a_task_that_needs_an_earlier_attempts_files_fails(store, tmp_path, folder):
    script = f"{OUT}left = {folder} / 'left'\nif not left.exists():\n"
    script += "  left.parent.mkdir(exist_ok=True), left.touch(), sys.exit(1)"
    states, logs = _launch(store, tmp_path, retries=2, only=script)
    assert states == {"only": FAILED}
    assert logs["only"].count("the command ended with 1") == 3
    assert _objects(store) == {}  # nothing of a failed attempt is uploaded


def test_a_task_changes_its_artifacts_uri_and_metadata(store, tmp_path):
    change = "artifact = given['outputs']['artifacts']['result']['artifacts'][0]\nuri = artifact['uri'] + '/NEW'\n"
    change += OUT + "(out / 'NEW').mkdir(parents=True), (out / 'NEW' / 'file').touch(), (out / 'file').touch()\n"
    change += "written = {'artifacts': {'result': {'artifacts': [{'uri': uri, 'metadata': {'epoch': 7}}]}}}"
    keep = "print(json.dumps(given['inputs']['artifacts']['given']['artifacts'][0]))"
    states, logs = _launch(store, tmp_path, first=change, second=keep)
    assert states == {"first": DONE, "second": DONE}
    (name,) = _objects(store)
    assert name.endswith("/first/result/NEW/file")
    read = json.loads(next(line for line in logs["second"].splitlines() if line.startswith("{")))
    assert (read["uri"], read["metadata"]) == (f"{store}{name.removesuffix('/file')}", {"epoch": 7})


def test_an_output_outside_the_pipeline_root_cannot_be_uploaded(store, tmp_path, capsys):
    change = f"written = {{'artifacts': {{'result': {{'artifacts': [{{'uri': 's3://{BUCKET}/elsewhere'}}]}}}}}}"
    states, logs = _launch(store, tmp_path, first=change, second="")
    assert states == {"first": FAILED, "second": SKIPPED}
    expected = f'failed to upload output artifact "result": s3://{BUCKET}/elsewhere is not below {store}'
    assert expected in capsys.readouterr().out
    assert expected in logs["first"]


def test_a_marker_that_a_task_leaves_stops_the_next_task(store, tmp_path):
    """As kubeflow/pipelines#13476. MinIO, like S3, stores an empty object whose name ends with a slash."""
    leave = MAKE + "\nimport boto3\nkey = str(out.relative_to(root / FOLDER)).partition('/')[2] + '/'\n"
    leave += f"boto3.client('s3').put_object(Bucket={BUCKET!r}, Key=key)"
    states, logs = _launch(store, tmp_path, first=leave, second="")
    assert states == {"first": DONE, "second": FAILED}
    assert re.search(r'failed to download .* "given" from "s3://.*: mkdir \S+/result: not a', logs["second"])


def _disk(store: str, root: Path) -> tuple[EmptyDisk, list[str]]:
    said: list[str] = []
    return EmptyDisk(store, root, buckets.open_bucket, said.append, said.append), said


def _upload(store: str, *names: str) -> None:
    scheme, bucket, key = buckets.split(store)
    for name in names:
        buckets.open_bucket(scheme, bucket).upload(Path(os.devnull), f"{key}/{name}")


@pytest.mark.parametrize("store", ["gs"], indirect=True)
def test_tensorflows_markers_stop_a_download_until_they_are_removed(store, tmp_path):
    """TensorFlow's file system makes the markers itself."""
    tf.io.gfile.makedirs(f"{store}/model/variables")
    for name in ("model/variables/data", "model/saved_model.pb"):
        tf.io.gfile.GFile(f"{store}/{name}", "w").write("")
    given = {"model": [{"uri": f"{store}/model"}]}
    with pytest.raises(LaunchError, match=r'artifact "model" from "gs://.*: mkdir \S+/model: not a directory'):
        _disk(store, tmp_path / "1")[0].download(given)
    client = buckets.open_bucket("gs", BUCKET)._bucket
    for name in [name for name in _objects(store) if name.endswith("/")]:
        client.blob(f"{store.rpartition('/')[2]}{name}").delete()
    _disk(store, tmp_path / "2")[0].download(given)
    files = sorted(path.name for path in (tmp_path / "2").rglob("*") if path.is_file())
    assert files == ["data", "saved_model.pb"]


@EVERYWHERE
def test_only_the_first_artifact_of_an_input_is_downloaded(store, tmp_path):
    """The launcher of 2.4 and 2.5. The names of the folders have a common prefix."""
    _upload(store, "model/a", "model-2/b", "model/deep/c")
    disk, said = _disk(store, tmp_path / "disk")
    disk.download({"model": [{"uri": f"{store}/model"}, {"uri": f"{store}/model-2"}], "none": []})
    folder = tmp_path / "disk" / FOLDERS[store.partition("://")[0]] / store.partition("://")[2]
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "model/a",
        "model/deep/c",
    ]
    assert said[0].startswith("input model: 1 more artifacts are not downloaded")
    assert "downloaded 2 objects" in said[1]


def test_an_input_elsewhere_is_not_downloaded(store, tmp_path):
    disk, said = _disk(store, tmp_path / "disk")
    disk.download({"data": [{"uri": "/a/folder"}]})
    assert said == ["input data has no recognized storage URI (/a/folder), so it is not downloaded"]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    """The sample, compiled for both targets."""
    folder = tmp_path_factory.mktemp("files")
    for name, flags in (("kubeflow", KUBEFLOW), ("vertex", VERTEX)):
        assert kubeflow_runner.main(["compile", *flags, "-o", str(folder / name)]) == 0
    return {name: str(folder / name) for name in ("kubeflow", "vertex")}


KEYS = {"AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": "a-secret", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
REFUSED = {
    "s3:/bucket/root": "--store: expected s3://BUCKET/FOLDER, minio://… or gs://…, received s3:/bucket/root",
    "az://bucket/root": "--store: expected s3://BUCKET/FOLDER, .* received az://bucket/root",
    "gs://bucket/../root": "--store: expected .* received gs://bucket/../root",
    "gs://bucket//root": "--store: expected .* received gs://bucket//root",
    "gs://bucket/[root]": r"--store: expected .* received gs://bucket/\[root\]",
    "s3://me:a-secret@bucket/root": "--store: expected .* received s3://…@bucket/root",
    "minio://bucket/root": "--store minio://bucket/root: expected AWS_ACCESS_KEY_ID, .*; set AWS_ENDPOINT_URL$",
    "s3://bucket/root": "--store s3://bucket/root: cannot list it: Could not connect .*127.0.0.1:9",
    "gs://bucket/root": "--store gs://bucket/root: cannot list it: .*127.0.0.1",
}


@pytest.mark.parametrize(("uri", "said"), REFUSED.items())
def test_a_store_that_cannot_be_used_is_refused_in_one_line(files, tmp_path, monkeypatch, capfd, uri, said):
    environment = KEYS | {"STORAGE_EMULATOR_HOST": "http://127.0.0.1:9", "no_proxy": "127.0.0.1"}
    if uri.startswith("minio"):
        environment["AWS_ENDPOINT_URL"] = ""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    command = ["run-local", files["kubeflow"], "--output", str(tmp_path / "out"), "--store", uri]
    assert kubeflow_runner.main(command) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert re.search(said, line)
    assert "a-secret" not in line
    assert not (tmp_path / "out").exists()


def test_a_bucket_that_does_not_exist_and_a_wrong_key(files, store, monkeypatch, capfd):
    assert kubeflow_runner.main(["run-local", files["kubeflow"], "--store", "s3://another-bucket/root"]) == 2
    assert "NoSuchBucket" in capfd.readouterr().err
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-wrong-key")
    assert kubeflow_runner.main(["run-local", files["kubeflow"], "--store", store]) == 2
    assert "SignatureDoesNotMatch" in capfd.readouterr().err


@EVERYWHERE
def test_a_misspelt_folder_of_data_is_found_before_the_first_task(files, store, tmp_path, monkeypatch, capfd):
    scheme, bucket, key = buckets.split(store)
    (tmp_path / "a.tfrec").touch()
    buckets.open_bucket(scheme, bucket).upload(tmp_path / "a.tfrec", f"{key}/tfrecords/a.tfrec")
    monkeypatch.setattr(Launcher, "run", lambda self: pytest.fail("a task started"))
    for wrong in (f"{store}/tfrecrds", f"{store}/tf"):
        assert kubeflow_runner.main(["run-local", files["kubeflow"], "--store", store, "--data", wrong]) == 2
        said = (
            f"kubeflow_runner.py: expected records in {wrong}, received an empty folder; upload them, or correct --data"
        )
        assert capfd.readouterr().err == f"{said}\n"
    buckets.check_data(f"{store}/tfrecords")
    buckets.check_data(f"{scheme}://{bucket}")


def test_a_store_is_only_for_kubeflow(files, store, capfd):
    assert kubeflow_runner.main(["run-local", files["vertex"], "--store", store]) == 2
    said = "--store: expected a file that was compiled with --target kubeflow, received"
    assert said in capfd.readouterr().err


def test_boto3_sees_what_the_launcher_wrote(store, tmp_path):
    """The object's name has no bucket, no leading and no double slash."""
    states, _ = _launch(store, tmp_path, first=MAKE)
    listed = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=store.rpartition("/")[2])["Contents"]
    assert states == {"first": DONE}
    assert all(re.fullmatch(r"[\w-]+/tiny-[\w-]+/first/result/(deep/)?file", each["Key"]) for each in listed)
