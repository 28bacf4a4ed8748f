"""What each option of the recipe does to the accuracy: the convnet on the flowers at 64 px, one option at a time.

The first line is the preset as it is; each other line changes one thing. Accuracy is the mean over two seeds of the
mean of the last five epochs' validations, beside each seed's. Not part of `make bench`: it takes half an hour.
"""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import DATA

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
            command = [sys.executable, "-m", "benchmarks.recipes", folder, name]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr)
            print(done.stdout.splitlines()[-1], flush=True)


def compare(folder: Path, option: str) -> None:
    """Trains by one option with each seed."""
    from testing import graphs

    shards = sorted(map(str, (DATA / "flowers-192").glob("*.tfrec")))
    transform = graphs.build(folder / option / "graph", graphs.photos_of(Path(shards[0]), 1), image_size=_SIZE)
    found = [_last_five(folder / option / str(seed), option, seed, shards, transform) for seed in _SEEDS]
    print(f"{option:<22} {statistics.mean(found):.3f}   {' '.join(f'{one:.3f}' for one in found)}")


def _last_five(folder: Path, option: str, seed: int, shards: list[str], transform: Any) -> float:
    import keras
    import tensorflow as tf

    from pipeline import settings
    from trainer import fitting, input_pipeline, models
    from trainer.augmentation import augmentation
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
