"""Runs with an evaluated model, written to a store without a pipeline."""

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

    def judge(self, blessed: bool, split: str = "", **facts: str) -> int:
        """Writes a run that trained and evaluated a model; returns the run's id.

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
        served = {"pushed": 1, "pushed_destination": str(version)} if blessed else {"pushed": 0}
        pushed = self._folder("PushedModel", "Pusher", "pushed_model", **served)
        self.store.execution(run, "Trainer", {}, {"model": [model]})
        found = {"model_blessing": [self.blessing]} if self.blessing else {}
        self.store.execution(run, "LatestBlessedModel", {}, found, kind="tfx.dsl.components.common.resolver.Resolver")
        self.store.execution(run, "Evaluator", {"model": [model]}, {"evaluation": [evaluation], "blessing": [blessing]})
        self.store.execution(
            run, "Pusher", {"model": [model], "model_blessing": [blessing]}, {"pushed_model": [pushed]}
        )
        if blessed:
            version.mkdir(parents=True)
            self.blessing = blessing
        return run
