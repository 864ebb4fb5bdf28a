"""What a reader of a report needs to judge a failure: commands, requests, differences, and no secrets."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kit_conformance.testbed.registry.ledger import Entry

_HIDDEN: Final = "***"
_SHORTEST: Final = 4  # shorter ones would hide half of every text, and are no secrets
_LINES: Final = 60
# Credentials that nobody has named: an Authorization header's value, and what is assigned to a word for a secret.
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/._~=-]{8,}")
_ASSIGNED: Final = re.compile(
    r"(?i)\b(authorization|password|passwd|token)\b([\"']?\s*[:=]\s*[\"']?)[^\s\"',}]{6,}"
)
_SECRET_NAMES: Final = re.compile(r"(?i)(password|secret|token|docker_config_json|storage_config$)")


class Redactor:
    """Hides the secrets that a case or a scenario has planted, as they are and as they are usually written."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def add(self, secret: str, user: str = "") -> None:
        """Hide this from now on; with `user`, also as HTTP Basic would send the two."""
        if len(secret) < _SHORTEST:
            return
        self._secrets |= {secret, quote(secret, safe=""), _base64(secret), _base64(f"{user}:{secret}")}

    def text(self, text: str) -> str:
        """Return the text without secrets, and without what is no text."""
        text = text.encode("utf-8", "backslashreplace").decode()
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, _HIDDEN)
        return _ASSIGNED.sub(rf"\1\2{_HIDDEN}", _BEARER.sub(rf"\1 {_HIDDEN}", text))

    def environment(self, environment: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Return variables without the values that are secrets."""
        return {
            name: _HIDDEN if _SECRET_NAMES.search(name) and value else self.text(value)
            for name, value in environment
        }

    def found_in(self, text: str) -> bool:
        """Say whether a secret can be read in a text."""
        return any(secret in text for secret in self._secrets)

    def value(self, value: Any) -> Any:  # noqa: ANN401  (JSON)
        """Return a JSON value without secrets, all the way down."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.value(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(each) for each in value]
        return value


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def last(lines: Iterable[str], limit: int = _LINES) -> list[str]:
    """Return the last lines, with a note of how many came before."""
    every = list(lines)
    if len(every) <= limit:
        return every
    return [f"… {len(every) - limit} lines before", *every[-limit:]]


def line(entry: Entry) -> str:
    """Return a request as the report has it."""
    faults = f" ({', '.join(entry.faults)})" if entry.faults else ""
    ended = "" if entry.ended in {"complete", ""} else f", {entry.ended}"
    return f"{entry}{faults}{ended}"
