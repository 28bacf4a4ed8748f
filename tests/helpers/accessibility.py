"""Checks a page in a browser with axe-core, whose rules test what a program can decide of WCAG."""

from importlib import resources

# Without `preload`, axe-core sends no requests.
_RUN = """axe.run(document, {preload: false, resultTypes: ['violations']}).then(({violations}) =>
  violations.flatMap(rule => rule.nodes.map(node => `${rule.id} (${rule.impact}): ${node.html.slice(0, 120)}`)))"""


def script() -> str:
    """Returns code whose value is a promise of the violations: of each, the rule, its impact and the element."""
    code = (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    return f"{code}; {_RUN}"
