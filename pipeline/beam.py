"""The engines that Beam runs on: what TFX is to pass on, and what each engine needs, said before anything starts.

Where an engine runs Python: https://beam.apache.org/documentation/runtime/sdk-harness-config/
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

# Unless an image is named, TFX packs its own sources for the workers: seconds and 50 MB in /tmp, never removed, at each
# node. No worker needs them: it is this process, or its own image has TFX and this project.
_NOTHING_TO_SHIP = "--sdk_container_image=none"
_ENDPOINT = r"[^\s:/]+:\d{1,5}"
_FLINK_HERE, _SPARK_HERE = r"\[local\]|\[auto\]", r"local(\[.+\])?"
_IMAGE = "REGISTRY/NAME:TAG, an image with this project and all that it needs"


class Need(NamedTuple):
    """An argument of an engine: what it is, and a pattern of all of its value; '' stands for none."""

    what: str
    pattern: str


NEEDS: dict[str, dict[str, Need]] = {
    "DirectRunner": {},
    "DataflowRunner": {
        "project": Need("ID, the Google Cloud project", r"[a-z][-a-z0-9:.]+[a-z0-9]"),
        "region": Need("NAME, where the workers run, as in us-central1", r"[a-z]+-[a-z]+\d+"),
        "temp_location": Need("gs://BUCKET/FOLDER, for Beam's own files", r"gs://[^/]+/.+"),
        "sdk_container_image": Need(_IMAGE, r"\S+"),
    },
    "FlinkRunner": {
        "flink_master": Need("HOST:PORT, or [local]", rf"{_FLINK_HERE}|(https?://)?{_ENDPOINT}"),
        "job_endpoint": Need("HOST:PORT, a Flink job server, or nothing", rf"({_ENDPOINT})?"),
    },
    "SparkRunner": {
        "spark_master_url": Need("spark://HOST:PORT, or local", rf"{_SPARK_HERE}|yarn|[a-z0-9]+://.+"),
        "job_endpoint": Need("HOST:PORT, a Spark job server, or nothing", rf"({_ENDPOINT})?"),
    },
    "PortableRunner": {"job_endpoint": Need("HOST:PORT, a Beam job server", _ENDPOINT)},
}
ENVIRONMENTS = {
    "DOCKER": Need(f"--environment_config={_IMAGE}", r"\S+"),
    "EXTERNAL": Need("--environment_config=HOST:PORT, a pool of Beam's Python workers", _ENDPOINT),
    "LOOPBACK": Need("no --environment_config: the workers are this process", ""),
    "PROCESS": Need("""--environment_config={"command": "…"}, what starts a Beam Python worker""", r"\{.+\}"),
}
_JOB_SERVERS = [runner for runner, needs in NEEDS.items() if "job_endpoint" in needs]
_ON_THIS_MACHINE = {"FlinkRunner": ("flink_master", _FLINK_HERE), "SparkRunner": ("spark_master_url", _SPARK_HERE)}


def arguments(beam: Beam) -> list[str]:
    """Returns what Beam's command line is to be: the runner, then the settings' own arguments, which win."""
    return [f"--runner={beam.runner}", _NOTHING_TO_SHIP, *beam.args]


def check(beam: Beam, here: bool) -> None:
    """Lets an engine pass that is given what it needs. The default needs nothing, and Beam is not imported for it.

    Args:
      beam: the settings.
      here: whether the nodes run in this process, and their files lie on this machine.

    Raises:
      UserError: naming each argument that is missing, unknown or wrong, and what is not there.
    """
    if beam == Beam():
        return
    parser = _parser()
    try:
        options, unknown = parser.parse_known_args(beam.args)
    except argparse.ArgumentError as error:
        raise UserError(f"beam.args: {error}") from None
    problems = [*_unknown(beam.runner, unknown, parser), *_missing(beam.runner, options)]
    if here:
        problems += _not_here(beam.runner, options)
    if problems:
        raise UserError("\n".join(problems))


def _parser() -> argparse.ArgumentParser:
    """Returns the parser of all of Beam's arguments."""
    from apache_beam.options.pipeline_options import PipelineOptions

    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    parsers[0].exit_on_error = False
    return parsers[0]


def _unknown(runner: str, unknown: list[str], parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yields the arguments that Beam would leave out without a word. Job servers take more than Python's Beam knows."""
    known = re.findall(r"--\w+", parser.format_usage())
    for name in (arg.partition("=")[0] for arg in unknown):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
        if near or runner not in _JOB_SERVERS:
            yield f"beam.args: Beam knows no {name}" + (f"; did you mean {near[0]}?" if near else "")


def _missing(runner: str, options: argparse.Namespace) -> Iterator[str]:
    for name, need in NEEDS[runner].items():
        value = getattr(options, name) or ""
        if not re.fullmatch(need.pattern, value):
            yield f"beam.args: {runner} needs --{name}={need.what}; received {value or 'none'}"
    if runner in _JOB_SERVERS and not _starts_here(runner, options):
        yield from _missing_environment(runner, options.environment_type, options.environment_config or "")


def _missing_environment(runner: str, kind: str | None, config: str) -> Iterator[str]:
    if kind not in ENVIRONMENTS:
        choices = ", ".join(ENVIRONMENTS)
        yield f"beam.args: {runner} needs --environment_type, one of {choices}; received {kind or 'none'}"
    elif not re.fullmatch(ENVIRONMENTS[kind].pattern, config):
        yield f"beam.args: --environment_type={kind} needs {ENVIRONMENTS[kind].what}; received {config or 'none'}"


def _starts_here(runner: str, options: argparse.Namespace) -> bool:
    """Returns whether Beam starts the engine itself, on this machine and with this process as its worker."""
    if runner not in _ON_THIS_MACHINE or options.job_endpoint:
        return False
    name, pattern = _ON_THIS_MACHINE[runner]
    return bool(re.fullmatch(pattern, getattr(options, name)))


def _not_here(runner: str, options: argparse.Namespace) -> Iterator[str]:
    java = options.job_server_java_launcher
    if runner == "DataflowRunner":
        yield (
            "beam.runner: DataflowRunner's workers reach no folder of this machine, where this runner keeps its "
            "artifacts; use it with kubeflow_runner.py, which takes buckets"
        )
    elif _starts_here(runner, options) and not shutil.which(java):
        yield f"beam.runner: {runner} on this machine needs Java: {java} is not on the PATH"
    elif re.fullmatch(_ENDPOINT, options.job_endpoint or ""):
        host, _, port = options.job_endpoint.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except (OSError, OverflowError) as error:
            yield f"beam.args: nothing answers at --job_endpoint={options.job_endpoint} ({error}); start the job server"
