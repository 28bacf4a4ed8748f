"""Runs with an evaluated model, written to a store without a pipeline."""

import json
from pathlib import Path

from tests.helpers import stores

KNOWN = {"pipeline": "flowers", "settings": "{}"}


class Runs:
    """A store of runs with an evaluated model, with the same entries as the pipeline writes."""

    def __init__(self, output: Path):
        self.output = output
        self.store = stores.Store(output, "flowers")
        self.count = 0
        self.blessing: int | None = None

    def _folder(self, kind: str, node: str, channel: str, **facts) -> int:
        folder = self.output / "artifacts" / "flowers" / node / channel / f"1{self.count}"
        folder.mkdir(parents=True)
        (folder / "file").write_text("x" * 10)
        return self.store.artifact(kind, folder, **facts)

    def judge(self, blessed: bool, split: str = "", served: str | None = None, **facts: str) -> int:
        """Writes a run that trained and evaluated a model; returns the run's id.

        `served` is why ServingCheck refused the model, '' if it blessed the model; None without a ServingCheck.
        Without `split`, the evaluation has no property of its split, as in early stores.
        """
        self.count += 1
        run = self.store.run(f"2026-01-{self.count:02d}T00:00:00", KNOWN | facts)
        model = self._folder("Model", "Trainer", "model")
        evaluation = self._folder(
            "ModelEvaluation",
            "Evaluator",
            "evaluation",
            accuracy=0.5,
            refused="" if blessed else "accuracy",
            **({"judged_split": split} if split else {}),
        )
        blessing = self._folder("ModelBlessing", "Evaluator", "blessing", blessed=int(blessed))
        version = self.output / "pushed" / "flowers" / str(self.count)
        is_pushed = blessed and not served
        pushes = {"pushed": 1, "pushed_destination": str(version)} if is_pushed else {"pushed": 0}
        pushed = self._folder("PushedModel", "Pusher", "pushed_model", **pushes)
        self.store.execution(run, "Trainer", {}, {"model": [model]})
        found = {"model_blessing": [self.blessing]} if self.blessing else {}
        self.store.execution(run, "LatestBlessedModel", {}, found, kind="tfx.dsl.components.common.resolver.Resolver")
        self.store.execution(run, "Evaluator", {"model": [model]}, {"evaluation": [evaluation], "blessing": [blessing]})
        if served is not None:
            self._check(run, model, blessing, served)
        self.store.execution(
            run, "Pusher", {"model": [model], "model_blessing": [blessing]}, {"pushed_model": [pushed]}
        )
        if is_pushed:
            version.mkdir(parents=True)
            for folder in (version, self.output / "artifacts/flowers/Pusher/pushed_model" / f"1{self.count}"):
                (folder / "file").write_text("x" * 10)
                (folder / "saved_model.pb").write_text("")
            self.blessing = blessing
        return run

    def _check(self, run: int, model: int, blessing: int, served: str) -> None:
        verdict = self._folder("InfraBlessing", "ServingCheck", "blessing", blessed=int(not served), refused=served)
        check = {"what": "serving check", "value": None, "floor": 0.01, "passed": not served}
        folder = self.output / "artifacts" / "flowers" / "ServingCheck" / "blessing" / f"1{self.count}"
        (folder / "checks.json").write_text(json.dumps([check | {"upper": True, "problem": served}]))
        inputs = {"model": [model], "model_blessing": [blessing]}
        self.store.execution(run, "ServingCheck", inputs, {"blessing": [verdict]})
