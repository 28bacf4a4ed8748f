"""Runs a custom job of Vertex AI on this machine: a process for each replica.

Like the service, it sets TF_CONFIG if there are several replicas, and restarts all of them if a signal ends one. A
replica that exits with an error fails the job.
"""

import json
import multiprocessing
import os
import socket
from collections.abc import Callable
from multiprocessing import connection
from typing import Any

RESTARTS = 3
_ROLES = ("chief", "worker")  # of the first and the second worker pool
_FORK = multiprocessing.get_context("fork")  # a fork inherits the imported TFX


def run(job_spec: Any, main: Callable[..., None]) -> bool:
    """Runs the replicas and returns whether all succeeded.

    Args:
      job_spec: a CustomJobSpec whose pools run `python -m MODULE …`.
      main: runs a module, given its name and arguments.
    """
    for _ in range(1 + RESTARTS):
        code = _attempt(job_spec.worker_pool_specs, main)
        if code >= 0:
            return code == 0
    return False


def _attempt(pools: Any, main: Callable[..., None]) -> int:
    """Returns 0, or the exit code of the first replica that failed; negative if a signal ended it."""
    cluster = {role: _addresses(pool.replica_count) for role, pool in zip(_ROLES, pools, strict=False)}
    processes = []
    for (role, addresses), pool in zip(cluster.items(), pools, strict=True):
        _, _, *module = pool.container_spec.command  # after "python -m"
        for index in range(len(addresses)):
            process = _FORK.Process(target=_replica, args=(cluster, role, index, main, module))
            process.start()
            print(f"custom job: {role} {index} is process {process.pid}", flush=True)
            processes.append(process)
    codes: list[int | None] = [None] * len(processes)
    while None in codes and not any(codes):
        connection.wait([each.sentinel for each, code in zip(processes, codes, strict=True) if code is None])
        codes = [each.exitcode for each in processes]
    for process in processes:
        process.kill()
        process.join()
    return next(filter(None, codes), 0)


def _replica(
    cluster: dict[str, list[str]], role: str, index: int, main: Callable[..., None], module: list[str]
) -> None:
    if len(cluster) > 1:
        task = {"type": role, "index": index, "cloud": "local"}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "environment": "cloud", "task": task})
    main(*module)


def _addresses(count: int) -> list[str]:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    return addresses
