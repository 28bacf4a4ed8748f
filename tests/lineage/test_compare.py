"""The sections of `python -m lineage diff`."""

from lineage import compare


def test_differences_that_print_as_zero_are_left_out():
    """Means of the photos differ by 6e-8 between runs on the same data."""
    rows = [("red", 0.5, 0.5 + 6e-8), ("blue", 0.46504999, 0.46505001), ("green", 0.5, 0.51), ("side", None, 9.0)]
    answer = {
        "settings": [],
        "code": ["a", "a"],
        "data": {
            "fingerprint": ["a", "a"],
            "counts": [{}, {}],
            "drift": 0.0,
            "statistics": [dict(zip(("what", "before", "after"), row, strict=True)) for row in rows],
        },
        "training": [{"what": "val_accuracy", "before": 0.9, "after": 0.9 + 6e-8}],
        "judged_split": ["test", "test"],
        "checks": [],
        "state": ["pushed", "pushed"],
        "pushed": [None, None],
        "artifacts_unknown": [None, None],
    }
    found = dict(compare.sections(answer))
    assert found["data"] == [["green", "0.5000", "0.5100", "+0.01"], ["side", "none", "9.0000", ""]]
    assert found["training"] == [["val_accuracy", "0.9000", "0.9000", ""]]
