"""`--canary` and `--shadow`: which version answers, what a shadow counts, and what it never changes."""

import asyncio
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from serving import traffic
from serving.__main__ import main
from serving.batching import Batcher, Limits
from serving.settings import Share
from serving.traffic import Traffic
from serving.versions import Versions
from tests.helpers.rivals import ALL, FAILING, OTHER, SAME, count, set_aliases
from tests.helpers.served import NAME

CHALLENGER = Share("challenger", 0.1)


def _watch(folder, make_batcher=lambda run: run, expected=("challenger",)):
    watched = Versions(str(folder), NAME, make_batcher, expected)
    watched.refresh()
    return watched


def _numbers(chosen):
    return chosen.version.number, chosen.shadow and chosen.shadow.number


def test_the_canary_answers_its_share_of_the_requests(folder):
    canary = Traffic(_watch(folder), CHALLENGER, None, random.Random(4).random)
    counted = Counter(_numbers(canary.choose()) for _ in range(2000))
    draw = random.Random(4).random
    expected = sum(draw() < 0.1 for _ in range(2000))
    assert counted == {(2, None): expected, (1, None): 2000 - expected} and 160 < expected < 240


def test_a_request_that_names_a_version_or_a_label_is_not_diverted_and_has_no_shadow(folder):
    both = Traffic(_watch(folder), CHALLENGER, ALL, lambda: 0.0)
    assert _numbers(both.choose()) == (2, None)
    assert _numbers(both.choose(1)) == _numbers(both.choose(label="champion")) == (1, None)
    assert _numbers(both.choose(2)) == _numbers(both.choose(label="challenger")) == (2, None)


def test_a_shadow_repeats_its_share_of_what_the_default_version_answers(folder):
    both = Traffic(_watch(folder), CHALLENGER, Share("challenger", 0.5), random.Random(5).random)
    counted = Counter(_numbers(both.choose()) for _ in range(2000))
    draw, expected = random.Random(5).random, Counter()
    for _ in range(2000):
        expected[(2, None) if draw() < 0.1 else (1, 2) if draw() < 0.5 else (1, None)] += 1
    assert counted == expected and 800 < counted[1, 2] < 1000
    set_aliases(folder, champion=2, challenger=2)
    assert _numbers(Traffic(_watch(folder), None, ALL).choose()) == (2, None)  # it would repeat its own answers


def test_without_its_alias_the_default_version_answers_until_the_alias_is_there(folder, caplog):
    set_aliases(folder, champion=1)
    watched = _watch(folder)
    both = Traffic(watched, CHALLENGER, ALL, lambda: 0.0)
    for _ in range(3):
        watched.refresh()
        assert _numbers(both.choose()) == (1, None)
    assert watched.overview()["alias_problems"] == ["challenger: no such alias"]
    assert caplog.text.count("challenger: no such alias") == 1
    set_aliases(folder, champion=1, challenger=2)
    watched.refresh()
    assert _numbers(both.choose()) == (2, None) and watched.overview()["alias_problems"] == []
    set_aliases(folder, champion=1)
    watched.refresh()
    assert _numbers(both.choose()) == (1, None) and caplog.text.count("challenger: no such alias") == 2


def test_an_alias_of_a_damaged_version_leaves_the_requests_to_the_default_version(folder, caplog):
    (folder / "2" / "variables" / "variables.data-00000-of-00001").unlink()
    watched = _watch(folder)
    watched.refresh()
    assert _numbers(Traffic(watched, CHALLENGER, ALL, lambda: 0.0).choose()) == (1, None)
    assert watched.overview()["alias_problems"] == ["challenger: version 2 is damaged"]
    assert caplog.text.count("challenger: version 2 is damaged") == 1


def test_a_missing_alias_does_not_stop_new_versions_without_a_champion(folder, push):
    (folder / "aliases.json").unlink()
    watched = _watch(folder)
    assert watched.get().number == 2
    push(3)
    watched.refresh()
    assert watched.get().number == 3 and watched.overview()["alias_problems"] == ["challenger: no such alias"]


def _photos(*photos):
    return {"image_bytes": np.array([*photos, None], dtype=object)[:-1]}


def _results(folder, *requests, signature="serving_default"):
    """Returns what the shadow counts for requests that the default version has answered."""
    names = ("same", "other", "failed", "left_out")
    before = [count(name) for name in names]

    async def scenario(executor):
        limits = Limits(4, 16, 5.0)
        shadow = Traffic(_watch(folder, lambda run: Batcher(run, limits, [executor])), None, ALL)
        for photos in requests:
            chosen = shadow.choose()
            outputs = await chosen.version.signatures["serving_default"].batch.alone(_photos(*photos))
            shadow.repeat(chosen, signature, _photos(*photos), outputs)
        task = asyncio.create_task(shadow.run_shadows())
        while shadow._photos:
            await asyncio.sleep(0.005)
        task.cancel()
        assert shadow._bytes == 0

    with ThreadPoolExecutor(1) as executor:
        asyncio.run(scenario(executor))
    return [count(name) - value for name, value in zip(names, before, strict=True)]


def test_the_predictions_of_a_shadow_are_counted(folder):
    assert _results(folder, [SAME], [OTHER, SAME, SAME], [OTHER]) == [3, 2, 0, 0]


def test_a_shadow_that_fails_is_counted_logged_once_and_goes_on(folder, caplog):
    assert _results(folder, [FAILING], [SAME], [FAILING, SAME], [SAME] * 5 + [FAILING]) == [5, 0, 5, 0]
    assert caplog.text.count("the shadow, version 2, failed") == 1


def test_a_shadow_without_the_signature_fails(folder):
    assert _results(folder, [SAME], signature="pixels") == [0, 0, 1, 0]


def test_requests_above_the_limits_of_the_queue_are_left_out(folder, monkeypatch):
    monkeypatch.setattr(traffic, "_MOST_WAITING", 6)
    assert _results(folder, [SAME] * 4, [SAME] * 3, [OTHER] * 2, [SAME]) == [4, 2, 0, 4]
    monkeypatch.setattr(traffic, "_MOST_BYTES", 2 * len(SAME))
    assert _results(folder, [SAME] * 3, [SAME] * 2, [SAME]) == [2, 0, 0, 4]


def test_answers_without_a_class_are_not_repeated(folder):
    shadow = Traffic(_watch(folder), None, ALL)
    shadow.repeat(shadow.choose(), "pixels", _photos(SAME), {"pixels": np.zeros([1, 48, 48, 3])})
    assert shadow._photos == 0


def test_a_request_waits_for_at_most_one_small_call_of_a_shadow(folder):
    calls, opened = [], threading.Event()

    def recorded(run):
        def call(inputs):
            opened.wait(30)
            calls.append(len(inputs["image_bytes"]))
            return run(inputs)

        return call

    async def scenario(executor):
        limits = Limits(32, 64, 5.0)
        shadow = Traffic(_watch(folder, lambda run: Batcher(recorded(run), limits, [executor])), None, ALL)
        chosen = shadow.choose()
        labels = {"label": np.array([SAME] * 10), "probabilities": np.ones([10, 1]), "status": np.array([b""] * 10)}
        shadow.repeat(chosen, "serving_default", _photos(*[SAME] * 10), labels)
        task = asyncio.create_task(shadow.run_shadows())
        await asyncio.sleep(0)
        answers = asyncio.gather(*[_ask(chosen) for _ in range(30)])
        await asyncio.sleep(0)
        opened.set()
        await answers
        while shadow._photos:
            await asyncio.sleep(0.005)
        task.cancel()

    async def _ask(chosen):
        return await chosen.version.signatures["serving_default"].batch(_photos(SAME))

    with ThreadPoolExecutor(1) as executor:
        asyncio.run(scenario(executor))
    assert calls == [4, 1, 4, 29, 2]  # the shadow's 10 photos between the requests' 30


@pytest.mark.parametrize("flag", ["--canary", "--shadow"])
@pytest.mark.parametrize(
    "value",
    ["", "challenger", "challenger=", "=0.1", "challenger=0", "challenger=nan", "challenger=x", "challenger=1.01",
     "challenger=0.1,b=0.1", "1=0.1", "champion=0.1"],
)  # fmt: skip
def test_a_malformed_share_is_one_line(flag, value, capsys):
    assert main(["--model", "none", f"{flag}={value}"]) == 2
    most = "below" if flag == "--canary" else "at most"
    expected = f"serving: {flag}: expected ALIAS=SHARE with another alias than champion and a share above 0 and {most} "
    assert capsys.readouterr().err == f"{expected}1, such as challenger=0.1; received {value!r}\n"


def test_only_a_shadow_may_have_all_requests_and_both_need_aliases(folder, capsys):
    assert main(["--model", "none", "--canary", "challenger=1"]) == 2
    assert "--canary: expected ALIAS=SHARE" in capsys.readouterr().err
    for flag in ("--shadow=challenger=1", "--canary=challenger=0.5"):
        assert main(["--model", f"{folder}/2/", flag]) == 2
        printed = capsys.readouterr().err
        assert printed.startswith("serving: --canary and --shadow: expected a folder with numbered versions")
        assert printed.count("\n") == 1
