"""docs/troubleshooting.md has one row for each error text of the code, and no other rows."""

import difflib
import re
from collections.abc import Sequence

from tests.conftest import ROOT
from tests.helpers import error_texts
from tests.helpers.suggestions import Suggestion

DOCUMENT = ROOT / "docs" / "troubleshooting.md"


def _rows() -> list[tuple[int, list[str]]]:
    """Returns the number of each line that is a row of a table, and its cells."""
    lines = enumerate(DOCUMENT.read_text().splitlines(), 1)
    rows = [(number, re.split(r" ?(?<!\\)\| ?", line)[1:-1]) for number, line in lines if line.startswith("| ")]
    return [(number, cells) for number, cells in rows if cells[0] not in ("message", "---")]


def _entries() -> list[Suggestion]:
    """Returns the messages of the tables, and the line of each."""
    return [
        Suggestion(text.replace(r"\|", "|"), f"line {number}")
        for number, cells in _rows()
        for text in re.findall("`([^`]+)`", cells[0])
    ]


def _matching(text: Suggestion, entries: Sequence[Suggestion]) -> list[Suggestion]:
    """Returns the entries for a text of the code: those that equal it, or those whose `…` stand for parts of it.

    An entry of less than three words has to equal its text. It would otherwise match unrelated messages.
    """
    equal = [each for each in entries if each.text == text.text]
    longer = [each for each in entries if len(re.findall("[A-Za-z]{2,}", each.text)) > 2]
    return equal or [each for each in longer if re.fullmatch(each.pattern, text.text)]


def _closest(text: str, among: Sequence[Suggestion]) -> str:
    texts = {each.text: each for each in among}
    (name,) = difflib.get_close_matches(text, texts, n=1, cutoff=0.0)
    return f"{texts[name].where}: {name}"


def _without_one_row(texts: Sequence[Suggestion], entries: Sequence[Suggestion]) -> list[str]:
    wrong = []
    for text in texts:
        rows = {each.where: each.text for each in _matching(text, entries)}
        if len(rows) > 1:
            listed = "\n    ".join(f"{where}: {entry}" for where, entry in rows.items())
            wrong.append(
                f"{text.where}: {text.text}\n    has several rows; write all but one in more detail:\n    {listed}"
            )
        elif not rows:
            closest = _closest(text.text, entries)
            wrong.append(f"{text.where}: {text.text}\n    has no row; change or add one. Closest: {closest}")
    return wrong


def _without_text(entries: Sequence[Suggestion], texts: Sequence[Suggestion]) -> list[str]:
    used = {each for text in texts for each in _matching(text, entries)}
    return [
        f"{each.where}: {each.text}\n    no code has this text; change or delete the entry. Closest: "
        + _closest(each.text, texts)
        for each in entries
        if each not in used
    ]


def test_each_error_text_has_one_row():
    wrong = _without_one_row(error_texts.find(), _entries())
    assert not wrong, "docs/troubleshooting.md:\n" + "\n".join(wrong)


def test_each_entry_is_an_error_text():
    wrong = _without_text(_entries(), error_texts.find())
    assert not wrong, "docs/troubleshooting.md:\n" + "\n".join(wrong)


def test_each_row_has_words_a_cause_and_a_remedy():
    for number, cells in _rows():
        assert len(cells) == 3 and all(cells) and "`" in cells[0], f"line {number}: {cells}"
    assert not [each for each in _entries() if len(error_texts.WORD.findall(each.text)) < 2]


SOURCE = """
ADVICE = "give another file"

def check(path, strict):
    problems = []
    if strict:
        problems.append(f"the file {path} is empty")
    problems += [f"{key}: {text}" for key, text in _details(path)]
    if problems:
        raise UserError("\\\\n".join([f"{len(problems)} problems in this file:", *problems]))
    text = "expected a folder" if strict else f"expected a file, received {path!r}"
    raise Unusable(text + "; " + ADVICE) from None

def _details(path):
    yield "a.key", f"line {path} has no value"
    return "never shown".split()

def _helper():
    raise KeyError("only a programmer sees this")
"""


def test_texts_are_found_in_each_form(tmp_path):
    (tmp_path / "module.py").write_text(SOURCE)
    assert {text for text, _ in error_texts.in_file(tmp_path / "module.py")} == {
        "the file … is empty",
        "… problems in this file:",
        "line … has no value",
        "expected a folder",
        "expected a file, received …",
        "give another file",
    }


def test_a_changed_message_names_its_row():
    entries = [Suggestion("cannot read the old file …", "line 7"), Suggestion("there is no model …; …", "line 8")]
    texts = [Suggestion("cannot read the new file …", "a.py:1"), Suggestion("there is no model …; see help", "a.py:2")]
    (changed,) = _without_one_row(texts, entries)
    assert "a.py:1" in changed and "line 7" in changed
    (unused,) = _without_text(entries, texts)
    assert "line 7" in unused and "a.py:1" in unused


def test_a_short_entry_matches_only_its_own_text():
    entry = Suggestion("cannot read …: …", "line 7")
    assert _matching(Suggestion("cannot read …: …", "a.py:1"), [entry])
    assert not _matching(Suggestion("cannot read the schema …: …", "a.py:1"), [entry])
