"""Executes each command that a document, a preset's header, `--help`, the Makefile or a message suggests.

`commands.VALUES` has values for placeholders.
"""

import json
import re
import socket
from pathlib import Path

import pytest
from filelock import FileLock

from ingest import mnist
from pipeline.cluster import compiled
from tests.conftest import ROOT, without_network
from tests.helpers import commands, databases, suggestion_files, suggestions

NOT_TYPED = {"python -m tfx.…": "what a cluster gives to a container"}
ENDPOINT = "python kubeflow_runner.py endpoint "  # tests/pipeline/cluster/test_endpoints.py and test_batch.py run them
DATABASE = "postgresql://tfx@127.0.0.1:5432/lineage"
ALL = suggestions.in_documents() + suggestions.in_presets() + suggestions.in_help() + suggestions.in_makefile()
TEXTS = dict.fromkeys(variant for each in ALL for variant in suggestions.variants(each.text))

# A command whose message suggests a remedy: the command with the remedy. PORT is a port that is in use.
LOCAL, INGEST = "python local_runner.py --output out", "python -m ingest photos"
PHOTOS = f"{INGEST} photos --to"
CHECK, SUBMIT = "python kubeflow_runner.py check --target", "python kubeflow_runner.py submit"
COMPILE = "python kubeflow_runner.py compile --target"
BEAM = (
    f"{LOCAL} --set beam.runner=PortableRunner --set 'beam.args=[--job_endpoint=127.0.0.1:%s, --environment_type=%s]'"
)
REMEDIES = {
    f"{LOCAL} --set data.source=null": f"{LOCAL} --data data",
    f"{LOCAL} --data data --config nameless.yaml": f"{LOCAL} --data data --config nameless.yaml --set name=nameless",
    f"{LOCAL} --config made": f"{LOCAL} --config made/settings.yaml",
    f"{LOCAL} --data nowhere": f"{LOCAL} --data data",
    f"{LOCAL} --data data --set trainer.batch_size=90": f"{LOCAL} --data data --set trainer.batch_size=80",
    f"{LOCAL} --data two": f"{LOCAL} --data two --set data.split=hash",
    f"{LOCAL} --data single": f"{LOCAL} --data single --set data.split=hash",
    f"{LOCAL} --data named --set data.split=names": f"{LOCAL} --data named --set data.split=shards",
    f"{LOCAL} --data data --set data.split=names": f"{LOCAL} --data data --set data.split=shards",
    f"{LOCAL} --data single --set data.split=names": f"{LOCAL} --data single --set data.split=hash",
    f"{LOCAL} --data unusual": f"{LOCAL} --data unusual --set data.pattern='*.tfr'",
    f"{LOCAL} --data other --set data.pattern='*.tfrec'": f"{LOCAL} --data other --set data.pattern='*'",
    f"{LOCAL} --data folders": f"{LOCAL} --data folders --set data.pattern='*/*'",
    f"{LOCAL} --data slim": f"{LOCAL} --data slim --set data.features=tf-slim",
    f"{LOCAL} --data species": f"{LOCAL} --data species --set data.features.class=species",
    f"{LOCAL} --data photos": "python -m ingest photos photos --to new",
    f"{LOCAL} --weights none.h5": f"{LOCAL} --weights weights.h5",
    f"{LOCAL} --weights saved": f"{LOCAL} --weights saved/model.weights.h5",
    f"{LOCAL} --config mine.yaml --data data --weights weights.h5 --set model.weights_match=whole": (
        f"{LOCAL} --config mine.yaml --data data --weights weights.h5 --set model.weights_match=matching"
    ),
    f"{LOCAL} --set trainer.frozen_epochs=1": f"{LOCAL} --set trainer.frozen_epochs=1 --weights weights.h5",
    f"{LOCAL} --find-learning-rate --set trainer.warm_start=true": (
        f"{LOCAL} --find-learning-rate --set trainer.warm_start=false"
    ),
    f"{LOCAL} --preset flowers-convnet": f"{LOCAL} --preset flowers-convnet --data data",
    f"{LOCAL} --preset flowers-convnet --set data.image_size=96": (
        f"{LOCAL} --preset flowers-convnet --set data.image_size=96 --data data"
    ),
    f"{LOCAL} --data data --set model.name=xception --set data.image_size=71 --set model.weights=imagenet": (
        f"{LOCAL} --data data --set model.name=xception --set data.image_size=71 --weights xception.weights.h5"
    ),
    f"{LOCAL} --data data --minutes 5": f"{LOCAL} --preset flowers-probe --data data --minutes 5",
    "python local_runner.py --output busy": "python local_runner.py --output free",
    "python local_runner.py --output locked": "python local_runner.py --output free",
    "python local_runner.py --output foreign": "python local_runner.py --output free",
    "python local_runner.py --output orphans": "python local_runner.py --output free",
    "python local_runner.py --output file/out": "python local_runner.py --output free",
    "python local_runner.py --output [odd]": "python local_runner.py --output free",
    f"{LOCAL} --set 'beam.args=[--runner=FlinkRunner]'": f"{LOCAL} --set beam.runner=DirectRunner",
    f"{LOCAL} --set beam.runner=PortableRunner": BEAM % ("PORT", "LOOPBACK"),
    BEAM % (9, "LOOPBACK"): BEAM % ("PORT", "LOOPBACK"),
    BEAM % ("PORT", "LOOPBACK, --environment_config=x"): BEAM % ("PORT", "LOOPBACK"),
    BEAM % ("PORT", "DOCKER"): BEAM % ("PORT", "DOCKER, --environment_config=r.io/photos"),
    BEAM % ("PORT", "EXTERNAL"): BEAM % ("PORT", "EXTERNAL, --environment_config=127.0.0.1:PORT"),
    BEAM % ("PORT", "PROCESS"): BEAM % ("PORT", """PROCESS, '"'--environment_config={"command": "true"}'"'"""),
    f"{PHOTOS} made": f"{PHOTOS} new",
    f"{PHOTOS} file/new": f"{PHOTOS} new",
    f"{PHOTOS} photos/new": f"{PHOTOS} new",
    f"{PHOTOS} {'x' * 300}": f"{PHOTOS} new",
    f"{INGEST} linked --to new": f"{INGEST} linked --to new --follow-links",
    f"{INGEST} half-linked --to new": f"{INGEST} half-linked --to new --follow-links",
    f"{INGEST} nested --to new": f"{INGEST} nested --to new --nested top",
    f"{INGEST} flat --to new": f"{INGEST} flat/labels.csv --to new",
    f"{INGEST} manifests/moved.csv --to new": f"{INGEST} manifests/moved.csv --to new --photos-root photos",
    f"{INGEST} manifests/bucket.csv --to new": f"{INGEST} manifests/bucket.csv --to new --photos-root photos",
    f"{INGEST} data --to new": f"{LOCAL} --data data",
    f"{INGEST} idx --to new": "python -m ingest mnist idx --to new",
    f"{INGEST} flat/labels.csv --photos-root file --to new": f"{INGEST} flat/labels.csv --photos-root flat --to new",
    f"{INGEST} flat/labels.csv --split-column color --to new": (
        f"{INGEST} flat/labels.csv --split-column part --to new"
    ),
    "python -m ingest check photos --html photos": "python -m ingest check photos --html page.html",
    f"{PHOTOS} new --edits nowhere.csv": f"{PHOTOS} new --edits edits.csv",
    "python -m ingest mnist emnist --to new": "python -m ingest mnist emnist --to new --dataset emnist-digits",
    f"{SUBMIT}": f"{SUBMIT} --target vertex …",
    f"{COMPILE} kubeflow … -o new.json": f"{COMPILE} kubeflow … -o new.yaml",
    f"{CHECK} vertex": f"{CHECK} vertex …",
    f"{CHECK} vertex … --weights weights.h5": f"{CHECK} vertex … --weights gs://a-bucket/weights.h5",
    f"{CHECK} vertex … --set name=my_run": f"{CHECK} vertex … --set name=my-run",
    f"{CHECK} vertex … --set trainer.frozen_epochs=1": (
        f"{CHECK} vertex … --set trainer.frozen_epochs=1 --weights gs://a-bucket/weights.h5"
    ),
    f"{CHECK} kubeflow … --set trainer.warm_start=true": f"{CHECK} kubeflow … --weights gs://a-bucket/weights.h5",
    f"{CHECK} kubeflow … --set beam.runner=DataflowRunner": f"{CHECK} kubeflow … --set beam.runner=DirectRunner",
    f"{CHECK} kubeflow … --pipeline-root=minio://bkt/root": (
        f"{CHECK} kubeflow … --pipeline-root=minio://bkt/root --set cluster.s3_endpoint=http://minio-service.kubeflow:9000"
    ),
    f"{CHECK} kubeflow … --set cluster.s3_endpoint=http://localhost:9000": (
        f"{CHECK} kubeflow … --set cluster.s3_endpoint=http://minio-service.kubeflow:9000"
    ),
    f"{SUBMIT} sample.yaml --endpoint http://127.0.0.1:PORT --data s3://bkt/photos": (
        f"{CHECK} kubeflow … --data s3://bkt/photos"
    ),
    f"{CHECK} kubeflow … --endpoint=nothing": f"{CHECK} kubeflow … --endpoint=http://127.0.0.1:8080",
    f"{CHECK} kubeflow … --namespace=My_Team": f"{CHECK} kubeflow … --namespace=my-team",
    f"{SUBMIT} sample.yaml": f"{SUBMIT} sample.yaml --endpoint http://127.0.0.1:8080",
    f"{SUBMIT} photos.json --preset sample": (
        f"{SUBMIT} photos.json --parameter epochs=2 --data gs://a-bucket/more --image r.io/photos:2 --wait"
    ),
    f"{SUBMIT} photos.json --parameter epochs": f"{SUBMIT} photos.json --parameter epochs=2",
    f"{SUBMIT} old.json --parameter epochs=2": f"{SUBMIT} old.json --parameter batch_size=8",
    "python kubeflow_runner.py run-local photos.json": "python kubeflow_runner.py run-local photos.json --data data",
    "python -m lineage runs --store nowhere": "python -m lineage runs --store runs",
    "python -m lineage runs --store file": "python -m lineage runs --store runs",
    "python -m lineage runs --store foreign/metadata.sqlite": "python -m lineage runs --store runs",
    "python -m lineage gc --output data": "python -m lineage gc --output runs",
    "python -m lineage report --to file/new": "python -m lineage report --to new",
    "python -m lineage serve --port PORT": "python -m lineage serve --port 0",
}
ELSEWHERE = {  # messages that other tests cover, because they need a training, a deletion, a bucket or Keras' weights
    r"of Keras Applications": "test_local_settings.py",
    r"^--store|received an empty folder; upload": "test_launcher_store.py",
    r"no effect on Vertex AI: --experiment": "test_compiled.py",
    r"ImageNet weights are in the Python package": "test_packaged_weights.py",
    r"set XDG_CACHE_HOME": "test_download.py",
    r"add --delete": "test_lineage.py",
    r"--max-megapixels": "test_photos.py",
    r"split by record: --set data.split=hash; otherwise": "test_data_gate_remedies.py",
    r"To see them: python -m ingest quarantine": "test_data_gate_remedies.py",
    r"--set data\.first_class=1": "test_data_gate_remedies.py",
    r"--set data\.counts_in_names=false": "test_quarantine.py",
    r"last good weights, for --weights": "test_fitting.py",
    r"nothing was written\. Free disk space": "test_photos.py",
    r"--nested is for folders": "test_manifests.py",
    r"eval was not given": "test_photo_sets.py",
    r"and are enlarged to": "test_photo_sets.py",
    r"no test split, because": "test_photo_sets.py",
    r"its recall is a rough estimate": "test_photo_sets.py",
    r"larger --test-fraction": "test_photo_sets.py",
    r"a larger --eval-fraction": "test_photo_sets.py",
    r"is for photos without splits": "test_photo_sets.py",
    r"printable characters \(--to\)": "test_target.py",
    r"add --html FILE|--features names others": "checking/test_command.py",
    r"^suggested: --set trainer": "test_local_runner.py",
    r"^--(?:model|name|token-file): ": "serving/test_process.py",
    r"\(--max-body-mb\)": "serving/test_bodies.py",
    r"start the server with --host": "serving/test_access.py",
    r"^--(?:url|to): (?:expected (?:http|a file)|cannot write)|start the server with: python -m serving": (
        "serving/test_predict.py"
    ),
    r"or --model DIR to serve": "serving/test_process.py",
    r"^cannot write to standard output: |^--url: .* use --token-file FILE$": "serving/test_predict_places.py",
    r"give the server's token: --token-file|no server of models; check --url": "serving/test_predict.py",
    r"^expected (?:… predictions|the versions of|JSON from) |a file of --to was not written": "serving/test_predict.py",
    r"python -m lineage (?:promote VERSION_FOLDER|models)|because it is the champion": "lineage/test_promotion.py",
    r"promote another: python -m lineage promote": "components/test_served_model.py",
    r"^--max-body-mb: expected at most": "serving/test_process.py",
    r"\(--grpc-port\)": "serving/test_grpc.py",
    r"^--(?:namespace|service-account|image|canary): |give --kind kserve": "serving/test_manifest.py",
    r"^--(?:canary and --shadow|…): expected (?:ALIAS=SHARE|a folder)": "serving/test_traffic.py",
    r"^--keep(?:-photos|-share)?: |\(--keep\)$": "serving/test_keeping.py",
    r"give the folder of --keep|--keep-photos$|fills with --keep|the kept photos to|fill in the column label": (
        "ingest/test_kept_photos.py"
    ),
    r"/EARLIER/settings\.yaml": "ingest/test_kept_photos.py",
    r"python -m ingest check DATA_DIR": "test_data_gate_remedies.py",
    r"may contain labels": "ingest/test_kept_photos.py",
    r"only with a token \(--token-file\)": "serving/test_verdicts.py",
    r"--photos and --to with batch": "pipeline/cluster/test_batch.py",
    r"ingest kept … --to|^The server kept no photos: |^no record of --keep at ": (
        "components/serving_skew/test_serving_skew.py"
    ),
    r"^--bulk: |\(--bulk DATA\)": "pipeline/local/test_bulk.py",
}


@pytest.fixture(scope="module")
def here(cache, first_run, tmp_path_factory):
    """A folder with all files that the commands read."""
    with pytest.MonkeyPatch.context() as patch, commands.stopped_before_the_nodes():
        for key, value in without_network(cache).items():
            patch.setenv(key, value)
        patch.setattr(mnist, "PER_SHARD", 50)
        yield suggestion_files.write(tmp_path_factory.mktemp("here"), first_run[0])


@pytest.fixture
def place(here, tmp_path) -> Path:
    """A new folder with links to the files of `here`, where a test's commands run."""
    for each in here.iterdir():
        (tmp_path / each.name).symlink_to(each)
    return tmp_path


def test_commands_are_found_in_documents_presets_help_and_makefile():
    assert {each.where.rpartition(".")[2] for each in ALL} == {"md", "yaml", "--help", "Makefile"}
    assert len(TEXTS) > 60


@pytest.mark.parametrize(
    "text", [text for text in TEXTS if text not in NOT_TYPED and DATABASE not in text and not text.startswith(ENDPOINT)]
)
def test_a_documented_command_succeeds(place, text):
    (pushed,) = (place / "runs" / "pushed" / "sample").iterdir()
    (place / "mnist").unlink() if "--to mnist" in text else None
    command = commands.without_network(commands.filled(text, str(pushed.relative_to(place))))
    done = commands.execute(command, place)
    assert done.code == 0, f"{command}\n{done.printed}"
    assert "Traceback" not in done.printed


def test_the_documented_database_commands_succeed(place):
    texts = [text for text in TEXTS if DATABASE in text]
    assert [text.split()[1] for text in texts] == ["local_runner.py", "-m"]
    with databases.server("postgresql") as server:
        for text in texts:
            command = text.replace(DATABASE, server.url).replace("=password", f"={server.password_file}")
            done = commands.execute(command.replace("-file password", f"-file {server.password_file}"), place)
            assert done.code == 0, f"{command}\n{done.printed}"


@pytest.fixture(scope="module")
def port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield str(listening.getsockname()[1])


@pytest.fixture(scope="module")
def refused(here, port) -> dict[str, commands.Done]:
    """Results of the commands in REMEDIES, before the remedy."""
    with FileLock(here / "busy" / ".lock"):
        return {text: commands.execute(commands.filled(text).replace("PORT", port), here) for text in REMEDIES}


@pytest.mark.parametrize("text", REMEDIES)
def test_what_a_message_suggests_works(refused, place, port, text):
    code, said = refused[text]
    assert code in (2, 0), said  # 0: a notice
    assert "Traceback" not in said
    remedy = commands.filled(REMEDIES[text]).replace("PORT", port)
    names = suggestions.FLAG.findall(remedy) + re.findall(r"[a-z]+\.[a-z0-9_]+(?==)", remedy)
    assert any(name in said for name in names), f"{remedy} is not what it suggests: {said}"
    done = commands.execute(remedy, place)
    assert done.code == 0, f"{remedy}\n{done.printed}"


COMMAND = re.compile(r"python (?:local|kubeflow)_runner\.py.*")


@pytest.fixture
def files_and_answers(place, first_run) -> str:
    """The text of a new data set, its settings and the reports of both runners; writes the settings that they name."""
    said = commands.execute("python -m ingest photos photos --to next", place).printed
    header = (place / "next" / "settings.yaml").read_text()
    report = min(first_run[0].glob("artifacts/sample/Report/report/*/report.json"))
    local = json.loads(report.read_text())["lineage"]
    (place / "settings.yaml").write_text(json.dumps(local["settings"]))  # JSON is YAML
    (place / "cluster").mkdir()
    (place / "cluster" / "schemas").symlink_to(ROOT / "schemas")
    vertex, kubeflow = (_report(place / name) for name in ("photos.json", "sample.yaml"))
    (place / "cluster" / "settings.yaml").write_text(vertex["settings"])
    return "\n".join([said, header, local["command"], vertex["command"], kubeflow["command"]])


def _report(file: Path) -> dict[str, str]:
    """Returns the execution properties of the Report in a compiled pipeline."""
    given = compiled.read(file)["pipelineSpec"]["root"]["dag"]["tasks"]["Report"]["inputs"]["parameters"]
    return {name: compiled.constant(given[name]["runtimeValue"]) for name in ("command", "settings")}


def test_the_commands_of_data_sets_and_reports_succeed(place, files_and_answers):
    found = COMMAND.findall(files_and_answers)
    assert len(found) == 6
    for text in found:
        command = commands.without_network(commands.filled(text))
        done = commands.execute(command, place / "cluster" if "kubeflow" in text else place)
        assert done.code == 0, f"{text}\n{done.printed}"


def test_every_message_that_suggests_something_is_tested(refused, files_and_answers):
    said = "\n".join([*(done.printed for done in refused.values()), files_and_answers])
    untested = [
        f"{each.where}: {each.text}"
        for each in suggestions.in_messages()
        if not re.search(each.pattern, said, re.DOTALL) and not any(re.search(text, each.text) for text in ELSEWHERE)
    ]
    assert not untested, "add to REMEDIES what shows that these suggestions work:\n" + "\n".join(untested)
