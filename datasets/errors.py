"""The error that is meant for the person who started the run."""


class UserError(Exception):
    """What was asked for cannot be done. The text says what was expected, what came and what to do."""
