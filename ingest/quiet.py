"""Keeps what TFX, Beam, TensorFlow and C++ libraries print off the terminal: it goes to a file."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def stderr_to(path: Path) -> Iterator[None]:
    """Appends what is written to standard error, also from C++, to a file."""
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
def chatter_to(path: Path, also_terminal: bool) -> Iterator[None]:
    """Sends all that is logged, or written to standard error from Python or C++, to a file.

    With `also_terminal`, standard error stays as it is and what Python logs goes to the file as well.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if also_terminal:
        handlers: list[logging.Handler] = [logging.FileHandler(path), logging.StreamHandler()]
        logging.basicConfig(handlers=handlers, force=True)
        try:
            yield
        finally:
            logging.basicConfig(handlers=[], force=True)
        return
    with stderr_to(path):
        yield


def say_everything() -> None:
    """Lets TFX and Beam log from INFO on; to be called when they are imported."""
    from absl import logging as absl_logging

    absl_logging.set_verbosity(absl_logging.INFO)
