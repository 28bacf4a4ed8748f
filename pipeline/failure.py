"""Says in one sentence why a node failed."""


def cause(error: BaseException) -> str:
    """Returns the first cause of an error as one sentence, without Beam's trail of step names."""
    seen = {id(error)}
    while (inner := error.__cause__ or error.__context__) is not None and id(inner) not in seen:
        seen.add(id(inner))
        error = inner
    text = str(error).strip().split(" [while running")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
