"""The alias file: on this machine, in S3 and in Cloud Storage; several writers, and damaged content."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage import aliases, gcs
from tests.conftest import ROOT
from tests.helpers import cloud_storage
from tests.helpers.minio import BUCKET


def _set(folder: str, name: str, version: int) -> aliases.Aliases:
    return aliases.change(folder, lambda present: present | {name: version})


@pytest.fixture
def in_cloud_storage(tmp_path, monkeypatch):
    with cloud_storage.serving(tmp_path) as environment:
        for name in ("STORAGE_EMULATOR_HOST", "no_proxy"):
            monkeypatch.setenv(name, environment[name])
        gcs._client.cache_clear()
        yield f"gs://{cloud_storage.BUCKET}/pushed/pets"
        gcs._client.cache_clear()


@pytest.fixture(params=["path", "s3", "gs"])
def folder(request, tmp_path) -> str:
    if request.param == "gs":
        return request.getfixturevalue("in_cloud_storage")
    if request.param == "s3":
        request.getfixturevalue("minio")
        return f"s3://{BUCKET}/pushed/pets"
    return str(tmp_path)


def test_aliases_are_written_and_read(folder):
    assert aliases.read(folder) == {}
    assert _set(folder, "champion", 12) == {"champion": 12}
    _set(f"{folder}/", "challenger", 13)
    assert aliases.read(folder) == {"challenger": 13, "champion": 12}
    aliases.change(folder, lambda present: {"champion": present["champion"]})
    assert aliases.read(folder) == {"champion": 12}


def test_other_things_than_a_file_are_damaged_aliases(tmp_path):
    file = tmp_path / "aliases.json"
    os.mkfifo(file)  # whose reader would wait forever
    with pytest.raises(aliases.DamagedAliases, match="aliases.json is no regular file"):
        aliases.read(str(tmp_path))
    file.unlink()
    file.symlink_to("/dev/zero")
    with pytest.raises(aliases.DamagedAliases, match="aliases.json is no regular file"):
        aliases.read(str(tmp_path))
    file.unlink()
    file.write_bytes(b" " * 2**20 + b"{}")
    with pytest.raises(aliases.DamagedAliases, match="has more than 1,048,576 bytes"):
        aliases.read(str(tmp_path))
    file.unlink()
    file.symlink_to(tmp_path / "not mounted")
    with pytest.raises(FileNotFoundError):
        aliases.read(str(tmp_path))


def test_several_writers_lose_no_change(folder):
    with ThreadPoolExecutor(6) as executor:
        list(executor.map(lambda number: _set(folder, f"a{number}", number), range(12)))
    assert aliases.read(folder) == {f"a{number}": number for number in range(12)}


def test_processes_lose_no_change_and_a_reader_sees_whole_files(tmp_path):
    code = (
        "import sys; from storage import aliases\n"
        "for n in range(25): aliases.change(sys.argv[1], lambda a: a | {f'p{sys.argv[2]}.{n}': n})"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    writers = [subprocess.Popen([*command, str(index)], cwd=ROOT) for index in range(3)]
    sizes = [0]
    while any(each.poll() is None for each in writers):
        sizes.append(len(aliases.read(str(tmp_path))))
    assert sizes == sorted(sizes) and len(aliases.read(str(tmp_path))) == 75
    assert {each.returncode for each in writers} == {0}
    assert {each.name for each in tmp_path.iterdir()} <= {"aliases.json", ".aliases.json.lock"}


def test_a_server_of_another_user_may_read_the_file(tmp_path):
    _set(str(tmp_path), "champion", 1)
    assert (tmp_path / "aliases.json").stat().st_mode & 0o777 == 0o644


def test_an_error_of_the_update_changes_nothing(folder):
    _set(folder, "champion", 1)

    def refuse(present):
        raise RuntimeError("refused")

    with pytest.raises(RuntimeError, match="refused"):
        aliases.change(folder, refuse)
    assert aliases.read(folder) == {"champion": 1}


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "7", '{"champion": "12"}', '{"champion": 1.5}', '{"champion": true}', '{"a/b": 1}', '{"a": -1}']
    + ["[" * 100_000, '{"champion": 1e999}', '{"champion": null}', "\udcff"],
)
def test_damaged_content_is_an_error_and_is_not_overwritten(tmp_path, content):
    file = tmp_path / "aliases.json"
    file.write_text(content, errors="surrogateescape")
    before = file.read_bytes()
    for act in (lambda: aliases.read(str(tmp_path)), lambda: _set(str(tmp_path), "champion", 1)):
        with pytest.raises(aliases.DamagedAliases, match=r"aliases\.json"):
            act()
    assert file.read_bytes() == before


def test_a_locked_file_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(aliases, "_LOCK_S", 0.1)
    with (
        aliases.FileLock(tmp_path / ".aliases.json.lock"),
        pytest.raises(OSError, match="is locked by another process"),
    ):
        _set(str(tmp_path), "champion", 1)


def test_a_folder_that_cannot_be_used_is_an_os_error(tmp_path, minio, monkeypatch):
    with pytest.raises(OSError):
        _set(str(tmp_path / "none"), "champion", 1)
    with pytest.raises(OSError, match="cannot access s3://no-such-bucket|s3://no-such-bucket/a/aliases.json does not"):
        _set("s3://no-such-bucket/a", "champion", 1)


def test_cloud_storage_without_credentials_is_an_os_error(tmp_path, monkeypatch):
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    gcs._client.cache_clear()
    with pytest.raises(OSError, match="cannot access gs://a-bucket/aliases.json: .*none.json"):
        aliases.read("gs://a-bucket")


def test_the_files_of_a_bucket_are_listed(in_cloud_storage):
    assert gcs.files(in_cloud_storage) == {}
    _set(in_cloud_storage, "champion", 1)
    assert set(gcs.files(f"{in_cloud_storage}/")) == {"aliases.json"}


def test_reading_needs_no_tensorflow():
    large = {"tensorflow", "boto3", "google.cloud.storage"}
    code = f"import sys; from storage import aliases; assert not {large} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


def test_the_file_is_what_a_person_may_write(tmp_path):
    (tmp_path / "aliases.json").write_text(json.dumps({"champion": 3}))
    assert aliases.read(str(tmp_path)) == {"champion": 3} and aliases.file_of(f"{tmp_path}/").count("//") == 0
    assert Path(aliases.file_of(str(tmp_path))).exists()
