"""Finds every error text in the code: what an exception, an assertion or standard error tells the user.

A text is found by following an expression that reaches the user (`_shown`) back through names, conditions, lists and
functions of the same module. Values inside an f-string are not followed: they are `…` in the text.
"""

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import PACKAGES, ROOT
from tests.helpers.suggestions import Suggestion, is_text, text_of

FILES = [*ROOT.glob("*.py"), *(ROOT / "requirements").glob("*.py")]
FILES += [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
WORD = re.compile(r"(?<!\S)[^\s…]*[A-Za-z]{2,}\S*")
BUILTINS = {"OSError", "RuntimeError", "ValueError"}  # the other built-in exceptions tell programmers of mistakes
# of TensorFlow, Flask, an exception; tuples of the project, whose texts are arguments or these keywords
CALLS, KEYWORDS = (
    {"Assert", "repeat", "abort", "__init__", "Fault", "Skipped", "Problem", "Record", "_replace", "error_answer"},
    {"reason", "detail"},
)


def find() -> list[Suggestion]:
    """Returns the error texts of at least two words, with file and line; values are `…`, white space is one space."""
    found = [
        Suggestion(text, f"{path.relative_to(ROOT)}:{line}") for path in sorted(FILES) for text, line in in_file(path)
    ]
    makefile = re.sub(r"\$\(\w+\)", "…", (ROOT / "Makefile").read_text())
    return found + [Suggestion(text, "Makefile") for text in re.findall(r'echo "([^"]*)" >&2', makefile)]


def in_file(path: Path) -> Iterator[tuple[str, int]]:
    """Yields the error texts of a Python file, with their lines."""
    for node in _Module(path.read_text()).texts():
        text = " ".join(_joined(node).split())
        if len(WORD.findall(text)) > 1:
            yield text, node.lineno


def _joined(node: ast.AST) -> str:
    """Returns a text, or texts joined by `+`."""
    return _joined(node.left) + _joined(node.right) if isinstance(node, ast.BinOp) else text_of(node)


def _name(node: ast.AST) -> str:
    return getattr(node, "id", "") or getattr(node, "attr", "")


class _Module:
    """The syntax tree of a file."""

    def __init__(self, source: str):
        self._tree = ast.parse(source)
        self._functions = [node for node in ast.walk(self._tree) if isinstance(node, ast.FunctionDef)]
        self._scopes: dict[ast.AST, ast.AST] = {}  # a node's innermost function, or the module
        self._followed: set[ast.AST] = set()
        self._enter(self._tree, self._tree)

    def texts(self) -> Iterator[ast.AST]:
        """Yields each text that can reach the user."""
        for node in ast.walk(self._tree):
            for expression in self._shown(node):
                yield from self._texts(expression)

    def _enter(self, node: ast.AST, scope: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            self._scopes[child] = scope
            self._enter(child, child if isinstance(child, ast.FunctionDef) else scope)

    def _shown(self, node: ast.AST) -> list[ast.expr]:
        """Returns the expressions that a statement or a call shows to the user."""
        if isinstance(node, ast.Raise):
            return [each for each in (node.exc, node.cause) if each]
        if not isinstance(node, ast.Call):
            return []
        is_append = isinstance(node.func, ast.Attribute) and _name(node.func.value) == "problems"
        is_printed = any(each.arg == "file" and _name(each.value) == "stderr" for each in node.keywords)
        named = [each.value for each in node.keywords if each.arg in KEYWORDS]
        return [*node.args, *named] if is_append or is_printed or _name(node.func) in CALLS else []

    def _texts(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yields the texts that an expression may have as its value or contain."""
        if node in self._followed:
            return
        self._followed.add(node)
        if is_text(node) or isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            yield node
        for part in self._parts(node):
            yield from self._texts(part)

    def _parts(self, node: ast.AST) -> list[ast.AST]:
        """Returns the expressions that an expression takes its texts from."""
        match node:
            case ast.Name():
                return self._assigned(node)
            case ast.Call():
                return self._called(node)
            case ast.BinOp():
                sides = [node.left, node.right] if isinstance(node.op, ast.Add) else [node.left]
                return [each for each in sides if not is_text(each) and not isinstance(each, ast.IfExp)]
            case ast.IfExp():
                return [node.body, node.orelse]
            case ast.ListComp() | ast.GeneratorExp():
                return [node.elt]
            case ast.JoinedStr():  # as f"{error}; {advice}"
                has_words = WORD.search(text_of(node))
                return [] if has_words else [each.value for each in node.values if not is_text(each)]
            case ast.Starred() | ast.Subscript() | ast.FormattedValue():
                return [node.value]
        return [*getattr(node, "elts", []), *getattr(node, "values", [])]

    def _called(self, node: ast.Call) -> list[ast.AST]:
        """Returns what a function of this module returns or yields; of other calls, the arguments."""
        name = _name(node.func)
        if name.endswith(("Error", "Exception")) and hasattr(builtins, name) and name not in BUILTINS:
            return []
        if functions := [each for each in self._functions if each.name == name]:
            ends = [each for function in functions for each in ast.walk(function)]
            return [
                each.value for each in ends if isinstance(each, ast.Return | ast.Yield | ast.YieldFrom) and each.value
            ]
        return [] if name == "get" else [*node.args, *(each.value for each in node.keywords)]

    def _assigned(self, node: ast.Name) -> list[ast.AST]:
        """Returns what is assigned or appended to a name, in the innermost scope where anything is."""
        scope = self._scopes[node]
        while not (found := list(self._values(node.id, scope))) and scope is not self._tree:
            scope = self._scopes[scope]
        return found

    def _values(self, name: str, scope: ast.AST) -> Iterator[ast.AST]:
        for node in ast.walk(scope):
            if scope is self._tree and self._scopes.get(node) is not self._tree:
                continue
            match node:
                case ast.Assign(targets=[target], value=value):
                    pass
                case ast.AnnAssign(target=target, value=value) | ast.AugAssign(target=target, value=value):
                    pass
                case ast.NamedExpr(target=target, value=value) | ast.comprehension(target=target, iter=value):
                    pass
                case ast.For(target=target, iter=value):
                    pass
                case ast.Call(func=ast.Attribute(attr="append" | "extend", value=target), args=[value]):
                    pass
                case _:
                    continue
            if value and any(_name(each) == name for each in ast.walk(target)):
                yield value
