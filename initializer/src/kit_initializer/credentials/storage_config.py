"""STORAGE_CONFIG: a login per InferenceService, from KServe's secret `storage-config`.

KServe puts one key of that secret into the environment as it is, and `storage.parameters` of the InferenceService as
STORAGE_OVERRIDE_CONFIG. Both are JSON objects, and the second one's values win. They are read when `type` is "kit";
other types belong to other storage.

    {"type": "kit", "registry": "r.example", "username": "…", "password": "…"}
    {"type": "kit", "registry": "r.example", "identity_token": "…"}
    {"type": "kit", "auths": {"r.example": {"auth": "…"}}}

Without `registry` a login is for any registry, but that of a parent kit on another host.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kit_initializer.credentials import Login, docker, hosts
from kit_initializer.errors import UsageError
from kit_initializer.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit_initializer.credentials import Wanted
    from kit_initializer.http import Transport
    from kit_initializer.settings import Settings

SOURCE = "STORAGE_CONFIG"
_OVERRIDE = "STORAGE_OVERRIDE_CONFIG"
_TEXTS = ("registry", "username", "password", "identity_token")
_HINT = 'write {"type": "kit", "registry": "…", "username": "…", "password": "…"}'


def find(
    wanted: Wanted, settings: Settings, transport: Transport, warn: Callable[[str], None]
) -> Login | None:
    """Return the login of the InferenceService. Raises UsageError for a config of type kit that has none."""
    text = settings.environ.get(SOURCE, "")
    override = _object(settings.environ.get(_OVERRIDE, "")) or {}
    own = _object(text)
    if ((own or {}) | override).get("type") != "kit" or not text.strip():
        return None
    if own is None:
        raise UsageError(f"{SOURCE} is not a JSON object", hint=_HINT)
    config = own | override
    if "auths" in config:
        return docker.login(config, wanted, SOURCE, settings, transport, warn=warn)
    return _login(config, wanted)


def _login(config: dict[str, Any], wanted: Wanted) -> Login | None:
    texts = {key: config.get(key, "") for key in _TEXTS}
    wrong = [key for key, value in texts.items() if not isinstance(value, str)]
    if wrong:
        raise UsageError(f"{SOURCE} has a {wrong[0]} that is not text", hint=_HINT)
    only = texts["registry"].strip()
    if not hosts.same(only, wanted.host) if only else wanted.parent:
        return None
    token = texts["identity_token"].strip()
    user, password = texts["username"].strip(), texts["password"].rstrip("\r\n")
    if not token and not (user and password):
        raise UsageError(
            f"{SOURCE} has neither username and password, nor identity_token, nor auths", hint=_HINT
        )
    return Login(user, Secret(password), Secret(token) if token else None, SOURCE)


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
