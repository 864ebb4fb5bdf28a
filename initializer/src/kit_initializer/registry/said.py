"""What a server says in a response that is an error, or a page: its words, short and fit to be printed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from kit_initializer.errors import InitializerError
from kit_initializer.http import TransientError
from kit_initializer.secret import printable, without_query

if TYPE_CHECKING:
    from kit_initializer.http import Response

_BYTES = 64 * 1024
_CHARACTERS = 200
# Registries have a list of errors (OCI), others one; the first of these keys that hold text are what is said.
_KEYS = (("code", "message"), ("error", "error_description"), ("message",), ("detail",))
# Object stores send XML, proxies and login pages HTML.
_XML = r"<(Code|Message)>([^<]*)</\1>"
_TITLE = r"(?i)<title[^>]*>([^<]*)<"


def words(response: Response) -> str:
    """Return the server's own words, as ": NAME_UNKNOWN: repository name not known", or ""."""
    try:
        body = response.read(_BYTES, whole=False).decode("utf-8", "replace").strip()
    except (TransientError, InitializerError):
        return ""
    said = printable(without_query(_found(body), response.query), _CHARACTERS)
    return f": {said}" if said else ""


def is_page(response: Response) -> bool:
    """Say whether the response is a page for people."""
    return media_type(response) == "text/html"


def media_type(response: Response) -> str:
    """Return the media type without its parameters."""
    return response.headers.get("Content-Type").partition(";")[0].strip()


def _found(body: str) -> str:
    if body.startswith(("{", "[")):
        return _of_json(body)
    if body.startswith("<"):
        from html import unescape  # noqa: PLC0415 - it has a table of 2,000 names

        parts = [text for _, text in re.findall(_XML, body)] or re.findall(_TITLE, body)
        return unescape(": ".join(parts[:2]))
    return "" if "\ufffd" in body or "\0" in body else body


def _of_json(body: str) -> str:
    try:
        said = json.loads(body)
        said = said["errors"][0] if said.get("errors") else said
        for keys in _KEYS:
            if found := [said[key] for key in keys if isinstance(said.get(key), str) and said[key]]:
                return ": ".join(found)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    return ""
