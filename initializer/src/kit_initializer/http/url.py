"""Absolute http(s) URLs taken apart; urllib.parse does more, and costs a tenth of the start-up."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urljoin

from kit_initializer.errors import UnreachableError
from kit_initializer.secret import printable

_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, host (without brackets) and port: what credentials and connections belong to (RFC 6454)."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def split(url: str) -> tuple[Origin, str]:
    """Return the origin and the request target (path and query) of a URL.

    UnreachableError for anything that is no absolute http(s) URL, or that could not be sent as one.
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    end = min((at for at in (rest.find(mark) for mark in "/?#") if at >= 0), default=len(rest))
    authority, target = rest[:end].rpartition("@")[2], rest[end:].partition("#")[0]
    host, port = _host_and_port(authority)
    digits = port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536
    if not separator or scheme not in _PORTS or not host or (port and not digits) or _unsendable(url):
        raise UnreachableError(f"{shown(url)!r} is not an http or https URL")
    if not target.startswith("/"):
        target = "/" + target
    return Origin(scheme, host.lower(), int(port) if port else _PORTS[scheme]), target


def shown(url: str) -> str:
    """Return a URL as it may be printed: origin and path, without user, password, query and fragment."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    # the last @ before the query ends what may be a user and a password, in which there may be a slash
    rest = rest.partition("#")[0].partition("?")[0].rpartition("@")[2]
    return printable(f"{scheme}{separator}{rest}", 200)


def origin_of(url: str) -> Origin:
    """Return the origin of an absolute http(s) URL; UnreachableError when it is none."""
    return split(url)[0]


def join(base: str, location: str) -> str:
    """Return the absolute URL that a Location means (RFC 9110, 10.2.2); UnreachableError when it is none."""
    if location.lower().startswith(("http://", "https://")):
        return location
    try:
        return urljoin(base, location)
    except ValueError:  # a bracket that is not closed
        raise UnreachableError(f"{shown(location)!r} is not an http or https URL") from None


def _host_and_port(authority: str) -> tuple[str, str]:
    if authority.startswith("["):
        host, bracket, port = authority[1:].partition("]")
        return (host if bracket else ""), port.removeprefix(":")
    host, _, port = authority.partition(":")
    return host, port


def _unsendable(url: str) -> bool:
    """Say whether a URL holds what would end or split a request line (RFC 9112, 3)."""
    return not url.isascii() or any(letter <= " " or letter == "\x7f" for letter in url)
