"""The flags that every runner takes. Nothing heavy is imported here: `--help` answers at once."""

import argparse
from pathlib import Path
from typing import Any

from errors import UserError
from pipeline import settings
from pipeline.config import Config


def parser(description: str) -> argparse.ArgumentParser:
    """Returns local_runner.py's parser."""
    result = argparse.ArgumentParser(description=description, allow_abbrev=False)
    add_settings(result)
    result.add_argument("--output", metavar="DIR", type=Path, help="runs, metadata and pushed models (default: runs)")
    result.add_argument("--list-presets", action="store_true", help="list the known runs and stop")
    result.add_argument("--devices", action="store_true", help="list the devices that would train and stop")
    result.add_argument("--show-config", action="store_true", help="print the settings as YAML and stop")
    result.add_argument("--open", action="store_true", help="open the run's report in a browser")
    result.add_argument("--verbose", action="store_true", help="show TFX's and Beam's log on the terminal too")
    return result


def add_settings(to: argparse.ArgumentParser) -> None:
    """Adds the flags that choose the settings."""
    to.add_argument(
        "--preset", metavar="NAME", help="a known run (default: sample); as local_runner.py --list-presets has"
    )
    to.add_argument("--config", metavar="FILE.yaml", type=Path, help="settings of your own, as the presets are written")
    to.add_argument("--data", metavar="DIR", help="a folder of TFRecords (data.directory)")
    to.add_argument("--weights", metavar="FILE", help="pretrained weights: .h5, .keras or .npz (model.weights)")
    to.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="one setting, as in trainer.epochs=5: text as it is, all else as YAML; may be repeated",
    )


def presets() -> str:
    """Returns a line for each preset: its name and what it is."""
    return "\n".join(f"{name:<20} {settings.preset_summary(name)}" for name in settings.preset_names())


FLAGS = {"data.directory": "data", "model.weights": "weights", "output": "output"}


def config_from(args: argparse.Namespace, flags: dict[str, str] = FLAGS) -> Config:
    """Builds the settings that the flags ask for.

    Args:
      args: the flags.
      flags: which of them stand for a setting, by its key.

    Raises:
      UserError: when they are not valid.
    """
    given = {key: getattr(args, flag) for key, flag in flags.items()}
    changes: dict[str, Any] = {key: str(value) for key, value in given.items() if value is not None}
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
