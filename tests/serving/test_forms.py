"""The forms of the Predict API for signatures of several inputs and of numbers."""

import itertools
import json

import numpy as np
import pytest

from serving import forms
from serving.errors import RequestError
from serving.forms import Input

TWO = {"tag": Input(np.dtype(object), ()), "signal": Input(np.dtype(np.float32), (3,))}
NUMBERS = {"x": Input(np.dtype(np.float32), (None,))}
INTEGERS = {"x": Input(np.dtype(np.int32), ())}
ROWS = [{"tag": "foo", "signal": [1, 2, 3]}, {"tag": {"b64": "YmFy"}, "signal": [0.5, -1, 1e3]}]
COLUMNS = {"tag": ["foo", "bar"], "signal": [[1, 2, 3], [0.5, -1, 1e3]]}


@pytest.mark.parametrize(("body", "by_row"), [({"instances": ROWS}, True), ({"inputs": COLUMNS}, False)])
def test_several_inputs_by_row_and_by_column(body, by_row):
    query = forms.query(body, TWO, 2)
    assert query.by_row == by_row and query.signature == "serving_default"
    assert query.inputs["tag"].tolist() == [b"foo", b"bar"]
    assert query.inputs["signal"].tolist() == [[1, 2, 3], [0.5, -1, 1000]]
    assert query.inputs["signal"].dtype == np.float32


@pytest.mark.parametrize(
    "body", [{"instances": [[1], [2.5]]}, {"inputs": [[1], [2.5]]}, {"inputs": {"x": [[1], [2.5]]}}]
)
def test_one_input_of_numbers(body):
    assert forms.query(body, NUMBERS, 2).inputs["x"].tolist() == [[1], [2.5]]


def test_of_many_names_only_the_first_are_read():
    class Endless(dict):
        def __iter__(self):
            return map(str, itertools.count())

    with pytest.raises(RequestError, match="unknown input of inputs in the request: '0'"):
        forms.check_names(Endless(), TWO, "inputs")


def test_text_of_several_dimensions():
    expected = {"x": Input(np.dtype(object), (2, None))}
    query = forms.query({"instances": [[["a"], ["b"]], [["c"], [{"b64": "ZA=="}]]]}, expected, 2)
    assert query.inputs["x"].shape == (2, 2, 1) and query.inputs["x"].ravel().tolist() == [b"a", b"b", b"c", b"d"]


@pytest.mark.parametrize(
    ("body", "expected", "text"),
    [
        ({"instances": ["a"]}, TWO, "expected an object with the keys tag, signal, because the signature has several"),
        ({"inputs": [1]}, TWO, "expected an object with the keys tag, signal"),
        ({"instances": [{"tag": "a"}]}, TWO, "each instance: expected the keys tag, signal, received none for signal"),
        ({"inputs": {**COLUMNS, "tag": ["foo"]}}, TWO, "expected the same number of values for each input"),
        (
            {"inputs": {**COLUMNS, "signal": [[1, 2]]}},
            TWO,
            r"signal: expected values of the shape \[3\], received \[2\]",
        ),
        ({"inputs": {**COLUMNS, "signal": [[1, 2, 3], [1]]}}, TWO, "signal: expected values of float32"),
        ({"instances": [["1"]]}, NUMBERS, "x: expected values of float32"),
        ({"instances": [[None]]}, NUMBERS, "x: expected values of float32"),
        ({"instances": [[True]]}, NUMBERS, "x: expected values of float32"),
        ({"instances": [[{}]]}, NUMBERS, "x: expected values of float32"),
        ({"instances": [1]}, NUMBERS, r"x: expected values of the shape \['any'\], received \[\]"),
        ({"instances": [1.5]}, INTEGERS, "x: expected values of int32"),
        ({"instances": [2**31]}, INTEGERS, "x: expected values of int32"),
        ({"instances": [2**80]}, INTEGERS, "x: expected values of int32"),
    ],
)
def test_values_that_do_not_fit(body, expected, text):
    with pytest.raises(RequestError, match=text) as error:
        forms.query(body, expected, 10)
    assert error.value.status == 400


@pytest.mark.parametrize(
    ("outputs", "rows", "columns"),
    [
        (
            {"y": np.array([[1.5, 0.1], [2, 3]], np.float32)},
            [[1.5, 0.1], [2, 3]],
            [[1.5, 0.1], [2, 3]],
        ),
        (
            {"y": np.array([1, 2]), "name": np.array([b"a", b"\xc3\xa9"], object), "is": np.array([True, False])},
            [{"y": 1, "name": "a", "is": True}, {"y": 2, "name": "é", "is": False}],
            {"y": [1, 2], "name": ["a", "é"], "is": [True, False]},
        ),
        ({"png_bytes": np.array([b"\0\xff"], object)}, [{"b64": "AP8="}], [{"b64": "AP8="}]),
        ({"text": np.array([[b"\xff"]], object)}, [["\ufffd"]], [["\ufffd"]]),
        ({"y": np.array([np.nan], np.float32)}, [None], [None]),
    ],
)
def test_answers_by_row_and_by_column(outputs, rows, columns):
    assert json.loads(forms.answer(outputs, True)) == {"predictions": rows}
    assert json.loads(forms.answer(outputs, False)) == {"outputs": columns}
