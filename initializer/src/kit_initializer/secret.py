"""Secrets, and what may be printed.

A `Secret` never shows itself. What others send may repeat one nevertheless, so every line that leaves the process goes
through `printable`, which strikes out all secrets that were ever held, as they are and as they are usually written.
"""

from __future__ import annotations

import json
import re
from binascii import b2a_base64
from functools import cache
from urllib.parse import quote, quote_plus, unquote

_HIDDEN = "***"
# A shorter secret is struck out only where it stands by itself: it would be found within half of all words.
_SHORT = 4
# A shorter value of a query is a word that means nothing by itself.
_VALUE = 8
_held: set[str] = set()


class Secret:
    """Hold a secret; every way of printing it gives `***`. Only `reveal()` returns the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        _held.add(text)

    def reveal(self) -> str:
        """Return the text itself, for the one place that sends it."""
        return self._text

    def __repr__(self) -> str:
        return _HIDDEN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(_HIDDEN, spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not serialised")


def strike(text: str) -> str:
    """Return the text without any secret that was ever held: plain, in base64, URL-quoted, or as JSON has it."""
    for form in sorted(_forms(), key=len, reverse=True):
        if len(form) >= _SHORT:
            text = text.replace(form, _HIDDEN)
        else:
            text = re.sub(rf"(?<![^\W_]){re.escape(form)}(?![^\W_])", _HIDDEN, text)
    return text


def printable(text: object, limit: int | None = None) -> str:
    """Return text of others as it may be printed: no secret, no control character, at most `limit` characters.

    The secrets go first, so that none is cut in half. White space, line breaks too, becomes one blank; control
    characters, C0 and C1, and those that turn or hide text become U+FFFD.
    """
    shown = " ".join(strike(str(text)).split())
    if not shown.isprintable():
        shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in shown)
    return shown if limit is None or len(shown) <= limit else shown[: limit - 1] + "…"


def without_query(text: str, query: str) -> str:
    """Return the text without the query of an address, and its values of 8 characters and more: they may sign it."""
    values = {query, *(pair.partition("=")[2] for pair in query.split("&"))}
    if not any(len(value) >= _VALUE for value in values):
        return text
    plain = {form for value in values for form in (value, unquote(value))}
    for form in sorted(plain | {quote(value, safe="") for value in plain}, key=len, reverse=True):
        if len(form) >= _VALUE:
            text = re.sub(re.escape(form), _HIDDEN, text, flags=re.IGNORECASE)
    return text


def _forms() -> set[str]:
    return {form for held in tuple(_held) for form in _forms_of(held)} - {""}


@cache
def _forms_of(held: str) -> frozenset[str]:
    """Return how a secret may be written: itself, base64 (both alphabets), URL-quoted, as a string of JSON."""
    scheme, blank, value = held.partition(" ")
    if not blank or scheme not in {"Basic", "Bearer"}:  # else a header's value: the secret follows the scheme
        value = held
    raw = value.encode(errors="surrogatepass")
    encoded = b2a_base64(raw, newline=False).decode()
    url_safe = encoded.replace("+", "-").replace("/", "_")
    return frozenset(
        {
            held,
            value,
            raw.decode("latin-1"),  # as a header or a reason phrase has it
            *(encoded, encoded.rstrip("="), url_safe, url_safe.rstrip("=")),
            *(quote(raw), quote(raw, safe=""), quote_plus(raw), quote(raw, safe="").lower()),
            *(json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]),
        }
    )
