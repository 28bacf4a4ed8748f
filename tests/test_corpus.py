"""Damaged and odd files and records between real photos: each has the result that follows from how it is made.

`python -m benchmarks.corpus` does the same in processes of their own.
"""

import pytest

from components.record_check import Expected, Good, check_file
from ingest.feature_names import FEATURES
from testing import corpus
from testing.frames import CLASSES


@pytest.mark.parametrize("keep_original", [False, True])
def test_each_file_has_the_expected_result(real_data, tmp_path, keep_original):
    result = corpus.files(real_data / "flowers-192", tmp_path, keep_original)
    assert result.wrong == []
    assert result.items >= 300
    assert _bad_records(tmp_path / "out") == []  # TensorFlow decodes each photo that is stored


def _bad_records(folder):
    expected = Expected(CLASSES, FEATURES["flowers"], 0)
    found = [
        each
        for shard in folder.glob("*.tfrec")
        for each in check_file(str(shard), shard.stat().st_size, shard.name, expected)
    ]
    assert len(found) > 200
    return [each for each in found if not isinstance(each, Good)]


def test_each_record_has_the_expected_result(real_data, tmp_path):
    result = corpus.records(real_data / "flowers-192", tmp_path)
    assert result.wrong == []
    assert result.items >= 300
