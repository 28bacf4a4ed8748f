"""The range test of the learning rate: the settings that it refuses, and what it prints."""

import pytest
from rich.console import Console

import local_runner
from pipeline.local import find_rate
from trainer.range_test import RangeTest


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--preset", "flowers-probe"], "received probe and random"),
        (["--set", "trainer.warm_start=true"], "expected trainer.warm_start false"),
    ],
)
def test_a_training_that_starts_in_another_way_is_refused(flags, says, tmp_path, capfd):
    assert local_runner.main([*flags, "--find-learning-rate", "--output", str(tmp_path / "out")]) == 2
    assert says in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("suggestion", "lowest", "says", "code"),
    [
        (3e-4, 7e-4, "suggested: --set trainer.learning_rate.peak=0.0003\nThe loss is lowest at 0.0007;", 0),
        (None, 7e-4, "Uncertain: the loss does not fall more than its noise, so look at the plot.\nThe loss is", 0),
        (None, None, "No learning rate: the loss diverges in the first steps;", 1),
    ],
)
def test_an_uncertain_result_is_no_failure(suggestion, lowest, says, code, capsys):
    test = RangeTest([1e-4], [0.7], [0.7], suggestion, lowest)
    assert find_rate.print_result(Console(width=200), test) == code
    assert capsys.readouterr().out.startswith(says)
