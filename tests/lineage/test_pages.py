"""The pages of `lineage serve` in headless Chromium, and a test of the Chromium helper."""

from urllib.parse import urlsplit

import pytest

from tests.helpers import browser, pages


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    output = tmp_path_factory.mktemp("runs")
    ids = pages.write(output)
    with pages.serving("--store", output) as url:
        yield url, ids


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/", "Runs"),
        ("/runs/{first}", "Run"),
        ("/runs/{second}", "Run"),
        ("/models", "Models"),
        ("/reports", "Reports"),
        ("/diff?before={first}&after={second}", "Runs"),
        ("/artifacts/{report}", "RunReport"),
        ("/artifacts/{examples}?forward=1", "Examples"),
    ],
)
def test_a_page_reads_well_on_a_phone_and_by_keyboard(served, path, title):
    url, ids = served
    seen = browser.look(url + path.format(**ids), audit=True)
    assert seen.title.startswith(title)
    assert seen.errors == []
    assert {urlsplit(each).netloc for each in seen.requests if not each.startswith("data:")} == {urlsplit(url).netloc}
    assert seen.width <= 380
    assert seen.targets >= 4
    assert seen.unreached == seen.violations == []


def test_a_hostile_report_runs_nothing(served):
    url, ids = served
    seen = browser.look(f"{url}/reports/{ids['report']}")
    assert seen.title == "a report"
    assert [each for each in seen.errors if "script" in each.lower()] == seen.errors != []


def test_light_and_dark_differ(served, tmp_path):
    url, _ = served
    shots = [tmp_path / "light.png", tmp_path / "dark.png"]
    for shot, dark in zip(shots, (False, True), strict=True):
        browser.look(url, dark=dark, picture=shot)
    assert shots[0].read_bytes() != shots[1].read_bytes()


def test_the_helper_finds_faults_of_a_page(tmp_path):
    file = tmp_path / "page.html"
    file.write_text(
        "<!doctype html><title>t</title><p style='width: 700px'>wide</p><img src='nowhere.png'><svg></svg>"
        "<a href='#a' tabindex=-1>far</a><a href='#b'>near</a>"
        "<details><summary>more</summary><a href='#c'>in</a></details>"
        "<img src='http://127.0.0.1:9/x.png'><script>throw new Error('thrown')</script>"
    )
    seen = browser.look(file)
    assert seen.width >= 700
    assert (seen.pictures, len(seen.undrawn)) == (3, 3)
    assert "http://127.0.0.1:9/x.png" in seen.requests
    assert any("Uncaught" in each for each in seen.errors)
    assert any("nowhere.png" in each for each in seen.errors)
    assert (seen.targets, seen.unreached) == (4, ['<a href="#a" tabindex="-1">far</a>'])
