"""Writes the report's section about skew between training and serving."""

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from components import sections
from components.serving_skew.compare import Distance
from components.stage import plural
from ingest.kept import Kept, Place
from trainer.features import CLASS

TITLE = "Photos in service"
_COLUMNS = ("feature", "distance", "limit", "training", "service", "skew")


def write(
    folder: str,
    kept: Path,
    answers: Sequence[Kept],
    unread: Sequence[Place],
    tables: tuple[pd.DataFrame, pd.DataFrame],
    result: tuple[list[Distance], str],
) -> None:
    """Writes the section.

    Args:
      folder: of the artifact.
      kept: the folder of the kept answers.
      answers: the answers that were compared.
      unread: the records that cannot be read.
      tables: the features of training and of service; see `components.serving_skew.compare`.
      result: the distances, or an empty list and why there are none.
    """
    distances, too_few = result
    skewed = [each.feature for each in distances if each.is_skew]
    times = [datetime.fromtimestamp(f([each.time for each in answers]), UTC).date().isoformat() for f in (min, max)]
    text = (
        f"{plural(len(answers), 'answer')} that the server kept from {times[0]} to {times[1]} (UTC), of the versions "
        f"{', '.join(map(str, sorted({each.version for each in answers})))}, compared with "
        f"{plural(len(tables[0]), 'training photo')}. The class is the predicted one, so the model's errors count too."
    )
    if unread:
        text += f" Left out: {plural(len(unread), 'damaged or incomplete record')}, the first is {unread[0]}."
    if too_few:
        text += f" Nothing was compared: {too_few}."
    elif not skewed:
        text += " No distance is above its limit."
    else:
        text += f" Photos in service differ in {', '.join(skewed)}: label some of them, and train on them too."
    commands = [f"python -m ingest kept {shlex.quote(str(kept))} --to to-label"] * bool(
        skewed and any(each.image for each in answers)
    )
    if skewed and not commands:
        text += " To have photos to label, start the server with --keep-photos."
    rows = [_row(each, *tables) for each in distances]
    sections.write(folder, TITLE, text, _COLUMNS if rows else (), rows, commands=commands)


def _row(distance: Distance, training: pd.DataFrame, serving: pd.DataFrame) -> list[str]:
    first, second = training[distance.feature], serving[distance.feature]
    if distance.feature == CLASS:
        shares = [each.value_counts(normalize=True) for each in (first, second)]
        differences = shares[0].sub(shares[1], fill_value=0).abs()
        name = differences.idxmax()
        texts = [f"{each.get(name, 0.0):.1%} {name}" for each in shares]
    else:
        texts = [f"mean {each.mean():.3f}" for each in (first, second)]
    values = (f"{distance.value:.3f}", f"{distance.most:g}", *texts, "yes" if distance.is_skew else "no")
    return [distance.feature, *values]
