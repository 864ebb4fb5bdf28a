"""Logins that tests plant, and how they are found again."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from threading import Event
from typing import TYPE_CHECKING

from kit_initializer.credentials import Wanted, sources
from kit_initializer.deadline import Deadline
from kit_initializer.http import Transport
from kit_initializer.pull.run import network
from kit_initializer.settings import Settings, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit_initializer.credentials import Login

HOST = "r.example:5000"
CANARY = "canary-4f1d"
ANN = {"KIT_USER": "ann", "KIT_PASSWORD": "grey-otter"}
USERS = {"ann": "grey-otter"}  # whom a registry of a test knows


def auth(user: str, password: str = CANARY) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def config(**hosts: object) -> str:
    return json.dumps({"auths": {HOST: auth("docker")} | hosts})


def settings(**environ: str) -> Settings:
    return read({"PATH": os.environ["PATH"], **environ})


def ignored(_: str) -> None:
    """Take a warning that a test is not about."""


def find(where: Wanted | str = HOST, **environ: str) -> Login | None:
    return find_with(where, settings(**environ), ignored)


def find_with(where: Wanted | str, settings: Settings, warn: Callable[[str], None]) -> Login | None:
    """Ask the sources as a run does: for a repository, or for the repository "iris" of a host."""
    wanted = Wanted(where, "iris") if isinstance(where, str) else where
    with contextlib.closing(Transport(network(settings), Deadline(), Event())) as transport:
        return sources.find(wanted, settings, transport, warn)
