"""Processes that tests interrupt."""

import signal
from functools import partial

# For `preexec_fn`: a shell's background jobs, such as CI's, ignore SIGINT, and their children inherit it.
HEARS_SIGINT = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
