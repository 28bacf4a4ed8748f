"""The split of photos by their content: growing data, copies, contradictions and small classes."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import UserError
from ingest import splitting
from ingest.splitting import Fractions, Photo

FRACTIONS = Fractions(eval=0.1, test=0.15)


def _digest(number: int) -> bytes:
    return number.to_bytes(16, "big")


def _class(label: str, numbers: range, split: str | None = None) -> list[Photo]:
    return [Photo(f"{split or ''}{label}/{number}.jpg", label, _digest(number), split) for number in numbers]


def _splits(photos: list[Photo], fractions: Fractions = FRACTIONS, seed: int = 0) -> dict[str, str | None]:
    return dict(zip([photo.name for photo in photos], splitting.plan(photos, fractions, seed).splits, strict=True))


def _table(photos: list[Photo], **options) -> dict[tuple[str, str | None], int]:
    planned = splitting.plan(photos, options.get("fractions", FRACTIONS), options.get("seed", 0))
    return Counter((photo.label, split) for photo, split in zip(photos, planned.splits, strict=True))


def test_each_class_has_about_the_same_fractions():
    photos = [
        photo for index, name in enumerate("abc") for photo in _class(name, range(2000 * index, 2000 * index + 2000))
    ]
    table = _table(photos)
    assert len(table) == 9
    for name in "abc":
        assert abs(table[name, "test"] - 300) < 4 * (2000 * 0.15 * 0.85) ** 0.5
        assert abs(table[name, "eval"] - 200) < 4 * (2000 * 0.1 * 0.9) ** 0.5
    assert _splits(photos, seed=1) != _splits(photos) == _splits(photos)


@pytest.mark.parametrize("photos", [3, 4, 20, 60, 700])
def test_the_held_out_photos_of_each_class_are_divided_in_the_ratio_of_the_fractions(photos):
    for seed in range(20):
        table = _table(_class("cat", range(photos)) + _class("dog", range(1000, 1000 + photos)), seed=seed)
        for name in ("cat", "dog"):
            counts = {split: table[name, split] for split in ("train", "eval", "test")}
            held_out = counts["eval"] + counts["test"]
            assert min(counts.values()) > 0
            assert abs(counts["test"] - held_out * 0.15 / 0.25) <= 0.5 or held_out == 2


# the sizes of each class before and after, and the position at which each begins in one list of photos
SIZES = st.lists(st.tuples(st.integers(2, 60), st.integers(0, 60)), min_size=2, max_size=5)


@settings(max_examples=200, deadline=None)
@given(SIZES, st.integers(0, 2**63), st.randoms(use_true_random=False))
def test_growing_data_move_no_photo_from_training_to_evaluation(sizes, seed, random):
    start, before, after = 0, [], []
    for index, (old, new) in enumerate(sizes):
        photos = _class(f"c{index}", range(start, start + old + new))
        before, after, start = before + photos[:old], after + photos, start + old + new
    after += _class("new", range(start, start + 30))
    random.shuffle(after)
    was, now = _splits(before, seed=seed), _splits(after, seed=seed)
    notices = splitting.plan(before, FRACTIONS, seed).notices
    forced = [name for each in notices if "may move to" in each for name in each.partition(" added: ")[2].split(", ")]
    two = {f"c{index}" for index, (old, _) in enumerate(sizes) if old == 2}
    for photo in before:
        if photo.name not in forced and photo.label not in two:
            assert (was[photo.name] == "train") == (now[photo.name] == "train"), photo.name


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(2, 40), min_size=2, max_size=6), st.integers(0, 2**63))
def test_each_split_has_every_class(sizes, seed):
    photos, start = [], 0
    for index, size in enumerate(sizes):
        photos, start = photos + _class(f"c{index}", range(start, start + size)), start + size
    table = _table(photos, seed=seed)
    splits = {split for _, split in table}
    assert splits in ({"train", "eval"}, {"train", "eval", "test"})
    assert len(table) == len(splits) * len(sizes)
    assert sum(table.values()) == len(photos)


def test_a_class_of_two_photos_gives_two_splits_and_a_notice():
    photos = _class("cat", range(1000)) + _class("dog", range(2000, 2002))
    planned = splitting.plan(photos, FRACTIONS, 0)
    assert set(planned.splits) == {"train", "eval"}
    (notice,) = [each for each in planned.notices if each.startswith("no test split")]
    assert "received fewer of dog (2). Add photos of these classes, or drop or merge these classes (--edits)" in notice
    assert planned.notices[-1].startswith("two splits, train and eval: the model is judged on the photos that")
    assert set(splitting.plan(photos, Fractions(0.1, 0), 0).splits) == {"train", "eval"}
    more = splitting.plan(photos + _class("dog", range(2002, 2003)), FRACTIONS, 0)
    assert set(more.splits) == {"train", "eval", "test"}


def test_a_class_with_few_photos_in_a_split_is_named():
    photos = _class("cat", range(1000)) + _class("dog", range(2000, 2010))
    (notice,) = [each for each in splitting.plan(photos, FRACTIONS, 0).notices if "rough estimate" in each]
    table = _table(photos)
    assert f"dog ({table['dog', 'eval']} in eval), dog ({table['dog', 'test']} in test). Add photos, or set" in notice
    assert not splitting.plan(photos[:1000] + _class("dog", range(2000, 2400)), FRACTIONS, 0).notices


def test_a_class_of_two_photos_has_one_for_each_split_whatever_the_seed():
    seen = set()
    for seed in range(40):
        photos = _class("cat", range(2)) + _class("dog", range(2, 4))
        table = _table(photos, seed=seed)
        assert set(table.values()) == {1} and len(table) == 4
        notices = splitting.plan(photos, FRACTIONS, seed).notices
        seen |= {each.partition(" although")[0].rpartition(" ")[2] for each in notices if "may move to" in each}
    assert seen == {"evaluation", "training"}


def test_copies_are_in_one_split():
    photos = _class("cat", range(100)) + [Photo(f"cat/copy-{n}.jpg", "cat", _digest(n)) for n in range(100)]
    photos += _class("dog", range(200, 260))
    splits = _splits(photos)
    assert all(splits[f"cat/{n}.jpg"] == splits[f"cat/copy-{n}.jpg"] for n in range(100))
    assert "100 exact copies of other photos" in splitting.plan(photos, FRACTIONS, 0).notices[0]
    one = [each for each in photos if not each.name.startswith("cat/copy-") or each.name == "cat/copy-0.jpg"]
    assert "1 exact copy of another photo; copies" in splitting.plan(one, FRACTIONS, 0).notices[0]


def test_copies_with_two_labels_are_never_evaluated_and_are_listed():
    cats, dogs = _class("cat", range(60)), _class("dog", range(100, 160))
    disguised = [Photo(f"dog/cat-{n}.jpg", "dog", _digest(n)) for n in range(30)]
    planned = splitting.plan(cats + dogs + disguised, FRACTIONS, 0)
    before = _splits(cats + dogs)
    splits = dict(zip([photo.name for photo in cats + dogs + disguised], planned.splits, strict=True))
    for n in range(30):
        used = "train" if before[f"cat/{n}.jpg"] == "train" else None  # never moved from evaluation to training
        assert splits[f"cat/{n}.jpg"] == splits[f"dog/cat-{n}.jpg"] == used
        (notice,) = [each for each in planned.notices if f"dog/cat-{n}.jpg (dog)" in each]
        assert f"cat/{n}.jpg (cat)" in notice and _digest(n).hex() in notice
        assert ("left out" if used is None else "used for training only") in notice


def test_a_layout_keeps_its_splits_and_a_copy_is_only_in_the_last():
    photos = [
        *_class("cat", range(10), "train"),
        *_class("cat", range(8, 14), "eval"),
        *_class("cat", range(13, 18), "test"),
    ]
    photos += [
        photo
        for start, split in ((20, "train"), (30, "eval"), (40, "test"))
        for photo in _class("dog", range(start, start + 5), split)
    ]
    splits = _splits(photos)
    left_out = {name for name, split in splits.items() if split is None}
    assert left_out == {"traincat/8.jpg", "traincat/9.jpg", "evalcat/13.jpg"}
    assert all(split in (None, name.partition("cat")[0].partition("dog")[0]) for name, split in splits.items())
    notices = splitting.plan(photos, FRACTIONS, 0).notices
    assert "left out as copies of testcat/13.jpg in test: evalcat/13.jpg (cat)" in notices


def test_a_layout_with_train_and_test_only_keeps_test_and_takes_eval_from_train():
    photos = _class("cat", range(60), "train") + _class("cat", range(58, 64), "test")
    photos += _class("dog", range(100, 160), "train") + _class("dog", range(160, 164), "test")
    planned = splitting.plan(photos, FRACTIONS, 0)
    counts = Counter(planned.splits)
    assert (counts["test"], counts[None], counts["train"] + counts["eval"]) == (10, 2, 118)
    assert 5 < counts["eval"] < 20
    for photo, split in zip(photos, planned.splits, strict=True):
        assert split in ({"test"} if photo.split == "test" else {"train", "eval", None})
    assert planned.notices[-1] == f"eval was not given: {counts['eval']} photos of train are in eval (--eval-fraction)"
    more = splitting.plan(photos + _class("cat", range(200, 260), "train"), FRACTIONS, 0)
    assert more.splits[: len(photos)] == planned.splits


def test_test_is_used_as_eval_if_a_class_has_one_photo_in_train():
    photos = _class("cat", range(10), "train") + _class("cat", range(10, 14), "test")
    photos += _class("dog", range(20, 21), "train") + _class("dog", range(30, 34), "test")
    planned = splitting.plan(photos, FRACTIONS, 0)
    assert Counter(planned.splits) == {"train": 11, "eval": 8}
    assert planned.notices[0].startswith("two splits, train and eval")


def _by_split(**numbers: range) -> list[Photo]:
    return [photo for split, found in numbers.items() for photo in _class("cat", found, split)]


@pytest.mark.parametrize(
    ("photos", "says"),
    [
        (
            _class("cat", range(9)) + _class("dog", range(10, 11)),
            "2 different photos in each class.*received dog: 1, without photos that are also in another class. Add",
        ),
        (_class("cat", range(9)) + 2 * _class("dog", range(10, 11)), "received dog: 1"),
        (_class("cat", range(9)) + _class("dog", range(9)), "received cat: 0, dog: 0"),
        (
            _by_split(train=range(5), eval=range(5, 9)) + _class("dog", range(20, 25), "train"),
            "expected photos of each class in each split; received none of dog in eval. Add",
        ),
        (_by_split(train=range(5), eval=range(5)) + _class("dog", range(20, 25), "eval"), "none of cat in train"),
    ],
)
def test_photos_that_cannot_be_split(photos, says):
    with pytest.raises(UserError, match=says):
        splitting.plan(photos, FRACTIONS, 0)


def test_numbers_are_uniform():
    counts = defaultdict(int)
    for value in range(10_000):
        counts[int(10 * splitting.number(_digest(value), 3))] += 1
    assert sorted(counts) == list(range(10))
    assert all(abs(count - 1000) < 4 * 30 for count in counts.values())
