"""The page that `python -m ingest check --html` writes."""

from tests.helpers import browser
from tests.ingest.checking.test_command import _check, _folder, _scene


def test_the_page_escapes_names_and_draws_all_pictures(tmp_path, capsys):
    root = _folder(tmp_path / "photos", classes=("<b>cat", "dog & co"))
    _scene(2).save(root / "dog & co" / "<script>alert(1)</script>.png".replace("/", "∕"))
    page = tmp_path / "page.html"
    code, _ = _check(capsys, root, "--html", page)
    assert code == 1
    assert "<script" not in page.read_text() and "<b>cat" not in page.read_text()
    for dark in (False, True):
        seen = browser.look(page, dark=dark, audit=True)
        assert seen.errors == seen.undrawn == seen.unreached == seen.violations == []
        assert seen.width <= 380
