"""The documents: each link and each path in them exists, and each decision has its three parts."""

import re
from pathlib import Path

import pytest

from tests.conftest import PACKAGES, ROOT

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?://)([^)#]*)(?:#([^)]+))?\)")
TOP = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
PATH = re.compile(rf"`((?:{'|'.join(map(re.escape, sorted(TOP)))}|\.ci|\.github|\.devcontainer)/[\w./*-]+)`")
MADE = ("runs/", "build/")  # by a run
DECISIONS = ROOT / "docs" / "decisions"
TOPICS = sorted(set(DECISIONS.glob("*.md")) - {DECISIONS / "README.md", DECISIONS / "measurements.md"})


def _anchors(path: Path) -> set[str]:
    """Returns the headings' ids as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_paths(document):
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    for name, anchor in LINK.findall(text):
        target = document.parent / name if name else document
        assert target.exists(), f"{document.name}: {name} is missing"
        assert not anchor or anchor in _anchors(target), f"{document.name}: {name}#{anchor} is missing"
    for name in PATH.findall(text):
        if not name.startswith(MADE):
            assert list(ROOT.glob(name.rstrip("/"))), f"{document.name}: {name} is missing"


def test_a_missing_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n[one](other.md), [two](#a-page)")
    assert LINK.findall(page.read_text()) == [("other.md", ""), ("", "a-page")]
    assert _anchors(page) == {"a-page"}


def test_the_documents_that_code_and_comments_name_exist():
    files = [ROOT / "Makefile", ROOT / "Dockerfile", ROOT / "pyproject.toml", *(ROOT / "requirements").glob("*.in")]
    files += [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    named = {name for path in files for name in re.findall(r"docs/[\w/-]+\.md", path.read_text())}
    assert named
    assert not {name for name in named if not (ROOT / name).exists()}


@pytest.mark.parametrize("topic", TOPICS, ids=lambda path: path.stem)
def test_each_decision_has_context_choice_and_consequence(topic):
    assert f"]({topic.name})" in (DECISIONS / "README.md").read_text()
    _, *decisions = re.split(r"^#{2,} ", topic.read_text(), flags=re.MULTILINE)
    assert decisions
    for decision in decisions:
        labels = re.findall(r"^\*\*(\w+)\.\*\*", decision, re.MULTILINE)
        assert labels == ["Context", "Choice", "Consequence"], decision
