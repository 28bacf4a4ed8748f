"""Finds the project's files that a node's executor imports, so that changed code changes the cache key."""

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib import metadata
from modulefinder import ModuleFinder
from pathlib import Path
from types import CodeType
from typing import Any, Protocol

ROOT = Path(__file__).parents[1]
_BUILDER = re.compile(r"trainer(\.\w+){2,}")  # a dotted path in trainer.families
# Of the digest of a file, and of all files. PostgreSQL's index accepts 2,704 compressed bytes of a property, and Report
# has a hundred files.
_OF_FILE, _OF_ALL = 8, 12
_BACKUPS = ("~", ".bak", ".orig", ".rej")  # suffixes of backup files of editors and patch


class Node(Protocol):
    """The attributes of TFX's BaseComponent that this module reads."""

    executor_spec: Any
    exec_properties: dict[str, Any]


class _ProjectFinder(ModuleFinder):
    """Follows the imports of project modules, also inside functions; other packages are ignored."""

    def __init__(self, root: Path):
        super().__init__(path=[str(root)])
        self._packages = _packages()

    def find_module(self, name: str, path: Any, parent: Any = None) -> Any:
        """Finds a module; see the base class."""
        if path is None and name not in self._packages:
            raise ImportError(name)
        return super().find_module(name, path, parent)

    def scan_code(self, co: CodeType, m: Any) -> None:
        """Also follows the dotted paths of functions in strings; see the base class."""
        super().scan_code(co, m)
        for text in co.co_consts:
            if isinstance(text, str) and _BUILDER.fullmatch(text):
                with suppress(ImportError):  # the text may be a setting's key, such as trainer.learning_rate.peak
                    self.import_hook(text.rpartition(".")[0])


@functools.cache
def _packages() -> frozenset[str]:
    return frozenset((metadata.distribution("tfx-photo-pipeline").read_text("top_level.txt") or "").split())


def files_of_node(node: Node) -> dict[str, str]:
    """Returns `files_of` for the node's executor and its user functions (properties such as `run_fn`)."""
    paths = [getattr(node.executor_spec, "class_path", None)]
    paths += [value for key, value in node.exec_properties.items() if key.endswith("_fn")]
    return files_of(path.rpartition(".")[0] for path in paths if path)


def files_of(modules: Iterable[str], root: Path | None = None) -> dict[str, str]:
    """Returns a digest for each project file that the modules depend on, by its path relative to the project's root.

    The files are the modules, the modules that they import, and the data files of these modules' packages.

    Args:
      modules: dotted names; modules of other packages are ignored.
      root: the folder with the project's packages; None is this project.
    """
    root = root or ROOT
    finder = _ProjectFinder(root)
    for module in modules:
        if module.partition(".")[0] in _packages():
            finder.import_hook(module)
    sources = {name: Path(module.__file__) for name, module in finder.modules.items()}  # type: ignore[attr-defined]
    packages = {name.rpartition(".")[0] for name in sources if "." in name and sources[name].name != "__init__.py"}
    found = {*sources.values(), *(file for name in packages for file in _data_files(sources[name].parent))}
    return {str(file.relative_to(root)): _digest(file.read_bytes(), _OF_FILE) for file in sorted(found)}


def _data_files(package: Path) -> Iterator[Path]:
    """Yields the data files of a package, without those of its subpackages."""
    inner = [init.parent for init in package.glob("*/**/__init__.py")]
    for file in package.rglob("*"):
        hidden = any(part.startswith((".", "__pycache__")) for part in file.relative_to(package).parts)
        if (
            file.is_file()
            and not hidden
            and not file.name.endswith((".py", *_BACKUPS))
            and not set(inner) & set(file.parents)
        ):
            yield file


def digest(files: Mapping[str, str]) -> str:
    """Returns one digest for the result of `files_of`."""
    return _digest(json.dumps(files, sort_keys=True).encode(), _OF_ALL)


def _digest(content: bytes, digits: int) -> str:
    return hashlib.sha256(content).hexdigest()[:digits]
