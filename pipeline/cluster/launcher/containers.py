"""Runs a task's command in a new process; Python modules run in a fork of a process that has imported TFX."""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from pipeline.cluster.launcher import custom_job

_GRACE_S = 5  # between SIGTERM and SIGKILL
_PYTHON = ["python", "-m"]
_PRELOADED = ["tensorflow", "tfx.v1", "pipeline.pipeline", "pipeline.cluster.launcher.containers"]


def warm_up() -> ForkServerContext:
    """Returns a context whose processes are forks of a process that has imported TFX, which saves 15 s per task."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def run(context: ForkServerContext, command: list[str], log: Path, folder: Path, environment: dict[str, str]) -> int:
    """Runs a container's command in `folder`, appends its output to `log` and returns its exit code.

    The exit code is negative if a signal ended the command. An interrupt ends all processes of the command.
    """
    if command[:2] == _PYTHON:
        process = context.Process(target=_module, args=(command[2], command[3:], log, folder, environment))
        process.start()
        with _ended_by_an_interrupt(int(process.pid or 0), process.join):
            process.join()
        return int(process.exitcode or 0)
    with log.open("ab") as output:
        started = subprocess.Popen(  # noqa: S603
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, process_group=0
        )
    with started, _ended_by_an_interrupt(started.pid, started.wait):
        return started.wait()


@contextmanager
def _ended_by_an_interrupt(pid: int, wait: Callable[[float], object]) -> Iterator[None]:
    """Ends a process and its group if the block is interrupted, as a cluster does: SIGTERM, later SIGKILL."""
    try:
        yield
    except BaseException:
        try:
            _send(pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                wait(_GRACE_S)
        finally:
            _send(pid, signal.SIGKILL)
        raise


def _send(pid: int, signum: int) -> None:
    try:
        os.killpg(pid, signum)
    except ProcessLookupError:  # it has ended, or is not the leader of its group yet
        with suppress(ProcessLookupError):
            os.kill(pid, signum)


def _module(name: str, arguments: list[str], log: Path, folder: Path, environment: dict[str, str]) -> None:
    """Does in a fork what `python -m NAME ARGUMENTS` does."""
    os.setpgrp()  # its own processes are in its group; see `run`
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # of the fork server's environment
    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.chdir(folder)
    _run_custom_jobs_locally()
    _main(name, *arguments)


def _main(name: str, *arguments: str) -> None:
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _run_custom_jobs_locally() -> None:
    """Replaces TFX's Vertex client: the custom job of the Trainer's task runs on this machine."""
    from google.cloud.aiplatform_v1.types import CustomJob, JobState
    from tfx.extensions.google_cloud_ai_platform import training_clients

    class LocalJobClient(training_clients.VertexJobClient):
        def create_client(self) -> None:
            pass

        def launch_job(self, project: str, training_job: dict[str, Any]) -> None:
            succeeded = custom_job.run(CustomJob(training_job).job_spec, _main)  # the type validates the fields
            state = JobState.JOB_STATE_SUCCEEDED if succeeded else JobState.JOB_STATE_FAILED
            self._job_name, self._job = "local", CustomJob(state=state)

        def get_job(self) -> CustomJob:
            return self._job

    training_clients.VertexJobClient = LocalJobClient
