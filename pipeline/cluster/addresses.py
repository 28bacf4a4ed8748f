"""The addresses of servers in settings."""

import re

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"https?://(?P<host>{_LABEL}(\.{_LABEL})*)\.?(:(?P<port>\d{{1,5}}))?(/[^?#@\s]*)?")
_LOOPBACK = re.compile(r"(.*\.)?localhost|127(\.\d+)*|0(\.0)*", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Returns whether a text is http:// or https://, a host without a password, and perhaps a port and a path.

    >>> is_address("http://minio-service.kubeflow:9000"), is_address("http://me:secret@minio"), is_address("minio:9000")
    (True, False, False)
    """
    match = _ADDRESS.fullmatch(text)
    return match is not None and 0 < int(match["port"] or 1) < 2**16


def is_loopback(address: str) -> bool:
    """Returns whether an address is one of the machine, or the pod, that uses it.

    >>> is_loopback("http://localhost:9000"), is_loopback("http://127.0.0.1"), is_loopback("http://10.127.0.1")
    (True, True, False)
    """
    match = _ADDRESS.fullmatch(address)
    return match is not None and _LOOPBACK.fullmatch(match["host"]) is not None
