"""Finds every command that a document, a preset's header, `--help`, the Makefile or a message suggests."""

import argparse
import ast
import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from ingest import __main__ as ingest_command
from lineage import cli as lineage_cli
from pipeline import cli
from pipeline.cluster import cli as cluster_cli
from tests.conftest import PACKAGES, ROOT

PROGRAM = re.compile(r"(?:[A-Z]+=\S+ )*(?:python (?:-m [\w.…]+|\w+\.py)|make [a-z][\w-]*)")
PROGRAM_IN_TEXT = re.compile(r"python (?:-m \w|\w+\.py)|\bmake (?:bench|image|inspect|lock|run|tensorboard|test)\b")
FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]+")


class Suggestion(NamedTuple):
    """A command, or a message that suggests one or a flag, and the file and line where it is written."""

    text: str
    where: str

    @property
    def pattern(self) -> str:
        """A regular expression for the message, whose values are written as `…`."""
        return ".*?".join(map(re.escape, self.text.split("…")))


def in_documents() -> list[Suggestion]:
    """The commands in README.md and docs/: lines of code blocks, and inline code.

    The commands of docs/extending.md need its code; tests/test_extending.py runs them.
    """
    found = []
    for path in sorted({ROOT / "README.md", *(ROOT / "docs").rglob("*.md")} - {ROOT / "docs" / "extending.md"}):
        prose, *blocks = _parted(path.read_text())
        lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        code = [part for line in lines for part in _parts(re.sub(r"\s+# .*", "", line))]
        inline = [" ".join(span.replace(r"\|", "|").split()) for span in re.findall(r"`([^`]+)`", prose)]
        flags = [f"python local_runner.py {text}" for text in inline if text.startswith("--set ")]
        found += [Suggestion(text, path.name) for text in [*code, *inline, *flags] if PROGRAM.match(text)]
    return found


def in_presets() -> list[Suggestion]:
    """The commands in the presets' headers."""
    found = []
    for path in sorted((ROOT / "pipeline" / "presets").glob("*.yaml")):
        (header,) = re.findall(r"^# Command: (.*)", path.read_text(), re.MULTILINE)
        found += [Suggestion(part, path.name) for part in _parts(header)]
    return found


def in_help() -> list[Suggestion]:
    """The commands in the parsers' descriptions, epilogs and helps of flags."""
    runner = re.compile(r"(?:python )?((?:local|kubeflow)_runner\.py --?\w[\w-]*)|`(python -m [^`]+)`")
    found = []
    for each in _parsers():
        texts = [each.description, each.epilog, *(action.help for action in each._actions)]
        for match in runner.finditer("\n".join(filter(None, texts))):
            found.append(Suggestion(match[2] or f"python {match[1]}", "--help"))
    return found


def in_makefile() -> list[Suggestion]:
    """The commands that the Makefile's messages suggest."""
    texts = re.findall(r"echo \"([^\"]*)\"", (ROOT / "Makefile").read_text())
    matches = (re.search(r"make (?:[a-z]+|[A-Z]+=)[^(,;]*", text) for text in texts)
    return [Suggestion(match[0].strip(), "Makefile") for match in matches if match]


def in_messages() -> list[Suggestion]:
    """The texts in the code that suggest a command or a flag: no docstrings, no flags' helps, no single words."""
    found = []
    for path in [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]:
        tree = ast.parse(path.read_text())
        for node in _texts(tree, _left_out(tree)):
            text = text_of(node)
            is_hint = PROGRAM_IN_TEXT.search(text) or FLAG.search(text)
            if is_hint and " " in text.strip() and not re.fullmatch(r"--\w+: …", text):
                found.append(Suggestion(text, f"{path.relative_to(ROOT)}:{node.lineno}"))
    return found


def variants(text: str) -> list[str]:
    """Returns what a usage line stands for: without its [options] and with them, once for each of A|B|…."""
    usages = dict.fromkeys([re.sub(r" +\[[^]]+\]", "", text), re.sub(r"(?<= )\[([^]]+)\]", r"\1", text)])
    found = []
    for usage in usages:
        words = [[each for each in word.split("|") if each != "…"] or [word] for word in usage.split(" ")]
        found += [" ".join(chosen) for chosen in itertools.product(*words)]
    return list(dict.fromkeys(found))


def _parted(markdown: str) -> list[str]:
    """Returns a page's prose, then each of its code blocks that names no language."""
    fence = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [fence.sub("", markdown), *(block for language, block in fence.findall(markdown) if not language)]


def _parts(line: str) -> list[str]:
    return [part.strip() for part in re.split(r" && |; ", line) if PROGRAM.match(part.strip())]


def _parsers() -> Iterator[argparse.ArgumentParser]:
    waiting = [cli.parser(""), cluster_cli.parser(), ingest_command._parser(), lineage_cli.parser()]
    while waiting:
        yield (parser := waiting.pop())
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += action.choices.values()


def _left_out(tree: ast.Module) -> set[int]:
    """Returns the ids of the docstrings, of the argparse texts that `in_help` reads, and of f-strings' own parts."""
    found = set()
    helps = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "help"}
    named = {node.id for node in ast.walk(tree) if id(node) in helps and isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in named:
            found.add(id(node.value))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            found.add(id(node.body[0].value))
        if isinstance(node, ast.keyword) and node.arg in ("help", "description", "epilog", "prog"):
            found |= {id(part) for part in ast.walk(node)}
        if isinstance(node, ast.JoinedStr):
            found |= {id(part) for part in ast.walk(node)} - {id(node)}
    return found


def _texts(tree: ast.Module, left_out: set[int]) -> Iterator[ast.Constant | ast.JoinedStr]:
    for node in ast.walk(tree):
        if is_text(node) and id(node) not in left_out:
            yield node


def is_text(node: ast.AST) -> bool:
    """Returns whether a node of the syntax tree is a text or an f-string."""
    return isinstance(node, ast.JoinedStr) or isinstance(node, ast.Constant) and isinstance(node.value, str)


def text_of(node: ast.AST) -> str:
    """Returns a text of the code with `…` for each value; `…` alone for other nodes."""
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
    return node.value if is_text(node) else "…"
