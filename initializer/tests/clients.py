"""The registry's client as the rooms above call it, and a kit of one layer for it to fetch."""

from __future__ import annotations

import contextlib
from threading import Event
from typing import TYPE_CHECKING

from kit_conformance.testbed.kits import Noise, pack
from kit_initializer.credentials.logins import Logins
from kit_initializer.deadline import Deadline
from kit_initializer.http import Transport
from kit_initializer.pull.run import network
from kit_initializer.registry import Registry
from kit_initializer.settings import read

if TYPE_CHECKING:
    from collections.abc import Iterator

QUICK = {
    "KIT_UNPACK_FLAGS": "--plain-http",
    "KIT_RETRIES": "1",
    "KIT_FIRST_BYTE_TIMEOUT": "5",
    "KIT_STALL_TIMEOUT": "5",
    "KIT_PROGRESS_TIMEOUT": "2",
}
SEGMENT = 64 * 1024
KIT = pack(
    {"m": Noise(8 * SEGMENT - 2000)}, {"manifestVersion": "1.0.0", "package": {}, "model": {"path": "m"}}
)
LAYER = KIT.layers[0]
BLOB = LAYER.read()


@contextlib.contextmanager
def connected() -> Iterator[Registry]:
    """Give a client, and close what connections it has in the end."""
    settings = read(QUICK | {"KIT_USER": "ann", "KIT_PASSWORD": "pw"})
    said: list[str] = []
    stop = Event()
    transport = Transport(network(settings), Deadline(), stop)
    client = Registry(
        transport,
        Logins(settings, transport, said.append),
        stop,
        plain_http=True,
        retries=1,
        say=said.append,
        warn=said.append,
    )
    yield client
    client.abort()
    for wire in tuple(client.transport._live):
        client.transport.drop(wire)
