"""Groups of copies and of nearly equal hashes."""

import numpy as np
import pytest

from ingest.checking import duplicates


@pytest.mark.parametrize("most", [0, 2, 6])
def test_all_near_pairs_are_connected(most):
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 400, dtype=np.uint64)
    for index in range(0, 400, 4):  # neighbours at distances of 0 to 9
        flipped = rng.choice(64, index // 4 % 10, replace=False).astype(np.uint64)
        hashes[index + 1] = hashes[index] ^ np.bitwise_or.reduce(np.uint64(1) << flipped, initial=np.uint64(0))
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1).astype(int)
    distances = bits @ (1 - bits.T) + (1 - bits) @ bits.T
    expected = np.argwhere(np.triu(distances <= most, 1))
    received = duplicates.near_pairs(hashes, most)
    assert {tuple(pair) for pair in received} == {tuple(pair) for pair in expected}
    assert len(expected) == 10 * (most + 1)


def test_equal_hashes_are_connected_without_all_their_pairs():
    pairs = duplicates.near_pairs(np.full(1000, 7, np.uint64), 6)
    assert len(pairs) == 999
    assert duplicates.groups(pairs, 1000) == [list(range(1000))]


def test_groups_are_connected_components():
    pairs = np.array([[5, 1], [1, 3], [4, 0]])
    assert duplicates.groups(pairs, 7) == [[0, 4], [1, 3, 5]]
    assert duplicates.groups(duplicates.equal_pairs([b"a", b"b", b"a", b"c"]), 4) == [[0, 2]]
    assert duplicates.groups(duplicates.equal_pairs([b"a"]), 1) == []
    assert duplicates.near_pairs(np.array([], np.uint64), 6).shape == (0, 2)
