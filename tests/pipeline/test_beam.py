"""The setting `beam`: arguments for TFX, and errors before a run starts."""

import socket

import pytest

from errors import UserError
from pipeline import beam, settings
from pipeline.config import Beam

DATAFLOW = ("--project=my-project", "--region=us-central1", "--temp_location=gs://bucket/tmp")
IMAGE = "--sdk_container_image=registry/photos:1"
DOCKER = ("--environment_type=DOCKER", "--environment_config=registry/photos:1")
JOBS = "--job_endpoint=jobs:8099"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"beam.runner": "DaskRunner"}, "'DirectRunner', 'DataflowRunner', 'FlinkRunner', 'SparkRunner' or 'Portable"),
        ({"beam.args": ["--runner=FlinkRunner"]}, "beam.args: expected no --runner; set beam.runner"),
        ({"beam.args": ["--runner"]}, "beam.args: expected no --runner; set beam.runner"),
        ({"beam.args": ["--region", "us-central1"]}, "beam.args.1: String should match pattern"),
        ({"beam.args": "--region=us-central1"}, "beam.args: expected a list, such as [one, two]; received"),
    ],
)
def test_a_setting_that_is_not_valid(change, says):
    with pytest.raises(UserError) as error:
        settings.load("sample", None, change)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("args", "mode"), [((), "in_memory"), (("--direct_running_mode=multi_processing",), "multi_processing")]
)
def test_the_direct_runner_is_the_default_and_runs_in_memory(args, mode):
    from apache_beam.options.pipeline_options import PipelineOptions

    options = PipelineOptions(beam.arguments(Beam(args=args))).get_all_options()
    assert (options["runner"], options["direct_running_mode"]) == ("DirectRunner", mode)


def test_tfx_does_not_package_itself_and_an_image_is_kept():
    from apache_beam.options.pipeline_options import PipelineOptions
    from tfx.utils import dependency_utils

    assert dependency_utils.make_beam_dependency_flags(beam.arguments(Beam())) == beam.arguments(Beam())
    given = beam.arguments(Beam(runner="DataflowRunner", args=(*DATAFLOW, IMAGE)))
    assert PipelineOptions(given).get_all_options()["sdk_container_image"] == "registry/photos:1"


@pytest.mark.parametrize(
    ("runner", "args"),
    [
        ("DirectRunner", ("--direct_num_workers=2",)),
        ("DataflowRunner", (*DATAFLOW, IMAGE, "--max_num_workers=4")),
        ("FlinkRunner", ()),
        ("FlinkRunner", ("--flink_master=[local]", "--parallelism=2")),
        ("FlinkRunner", ("--flink_master=https://flink:8081", *DOCKER)),
        ("FlinkRunner", (JOBS, *DOCKER, "--checkpointing_interval=1000")),  # an argument of the Java job server
        ("SparkRunner", ()),
        ("SparkRunner", ("--spark_master_url=spark://spark:7077", *DOCKER)),
        ("SparkRunner", (JOBS, "--environment_type=EXTERNAL", "--environment_config=pool:50000")),
        ("PortableRunner", (JOBS, "--environment_type=LOOPBACK")),
        ("PortableRunner", (JOBS, "--environment_type=PROCESS", '--environment_config={"command": "/boot"}')),
    ],
)
def test_an_engine_with_all_requirements_passes(runner, args):
    settings = Beam(runner=runner, args=args)
    beam.check(settings, local=False)
    assert beam.arguments(settings)[-len(args) :] == list(args) or not args


@pytest.mark.parametrize(
    ("runner", "args", "says"),
    [
        (
            "DataflowRunner",
            ("--region=mars", "--temp_location=/tmp"),
            [
                "DataflowRunner needs --project=ID, the Google Cloud project; received none",
                "DataflowRunner needs --region=NAME, the workers' region, for example us-central1; received mars",
                "DataflowRunner needs --temp_location=gs://BUCKET/FOLDER, for Beam's temporary files; received /tmp",
                "DataflowRunner needs --sdk_container_image=REGISTRY/NAME:TAG, an image with this project",
            ],
        ),
        ("FlinkRunner", ("--flink_master=flink", *DOCKER), ["--flink_master=HOST:PORT, or [local]; received flink"]),
        ("FlinkRunner", ("--flink_master=flink:8081",), ["FlinkRunner needs --environment_type, one of DOCKER, EXTE"]),
        ("FlinkRunner", ("--flink_version=1.2",), ["argument --flink_version: invalid choice: '1.2' (choose from"]),
        ("SparkRunner", ("--spark_master_url=spark:7077", *DOCKER), ["--spark_master_url=spark://HOST:PORT, or local"]),
        ("SparkRunner", (JOBS,), ["SparkRunner needs --environment_type, one of DOCKER, EXTERNAL, LOOPBACK, PROCESS"]),
        (
            "PortableRunner",
            (),
            [
                "PortableRunner needs --job_endpoint=HOST:PORT, a Beam job server; received none",
                "PortableRunner needs --environment_type, one of DOCKER, EXTERNAL, LOOPBACK, PROCESS; received none",
            ],
        ),
        ("PortableRunner", (JOBS, DOCKER[0]), ["--environment_type=DOCKER needs --environment_config=REGISTRY/NAME:T"]),
        (
            "PortableRunner",
            (JOBS, "--environment_type=EXTERNAL", "--environment_config=pool"),
            ["--environment_type=EXTERNAL needs --environment_config=HOST:PORT"],
        ),
        (
            "PortableRunner",
            (JOBS, "--environment_type=LOOPBACK", "--environment_config=x"),
            ["=LOOPBACK needs no --environment_config, because the workers are this process; received x"],
        ),
        (
            "PortableRunner",
            ("--job_endpont=jobs:8099", "--environment_type=LOOPBACK"),
            ["unknown argument --job_endpont; did you mean --job_endpoint?", "needs --job_endpoint=HOST:PORT"],
        ),
        ("DirectRunner", ("--checkpointing_interval=1000",), ["unknown argument --checkpointing_interval"]),
    ],
)
def test_all_missing_requirements_are_named_at_once(runner, args, says):
    with pytest.raises(UserError) as error:
        beam.check(Beam(runner=runner, args=args), local=False)
    lines = str(error.value).splitlines()
    assert all(line.startswith("beam.args: ") for line in lines)
    assert len(lines) == len(says)
    assert all(text in line for text, line in zip(says, lines, strict=True))


def test_dataflow_is_refused_for_local_files():
    with pytest.raises(UserError, match=r"^beam.runner: Dataflow's workers cannot read the artifacts"):
        beam.check(Beam(runner="DataflowRunner", args=(*DATAFLOW, IMAGE)), local=True)


@pytest.mark.parametrize("runner", ["FlinkRunner", "SparkRunner"])
def test_an_engine_on_this_machine_needs_java(runner):
    with pytest.raises(
        UserError, match=f"^beam.runner: {runner} on this machine needs Java, but nowhere is not on the PATH"
    ):
        beam.check(Beam(runner=runner, args=("--job_server_java_launcher=nowhere",)), local=True)


def test_the_job_server_must_answer():
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"127.0.0.1:{server.getsockname()[1]}"
        engine = Beam(runner="PortableRunner", args=(f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK"))
        beam.check(engine, local=True)
    with pytest.raises(
        UserError, match=f"^beam.args: cannot reach a job server at --job_endpoint={endpoint} .*start the job"
    ):
        beam.check(engine, local=True)


def test_problems_of_the_engine_and_the_data_are_reported_together(run, tmp_path):
    done = run("--data", tmp_path / "none", "--output", tmp_path / "out", "--set", "beam.runner=PortableRunner")
    assert done.returncode == 2
    assert "PortableRunner needs --job_endpoint" in done.stderr
    assert "PortableRunner needs --environment_type" in done.stderr
    assert f"the data folder {tmp_path / 'none'} does not exist" in done.stderr
    assert "Warning" not in done.stderr
    assert not (tmp_path / "out").exists()
