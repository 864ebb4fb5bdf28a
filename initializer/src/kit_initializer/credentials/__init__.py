"""Who we are at a registry: one module a source, one order of precedence.

A registry is asked without credentials first. Only when it wants some are the sources asked, in order, and the
first that has a login for this very host is used; nothing is tried twice or in turn.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit_initializer.secret import Secret
    from kit_initializer.settings import Settings

# The order of precedence; each is a module of this package that is imported when its turn comes.
SOURCES = ("storage_config", "environment", "docker", "amazon", "google", "azure")


class Login(NamedTuple):
    """A login at one registry.

    `identity_token` stands in for user and password at a token service (OAuth 2.0). `source` says where the
    login came from in words that may be printed.
    """

    username: str
    password: Secret
    identity_token: Secret | None
    source: str


class _Source(Protocol):
    def find(self, host: str, settings: Settings, warn: Callable[[str], None]) -> Login | None: ...


def _silent(_: str) -> None:
    """Drop a warning."""


def find(host: str, settings: Settings, warn: Callable[[str], None] = _silent) -> Login | None:
    """Return the login of the first source that has one for `host` ("r.example:5000"), else None.

    `warn` is given what cannot be read but says nothing of this host. Raises an InitializerError when a source
    that speaks of this host cannot be used.
    """
    for name in SOURCES:
        source = cast("_Source", importlib.import_module(f"kit_initializer.credentials.{name}"))
        login = source.find(host, settings, warn)
        if login is not None:
            return login
    return None
