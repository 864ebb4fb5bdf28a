"""A connection to a host: its name looked up, its addresses tried in turn, a proxy's tunnel; all within one limit."""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING

from kit_initializer.deadline import call_within
from kit_initializer.errors import UnreachableError
from kit_initializer.http.retry import unreachable
from kit_initializer.secret import printable

if TYPE_CHECKING:
    from kit_initializer.deadline import Deadline
    from kit_initializer.http.proxy import Proxy
    from kit_initializer.http.url import Origin
    from kit_initializer.http.wire import Wire

# What each address of a host gets of the time, at least (as Go's net.Dialer divides it).
_ADDRESS_S = 2.0


def connect(host: str, port: int, until: Deadline) -> socket.socket:
    """Return a connection to the first address of the host that takes one. Raises OSError, TimeoutError.

    The addresses share the time: one that does not answer must leave some to the next.
    """
    # text is put through IDNA, whose tables take a millisecond to load; bytes are taken as they are
    name = host.encode() if host.isascii() else host
    look_up = partial(socket.getaddrinfo, name, port, type=socket.SOCK_STREAM)
    try:
        # an address is not looked up anywhere; a name may keep the system's resolver busy for longer than we wait
        addresses = call_within(until, look_up) if host.strip("0123456789.") else look_up()
    except UnicodeError:  # IDNA takes no label of 64 letters, and no empty one
        raise socket.gaierror(socket.EAI_NONAME, "this is not a name") from None
    failed: OSError = socket.gaierror(socket.EAI_NONAME, "the name has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        seconds = until.left() or until.seconds
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(min(seconds, max(_ADDRESS_S, seconds / (len(addresses) - number))))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failed = error
            if until.passed:
                raise
        else:
            return sock
    raise failed


def speaks_tls(host: str, port: int, until: Deadline) -> bool:
    """Say whether a server that gave no answer to plain HTTP takes up a handshake of TLS."""
    import ssl  # noqa: PLC0415 - OpenSSL is loaded only for TLS

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent or believed
    try:
        with connect(host, port, until) as sock:
            sock.settimeout(until.left())
            context.wrap_socket(sock, server_hostname=host).close()
    except (OSError, ValueError):
        return False
    return True


def tunnel(wire: Wire, origin: Origin, via: Proxy, user_agent: str) -> None:
    """Ask a proxy for a connection to the origin (RFC 9110, 9.3.6)."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    fields = {"Host": f"{host}:{origin.port}", "User-Agent": user_agent}
    if via.authorization is not None:
        fields["Proxy-Authorization"] = via.authorization.reveal()
    wire.send("CONNECT", f"{host}:{origin.port}", fields.items())
    status, reason, _ = wire.head(bodiless=True)
    proxy = f"the proxy {via.host}:{via.port}"
    if status in {407, 403}:
        raise refused(origin, via, status, reason)
    if status != 200:
        raise unreachable(proxy, f"no connection to {origin}: {status} {printable(reason, 100)}")


def refused(origin: Origin, via: Proxy, status: int, reason: str) -> UnreachableError:
    """Return the error for a proxy that lets nothing through to an origin."""
    hint = f"let the proxy allow {origin}, or name the host in NO_PROXY"
    if status == 407:
        has = "check" if via.authorization else "give"
        hint = f"{has} the user and password in the proxy's URL: http://USER:PASSWORD@{via.host}:{via.port}"
    return UnreachableError(
        f"the proxy {via.host}:{via.port} refused a connection to {origin}: {status} {printable(reason, 100)}",
        hint=hint,
    )
