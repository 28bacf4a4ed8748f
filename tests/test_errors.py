"""The texts that errors share."""

from errors import choices


def test_few_names_are_all_listed():
    assert choices("lite", ["a", "b"]) == "expected one of: a, b"
    assert choices("ros", ["tulip", "rose"]) == "did you mean 'rose'? expected one of: tulip, rose"


def test_of_many_names_the_closest_are_listed_and_the_others_counted():
    names = [f"block{index}_conv" for index in range(40)] + ["logits"]
    text = choices("block7", names)
    assert text.startswith("did you mean 'block7_conv'? expected one of 41 names, such as block7_conv, ")
    assert text.endswith(", and 36 more") and text.count("block") == 6 and "logits" not in text
    assert "did you mean" not in choices("?", names) and choices("?", names).endswith("and 36 more")
