"""What may go wrong on the way to a cluster."""

from errors import UserError


class SubmissionFailed(UserError):
    """The cluster did not take the pipeline: nothing was started."""


class ContactLost(Exception):
    """A run was started, or may have been, and nothing more is heard of it. The text says where to look."""
