"""The flags of `python -m ingest`."""

import pytest

from ingest import __main__ as command_line


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--size", "8"], "expected a whole number from 16 to 1024, received '8'"),
        (["--shards", "1"], "expected a whole number from 3 to 10000, received '1'"),
        (["--seed", "x"], "received 'x'"),
    ],
)
def test_flags_out_of_range(tmp_path, capsys, flags, says):
    with pytest.raises(SystemExit) as stop:
        command_line.main(["photos", str(tmp_path), "--to", str(tmp_path / "out"), *flags])
    assert stop.value.code == 2
    assert says in capsys.readouterr().err
