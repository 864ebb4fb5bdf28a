"""All sources of credentials, in their order of precedence.

A registry is asked without credentials first. Only when it wants some are the sources asked, in order, and the
first that has a login for this very host is used; nothing is tried twice or in turn. A new source is a module with a
function `find`, and a line in `SOURCES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kit_initializer.credentials import amazon, azure, docker, environment, google, storage_config
from kit_initializer.secret import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit_initializer.credentials import Login, Wanted
    from kit_initializer.http import Transport
    from kit_initializer.settings import Settings


class Source(Protocol):
    """What a module of this package offers."""

    def find(
        self, wanted: Wanted, settings: Settings, transport: Transport, warn: Callable[[str], None], /
    ) -> Login | None:
        """Return a login for the repository, None where the source has none."""


SOURCES: tuple[Source, ...] = (storage_config, environment, docker, amazon, google, azure)
# Those whose logins say which host they are for: no others are for a host that a kit has named.
_NAMING: tuple[Source, ...] = (storage_config, docker)


def find(
    wanted: Wanted, settings: Settings, transport: Transport, warn: Callable[[str], None]
) -> Login | None:
    """Return the login of the first source that has one for a repository, else None.

    `transport` has the limits of time, and is how sources reach others. `warn` is given what cannot be read but says
    nothing of this host. Raises an InitializerError when a source that speaks of this host cannot be used.
    """
    for source in _NAMING if wanted.parent else SOURCES:
        login = source.find(wanted, settings, transport, warn)
        if login is not None:
            return login
    return None


def advice(wanted: Wanted, settings: Settings) -> str:
    """Return what to do where no source has a login: it asks for nothing that was given."""
    entry = f"an entry for {wanted.host}"
    environ = settings.environ
    config = next((name for name in ("KIT_DOCKER_CONFIG_JSON", "DOCKER_CONFIG") if environ.get(name)), "")
    if wanted.parent:
        why = "KIT_USER does not go to" if environ.get("KIT_USER") else "nothing else logs in at"
        return f"add {entry} to {config or 'a docker config'}: {why} the host of a parent kit"
    if environ.get("KIT_USER"):
        only = environ.get("KIT_REGISTRY", "").strip()
        given = f"KIT_USER is for KIT_REGISTRY={printable(only, 100)} alone"
        return f"{given}: correct it, or add {entry} to a docker config"
    if config:
        missing = f"{config} has no login for {wanted.host}/{wanted.repository}"
        return f"{missing}: add one, or set KIT_USER and KIT_PASSWORD"
    return "give credentials: KIT_USER and KIT_PASSWORD, or a docker config"
