"""Tuner's tuner_fn: a random search over values of the recipe."""

from typing import Any

import keras
import keras_tuner
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult

from trainer import fitting, strategy
from trainer.recipe import changed, inputs_of, model_of


class Candidate(keras_tuner.HyperModel):
    """Builds and fits what a choice of hyper-parameters makes of the recipe."""

    def __init__(self, fn_args: FnArgs):
        super().__init__()
        self._fn_args, self._settings = fn_args, fn_args.custom_config["tuner"]
        self._strategy = strategy.choose(fn_args.custom_config["recipe"]["trainer"]["gpu_memory_mb"])
        self._transform = tft.TFTransformOutput(fn_args.transform_graph_path)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Returns the compiled model."""
        recipe = self._recipe(hp)
        keras.config.set_dtype_policy(strategy.precision_policy(self._strategy, recipe["trainer"]["precision"]))
        self._inputs = inputs_of(self._fn_args, recipe, self._transform, self._strategy)
        with self._strategy.scope():
            model = model_of(recipe)
            fitting.compile_model(model, recipe["trainer"], self._strategy, self._inputs.steps)
        return model

    def fit(self, hp: keras_tuner.HyperParameters, model: keras.Model, callbacks: list, **_: Any) -> Any:
        """Trains for the tuner's epochs, by a schedule of that length."""
        settings = self._recipe(hp)["trainer"]
        return model.fit(
            self._inputs.training(0),
            epochs=self._settings["epochs"],
            steps_per_epoch=self._inputs.steps,
            validation_data=self._inputs.evaluation,
            callbacks=[fitting.learning_rates(settings, self._strategy), *_average(settings), *callbacks],
            verbose=2,
        )

    def _recipe(self, hp: keras_tuner.HyperParameters) -> dict[str, Any]:
        values = {key: hp.Choice(key, list(values)) for key, values in self._settings["search"].items()}
        return changed(self._fn_args.custom_config["recipe"], values | {"trainer.epochs": self._settings["epochs"]})


def _average(settings: dict[str, Any]) -> list[keras.callbacks.Callback]:
    return [keras.callbacks.SwapEMAWeights()] if settings["ema"] else []


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """Returns the search that `fn_args.custom_config["tuner"]` describes; best is by validation accuracy.

    Its best hyper-parameters are dotted keys of the recipe, as `trainer.run` takes them.
    """
    settings = fn_args.custom_config["tuner"]
    seed = fn_args.custom_config["recipe"]["trainer"]["seed"]
    keras.utils.set_random_seed(seed)
    search = keras_tuner.RandomSearch(
        Candidate(fn_args),
        objective="val_accuracy",
        max_trials=settings["trials"],
        seed=seed,
        directory=fn_args.working_dir,
        project_name="search",
    )
    return TunerFnResult(tuner=search, fit_kwargs={})
