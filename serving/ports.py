"""Opens the ports of a server before it starts, so that a port that is in use is one line."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from errors import UserError
from serving.settings import Settings

_BACKLOG = 2048


def listening(host: str, port: int) -> socket.socket:
    """Returns a socket that listens, and whose connections send an answer at once.

    Without TCP_NODELAY, an answer of several parts waits 40 ms for the client's acknowledgement. asyncio sets it only
    on sockets that were made with IPPROTO_TCP. Accepted connections inherit it.

    Raises:
      UserError: when the address or the port cannot be used.
    """
    try:
        listens = socket.create_server((host, port), family=_family(host), backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise UserError(f"cannot listen on {host}, port {port}: {error}; give another port (--port)") from None
    listens.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listens


@contextmanager
def reserved(settings: Settings) -> Iterator[Settings]:
    """Yields the settings with the number of gRPC's port, which is reserved for the processes that share it.

    Raises:
      UserError: when the port cannot be used.
    """
    if settings.grpc_port is None:
        yield settings
        return
    with socket.socket(_family(settings.host)) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            held.bind((settings.host, settings.grpc_port))
        except (OSError, OverflowError) as error:
            raise UserError(
                f"cannot use {settings.host}, port {settings.grpc_port}, for gRPC: {error}; give another (--grpc-port)"
            ) from None
        yield settings._replace(grpc_port=held.getsockname()[1])


def address(host: str, port: int) -> str:
    """Returns HOST:PORT, with brackets for IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
