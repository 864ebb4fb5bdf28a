"""KIT_USER and KIT_PASSWORD, for the registry KIT_REGISTRY or for any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_initializer.credentials import Login, hosts
from kit_initializer.secret import Secret

if TYPE_CHECKING:
    from kit_initializer.settings import Settings


def find(host: str, settings: Settings) -> Login | None:
    """Return the login of the environment; that both halves are there is for the settings to check."""
    user, password = settings.environ.get("KIT_USER", ""), settings.environ.get("KIT_PASSWORD", "")
    only = settings.environ.get("KIT_REGISTRY", "").strip()
    if not user or (only and not hosts.same(only, host)):
        return None
    return Login(user, Secret(password), None, "KIT_USER and KIT_PASSWORD")
