"""Which proxy a request goes through: `--proxy`, else the environment, by the rules that Kit (Go's net/http) follows."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from kit_initializer.errors import UsageError
from kit_initializer.secret import Secret


class Proxy(NamedTuple):
    """An HTTP proxy: host, port, and the value of Proxy-Authorization where its URL has user and password."""

    host: str
    port: int
    authorization: Secret | None


def parse(url: str, name: str) -> Proxy:
    """Return the proxy of `url`; `name` is the variable or flag it comes from. Raises UsageError."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme != "http" or not parts.hostname or port == -1:
        shown = f"{parts.scheme}://{parts.hostname}"
        raise UsageError(
            f"{name} is {shown!r}, which is no HTTP proxy's address", hint="write http://host:port"
        )
    authorization = None
    if parts.username is not None:
        from base64 import b64encode  # noqa: PLC0415 - rare

        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = Secret("Basic " + b64encode(pair.encode()).decode())
    return Proxy(parts.hostname, port or 80, authorization)


def bypassed(host: str, port: int, no_proxy: str) -> bool:
    """Say whether NO_PROXY, or being this machine, exempts `host:port` from the environment's proxy.

    Entries are a domain (itself and its subdomains; a leading dot: only these), an address, a CIDR block, each with
    an optional port, or "*" (Go's golang.org/x/net/http/httpproxy).
    """
    host = host.lower().strip("[]").rstrip(".")
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    for written in no_proxy.lower().split(","):
        entry = written.strip()
        if entry == "*":
            return True
        if not entry:
            continue
        if "/" in entry:
            if address is not None and _within(host, entry):
                return True
            continue
        name, entry_port = _split_port(entry)
        if entry_port and entry_port != str(port):
            continue
        if address is not None:
            if _address(name.strip("[]")) == address:
                return True
        elif name.startswith("*."):
            if host.endswith(name[1:]):
                return True
        elif host.endswith("." + name.lstrip(".")) or host == name:
            return True
    return False


def _split_port(entry: str) -> tuple[str, str]:
    name, colon, port = entry.rpartition(":")
    if colon and port.isdigit() and (":" not in name or name.endswith("]")):
        return name, port
    return entry, ""


def _address(text: str):  # type: ignore[no-untyped-def] # noqa: ANN202 - ipaddress is imported only when a proxy is set
    from ipaddress import ip_address  # noqa: PLC0415

    try:
        return ip_address(text)
    except ValueError:
        return None


def _within(host: str, block: str) -> bool:
    from ipaddress import ip_address, ip_network  # noqa: PLC0415

    try:
        return ip_address(host) in ip_network(block, strict=False)
    except ValueError:
        return False
