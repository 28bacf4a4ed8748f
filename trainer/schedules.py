"""Learning rates by epoch."""

import math


def learning_rate(
    epoch: int, epochs: int, schedule: str, start: float, peak: float, ramp_epochs: int, decay: float
) -> float:
    """Returns the learning rate of an epoch (counted from 0) of `epochs`.

    It goes in equal steps from `start` to `peak` over `ramp_epochs`. Then it falls by the factor `decay` an epoch
    ('exponential': the schedule of Google's flowers codelab for fine-tuning), or along half a cosine towards 0
    ('cosine': Loshchilov and Hutter, 2017, arXiv:1608.03983, without restarts).

    >>> [learning_rate(epoch, 5, "exponential", 0.0, 1.0, 2, 0.5) for epoch in range(5)]
    [0.0, 0.5, 1.0, 0.5, 0.25]
    >>> [round(learning_rate(epoch, 5, "cosine", 0.0, 1.0, 1, 1.0), 3) for epoch in range(5)]
    [0.0, 1.0, 0.854, 0.5, 0.146]
    """
    if epoch < ramp_epochs:
        return start + (peak - start) * epoch / ramp_epochs
    if schedule == "cosine":
        return peak * (1 + math.cos(math.pi * (epoch - ramp_epochs) / (epochs - ramp_epochs))) / 2
    return peak * decay ** (epoch - ramp_epochs)
