"""Command-line flags of the runners. Imports nothing heavy, so that `--help` is fast."""

import argparse
from typing import Any

from errors import UserError
from pipeline import settings
from pipeline.config import Config
from storage import uris

_FEWEST_MINUTES = 2  # for --minutes


def parser(description: str) -> argparse.ArgumentParser:
    """Returns local_runner.py's parser."""
    result = argparse.ArgumentParser(description=description, allow_abbrev=False)
    add_settings(result)
    result.add_argument("--output", metavar="DIR", type=uris.local_path, help="folder for all outputs (default: runs)")
    alone = result.add_mutually_exclusive_group()
    alone.add_argument(
        "--minutes",
        metavar="N",
        type=_minutes,
        help="the best model that fits in N minutes, 2 or more: first the preset's probe, then its fine-tuning",
    )
    result.add_argument("--list-presets", action="store_true", help="list the presets and exit")
    result.add_argument("--devices", action="store_true", help="list the devices for training and exit")
    result.add_argument("--show-config", action="store_true", help="print the settings as YAML and exit")
    result.add_argument("--open", action="store_true", help="open the run's report in a browser")
    alone.add_argument(
        "--find-learning-rate",
        action="store_true",
        help="train one epoch with rising learning rates, suggest one and exit; no model is stored",
    )
    alone.add_argument(
        "--bulk",
        metavar="DATA",
        help="only predict a folder of TFRecords or photos with the pushed model that is served by default (bulk.data)",
    )
    result.add_argument("--verbose", action="store_true", help="print the log of TFX and Beam to the terminal too")
    return result


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not _FEWEST_MINUTES <= value < 1e6:
        raise argparse.ArgumentTypeError(
            f"expected a number of minutes of {_FEWEST_MINUTES} or more, because the probe alone takes one to two; "
            f"received {text!r}"
        )
    return value


def add_settings(to: argparse.ArgumentParser) -> None:
    """Adds the flags for settings to a parser."""
    to.add_argument("--preset", metavar="NAME", help="a preset from local_runner.py --list-presets (default: sample)")
    to.add_argument(
        "--config", metavar="FILE.yaml", type=uris.local_path, help="a settings file, in the format of the presets"
    )
    to.add_argument("--data", metavar="DIR", help="a folder of TFRecords (data.directory)")
    to.add_argument("--weights", metavar="FILE", help="pretrained weights: .h5, .keras or .npz (model.weights)")
    to.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="one setting, for example trainer.epochs=5; text is used unchanged, other types are YAML; may be repeated",
    )


def presets() -> str:
    """Returns a line with the name and summary of each preset."""
    return "\n".join(f"{name:<20} {settings.preset_summary(name)}" for name in settings.preset_names())


FLAGS = {"data.directory": "data", "model.weights": "weights", "output": "output", "bulk.data": "bulk"}


def config_from(args: argparse.Namespace, flags: dict[str, str] = FLAGS) -> Config:
    """Returns the settings that the flags define.

    Args:
      args: the parsed flags.
      flags: maps a setting's key to the flag for it.

    Raises:
      UserError: naming all settings that are not valid.
    """
    values = {key: getattr(args, flag) for key, flag in flags.items()}
    changes: dict[str, Any] = {key: str(value) for key, value in values.items() if value is not None}
    problems = []
    for text in args.set:
        try:
            key, value = settings.parse_change(text)
            changes[key] = value
        except ValueError as error:
            problems.append(f"--set: {error}")
    if problems:
        raise UserError("\n".join(problems))
    return settings.load(args.preset, args.config, changes)
