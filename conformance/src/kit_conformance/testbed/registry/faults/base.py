"""What a fault is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from kit_conformance.testbed.registry.auth import Auth
    from kit_conformance.testbed.registry.wire import Connection, Request, Response


@dataclass(frozen=True)
class Exchange:
    """What a fault may know and use: the request, its connection, and where the registry's origins are."""

    request: Request
    connection: Connection
    base: str  # URL of the origin that is asked, without a slash at the end
    elsewhere: str  # URL of the second origin
    auth: Auth | None
    release: threading.Event  # set by Registry.release(): ends stalls


class Fault:
    """No fault at all; the base of all others."""

    def concerns(self, request: Request) -> bool:
        """Say whether the fault can touch such a request at all; only those are counted."""
        del request
        return True

    def answer(self, exchange: Exchange) -> Response | None:
        """Return a response instead of the registry's; None leaves it to the registry. May wait, or raise."""

    def amend(self, exchange: Exchange, response: Response) -> Response:
        """Return a changed response."""
        del exchange
        return response

    def head(self, head: bytes) -> bytes:
        """Return changed bytes of status line and headers."""
        return head

    def stream(self, chunks: Iterator[bytes], exchange: Exchange) -> Iterator[bytes]:
        """Yield changed bytes of the body.

        Returning before the end closes the connection; a ConnectionEndError may also reset it.
        """
        del exchange
        return chunks


class BodyFault(Fault):
    """A fault of bodies, which only GET has."""

    def concerns(self, request: Request) -> bool:
        return request.method == "GET"
