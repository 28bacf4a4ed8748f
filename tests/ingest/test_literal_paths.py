"""Folders and files of data may have names that Beam and TensorFlow would read as patterns."""

import pytest

from ingest.records import list_files
from tests.helpers.layouts import touch


@pytest.mark.parametrize("name", ["*", "?", "[a]", "\\", "a b", "写真", "'\""])
def test_paths_are_not_patterns(tmp_path, name):
    """A run opens the listed files by their names."""
    touch(tmp_path / name, f"{name}.tfrec", "b.tfrec")
    touch(tmp_path / "other", "c.tfrec")
    assert sorted(list_files(tmp_path / name, "*.tfrec")) == sorted(
        [f"{tmp_path}/{name}/{name}.tfrec", f"{tmp_path}/{name}/b.tfrec"]
    )
