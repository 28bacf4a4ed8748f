"""Says in one sentence why a node failed."""


class Interrupted(Exception):
    """Ctrl-C, as an ordinary exception: TFX then records the node as failed and removes what it had written."""


class Interruption:
    """Whether Ctrl-C came. What `Interrupted` ends may swallow it by an `except Exception` (issue 11)."""

    came = False


def cause(error: BaseException, lines: int = 1) -> str:
    """Returns the first cause of an error as the first `lines` of its text, without Beam's trail of steps.

    An error raised `from None` speaks for itself: what led to it is not asked.
    """
    seen = {id(error)}
    while (inner := _inner(error)) is not None and id(inner) not in seen:
        seen.add(id(inner))
        error = inner
    text = str(error).strip().split(" [while running")[0]
    words = "\n".join([line.strip() for line in text.splitlines() if line.strip()][:lines])
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _inner(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)
