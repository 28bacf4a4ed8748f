"""The command that writes weights for numpy."""

import numpy as np
import pytest

from trainer import models, to_npz, weights


def test_weights_are_written_anew_for_numpy(tmp_path, capsys):
    model = models.build("convnet", (32, 32, 3), 5)
    weights.save(model, tmp_path / "model.weights.h5")
    weights.save(model, tmp_path / "same.npz")
    assert to_npz.main([str(tmp_path / "model.weights.h5"), str(tmp_path / "model.npz")]) == 0
    assert f"{model.count_params():,} numbers" in capsys.readouterr().out
    ours, theirs = np.load(tmp_path / "model.npz"), np.load(tmp_path / "same.npz")
    assert set(ours.files) == set(theirs.files)
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs.files)
    (tmp_path / "text.h5").write_text("no weights")
    assert to_npz.main([str(tmp_path / "text.h5"), str(tmp_path / "text.npz")]) == 2
    assert "text.h5 cannot be read: it starts with b'no weig" in capsys.readouterr().err
    assert not (tmp_path / "text.npz").exists()
    with pytest.raises(SystemExit, match="2"):
        to_npz.main([str(tmp_path / "model.weights.h5"), "model.h5"])
    assert "expected a file that ends in .npz, received 'model.h5'" in capsys.readouterr().err
