"""Files in a real S3 server, and TFX's file operations on them."""

import json

import pytest
from tfx.utils import io_utils

from storage import s3
from storage.files import fileio
from tests.helpers.minio import BUCKET


def _write(folder: str, *names: str) -> None:
    for name in names:
        s3.write(f"{folder}/{name}", name.encode())


@pytest.mark.parametrize("scheme", ["s3", "minio"])
def test_entries_and_files(minio, scheme):
    folder = f"{scheme}://{BUCKET}/a"
    _write(folder, "x", "b/y", "b/c/z", "bb")
    _write(f"s3://{BUCKET}", "ab/no", "a/", "a/b/")  # the last two are markers
    assert sorted(s3.entries(folder)) == [("b", True), ("bb", False), ("x", False)]
    assert sorted(s3.entries(f"{folder}/")) == sorted(s3.entries(folder))
    assert [file.name for file in s3.files(folder)] == ["b/c/z", "b/y", "bb", "x"]
    assert [file.size for file in s3.files(f"{folder}/b")] == [5, 3]
    assert ("a", True) in s3.entries(f"{scheme}://{BUCKET}")


def test_one_file(minio, tmp_path):
    file = f"s3://{BUCKET}/a/file"
    assert s3.stat(file) is None
    (tmp_path / "large").write_bytes(content := bytes(range(256)) * 2**16)  # 16 MiB: uploaded in parts
    s3.upload(tmp_path / "large", file)
    assert s3.stat(file).size == 2**24 and s3.read(file) == content
    s3.download(file, tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy").read_bytes() == content
    s3.remove([file, f"{file}-2"])
    assert s3.stat(file) is None


def test_a_missing_file_or_bucket(minio, tmp_path):
    for uri in (f"s3://{BUCKET}/none", "s3://no-such-bucket/none"):
        with pytest.raises(FileNotFoundError, match=f"{uri} does not exist"):
            s3.read(uri)
        with pytest.raises(FileNotFoundError):
            s3.download(uri, tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        list(s3.entries("s3://no-such-bucket/none"))
    with pytest.raises(fileio.NotFoundError):
        fileio.open(f"s3://{BUCKET}/none")


def test_refused_credentials(minio, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    s3._client.cache_clear()
    with pytest.raises(OSError, match=f"cannot access s3://{BUCKET}/none: .*SignatureDoesNotMatch"):
        s3.read(f"s3://{BUCKET}/none")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3._client.cache_clear()
    with pytest.raises(OSError, match=f"cannot access s3://{BUCKET}/none: .*127.0.0.1:1"):
        s3.read(f"s3://{BUCKET}/none")


def test_an_object_that_may_not_be_deleted(minio, monkeypatch):
    """The server answers 200 with one error for each object. The bucket's policy lets anyone delete only `a/`."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    _write(f"s3://{BUCKET}", "a/x", "b/x")
    allowed = {"Action": ["s3:DeleteObject"], "Resource": [f"arn:aws:s3:::{BUCKET}/a/*"]}
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": ["*"]}, **allowed}]}
    owner = s3._client()
    owner.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    anonymous = boto3.session.Session().client("s3", config=Config(signature_version=UNSIGNED))
    with monkeypatch.context() as patch:
        patch.setattr(s3, "_client", lambda: anonymous)
        with pytest.raises(OSError, match=f"cannot delete s3://{BUCKET}/b/x: AccessDenied"):
            s3.remove([f"s3://{BUCKET}/a/x", f"s3://{BUCKET}/b/x"])
    assert [file.name for file in s3.files(f"s3://{BUCKET}")] == ["b/x"]


def test_a_malformed_endpoint_is_an_os_error(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://..:9000")
    s3._client.cache_clear()
    with pytest.raises(OSError, match="cannot access s3://b/x: .*http://..:9000"):
        s3.read("s3://b/x")


def test_tfx_copies_folders_and_reads_texts(minio, tmp_path):
    folder = f"minio://{BUCKET}/model"
    _write(folder, "saved_model.pb", "variables/index", "variables/deep/data", "assets.extra/x")
    assert {top: (sorted(folders), sorted(files)) for top, folders, files in fileio.walk(folder)} == {
        folder: (["assets.extra", "variables"], ["saved_model.pb"]),
        f"{folder}/assets.extra": ([], ["x"]),
        f"{folder}/variables": (["deep"], ["index"]),
        f"{folder}/variables/deep": ([], ["data"]),
    }
    io_utils.copy_dir(folder, str(tmp_path / "copy"))
    io_utils.copy_dir(str(tmp_path / "copy"), f"s3://{BUCKET}/again")
    names = [file.name for file in s3.files(f"s3://{BUCKET}/again")]
    assert names == ["assets.extra/x", "saved_model.pb", "variables/deep/data", "variables/index"]
    assert fileio.exists(f"{folder}/variables") and not fileio.exists(f"{folder}/var")
    io_utils.write_string_file(f"s3://{BUCKET}/text", "größer\n")
    assert io_utils.read_string_file(f"s3://{BUCKET}/text") == "größer\n"
    fileio.rmtree(folder)
    assert not fileio.isdir(folder)


def test_a_file_whose_writer_failed_is_not_stored(minio):
    with pytest.raises(ZeroDivisionError), fileio.open(f"s3://{BUCKET}/half", "w") as file:
        file.write("half")
        raise ZeroDivisionError
    assert s3.stat(f"s3://{BUCKET}/half") is None
