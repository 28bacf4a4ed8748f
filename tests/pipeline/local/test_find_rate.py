"""Settings with which a range test of the learning rate cannot be run."""

import pytest

import local_runner


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
