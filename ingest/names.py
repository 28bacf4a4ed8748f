"""Names of runs, by which the cache, the baseline and pushed models are stored; names of classes; names in messages."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

MAX_LENGTH = 60  # the limit of the setting `name`
_DIGITS = 8
_REFUSED = {"Cc": "a control character", "Cs": "bytes that are not UTF-8", "Zl": "a line break", "Zp": "a line break"}
_INVISIBLE = ("Cf", "Zs")
# They reorder the text after them, so that a terminal would show another text (Unicode's report 36, 2.9)
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def run_name(source: Path) -> str:
    """Returns the name for runs on a data folder: the folder's name and a digest of its absolute path.

    The digest distinguishes `pets/data` from `flowers/data`. The name does not depend on the content.

    >>> run_name(Path("/pets/data")), run_name(Path("/flowers/data"))
    ('data-5fbed134', 'data-8f29f532')
    """
    digest = hashlib.sha256(str(source).encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]
    return f"{safe_name(source.name)[: MAX_LENGTH - _DIGITS - 1]}-{digest}"


def safe_name(name: str) -> str:
    """Returns a name with only the characters that a run's name may have: a-z, 0-9, `-` and `_`."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in name.lower())
    return kept.strip("-_")[:MAX_LENGTH] or "photos"


def unusable(name: str) -> str:
    """Returns what a class or a photo cannot have in its name; "" if it can have this name.

    Every character of Unicode is allowed except control characters, line separators, surrogates and noncharacters:
    format characters and spaces of any kind are part of names in Persian, Japanese and of emoji. `str.isprintable` is
    False for these. Characters that this Python's Unicode version does not know are allowed.

    >>> unusable("cat"), unusable("a\\nb"), unusable("a\\udcff")
    ('', 'a control character', 'bytes that are not UTF-8')
    """
    if all(unicodedata.category(character) in _INVISIBLE for character in name):
        return "no visible character"
    for character in name:
        if _is_noncharacter(character):
            return "a noncharacter of Unicode"
        if problem := _REFUSED.get(unicodedata.category(character)):
            return problem
    return ""


def alike(names: Iterable[str]) -> list[list[str]]:
    """Returns the groups of names that differ only in case, in what separates their words, and in a final s.

    >>> alike(["ANGER", "anger", "sea lion", "Sea-Lions", "seal", "-", "_", "s"])
    [['ANGER', 'anger'], ['Sea-Lions', 'sea lion']]
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        joined = re.sub(r"[\s_-]+", "", name.casefold()) or name
        groups.setdefault(joined.removesuffix("s") or joined, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def is_utf8(name: str) -> bool:
    """Returns whether a name can be stored as UTF-8; Python reads other names of files with surrogates.

    >>> is_utf8("é"), is_utf8("\\udce9")
    (True, False)
    """
    return name.isascii() or all(unicodedata.category(character) != "Cs" for character in name)


def printable(text: object) -> str:
    """Returns a text for the terminal; characters that cannot be shown or would reorder other text are escaped.

    >>> printable("a\\x1b[31m"), printable("\\u202ea"), printable("می\\u200cروم") == "می\\u200cروم"
    ('a\\\\u001b[31m', '\\\\u202ea', True)
    """
    return "".join(json.dumps(c)[1:-1] if _is_escaped(c) else c for c in str(text))


def printable_class(name: str) -> str:
    """Returns a class name for the terminal, in quotes if a space at its beginning or end could not be seen otherwise.

    >>> printable_class("sea lion"), printable_class("cat ")
    ('sea lion', '"cat "')
    """
    return printable(name) if name == name.strip() else f'"{printable(name)}"'


def _is_escaped(character: str) -> bool:
    refused = unicodedata.category(character) in _REFUSED
    return refused or character in _BIDIRECTIONAL or _is_noncharacter(character)


def _is_noncharacter(character: str) -> bool:
    code = ord(character)
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
