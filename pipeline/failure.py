"""Says in one sentence why a node failed."""


def cause(error: BaseException) -> str:
    """Returns the first cause of an error as one sentence, without Beam's trail of step names.

    An error raised `from None` speaks for itself: what led to it is not asked.
    """
    seen = {id(error)}
    while (inner := _inner(error)) is not None and id(inner) not in seen:
        seen.add(id(inner))
        error = inner
    text = str(error).strip().split(" [while running")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _inner(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)
