"""Errors of a submission."""

from errors import UserError


class SubmissionFailed(UserError):
    """The cluster did not accept the pipeline, so nothing was started."""


class ContactLost(Exception):
    """A run was or may have been started, but the service no longer answers. The text says where to look."""
