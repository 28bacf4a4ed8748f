"""Describes why a node failed, and records whether the run was interrupted."""


class Interrupted(Exception):
    """Ctrl-C as an ordinary exception, so that TFX records the node as failed and removes its outputs."""


class Interruption:
    """Whether Ctrl-C was pressed; needed because TFX or Beam may swallow `Interrupted`."""

    requested = False


def cause(error: BaseException, lines: int = 1) -> str:
    """Returns the root cause of an error: its type and the first `lines` of its text, without Beam's list of steps.

    The context of an error that was raised `from None` is ignored.
    """
    seen: set[int] = set()
    inner: BaseException | None = error
    while inner is not None and id(inner) not in seen:
        seen.add(id(inner))
        error = inner
        inner = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    text = str(error).strip().split(" [while running")[0]
    text = "\n".join([line.strip() for line in text.splitlines() if line.strip()][:lines])
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
