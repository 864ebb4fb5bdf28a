"""A server that takes few requests at a time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from kit_conformance.testbed.registry.auth import errors
from kit_conformance.testbed.registry.faults.base import BodyFault, Exchange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kit_conformance.testbed.registry.wire import Response


class Crowded(BodyFault):
    """Only so many bodies are sent at a time; further requests are refused with this status.

    `refused` counts those. nginx's limit_conn, and proxies before small registries, answer so.
    """

    def __init__(self, most: int = 1, status: int = 503, retry_after: str = "") -> None:
        self.refused = 0
        self._most = most
        self._status = status
        self._headers = {"Retry-After": retry_after} if retry_after else {}
        self._served: set[tuple[str, int]] = set()
        self._lock = threading.Lock()

    def answer(self, exchange: Exchange) -> Response | None:
        with self._lock:
            if len(self._served) < self._most:
                self._served.add(_connection(exchange))
                return None
            self.refused += 1
        return errors(self._status, "TOOMANYREQUESTS", "too many requests at a time", self._headers)

    def stream(self, chunks: Iterator[bytes], exchange: Exchange) -> Iterator[bytes]:
        # what is sent to a connection that has been refused is the refusal
        try:
            yield from chunks
        finally:
            with self._lock:
                self._served.discard(_connection(exchange))


def _connection(exchange: Exchange) -> tuple[str, int]:
    return exchange.base, exchange.connection.number
