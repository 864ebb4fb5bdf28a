"""Addresses where no registry is: one that refuses connections, one that accepts and says nothing."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def refusing(address: str = "127.0.0.1") -> Iterator[str]:
    """Give `host:port` that refuses every connection: bound, so that it stays ours, but not listening."""
    with _bound(address) as sock:
        yield _host(sock)


@contextlib.contextmanager
def silent(address: str = "127.0.0.1") -> Iterator[str]:
    """Give `host:port` whose connections are established by the kernel and never answered."""
    with _bound(address) as sock:
        sock.listen(128)
        yield _host(sock)


def _bound(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.bind((address, 0))
    except OSError:
        sock.close()
        raise
    return sock


def _host(sock: socket.socket) -> str:
    address, port = sock.getsockname()[:2]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
