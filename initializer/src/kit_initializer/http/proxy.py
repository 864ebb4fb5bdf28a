"""Which proxy a request goes through: `--proxy`, else the environment, by the rules of Go's net/http as in Kit."""

from __future__ import annotations

from binascii import b2a_base64
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from kit_initializer.errors import UsageError
from kit_initializer.secret import Secret

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    _Address = IPv4Address | IPv6Address


class Proxy(NamedTuple):
    """An HTTP proxy: host, port, and the value of Proxy-Authorization where its URL has user and password."""

    host: str
    port: int
    authorization: Secret | None


def parse(url: str, name: str) -> Proxy:
    """Return the proxy of `url`; `name` is the variable or flag it comes from. Raises UsageError."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:  # a bracket that is not closed, a port that is no number
        scheme = host = ""
    if scheme != "http" or not host:
        shown = f"{scheme}://{host}" if scheme else "not a URL"
        raise UsageError(
            f"{name} is {shown}, which is no HTTP proxy's address", hint="write http://host:port"
        )
    authorization = None
    if parts.username is not None:
        password = Secret(unquote(parts.password or "", errors="surrogateescape")).reveal()
        pair = f"{unquote(parts.username, errors='surrogateescape')}:{password}"
        authorization = Secret(
            "Basic " + b2a_base64(pair.encode(errors="surrogateescape"), newline=False).decode()
        )
    return Proxy(host, port or 80, authorization)


def bypassed(host: str, port: int, no_proxy: str) -> bool:
    """Say whether NO_PROXY, or being this machine, exempts `host:port` from the environment's proxy.

    Entries are a domain (itself and its subdomains; a leading dot: only these), an address, a CIDR block, each with
    an optional port, or "*" (Go's golang.org/x/net/http/httpproxy).
    """
    host = host.lower().strip("[]").rstrip(".")
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    entries = (entry.strip() for entry in no_proxy.lower().split(","))
    return any(_exempts(entry, host, address, port) for entry in entries if entry)


def _exempts(entry: str, host: str, address: _Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return address is not None and _within(address, entry)
    name, entry_port = _split_port(entry)
    if entry_port and entry_port != str(port):
        return False
    if address is not None:
        return _address(name.strip("[]")) == address
    if name.startswith(("*.", ".")):
        return host.endswith(name.lstrip("*"))
    return host == name or host.endswith("." + name)


def _split_port(entry: str) -> tuple[str, str]:
    name, colon, port = entry.rpartition(":")
    if colon and port.isdigit() and (":" not in name or name.endswith("]")):
        return name, port
    return entry, ""


def _address(text: str) -> _Address | None:
    from ipaddress import ip_address  # noqa: PLC0415 - 2 ms, for a run behind a proxy alone

    try:
        return ip_address(text)
    except ValueError:
        return None


def _within(address: _Address, block: str) -> bool:
    from ipaddress import ip_network  # noqa: PLC0415

    try:
        return address in ip_network(block, strict=False)
    except ValueError:
        return False
