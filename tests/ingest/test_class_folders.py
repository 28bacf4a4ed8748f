"""How photos are assigned to shards; the first shards are held out."""

from pathlib import Path

import pytest

from ingest import class_folders


@pytest.mark.parametrize("counts", [[2, 2], [3, 40], [2, 5, 17, 100], [16, 16, 16], [31, 18], [2] * 30, [1000, 2]])
@pytest.mark.parametrize("shards", [2, 5, 16])
def test_each_class_is_spread_evenly(counts, shards):
    photos = [[Path(f"{label}/{index}") for index in range(count)] for label, count in enumerate(counts)]
    assigned = class_folders.assign_shards(photos, shards, seed=0)
    assert sorted(photo.path for shard in assigned for photo in shard) == sorted(sum(photos, []))
    assert all(assigned)
    assert 2 <= len(assigned) <= shards
    held_out = max(1, round(0.19 * len(assigned)))
    for label, count in enumerate(counts):
        in_shard = [sum(photo.label == label for photo in shard) for shard in assigned]
        assert max(in_shard) - min(in_shard) <= 1
        assert 0 < sum(in_shard[:held_out]) < count


def test_shards_of_full_classes_are_of_one_size():
    photos = [[Path(f"{label}/{index}") for index in range(17)] for label in range(100)]
    sizes = [len(shard) for shard in class_folders.assign_shards(photos, 16, seed=0)]
    assert max(sizes) - min(sizes) <= 1
