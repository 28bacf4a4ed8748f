"""Tuner's tuner_fn: a random search over settings of the recipe."""

from typing import Any

import keras
import keras_tuner
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult

from trainer import fitting, strategy
from trainer.recipe import inputs_of, model_of
from trainer.settings import Recipe, Trainer, Tuner


class Candidate(keras_tuner.HyperModel):
    """Builds and fits the recipe with a choice of hyper-parameters."""

    def __init__(self, fn_args: FnArgs, base: Recipe, tuner: Tuner):
        super().__init__()
        self._fn_args, self._base, self._tuner = fn_args, base, tuner
        self._strategy = strategy.choose(base.trainer.gpu_memory_mb)
        self._transform = tft.TFTransformOutput(fn_args.transform_graph_path)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Returns the compiled model."""
        recipe = self._recipe(hp)
        keras.config.set_dtype_policy(strategy.precision_policy(self._strategy, recipe.trainer.precision))
        self._inputs = inputs_of(self._fn_args, recipe, self._transform, self._strategy)
        with self._strategy.scope():
            model = model_of(recipe)
            fitting.compile_model(model, recipe.trainer, self._strategy, self._inputs.steps)
        return model

    def fit(self, hp: keras_tuner.HyperParameters, model: keras.Model, callbacks: list, **_: Any) -> Any:
        """Trains for `tuner.epochs`, with a learning-rate schedule of that length."""
        settings = self._recipe(hp).trainer
        return model.fit(
            self._inputs.training(0),
            epochs=self._tuner.epochs,
            steps_per_epoch=self._inputs.steps,
            validation_data=self._inputs.evaluation,
            callbacks=[fitting.learning_rates(settings, self._strategy), *_average(settings), *callbacks],
            verbose=2,
        )

    def _recipe(self, hp: keras_tuner.HyperParameters) -> Recipe:
        values = {key: hp.Choice(key, list(values)) for key, values in self._tuner.search.items()}
        return self._base.changed(values | {"trainer.epochs": self._tuner.epochs})


def _average(settings: Trainer) -> list[keras.callbacks.Callback]:
    return [keras.callbacks.SwapEMAWeights()] if settings.ema else []


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """Returns the search for the hyper-parameters with the best validation accuracy, by dotted keys of the recipe.

    `fn_args.custom_config` holds `recipe` and `tuner`, a `Recipe` and a `Tuner` as JSON.
    """
    recipe = Recipe.model_validate(fn_args.custom_config["recipe"])
    tuner = Tuner.model_validate(fn_args.custom_config["tuner"])
    keras.utils.set_random_seed(recipe.trainer.seed)
    search = keras_tuner.RandomSearch(
        Candidate(fn_args, recipe, tuner),
        objective="val_accuracy",
        max_trials=tuner.trials,
        seed=recipe.trainer.seed,
        directory=fn_args.working_dir,
        project_name="search",
    )
    return TunerFnResult(tuner=search, fit_kwargs={})
