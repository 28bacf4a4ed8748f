"""Learning rates by epoch."""

import math

from trainer.settings import LearningRate


def learning_rate(epoch: int, epochs: int, settings: LearningRate) -> float:
    """Returns the learning rate of an epoch (counted from 0) of `epochs`, for one replica.

    It rises in equal steps from `start` to `peak` over `ramp_epochs`. Then it falls by the factor `decay` an epoch
    ('exponential': the schedule of Google's flowers codelab for fine-tuning), or along half a cosine towards 0
    ('cosine': Loshchilov and Hutter, 2017, arXiv:1608.03983, without restarts).

    >>> settings = LearningRate(start=0.5, peak=1.0, ramp_epochs=2, decay=0.5)
    >>> [learning_rate(epoch, 5, settings) for epoch in range(5)]
    [0.5, 0.75, 1.0, 0.5, 0.25]
    >>> settings = LearningRate(schedule="cosine", start=0.2, peak=1.0, ramp_epochs=1)
    >>> [round(learning_rate(epoch, 5, settings), 3) for epoch in range(5)]
    [0.2, 1.0, 0.854, 0.5, 0.146]
    """
    start, peak, after = settings.start, settings.peak, epoch - settings.ramp_epochs
    if after < 0:
        return start + (peak - start) * epoch / settings.ramp_epochs
    if settings.schedule == "cosine":
        return peak * (1 + math.cos(math.pi * after / (epochs - settings.ramp_epochs))) / 2
    return peak * settings.decay**after
