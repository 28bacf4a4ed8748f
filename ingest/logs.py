"""Redirects the log output of TFX, Beam, TensorFlow and C++ libraries from the terminal to a file."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def stderr_to_file(path: Path) -> Iterator[None]:
    """Redirects standard error, also that of C++ code, to a file (appends)."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with path.open("ab") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)


@contextmanager
def log_to_file(path: Path, also_terminal: bool) -> Iterator[None]:
    """Redirects standard error and logging to a file; with `also_terminal`, it only copies Python's logging there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if also_terminal:
        handlers: list[logging.Handler] = [logging.FileHandler(path), logging.StreamHandler()]
        logging.basicConfig(handlers=handlers, force=True)
        try:
            yield
        finally:
            logging.basicConfig(handlers=[], force=True)
        return
    with stderr_to_file(path):
        yield


def log_info() -> None:
    """Sets the log level of TFX and Beam to INFO; call it after they are imported."""
    from absl import logging as absl_logging

    absl_logging.set_verbosity(absl_logging.INFO)
