"""KIT_USER and KIT_PASSWORD, for the registry KIT_REGISTRY or for any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_initializer.credentials import Login, hosts
from kit_initializer.secret import Secret
from kit_initializer.settings import login

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit_initializer.credentials import Wanted
    from kit_initializer.http import Transport
    from kit_initializer.settings import Settings


def find(
    wanted: Wanted, settings: Settings, _transport: Transport, _warn: Callable[[str], None]
) -> Login | None:
    """Return the login of the environment. Raises UsageError for one half without the other."""
    user, password = login(settings.environ)
    only = settings.environ.get("KIT_REGISTRY", "").strip()
    if not user or (only and not hosts.same(only, wanted.host)):
        return None
    return Login(user, Secret(password), None, "KIT_USER and KIT_PASSWORD")
