"""Starts database servers from Debian's packages, each on a free local port, in a temporary folder."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

USER, NAME, PASSWORD = "tfx", "lineage", "a password that nobody may see"

Started = tuple[subprocess.Popen, list[Any], str, dict[str, Any]]  # server, client's command, first SQL, user's options


class Server(NamedTuple):
    """A server with one user and one database; the password is in a file."""

    scheme: str
    port: int
    password_file: Path

    @property
    def url(self) -> str:
        return self.to(NAME)

    def to(self, name: str) -> str:
        """Returns the address of a database, which may not exist."""
        return f"{self.scheme}://{USER}@127.0.0.1:{self.port}/{name}"


def free_port() -> int:
    """Returns a port that no program uses."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@contextmanager
def server(scheme: str) -> Iterator[Server]:
    """Starts the server for an address's scheme; skips the test if its Debian package is missing."""
    start = {"mysql": _mariadb, "postgresql": _postgresql}[scheme]
    with tempfile.TemporaryDirectory() as folder:  # pytest's tmp_path is not accessible to the server's user
        path, port = Path(folder), free_port()
        (path / "password").write_text(PASSWORD + "\n")
        process, command, sql, as_user = start(path, port)
        try:
            _send_sql(command, sql, as_user, process)
            yield Server(scheme, port, path / "password")
        finally:
            process.kill()
            process.wait()


def _mariadb(folder: Path, port: int) -> Started:
    program = _program("mariadbd", "mariadb-server", "/usr/sbin")  # a user's PATH may lack /usr/sbin
    data, socket_file = folder / "data", folder / "socket"
    as_user = _owned(folder, "mysql")
    admin = as_user.get("user", getpass.getuser())
    install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--auth-root-socket-user={admin}"]
    _run([*install, "--skip-test-db"], as_user)
    options = [f"--datadir={data}", f"--socket={socket_file}", f"--port={port}", "--bind-address=127.0.0.1"]
    process = _start([program, "--no-defaults", *options, "--innodb-flush-log-at-trx-commit=0"], as_user)
    sql = f"CREATE DATABASE {NAME}; GRANT ALL ON {NAME}.* TO {USER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';"
    return process, ["mariadb", "--no-defaults", f"--socket={socket_file}", f"--user={admin}"], sql, as_user


def _postgresql(folder: Path, port: int) -> Started:
    initdb = Path(_program("initdb", "postgresql", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))))
    data, as_user = folder / "data", _owned(folder, "postgres")
    options = ["--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C"]
    _run([initdb, "-D", data, "--username=postgres", "--no-sync", *options], as_user)
    address = ["-p", str(port), "-h", "127.0.0.1", "-k", str(folder)]
    process = _start([initdb.with_name("postgres"), "-D", data, *address, "-F"], as_user)
    sql = f"CREATE USER {USER} PASSWORD '{PASSWORD}';\nCREATE DATABASE {NAME} OWNER {USER};"
    return process, ["psql", "-v", "ON_ERROR_STOP=1", "-h", folder, "-p", str(port), "-U", "postgres"], sql, as_user


def _program(name: str, package: str, *places: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *places]))
    if not found:
        pytest.skip(f"{name} is missing (Debian: apt-get install {package})")
    return found


def _owned(folder: Path, user: str) -> dict[str, Any]:
    """Returns arguments for a process that can write to the folder; the servers refuse to run as root."""
    if os.geteuid() != 0:
        return {}
    shutil.chown(folder, user, user)
    return {"user": user, "group": user, "extra_groups": [], "cwd": folder}


def _run(command: list[Any], as_user: dict[str, Any]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, **as_user)
    assert done.returncode == 0, done.stdout + done.stderr


def _start(command: list[Any], as_user: dict[str, Any]) -> subprocess.Popen:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_user)


def _send_sql(command: list[Any], sql: str, as_user: dict[str, Any], process: subprocess.Popen) -> None:
    """Sends the first statements on standard input, because they contain the password."""
    deadline = time.monotonic() + 60
    while True:
        done = subprocess.run(command, input=sql, capture_output=True, text=True, **as_user)
        if done.returncode == 0:
            return
        assert process.poll() is None, f"{command[0]}: the server ended with {process.returncode}"
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.2)
