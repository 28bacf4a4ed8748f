"""Converts the bodies of TensorFlow Serving's REST API to arrays, and arrays to answers.

The forms: https://www.tensorflow.org/tfx/serving/api_rest. A row form (`instances`) gives `predictions`, a column form
(`inputs`) gives `outputs`. `{"b64": …}` stands for bytes. A body that is a photo is one instance.
"""

import base64
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson

from serving.errors import RequestError, brief, check_count, refuse_unknown

DEFAULT = "serving_default"
PHOTO = "image_bytes"  # the input of `serving_default`, also of a body that is a photo
_BYTES = "_bytes"  # names with this end contain bytes, which JSON needs in base64
_FITS = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}  # for a kind of dtype, the kinds of numbers that it can hold
_MOST_PARTS = 100_000  # a million took 2 s: Python looks for cycles among its objects again and again

Arrays = dict[str, np.ndarray]


class Input(NamedTuple):
    """An input of a signature: its dtype, and its shape without the batch."""

    dtype: np.dtype
    shape: tuple[int | None, ...]


class Query(NamedTuple):
    """A request of the Predict API: the signature's name, its inputs, and whether the answer has the row form."""

    signature: str
    inputs: Arrays
    by_row: bool = True


def parse(body: bytes) -> dict[str, Any]:
    """Returns the object in a JSON body.

    Raises:
      RequestError: 400, when the body is not a JSON object; 413, when it has more than 100,000 lists and objects.
    """
    if body.count(b"[") + body.count(b"{") > _MOST_PARTS:  # a thread that parses them lets no other thread run
        raise RequestError(413, f"expected JSON with at most {_MOST_PARTS:,} lists and objects; send several requests")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(
            400, f"the body is not JSON: {error}; send a JSON object, or a photo as image/jpeg"
        ) from None
    if not isinstance(value, dict):
        raise RequestError(400, f"expected a JSON object, received {brief(value)}")
    return value


def signature_of(body: Mapping[str, Any], default: str = DEFAULT) -> str:
    """Returns the name of the signature that a body asks for; without a name, or with an empty one, the default.

    Raises:
      RequestError: 400, when it is not a string.
    """
    name = body.get("signature_name", "")
    if not isinstance(name, str):
        raise RequestError(400, f"signature_name: expected a string, received {brief(name)}")
    return name or default


def query(body: Mapping[str, Any], expected: Mapping[str, Input], most: int) -> Query:
    """Returns the request of the Predict API in a body.

    Args:
      body: the parsed body.
      expected: the inputs of the signature.
      most: the largest number of photos.

    Raises:
      RequestError: 400, when the inputs are not those of the signature; 413, when there are too many.
    """
    forms = [key for key in ("instances", "inputs") if key in body]
    if len(forms) != 1:
        raise RequestError(
            400, f"expected instances (rows) or inputs (columns), received {_named(forms or list(body))}"
        )
    values, by_row = body[forms[0]], forms == ["instances"]
    for listed in values.values() if isinstance(values, dict) else [values]:
        check_count(len(listed) if isinstance(listed, list) else 1, most)
    columns = _columns_of_rows(values, expected) if by_row else _columns(values, expected)
    arrays = {name: _array(name, columns[name], expected[name]) for name in expected}
    check_lengths(arrays)
    return Query(signature_of(body), arrays, by_row)


def check_lengths(arrays: Arrays) -> None:
    """Checks that all inputs have the same batch size.

    Raises:
      RequestError: 400, when they have different sizes.
    """
    if len({len(each) for each in arrays.values()}) != 1:
        raise RequestError(400, "expected the same number of values for each input, received different numbers")


def _columns_of_rows(rows: Any, expected: Mapping[str, Input]) -> dict[str, Any]:
    if not isinstance(rows, list):
        raise RequestError(400, f"instances: expected a list, received {brief(rows)}")
    if any(isinstance(row, dict) and set(row) != {"b64"} for row in rows):
        for row in rows:
            check_names(row, expected, "each instance")
        return {name: [row[name] for row in rows] for name in expected}
    return {_only(expected): rows}


def _columns(columns: Any, expected: Mapping[str, Input]) -> dict[str, Any]:
    if isinstance(columns, dict) and set(columns) != {"b64"}:
        check_names(columns, expected, "inputs")
        return columns
    return {_only(expected): columns}


def check_names(values: Any, expected: Mapping[str, Input], what: str) -> None:
    """Checks the names of inputs.

    Raises:
      RequestError: 400, when `values` is no mapping, or its keys are not those of `expected`.
    """
    if not isinstance(values, Mapping):
        raise RequestError(
            400, f"{what}: expected an object with the keys {_named(expected)}, received {brief(values)}"
        )
    first = itertools.islice(values, len(expected) + 1)  # of more names, one of these is unknown
    if others := sorted(set(first) - set(expected)):
        refuse_unknown(400, f"input of {what}", others[0], expected)
    if missing := sorted(set(expected) - set(values)):
        raise RequestError(400, f"{what}: expected the keys {_named(expected)}, received none for {missing[0]}")


def _only(expected: Mapping[str, Input]) -> str:
    if len(expected) != 1:
        raise RequestError(
            400, f"expected an object with the keys {_named(expected)}, because the signature has several inputs"
        )
    return next(iter(expected))


def _array(name: str, values: Any, expected: Input) -> np.ndarray:
    """Returns an array whose first axis is the batch."""
    try:
        is_text = expected.dtype == np.object_
        array = _strings(values, 1 + len(expected.shape)) if is_text else _numbers(values, expected.dtype)
    except (TypeError, ValueError, OverflowError):
        raise RequestError(400, f"{name}: expected values of {expected.dtype.name}, received {brief(values)}") from None
    if array.ndim == 0:  # TensorFlow Serving accepts a scalar in the column form as a batch of one
        array = array[np.newaxis]
    check_shape(name, array.shape, expected)
    return array


def check_shape(name: str, sizes: Sequence[int], expected: Input) -> None:
    """Checks the shape of an input, whose first axis is the batch.

    Raises:
      RequestError: 400, when it is not that of the signature.
    """
    shape = sizes[1:]
    if len(shape) != len(expected.shape) or any(
        want not in (None, got) for want, got in zip(expected.shape, shape, strict=True)
    ):
        wanted = [size or "any" for size in expected.shape]
        raise RequestError(400, f"{name}: expected values of the shape {wanted}, received {list(shape)}")


def _numbers(values: Any, dtype: np.dtype) -> np.ndarray:
    """Returns an array of numbers.

    Raises:
      ValueError: when a conversion would change a value, as from 1.5 to an integer or from a text to a number.
    """
    array = np.asarray(values)
    cast = array.astype(dtype)
    is_exact = array.dtype.kind in _FITS.get(dtype.kind, "") and (dtype.kind == "f" or np.array_equal(cast, array))
    if array.size and not is_exact:
        raise ValueError
    return cast


def _strings(values: Any, rank: int) -> np.ndarray:
    """Returns an array of bytes, with the shape of the nested lists, which may have `rank` levels.

    Raises:
      RequestError: 400, when a value is no string, or its base64 cannot be decoded.
    """
    if rank == 0 or not isinstance(values, list):
        return np.array(to_bytes(values), dtype=object)
    parts = [_strings(each, rank - 1) for each in values]
    if len({part.shape for part in parts}) > 1:
        raise RequestError(400, "expected nested lists of equal lengths, received different lengths")
    array = np.empty((len(parts), *(parts[0].shape if parts else ())), dtype=object)
    for index, part in enumerate(parts):
        array[index] = part.item() if part.ndim == 0 else part
    return array


def to_bytes(value: Any) -> bytes:
    """Returns the bytes of a string or of `{"b64": …}`.

    Raises:
      RequestError: 400, when it is neither, or its base64 cannot be decoded.
    """
    if isinstance(value, str):
        return value.encode()
    encoded = value.get("b64") if isinstance(value, dict) and set(value) == {"b64"} else None
    if not isinstance(encoded, str):
        raise RequestError(400, f'expected {{"b64": …}} or a string, received {brief(value)}')
    plain = "".join(encoded.split()).rstrip("=")  # TensorFlow Serving accepts white space, and no padding
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        raise RequestError(400, f"b64: expected standard base64, received {brief(encoded)}") from None


def answer(outputs: Arrays, by_row: bool) -> bytes:
    """Returns the JSON of an answer: `predictions` by row, or `outputs` by column."""
    columns = {name: _json_values(name, array) for name, array in outputs.items()}
    single = len(columns) == 1
    if not by_row:
        return _dump({"outputs": next(iter(columns.values())) if single else columns})
    if single:
        return _dump({"predictions": next(iter(columns.values()))})
    rows = zip(*(column for column in columns.values()), strict=True)
    return _dump({"predictions": [dict(zip(columns, row, strict=True)) for row in rows]})


def _json_values(name: str, array: np.ndarray) -> Any:
    """Returns a list whose elements orjson can write; rows of numbers remain arrays."""
    if array.dtype != np.object_:
        return list(array)  # numpy's float32 keeps its short form
    if name.endswith(_BYTES):
        return _mapped(array.tolist(), lambda value: {"b64": base64.b64encode(value).decode()})
    return _mapped(array.tolist(), lambda value: value.decode(errors="replace"))


def _mapped(values: Any, convert: Any) -> Any:
    return [_mapped(each, convert) for each in values] if isinstance(values, list) else convert(values)


def _dump(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _named(names: Iterable[str]) -> str:
    return ", ".join(name[:100] for name in itertools.islice(names, 20)) or "nothing"
