"""Learning rates by epoch."""


def ramp_then_decay(epoch: int, start: float, peak: float, ramp_epochs: int, decay: float) -> float:
    """Returns the learning rate of an epoch (counted from 0).

    It rises in equal steps from `start` to `peak` over `ramp_epochs`, then falls by the factor `decay` an epoch:
    the schedule of Google's flowers codelab for fine-tuning.

    >>> [ramp_then_decay(epoch, 0.0, 1.0, 2, 0.5) for epoch in range(5)]
    [0.0, 0.5, 1.0, 0.5, 0.25]
    """
    if epoch < ramp_epochs:
        return start + (peak - start) * epoch / ramp_epochs
    return peak * decay ** (epoch - ramp_epochs)
