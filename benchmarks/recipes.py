"""Effect of single training options on the accuracy of the convnet (flowers, 64 px).

The first line is the unchanged preset; each other line changes one option. The value of a seed is the mean
validation accuracy of the last five epochs. A line has the mean of two seeds and the value of each seed. Takes half an
hour, so `make bench` skips it.
"""

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import DATA, run_module

_SIZE, _CLASSES, _SEEDS, _HELD_OUT = 64, 5, (0, 1), 3
_OPTIONS: dict[str, dict[str, Any]] = {
    "flowers-convnet": {},
    "cosine": {"trainer.learning_rate.schedule": "cosine"},
    "AdamW, 0.01": {"trainer.weight_decay": 0.01},
    "EMA, 0.99": {"trainer.ema": 0.99},
    "label smoothing, 0.1": {"trainer.label_smoothing": 0.1},
    "mixup": {"trainer.augment": ["flip", "saturation", "mixup"]},
    "no saturation": {"trainer.augment": ["flip"]},
}


def main() -> None:
    """Prints a line for each option."""
    with tempfile.TemporaryDirectory() as folder:
        for name in _OPTIONS:
            print(run_module("benchmarks.recipes", folder, name).splitlines()[-1], flush=True)


def compare(folder: Path, option: str) -> None:
    """Trains with one option, once for each seed."""
    from testing import graphs

    shards = sorted(map(str, (DATA / "flowers-192").glob("*.tfrec")))
    transform = graphs.build(folder / option / "graph", graphs.first_photos(Path(shards[0]), 1), image_size=_SIZE)
    accuracies = [_accuracy(folder / option / str(seed), option, seed, shards, transform) for seed in _SEEDS]
    print(f"{option:<22} {statistics.mean(accuracies):.3f}   {' '.join(f'{value:.3f}' for value in accuracies)}")


def _accuracy(folder: Path, option: str, seed: int, shards: list[str], transform: Any) -> float:
    """Returns the mean validation accuracy of the last five epochs."""
    import keras
    import tensorflow as tf

    from pipeline import settings
    from trainer import fitting, input_pipeline, models
    from trainer.augmentation.batches import augmentation
    from trainer.checkpoints import Checkpoints

    recipe = settings.load("flowers-convnet", None, _OPTIONS[option] | {"trainer.seed": seed}).trainer
    held_out, training = shards[:_HELD_OUT], shards[_HELD_OUT:]
    inputs = fitting.Inputs(
        batch=recipe.batch_size,
        steps=input_pipeline.measure(training).records // recipe.batch_size,
        training=lambda first_epoch: input_pipeline.training(
            training, transform, _CLASSES, recipe.batch_size, seed, first_epoch, augmentation(recipe.augment)
        ),
        evaluation=input_pipeline.evaluation(held_out, transform, _CLASSES, recipe.batch_size),
    )
    keras.utils.set_random_seed(seed)
    model = models.build("convnet", (_SIZE, _SIZE, 3), _CLASSES)
    checkpoints = Checkpoints(str(folder))
    fitting.fit(model, recipe, tf.distribute.get_strategy(), inputs, checkpoints)
    return statistics.mean(checkpoints.history["val_accuracy"][-5:])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        compare(Path(sys.argv[1]), sys.argv[2])
    else:
        main()
