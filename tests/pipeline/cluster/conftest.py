"""Fixtures for compiled pipelines."""

import pytest

import kubeflow_runner


@pytest.fixture
def run_local(capfd):
    """Calls kubeflow_runner.main(["run-local", ...]) in this process, so that all runs share a fork server."""

    def call(file, output, *flags) -> tuple[int, str]:
        code = kubeflow_runner.main(["run-local", str(file), "--output", str(output), *map(str, flags)])
        return code, "".join(capfd.readouterr())

    return call
