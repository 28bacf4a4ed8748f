"""Finds copies of photos: by digest, and nearly equal ones by perceptual hash."""

import itertools
from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_BANDS = 8  # of 8 bits
_POPCOUNT = np.array([bin(value).count("1") for value in range(1 << 16)], np.uint8)


def groups(pairs: np.ndarray, count: int) -> list[list[int]]:
    """Returns the groups of at least two items that pairs connect, each sorted.

    Args:
      pairs: int64 [m, 2], indices of items.
      count: the number of items.
    """
    ones = np.ones(len(pairs), bool)
    _, number = connected_components(coo_array((ones, (pairs[:, 0], pairs[:, 1])), (count, count)), directed=False)
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order])) + 1
    return sorted(part.tolist() for part in np.split(order, starts) if len(part) > 1)


def equal_pairs(values: Sequence[bytes]) -> np.ndarray:
    """Returns pairs that connect equal values: each value's first index with each other index, int64 [m, 2]."""
    first: dict[bytes, int] = {}
    pairs = [(first.setdefault(value, index), index) for index, value in enumerate(values)]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)


def near_pairs(hashes: np.ndarray, most: int) -> np.ndarray:
    """Returns pairs that connect all hashes at a Hamming distance of at most `most`, int64 [m, 2].

    Hashes that differ in at most `most` bits agree in at least 8 - `most` of 8 bands (pigeonhole principle). So only
    photos that agree in some combination of so many bands are compared. Of equal hashes, only the first is.

    Args:
      hashes: uint64 [n].
      most: less than 8.
    """
    unique, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    equal = np.stack([first[inverse.ravel()], np.arange(len(hashes))], axis=1)
    bands = unique.astype("<u8").view(np.uint8).reshape(-1, _BANDS)
    found = [equal[equal[:, 0] != equal[:, 1]]]
    for chosen in itertools.combinations(range(_BANDS), _BANDS - most):
        found.append(first[_near_in_buckets(unique, _keys(bands[:, chosen]), most)])
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


def _keys(bands: np.ndarray) -> np.ndarray:
    """Returns bands, uint8 [n, k], as one number each."""
    return bands.astype(np.uint64) @ (np.uint64(256) ** np.arange(bands.shape[1], dtype=np.uint64))


def _near_in_buckets(hashes: np.ndarray, keys: np.ndarray, most: int) -> np.ndarray:
    """Returns the pairs of near hashes whose keys are equal, int64 [m, 2]."""
    order = np.argsort(keys, kind="stable")
    hashes, keys = hashes[order], keys[order]
    found = [np.empty((0, 2), np.int64)]
    start, distance = np.arange(len(keys)), 1
    while len(start := start[start + distance < len(keys)]):
        start = start[keys[start] == keys[start + distance]]
        near = start[hamming(hashes[start], hashes[start + distance]) <= most]
        found.append(np.stack([order[near], order[near + distance]], axis=1))
        distance += 1
    return np.concatenate(found)


def hamming(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Returns the number of different bits of hashes, uint64 [n] each."""
    return _POPCOUNT[(left ^ right).view(np.uint16).reshape(-1, 4)].sum(axis=1)
