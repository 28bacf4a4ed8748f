"""Properties of ExampleGen's check, for any damage of records."""

import json

import pytest
import tensorflow as tf
from hypothesis import given
from PIL import Image

from components.record_check import Expected, Good, check_file
from ingest.bad_records import BadRecord
from ingest.examples import make_example
from ingest.feature_names import FEATURES
from testing.frames import CLASSES, framed
from testing.photo_formats import FORMATS, encoded
from tests.helpers.damage import PROPERTY, damaged
from trainer import images

_PICTURE = Image.radial_gradient("L").resize((24, 16)).convert("RGB")
_PHOTOS = [
    encoded(_PICTURE, *FORMATS[name]) for name in ("jpeg", "progressive", "jpeg cmyk", "png", "gif", "bmp", "webp")
]
_EXAMPLES = [
    make_example(photo, label % 5, CLASSES, (16, 24), "a.jpg", "0" * 32).SerializeToString(deterministic=True)
    for label, photo in enumerate(_PHOTOS)
]


def _checked(path, content: bytes) -> list[Good | BadRecord]:
    path.write_bytes(content)
    return list(check_file(str(path), len(content), path.name, Expected(CLASSES, FEATURES["flowers"], 0)))


def _check(found: list[Good | BadRecord]) -> None:
    for each in found:
        if isinstance(each, Good):
            features = tf.train.Example.FromString(each.data).features.feature
            assert images.decode(features["image"].bytes_list.value[0]).shape[2] == 3
            assert 0 <= features["class"].int64_list.value[0] < len(CLASSES)
        else:
            assert each.reason and each.detail and json.dumps(each._replace(data=""))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("damage") / "a.tfrec"


@PROPERTY
@given(damaged([b"".join(map(framed, _EXAMPLES))], most=6))
def test_a_good_record_of_a_damaged_shard_can_be_used(path, change):
    found = _checked(path, change[0])
    _check(found)
    assert {each.data for each in found if isinstance(each, Good)} <= set(_EXAMPLES)


@PROPERTY
@given(damaged(_EXAMPLES))
def test_a_good_record_with_damaged_content_can_be_used(path, change):
    found = _checked(path, framed(change[0]) + framed(_EXAMPLES[0]))
    _check(found)
    assert len(found) == 2 and any(isinstance(each, Good) for each in found)
