"""What the runners return to the shell; the README has the same table."""

PUSHED = DONE = 0
FAILED = LOST = 1
NOT_STARTED = 2
REFUSED = 3
INTERRUPTED = 130
