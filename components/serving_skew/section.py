"""Writes the section of the report, and the sentence for the terminal."""

import shlex
import time
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from components import sections
from components.serving_skew.answers import Answers
from components.serving_skew.compare import CLASS, LEAST, MEASURES, Comparison
from components.stage import plural

_COLUMNS = ("feature", "training photos", "kept answers", "difference", "threshold", "verdict")
_NAMED = 5  # files and records that cannot be read
_MEDIANS = ("height", "width")
_MEANING = (
    "Class: the class whose share differs most, and the difference (L-infinity). Brightness, contrast and colours: the "
    "means, and the Jensen-Shannon divergence in bits. The threshold depends on the number of photos: a difference by "
    "chance is smaller."
)


def verdict(training: int, answers: int, comparison: Comparison) -> str:
    """Returns the verdict in a few words, given the numbers of training photos and of kept answers."""
    if comparison.skew:
        return f"skew in {', '.join(comparison.skew)}: see report"
    if comparison.differences:
        return f"no skew in {plural(answers, 'kept answer')}"
    few, what = (answers, "kept answer") if answers < LEAST else (training, "training photo")
    return f"{plural(few, what)} {'is' if few == 1 else 'are'} too few to judge ({LEAST})"


def write(
    folder: str, directory: str, training: pd.DataFrame, frame: pd.DataFrame, found: Answers, comparison: Comparison
) -> None:
    """Writes the section.

    Args:
      folder: of the artifact.
      directory: the folder of the kept answers.
      training: the training photos.
      frame: the kept answers.
      found: the kept answers as they were read.
      comparison: of both.
    """
    said = verdict(len(training), len(frame), comparison).removesuffix(": see report")
    parts = [
        f"{said[0].upper()}{said[1:]}.",
        *_source(found),
        *_left_out(found),
        _MEANING,
        *_advice(found, comparison, directory),
    ]
    commands = []
    if comparison.skew and found.with_photos and "://" not in directory:
        commands = [f"python -m ingest kept {shlex.quote(directory)} --to to-label"]
    title, rows = "Skew between training and serving", _rows(training, frame, comparison)
    sections.write(folder, title, " ".join(parts), _COLUMNS, rows, commands=commands)


def _source(found: Answers) -> list[str]:
    if not found.kept:
        return []
    times = [each.time for each in found.kept]
    versions = sorted(Counter(each.version for each in found.kept).items())
    listed = ", ".join(f"{version} ({count:,})" for version, count in versions)
    return [
        f"{plural(len(found.kept), 'kept answer')} from {_utc(min(times))} to {_utc(max(times))} UTC, of the model "
        f"{'version' if len(versions) == 1 else 'versions'} {listed}."
    ]


def _utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


def _left_out(found: Answers) -> list[str]:
    """Returns sentences about the answers that are not compared."""
    said = []
    if found.repeated:
        said.append(f"Left out: {plural(found.repeated, 'answer')} about a photo that was sent again.")
    if found.unread:
        said.append(f"Not read: the oldest {plural(found.unread, 'file')}, because there are enough answers.")
    if count := len(found.unreadable):
        more = f"; and {count - _NAMED:,} more" if count > _NAMED else ""
        lost = f", and about {plural(found.lost, 'record')} after them" if found.lost else ""
        named = "; ".join(found.unreadable[:_NAMED])
        said.append(f"Could not be read: {plural(count, 'record')}{lost}: {named}{more}.")
    return said


def _advice(found: Answers, comparison: Comparison, directory: str) -> list[str]:
    if not comparison.skew:
        return []
    if not found.with_photos:
        return ["The server kept no photos: start it with --keep-photos, so that you can label some and train on them."]
    if "://" in directory:
        return ["Copy the files to a folder on your machine, then label the photos and train on them."]
    return ["Label the kept photos and train on them; this writes them as files:"]


def _rows(training: pd.DataFrame, frame: pd.DataFrame, comparison: Comparison) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [(CLASS, *_shares(training[CLASS], frame[CLASS]), *_judged(CLASS, comparison))]
    for name in MEASURES:
        rows.append((name, _number(training[name].mean()), _number(frame[name].mean()), *_judged(name, comparison)))
    for name in _MEDIANS:
        medians = (f"{frame[name].median():.0f} px" if len(frame) else "" for frame in (training, frame))
        rows.append((f"{name}, median", *medians, "", "", "not judged"))
    probability = _number(frame["probability"].median())
    rows.append(("probability of the predicted class, median", "", probability, "", "", "not judged"))
    return rows


def _shares(training: pd.Series, answers: pd.Series) -> tuple[str, str]:
    """Returns the shares of the class whose share differs most."""
    shares = pd.DataFrame({"training": training.value_counts(), "answers": answers.value_counts()}).fillna(0.0)
    if not len(training) or not len(answers):
        return "", ""
    shares /= (len(training), len(answers))
    name = (shares["training"] - shares["answers"]).abs().idxmax()
    return tuple(f"{name} {share:.1%}" for share in shares.loc[name])  # type: ignore[return-value]


def _judged(name: str, comparison: Comparison) -> tuple[str, str, str]:
    if not comparison.differences:
        return "", "", "not judged"
    each = comparison.differences[name]
    return f"{each.value:.3f}", f"{each.threshold:.3f}", "skew" if each.is_skew else "no skew"


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3f}"
