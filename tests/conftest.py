"""Shared fixtures: the real photos, the sample, and the runner as a command."""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parent.parent
RUNNERS = {"run", "main", "made_runs", "written"}  # the fixtures that run a pipeline
PACKAGES = ("components", "ingest", "lineage", "pipeline", "schemas", "serving", "storage", "trainer")  # and errors.py
SHARED_DATA = ROOT.parent / "shared" / "data"

# Class names with a list item of YAML, a format character, an ideographic space, a pattern, quotes, an emoji of several
# characters, HTML and a reordering character; and a boolean of YAML
CAT, DOG = "- گربه\u200cها\u3000[*] 'q\" 👩\u200d👩\u200d👧 <b>&\u202etac", "no"

Runner = Callable[..., subprocess.CompletedProcess]


gc.disable()  # until everything is imported; see pipeline.imports


def pytest_collection_finish() -> None:
    """Leaves what the tests import out of the garbage collector's runs."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks each test that runs a pipeline as slow: `-m "not slow"` is the fast part of the suite.

    The file that takes longest comes first, so that one of the two processes does not wait for the other at the end.
    """
    items.sort(key=lambda item: item.path.name != "test_replicas.py")
    for item in items:
        if RUNNERS & set(getattr(item, "fixturenames", ())):  # also by way of first_run and others
            item.add_marker("slow")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real photos (FLOWERS_DATA, by default ../shared/data)."""
    folder = Path(os.environ.get("FLOWERS_DATA", SHARED_DATA))
    if not (folder / "flowers-192").is_dir():
        pytest.skip(f"the real photos are not in {folder} (set FLOWERS_DATA)")
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """A cache folder of this session, so that nothing is taken from or left in the user's own."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def sample(cache) -> Path:
    """The built-in sample, drawn once for the session where the runner looks for it."""
    from ingest import sample as drawings

    return drawings.ensure(cache / "tfx-photo-pipeline")


@pytest.fixture(scope="session")
def run(cache) -> Runner:
    """Starts `python local_runner.py ...` in the project's folder, without a way to the network."""

    def start(*arguments: object, timeout: float = 600, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "local_runner.py", *map(str, arguments)],
            cwd=ROOT,
            env=without_network(cache) | environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return start


@pytest.fixture(scope="session")
def first_run(run, sample, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """The sample's run on this machine: its output folder, and what it printed."""
    output = tmp_path_factory.mktemp("sample")
    return output, run("--output", output)


@pytest.fixture(scope="session")
def made_runs(tmp_path_factory, cache) -> Path:
    """The output folder of the runs that tests/helpers/make_runs.py makes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "runs"  # one for all processes of pytest
    command = [sys.executable, "-m", "tests.helpers.make_runs", str(folder)]
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            done = subprocess.run(
                command, cwd=ROOT, env=without_network(cache), capture_output=True, text=True, timeout=600
            )
            assert done.returncode == 0, done.stdout + done.stderr
    return folder / "out"


@pytest.fixture(scope="session")
def two_classes(run, cache, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """Red CATs and blue DOGs through both commands and the default gate: the output folder, and what was printed.

    The names of the classes and the data folder are as odd as people have them.
    """
    from tests.helpers import records  # TensorFlow

    folder = tmp_path_factory.mktemp("two_classes")
    data = folder / "pets [1] *"
    for index in range(24):
        records.photo_file(folder / "photos" / CAT / f"{index}.jpg", (180 + 3 * index, 4 * index, 30))
        records.photo_file(folder / "photos" / DOG / f"{index}.jpg", (30, 4 * index, 180 + 3 * index))
    command = [sys.executable, "-m", "ingest", "photos", folder / "photos", "--to", data]
    command += ["--size", "32", "--shards", "4"]
    subprocess.run(command, cwd=ROOT, env=without_network(cache), check=True, capture_output=True, timeout=300)
    settings = ["model.name=softmax", "embeddings.trunks=[]", "trainer.batch_size=4", "trainer.epochs=4"]
    settings += ["trainer.learning_rate={peak: 0.01}"]
    flags = [word for setting in settings for word in ("--set", setting)]
    return folder / "out", run("--config", data / "settings.yaml", "--output", folder / "out", *flags)


@pytest.fixture
def tiny(tmp_path):
    """A folder of few small photos, and the flags for a training of seconds on it."""
    from tests.helpers import records  # TensorFlow

    folder = records.folder(tmp_path / "data", shards=3, per_shard=20)
    settings = ["data.image_size=16", "trainer.epochs=2", "trainer.batch_size=4"]
    settings += ["evaluator.min_accuracy=0", "evaluator.min_class_recall=0"]
    flags = ["--data", folder, "--output", tmp_path / "out"]
    return [*flags, *(word for setting in settings for word in ("--set", setting))]


@pytest.fixture
def main(cache, monkeypatch, capfd) -> Callable[..., tuple[int, str]]:
    """Calls local_runner.main(...) in this process, which saves the imports; returns its exit code and output."""
    import local_runner

    for key, value in without_network(cache).items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(sys, "argv", ["local_runner.py"])  # Beam reads pytest's own flags, such as -v, as its own

    def call(*arguments: object) -> tuple[int, str]:
        handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
        try:
            code = local_runner.main([str(argument) for argument in arguments])
        finally:
            for signum, handler in handlers.items():
                signal.signal(signum, handler)
        return code, "".join(capfd.readouterr())

    return call


@pytest.fixture
def said(capfd, caplog) -> Iterator[Callable[[], list[str]]]:
    """Returns the lines that were printed since the last call; nothing of the stubs' token may be heard anywhere."""
    from tests.helpers.stubs import TOKEN

    heard = []

    def lines() -> list[str]:
        out, err = capfd.readouterr()
        heard.extend([out, err])
        return out.splitlines()

    yield lines
    lines()
    assert TOKEN not in "".join([*heard, caplog.text])
    assert "Traceback" not in caplog.text


@pytest.fixture
def hurried(monkeypatch):
    """Lets a submission wait for a second where a person would for 30, and retry for 0.3 s instead of 60 s."""
    from lineage.remote import calls

    monkeypatch.setattr(calls, "REQUEST_S", 1.0)
    monkeypatch.setattr(calls, "RETRY_S", 0.3)


def without_network(cache: Path) -> dict[str, str]:
    """The environment with every proxy pointed at a closed port of this machine."""
    closed = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}
    return {**os.environ, **closed, "XDG_CACHE_HOME": str(cache), "COLUMNS": "120"}


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory) -> Iterator[dict[str, str]]:
    """A real S3 server for the session: the environment variables for its clients."""
    from tests.helpers import minio as server

    if not server.BINARY.exists():
        pytest.skip(server.MISSING)
    with server.serving(tmp_path_factory.mktemp("minio")) as environment:
        yield environment


@pytest.fixture
def minio(minio_server, monkeypatch):
    """A real S3 server with an empty bucket, to which the environment variables point."""
    from storage import s3
    from tests.helpers.minio import empty

    for name, value in minio_server.items():
        monkeypatch.setenv(name, value)
    s3._client.cache_clear()
    yield
    s3._client.cache_clear()
    empty(minio_server)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory) -> Callable[[str], Path]:
    """Compiles a run of tests/test_kubeflow_runner.py once for the session and returns its file."""
    import kubeflow_runner
    from tests.test_kubeflow_runner import RUNS

    folder, made = tmp_path_factory.mktemp("compiled"), {}

    def compile_run(name: str) -> Path:
        if name not in made:
            made[name] = folder / f"{name}.{'json' if name.startswith('vertex') else 'yaml'}"
            assert kubeflow_runner.main(["compile", *RUNS[name], "-o", str(made[name])]) == 0
        return made[name]

    return compile_run
