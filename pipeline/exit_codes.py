"""Exit codes of the runners; the README documents them."""

PUSHED = DONE = 0
FAILED = LOST = 1
NOT_STARTED = 2
REFUSED = 3
INTERRUPTED = 130
