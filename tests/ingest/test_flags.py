"""Each kind of flag: its values, its default and its errors."""

import argparse
from pathlib import Path

import pytest

from ingest.flags import Choice, File, Fraction, Number, Switch, Text

KINDS = {
    "number": Number(1, 9, 3, "a count"),
    "share": Fraction(0, 0.5, 0.1, "a part"),
    "fit": Choice(["crop", "pad"], "crop", "how"),
    "keep-original": Switch("as it is"),
    "path-column": Text("NAME", "a column"),
    "edits": File("FILE", "corrections"),
}


def parsed(*words: str) -> dict:
    parser = argparse.ArgumentParser()
    for name, kind in KINDS.items():
        parser.add_argument(f"--{name}", **kind.arguments())
    return vars(parser.parse_args(words))


def test_defaults():
    assert parsed() == {
        "number": 3,
        "share": None,
        "fit": "crop",
        "keep_original": False,
        "path_column": None,
        "edits": None,
    }


def test_values():
    given = parsed(
        "--number=9", "--share=0.5", "--fit=pad", "--keep-original", "--path-column=-x", "--edits", "a b/c.csv"
    )
    assert list(given.values()) == [9, 0.5, "pad", True, "-x", Path("a b/c.csv")]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--number=0", "expected a whole number from 1 to 9, received '0'"),
        ("--number=1.5", "expected a whole number from 1 to 9, received '1.5'"),
        ("--share=0.51", "expected a number from 0 to 0.5, received '0.51'"),
        ("--share=nan", "expected a number from 0 to 0.5, received 'nan'"),
        ("--share=half", "received 'half'"),
        ("--fit=zoom", "invalid choice: 'zoom' (choose from "),
        ("--keep-original=yes", "ignored explicit argument 'yes'"),
    ],
)
def test_errors(capsys, words, says):
    with pytest.raises(SystemExit):
        parsed(words)
    assert says in capsys.readouterr().err


def test_help_states_the_default(capsys):
    with pytest.raises(SystemExit):
        parsed("--help")
    printed = " ".join(capsys.readouterr().out.split())
    for text in ("a count (3)", "a part (0.1)", "{crop,pad} how (crop)", "--path-column NAME a column", "--edits FILE"):
        assert text in printed
