"""Who we are at a registry: one module a source, one order of precedence."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    from kit_initializer.secret import Secret
    from kit_initializer.settings import Settings

# The order in which the sources are asked; each is a module of this package that is imported when its turn
# comes.
SOURCES = ("environment", "docker")


class Login(NamedTuple):
    """A login at one registry.

    `identity_token` stands in for user and password at a token server (OAuth 2.0). `source` says where the
    login came from in words that may be printed.
    """

    username: str
    password: Secret
    identity_token: Secret | None
    source: str


class _Source(Protocol):
    def find(self, host: str, settings: Settings) -> Login | None: ...


def find(host: str, settings: Settings) -> Login | None:
    """Return the login of the first source that has one for `host` ("r.example:5000"), else None.

    Raises an InitializerError when a source that speaks of this host cannot be used.
    """
    for name in SOURCES:
        source = cast("_Source", importlib.import_module(f"kit_initializer.credentials.{name}"))
        login = source.find(host, settings)
        if login is not None:
            return login
    return None
