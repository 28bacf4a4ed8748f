"""`python -m lineage why`: what differs between two executions of a node."""

from lineage.__main__ import main
from tests.helpers.judged_runs import KNOWN, Runs


def _trained(runs: Runs, **facts) -> int:
    runs.count += 1
    run = runs.store.run(f"2026-05-{runs.count:02d}T00:00:00", KNOWN)
    runs.store.execution(run, "Trainer", {}, {}, **facts)
    return run


def test_why_names_the_files_that_changed(runs, ask, capsys):
    code = {"trainer/run.py": "a1", "trainer/fitting.py": "b1", "trainer/old.py": "c1"}
    _trained(runs, code_files=code, input_files={"1.tfrec": "d1", "2.tfrec": "e1"})
    newer = {"trainer/run.py": "a2", "trainer/fitting.py": "b1", "trainer/new.py": "f1"}
    _trained(runs, code_files=newer, input_files={"1.tfrec": "d2", "2.tfrec": "e1"})
    assert ask("why", "Trainer")["differs"] == [
        {"what": "file trainer/new.py", "before": None, "now": "f1"},
        {"what": "file trainer/old.py", "before": "c1", "now": None},
        {"what": "file trainer/run.py", "before": "a1", "now": "a2"},
        {"what": "data file 1.tfrec", "before": "d1", "now": "d2"},
    ]
    assert main(["why", "Trainer", "--store", str(runs.output)]) == 0
    said = capsys.readouterr().out
    for line in (
        "file trainer/new.py  added",
        "file trainer/old.py  removed",
        "file trainer/run.py  changed",
        "data file 1.tfrec    changed",
    ):
        assert f"  {line}\n" in said


def test_why_compares_the_codes_digest_if_a_run_has_no_list_of_files(runs, ask):
    _trained(runs)
    _trained(runs, code_files={f"trainer/{number}.py": "a1" for number in range(20)}, input_files={"1.tfrec": "d1"})
    (differs,) = ask("why", "Trainer")["differs"]
    assert differs["what"] == "code"
    assert differs["before"] is None
    assert len(differs["now"]) > 8
