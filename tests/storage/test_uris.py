"""Which texts are URIs of buckets, and how others are shown in errors."""

import pytest

from storage import uris
from tests.helpers import commands
from tests.helpers.minio import BUCKET


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("gs://abc", ("gs", "abc", "")),
        ("minio://mlpipeline/", ("minio", "mlpipeline", "")),
        ("s3://my.bucket-1/a/b/", ("s3", "my.bucket-1", "a/b")),
        ("gs://my_bucket/größe und/.a/..b/c:d@e=1.csv", ("gs", "my_bucket", "größe und/.a/..b/c:d@e=1.csv")),
    ],
)
def test_a_uri_has_three_parts_and_loses_one_slash(text, parts):
    assert uris.parse(text) == parts
    assert uris.without_slash(text) == "{}://{}{}".format(*parts[:2], f"/{parts[2]}" if parts[2] else "")


OTHERS = ["", "/a", "gs:/b", "gs://", "gs:///a", "oci://bkt/a", "minio://bkt//root", "s3://bkt/a//", "s3://bkt//", "gs://bkt/./x",
          "gs://bkt/..", "gs://bkt/../x", "gs://My_Bucket!/root", "gs://bkt-/a", "gs://bkt/a#/../../x", "s3://bkt:9000/x",
          "s3://key:secret@bkt/x", "gs://bkt/a\n", "gs://bkt\n", "gs://bkt/a\tb"]  # fmt: skip
BUCKETS = ["", "b", "ab", "-abc", "abc.", "a..b", "10.0.0.1", "Bucket", "a" * 64, ".".join(["a" * 55] * 4)]


@pytest.mark.parametrize("text", OTHERS)
def test_other_texts_are_no_uris_and_do_not_change(text):
    assert uris.parse(text) is None
    assert uris.without_slash(text) == text


@pytest.mark.parametrize("name", BUCKETS)
def test_names_that_no_bucket_has(name):
    assert uris.parse(f"gs://{name}/a") is None
    assert uris.rule(f"gs://{name}/a").startswith(". The name of a bucket has 3 to 63 ")


@pytest.mark.parametrize("name", ["abc", "a" * 63, "10.0.0.1.example", ".".join(["a" * 54] * 4), "a-.b", "a_b"])
def test_names_of_buckets(name):
    assert uris.parse(f"s3://{name}") == ("s3", name, "")
    assert uris.rule(f"s3://{name}//") == uris.rule("/a/path") == ""


@pytest.mark.parametrize("text", ["s3://key:pass/word@b/x", "s3://key:p@ss\n/word@b/x"])
def test_a_password_is_not_shown(text):
    assert uris.shown(text) == "s3://…@b/x"


@pytest.mark.parametrize("key", ["a//b", "a/../b", "./b"])
def test_minio_refuses_the_keys_that_the_grammar_refuses(minio, key):
    from storage import s3

    assert uris.parse(f"s3://{BUCKET}/{key}") is None
    with pytest.raises(OSError, match=r"XMinioInvalid\w+"):
        s3.write(f"s3://{BUCKET}/{key}", b"")


@pytest.mark.parametrize(
    "words",
    [
        "ingest photos here --to URI",
        "ingest photos URI --to here",
        "ingest check here --html URI",
        "local_runner.py --output URI",
        "local_runner.py --config URI",
        "kubeflow_runner.py compile --target vertex -o URI",
        "kubeflow_runner.py run-local URI",
        "kubeflow_runner.py run-local here --output URI",
        "lineage report --to URI",
        "trainer.to_npz here URI.npz",
    ],
)
@pytest.mark.parametrize("uri", ["s3://bucket/folder", "gs://bucket/folder", "minio://bucket/folder"])
def test_a_flag_for_a_path_takes_no_uri(tmp_path, words, uri):
    """Path makes the folder 's3:' of a URI."""
    done = commands.typed(words.replace("URI", uri).split(), tmp_path)
    assert done.code == 2
    assert f"expected a path on this machine, received the URI {uri}" in done.printed
    assert list(tmp_path.iterdir()) == []
