"""Beam's command-line arguments for each engine, validated before a run starts.

How an engine runs Python: https://beam.apache.org/documentation/runtime/sdk-harness-config/
"""

import argparse
import difflib
import re
import shutil
import socket
from collections.abc import Iterator
from typing import NamedTuple

from errors import UserError
from pipeline.config import Beam

# Without an image, TFX packs its sources for the workers at each node. This takes seconds and leaves 50 MB in /tmp. The
# workers do not need the sources: they are this process, or their image contains TFX and this project.
_NO_PACKAGE = "--sdk_container_image=none"
_ENDPOINT = r"[^\s:/]+:\d{1,5}"
_FLINK_LOCAL, _SPARK_LOCAL = r"\[local\]|\[auto\]", r"local(\[.+\])?"
_IMAGE = "REGISTRY/NAME:TAG, an image with this project and its dependencies"


class Requirement(NamedTuple):
    """A required argument: its description for errors, and a pattern for its whole value ('' if not given)."""

    description: str
    pattern: str


REQUIREMENTS: dict[str, dict[str, Requirement]] = {
    "DirectRunner": {},
    "DataflowRunner": {
        "project": Requirement("ID, the Google Cloud project", r"[a-z][-a-z0-9:.]+[a-z0-9]"),
        "region": Requirement("NAME, the workers' region, for example us-central1", r"[a-z]+-[a-z]+\d+"),
        "temp_location": Requirement("gs://BUCKET/FOLDER, for Beam's temporary files", r"gs://[^/]+/.+"),
        "sdk_container_image": Requirement(_IMAGE, r"\S+"),
    },
    "FlinkRunner": {
        "flink_master": Requirement("HOST:PORT, or [local]", rf"{_FLINK_LOCAL}|(https?://)?{_ENDPOINT}"),
        "job_endpoint": Requirement("HOST:PORT, a Flink job server, or nothing", rf"({_ENDPOINT})?"),
    },
    "SparkRunner": {
        "spark_master_url": Requirement("spark://HOST:PORT, or local", rf"{_SPARK_LOCAL}|yarn|[a-z0-9]+://.+"),
        "job_endpoint": Requirement("HOST:PORT, a Spark job server, or nothing", rf"({_ENDPOINT})?"),
    },
    "PortableRunner": {"job_endpoint": Requirement("HOST:PORT, a Beam job server", _ENDPOINT)},
}
ENVIRONMENTS = {
    "DOCKER": Requirement(f"--environment_config={_IMAGE}", r"\S+"),
    "EXTERNAL": Requirement("--environment_config=HOST:PORT, a pool of Beam's Python workers", _ENDPOINT),
    "LOOPBACK": Requirement("no --environment_config, because the workers are this process", ""),
    "PROCESS": Requirement("""--environment_config={"command": "…"}, which starts a Python worker""", r"\{.+\}"),
}
_JOB_SERVERS = [runner for runner, required in REQUIREMENTS.items() if "job_endpoint" in required]
_LOCAL = {"FlinkRunner": ("flink_master", _FLINK_LOCAL), "SparkRunner": ("spark_master_url", _SPARK_LOCAL)}


def arguments(beam: Beam) -> list[str]:
    """Returns Beam's command line: the runner, then the arguments from the settings, which override it."""
    return [f"--runner={beam.runner}", _NO_PACKAGE, *beam.args]


def check(beam: Beam, local: bool) -> None:
    """Validates the arguments of the engine. It does not import Beam for the default settings.

    Args:
      beam: the settings.
      local: whether the nodes run in this process with files on this machine.

    Raises:
      UserError: naming each missing, unknown or wrong argument, and a missing job server or Java.
    """
    if beam == Beam():
        return
    parser = _parser()
    try:
        options, unknown = parser.parse_known_args(beam.args)
    except argparse.ArgumentError as error:
        raise UserError(f"beam.args: {error}") from None
    problems = [*_unknown(beam.runner, unknown, parser), *_missing(beam.runner, options)]
    if local:
        problems += _local_problems(beam.runner, options)
    if problems:
        raise UserError("\n".join(problems))


def _parser() -> argparse.ArgumentParser:
    """Returns Beam's parser with all arguments."""
    from apache_beam.options.pipeline_options import PipelineOptions

    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    parsers[0].exit_on_error = False
    return parsers[0]


def _unknown(runner: str, unknown: list[str], parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yields the arguments that Beam would silently ignore; a job server may have more than Beam's parser."""
    known = re.findall(r"--\w+", parser.format_usage())
    for name in (arg.partition("=")[0] for arg in unknown):
        similar = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
        if similar or runner not in _JOB_SERVERS:
            yield f"beam.args: unknown argument {name}; " + (
                f"did you mean {similar[0]}?" if similar else f"expected an argument of Beam or {runner}"
            )


def _missing(runner: str, options: argparse.Namespace) -> Iterator[str]:
    for name, requirement in REQUIREMENTS[runner].items():
        value = getattr(options, name) or ""
        if not re.fullmatch(requirement.pattern, value):
            yield f"beam.args: {runner} needs --{name}={requirement.description}; received {value or 'none'}"
    if runner in _JOB_SERVERS and not _starts_locally(runner, options):
        yield from _missing_environment(runner, options.environment_type, options.environment_config or "")


def _missing_environment(runner: str, kind: str | None, config: str) -> Iterator[str]:
    if kind not in ENVIRONMENTS:
        choices = ", ".join(ENVIRONMENTS)
        yield f"beam.args: {runner} needs --environment_type, one of {choices}; received {kind or 'none'}"
    elif not re.fullmatch(ENVIRONMENTS[kind].pattern, config):
        received = config or "none"
        yield f"beam.args: --environment_type={kind} needs {ENVIRONMENTS[kind].description}; received {received}"


def _starts_locally(runner: str, options: argparse.Namespace) -> bool:
    """Returns whether Beam starts the engine on this machine, with this process as the worker."""
    if runner not in _LOCAL or options.job_endpoint:
        return False
    name, pattern = _LOCAL[runner]
    return bool(re.fullmatch(pattern, getattr(options, name)))


def _local_problems(runner: str, options: argparse.Namespace) -> Iterator[str]:
    java = options.job_server_java_launcher
    if runner == "DataflowRunner":
        yield (
            "beam.runner: Dataflow's workers cannot read the artifacts, which local_runner.py stores on this machine; "
            "use DataflowRunner with kubeflow_runner.py, which stores artifacts in a bucket"
        )
    elif _starts_locally(runner, options) and not shutil.which(java):
        yield f"beam.runner: {runner} on this machine needs Java, but {java} is not on the PATH; install Java"
    elif re.fullmatch(_ENDPOINT, options.job_endpoint or ""):
        host, _, port = options.job_endpoint.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except (OSError, OverflowError) as error:
            endpoint = f"--job_endpoint={options.job_endpoint}"
            yield f"beam.args: cannot reach a job server at {endpoint} ({error}); start the job server"
