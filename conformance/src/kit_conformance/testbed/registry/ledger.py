"""The ledger: what was asked of a registry, by whom, and what was sent."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})


@dataclass(slots=True)
class Entry:
    """One request and what became of it.

    `sent` is the number of body bytes given to the socket so far; it never lags behind what the client has
    received. `seconds` counts from the start of the registry. `ended` is "" while the exchange runs, then
    "complete", "cut" (by us) or "left" (by the client).
    """

    origin: str
    connection: int
    method: str
    path: str
    query: str
    kind: str
    repository: str
    reference: str
    authorization: str
    headers: Mapping[str, str]
    seconds: float = 0.0
    status: int = 0
    sent: int = 0
    received: int = 0
    faults: tuple[str, ...] = ()
    ended: str = ""

    @property
    def range(self) -> str:
        """Return the Range header as the client sent it, or ""."""
        return self.headers.get("range", "")

    def __str__(self) -> str:
        asked = f" [{self.range}]" if self.range else ""
        query = f"?{self.query}" if self.query else ""
        return (
            f"{self.method} {self.path}{query}{asked} {self.authorization} -> {self.status} {self.sent} bytes"
        )


def redact(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers (lower-case names) with the values that are secrets replaced."""
    return {name: "***" if name in _SECRET_HEADERS else value for name, value in headers.items()}


def authorization_kind(value: str) -> str:
    """Return "none", "basic", "bearer" or "other" for an Authorization header's value."""
    if not value:
        return "none"
    scheme = value.partition(" ")[0].lower()
    return scheme if scheme in {"basic", "bearer"} else "other"


@dataclass
class Ledger:
    """All requests of one origin, in the order in which their heads were read. Safe to read at any time."""

    _entries: list[Entry] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _started: float = field(default_factory=time.monotonic)

    def open(self, entry: Entry) -> Entry:
        """Take an entry in; the server completes it as the exchange goes on."""
        with self._changed:
            entry.seconds = time.monotonic() - self._started
            self._entries.append(entry)
            self._changed.notify_all()
        return entry

    def end(self, entry: Entry, how: str) -> None:
        """Mark an exchange as over: "complete", "cut" or "left"."""
        with self._changed:
            entry.ended = how
            self._changed.notify_all()

    def requests(
        self, *, method: str = "", kind: str = "", reference: str = "", repository: str = "", status: int = 0
    ) -> list[Entry]:
        """Return the requests that match everything given; `reference` is a tag or a digest."""
        return [
            entry
            for entry in self
            if (not method or entry.method == method)
            and (not kind or entry.kind == kind)
            and (not reference or entry.reference == reference)
            and (not repository or entry.repository == repository)
            and (not status or entry.status == status)
        ]

    def settle(self, seconds: float = 5.0) -> bool:
        """Wait until no exchange is under way; return whether that came true in time."""
        with self._changed:
            return self._changed.wait_for(lambda: all(entry.ended for entry in self._entries), seconds)

    def wait_for(self, count: int, seconds: float = 5.0, **match: str) -> bool:
        """Wait until at least `count` requests match (as in `requests`); return whether they came in time."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while len(self.requests(**match)) < count:  # type: ignore[arg-type]
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    return False
        return True

    def clear(self) -> None:
        """Forget what was asked so far."""
        with self._changed:
            self._entries.clear()

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def __str__(self) -> str:
        return "\n".join(str(entry) for entry in self)
