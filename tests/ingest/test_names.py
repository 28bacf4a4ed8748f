"""Names that classes can have, and names in messages."""

import doctest
import unicodedata

import pytest

from ingest import names
from ingest.names import printable, unusable

ODD = [
    "می\u200cروم",
    "猫　犬",
    "👩‍👩‍👧‍👦",
    "🏴\U000e0067\U000e0062\U000e007f",
    "a\u00a0b",
    "\uf8ff",
    "no",
    "1",
    "~",
    "*[?]",
    "--to",
    "'",
    '"',
    "<b>&",
]


def test_examples():
    assert doctest.testmod(names).failed == 0


@pytest.mark.parametrize("name", ODD)
def test_names_of_all_scripts_are_usable_and_shown_unchanged(name):
    assert unusable(name) == ""
    assert printable(name) == name


@pytest.mark.parametrize(
    "character", ["\0", "\t", "\n", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud800", "\ufffe", "\U0010ffff"]
)
def test_characters_that_are_refused_are_escaped(character):
    assert unusable(f"a{character}b")
    assert printable(f"a{character}b").isascii()


@pytest.mark.parametrize("name", ["", " ", "\u3000", "\u200d", " \u200b\ufeff"])
def test_names_without_a_visible_character_are_refused(name):
    assert unusable(name) == "no visible character"


@pytest.mark.parametrize("character", "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
def test_text_that_is_reordered_is_escaped(character):
    assert unicodedata.bidirectional(character) in {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    assert printable(f"a{character}gnp.exe") == f"a\\u{ord(character):04x}gnp.exe"
    assert unusable(f"a{character}b") == ""
