"""Files that contain no weights of a model are refused."""

import zipfile

import h5py
import numpy as np
import pytest

from tests.trainer.test_weights import small
from trainer import weight_files, weights


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("text.h5", b"no weights at all", "starts with b'no weigh'"),
        ("empty.npz", b"", "starts with b''"),
        ("short.npz", b"PK\x03\x04 and no more", "not a zip file"),
        ("short.h5", b"\x89HDF\r\n\x1a\n and no more", "bad superblock"),
    ],
)
def test_other_files_are_refused(name, content, text, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"(?s)weights file .*{name} cannot be read: .*{text}.*expected arrays named"):
        weight_files.read(tmp_path / name)


def test_a_missing_file_and_an_unknown_ending(tmp_path):
    with pytest.raises(ValueError, match="cannot be read: .*No such file"):
        weight_files.read(tmp_path / "no.npz")
    with pytest.raises(ValueError, match=r"ends in .npz or .weights.h5, received '.*model.h5'"):
        weights.save(small(), tmp_path / "model.h5")


def test_pickles_foreign_arrays_and_foreign_zips_are_refused(tmp_path):
    np.savez(tmp_path / "pickle.npz", **{"stem/kernel": np.array([{"a": 1}], dtype=object)})
    np.savez(tmp_path / "text.npz", **{"stem/kernel": np.array(["a"])})
    np.savez(tmp_path / "nameless.npz", np.zeros(3))
    np.savez(tmp_path / "none.npz")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("metadata.json", "{}")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["a"] = 1
    for name, text in {
        "pickle.npz": "Object arrays cannot be loaded",
        "text.npz": "expected an array of numbers under 'stem/kernel'",
        "nameless.npz": "'arr_0' does not name a layer",
        "none.npz": "b'PK",
        "other.zip": "'metadata.json' does not name a layer",
        "other.h5": "no weights by layer name",
    }.items():
        with pytest.raises(ValueError, match=f"{name} cannot be read: .*{text}.*expected arrays"):
            weight_files.read(tmp_path / name)
