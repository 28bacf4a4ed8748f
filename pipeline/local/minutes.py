"""Trains the best model that fits in a time: a probe first, then a fine-tuning that starts from its last layer."""

import time
import webbrowser

from errors import UserError
from pipeline.config import Config
from pipeline.exit_codes import PUSHED, REFUSED
from pipeline.local import run
from trainer.families import PROBE

_SHORTEST = 30  # seconds of training, below which a second run is not started
_OTHER_WORK = 20  # seconds at least, for the export, the evaluation and the report of the second run


def check(config: Config) -> None:
    """Checks that the settings are those of a probe of one trunk, which a fine-tuning can continue.

    Raises:
      UserError: when they are not.
    """
    trunks = config.embeddings.trunks
    if config.model.name != PROBE or len(trunks) != 1 or trunks[0].layer:
        raise UserError(
            "--minutes: expected model.name probe and one whole trunk, whose layers a fine-tuning changes; received "
            f"{config.model.name} and {', '.join(each.name for each in trunks) or 'no trunk'}. Give a preset such as "
            "photos-probe or flowers-probe"
        )


def fine_tuning(config: Config, minutes: float) -> Config:
    """Returns the settings of a fine-tuning of the probe's trunk, of at most `trainer.epochs` and so many minutes."""
    (trunk,) = config.embeddings.trunks
    values = config.model_dump(mode="json")
    values["model"] = trunk.model_dump(mode="json", exclude={"layer"}) | {"head": PROBE}
    values["trainer"]["minutes"] = minutes
    return Config.model_validate(values)


def run_within(config: Config, minutes: float, verbose: bool, open_report: bool) -> int:
    """Runs the pipeline with the probe, then with the fine-tuning if time is left, and returns the last exit code.

    The gate compares the second model with the first, on the same photos. Export, evaluation and report of the second
    run are expected to take as long as the Trainer and all later nodes of the first run, unless those were cached.

    Args:
      config: resolved settings; see `check`.
      minutes: the time for both runs.
      verbose: see `run.run`.
      open_report: opens the last report.
    """
    start = time.monotonic()
    probe = run.run(config, verbose)
    elapsed = time.monotonic() - start
    left = 60 * minutes - elapsed - max(_OTHER_WORK, probe.seconds_from_trainer)
    if probe.code not in (PUSHED, REFUSED):
        return probe.code
    if left < _SHORTEST:
        print(f"\nThe probe took {elapsed:.0f} s of {minutes:g} minutes, so no time is left for a fine-tuning")
        if open_report and probe.report:
            webbrowser.open(probe.report.as_uri())
        return probe.code
    print(f"\nThe probe took {elapsed:.0f} s of {minutes:g} minutes; {left:.0f} s of fine-tuning follow\n", flush=True)
    tuned = run.run(fine_tuning(config, round(left / 60, 2)), verbose, open_report)
    if tuned.accuracy is not None:
        after = f"{tuned.accuracy:.4f} after {time.monotonic() - start:.0f} s"
        same = "" if tuned.changed else "; no epoch was better on the eval split, so the model is that of the probe"
        print(f"\n{minutes:g} minutes: accuracy {probe.accuracy:.4f} after {elapsed:.0f} s, {after}{same}")
    return tuned.code
