"""Which texts are URIs of buckets, and how others are shown in errors."""

import pytest

from storage import uris
from tests.helpers.minio import BUCKET


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("gs://b", ("gs", "b", "")),
        ("minio://mlpipeline/", ("minio", "mlpipeline", "")),
        ("s3://my.bucket-1/a/b/", ("s3", "my.bucket-1", "a/b")),
        ("gs://my_bucket/größe und/.a/..b/c:d@e=1.csv", ("gs", "my_bucket", "größe und/.a/..b/c:d@e=1.csv")),
    ],
)
def test_a_uri_has_three_parts_and_loses_one_slash(text, parts):
    assert uris.parse(text) == parts
    assert uris.without_slash(text) == "{}://{}{}".format(*parts[:2], f"/{parts[2]}" if parts[2] else "")


OTHERS = ["", "/a", "gs:/b", "gs://", "gs:///a", "oci://b/a", "minio://b//root", "s3://b/a//", "s3://b//", "gs://b/./x",
          "gs://b/..", "gs://b/../x", "gs://My_Bucket!/root", "gs://b-/a", "gs://b/a#/../../x", "s3://b:9000/x",
          "s3://key:secret@b/x", "gs://b/a\n", "gs://b\n", "gs://b/a\tb"]  # fmt: skip


@pytest.mark.parametrize("text", OTHERS)
def test_other_texts_are_no_uris_and_do_not_change(text):
    assert uris.parse(text) is None
    assert uris.without_slash(text) == text


@pytest.mark.parametrize("text", ["s3://key:pass/word@b/x", "s3://key:p@ss\n/word@b/x"])
def test_a_password_is_not_shown(text):
    assert uris.shown(text) == "s3://…@b/x"


@pytest.mark.parametrize("key", ["a//b", "a/../b", "./b"])
def test_minio_refuses_the_keys_that_the_grammar_refuses(minio, key):
    from storage import s3

    assert uris.parse(f"s3://{BUCKET}/{key}") is None
    with pytest.raises(OSError, match=r"XMinioInvalid\w+"):
        s3.write(f"s3://{BUCKET}/{key}", b"")
