"""Trains the best model that fits in a time: a probe first, then a fine-tuning that starts from its last layer."""

import signal
import time
import webbrowser

from errors import UserError
from pipeline.config import Config
from pipeline.exit_codes import INTERRUPTED, PUSHED, REFUSED
from pipeline.local import run
from pipeline.local.failure import Interrupted
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
        received = ", ".join(f"{each.name} up to {each.layer}" if each.layer else each.name for each in trunks)
        raise UserError(
            "--minutes works only with a probe of one whole trunk, which it then fine-tunes: expected model.name probe "
            f"and one of embeddings.trunks without layer; received model.name {config.model.name} and "
            f"{received or 'no trunk'}. Give a preset of such a probe (--preset flowers-probe), the settings that "
            "python -m ingest photos wrote (--config DIR/settings.yaml), or remove --minutes"
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
    took = time.monotonic() - start
    if probe.code not in (PUSHED, REFUSED):
        return probe.code
    try:
        tuned = _fine_tune(config, probe, minutes, took, verbose, open_report)
    except Interrupted:  # between the two runs, or before the second one handles it
        signal.setitimer(signal.ITIMER_REAL, 0)  # see `run._interrupt`
        print("\nInterrupted. Run the same command again to resume: finished nodes are cached.")
        tuned = run.Outcome(INTERRUPTED)
    if tuned is None:
        return probe.code
    if tuned.accuracy is not None:
        after = f"{tuned.accuracy:.4f} after {time.monotonic() - start:.0f} s"
        same = "" if tuned.changed else "; no epoch was better on the eval split, so the model is that of the probe"
        print(f"\n{minutes:g} minutes: accuracy {probe.accuracy:.4f} after {took:.0f} s, {after}{same}")
    if tuned.code != PUSHED:
        print(_left(config, probe))
    return tuned.code


def _fine_tune(
    config: Config, probe: run.Outcome, minutes: float, took: float, verbose: bool, open_report: bool
) -> run.Outcome | None:
    """Runs the fine-tuning after a probe that took so many seconds; returns None if no time is left for it."""
    left = 60 * minutes - took - max(_OTHER_WORK, probe.seconds_from_trainer)
    if left < _SHORTEST:
        print(f"\nThe probe took {took:.0f} s of {minutes:g} minutes, so no time is left for a fine-tuning")
        if open_report and probe.report:
            webbrowser.open(probe.report.as_uri())
        return None
    print(f"\nThe probe took {took:.0f} s of {minutes:g} minutes; {left:.0f} s of fine-tuning follow\n", flush=True)
    return run.run(fine_tuning(config, round(left / 60, 2)), verbose, open_report)


def _left(config: Config, probe: run.Outcome) -> str:
    """Returns what the first run has left if the second one pushed no model."""
    if probe.code == PUSHED:
        return f"The probe was pushed before, and is in use: {config.pusher.directory}"
    return "The gate refused the probe too, so nothing was pushed"
