"""Fixtures for the commands of `python -m ingest`."""

import pytest

from ingest import __main__ as command_line


@pytest.fixture
def make(capfd):
    """Calls `python -m ingest ...` in this process; returns its exit code and output."""

    def call(*arguments: object) -> tuple[int, str]:
        code = command_line.main([str(argument) for argument in arguments])
        return code, "".join(capfd.readouterr())

    return call
