"""All sources of credentials, in their order of precedence.

A registry is asked without credentials first. Only when it wants some are the sources asked, in order, and the
first that has a login for this very host is used; nothing is tried twice or in turn. A new source is a module with a
function `find`, and a line in `SOURCES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kit_initializer.credentials import amazon, azure, docker, environment, google, storage_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit_initializer.credentials import Login
    from kit_initializer.http import Transport
    from kit_initializer.settings import Settings


class Source(Protocol):
    """What a module of this package offers."""

    def find(
        self, host: str, settings: Settings, transport: Transport, warn: Callable[[str], None], /
    ) -> Login | None:
        """Return a login for the host, None where the source has none."""


SOURCES: tuple[Source, ...] = (storage_config, environment, docker, amazon, google, azure)


def find(host: str, settings: Settings, transport: Transport, warn: Callable[[str], None]) -> Login | None:
    """Return the login of the first source that has one for `host` ("r.example:5000"), else None.

    `transport` has the limits of time, and is how sources reach others. `warn` is given what cannot be read but says
    nothing of this host. Raises an InitializerError when a source that speaks of this host cannot be used.
    """
    for source in SOURCES:
        login = source.find(host, settings, transport, warn)
        if login is not None:
            return login
    return None
