"""The slices of the judged photos."""

import numpy as np

from components.photos import Photos
from components.slices import slices_of, thirds


def test_thirds_keep_equal_values_together():
    values = np.array([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])
    assert [values[mask].tolist() for mask in thirds(values)] == [[1.0, 2.0], [3.0, 4.0], [6.0, 5.0]]
    assert len(thirds(np.full(7, 192.0))) == 1


def test_every_photo_is_in_one_slice_by_size_and_in_one_by_brightness():
    n = 30
    random = np.random.default_rng(0)
    sizes = random.integers(20, 90, (n, 2))
    brightness = random.uniform(0, 1, n)
    photos = Photos(np.zeros(n, int), sizes, brightness, brightness, np.zeros([n, 3]), np.zeros([n, 8]), np.zeros(n))
    found = slices_of(photos)
    for slices in found.values():
        assert sum(each.mask for each in slices).tolist() == [1] * n
        assert [int(each.mask.sum()) for each in slices] == [10] * 3
    assert found["brightness"][0].name.startswith(f"brightness {brightness.min():.2f} to ")
