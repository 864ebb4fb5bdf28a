"""Docker's config.json: logins in `auths`, identity tokens, `credHelpers` and `credsStore`.

Sources: Docker's documentation of the file and of the protocol of its credential helpers. The file comes as
KIT_DOCKER_CONFIG_JSON (the contents), from the folder DOCKER_CONFIG, or from ~/.docker, the first that is
there.
"""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any

from kit_initializer.credentials import Login, hosts
from kit_initializer.errors import UsageError
from kit_initializer.secret import Secret

if TYPE_CHECKING:
    from kit_initializer.settings import Settings


def find(host: str, settings: Settings) -> Login | None:
    """Return the login that a config.json has for the host. Raises UsageError for a broken file."""
    text, where = _text(settings)
    if not text.strip():
        return None
    config = _object(text, where)
    entry = next((value for key, value in config.get("auths", {}).items() if hosts.same(key, host)), None)
    return _login(entry, where) if entry else None


def _text(settings: Settings) -> tuple[str, str]:
    contents = settings.environ.get("KIT_DOCKER_CONFIG_JSON", "")
    if contents.strip():
        return contents, "KIT_DOCKER_CONFIG_JSON"
    folder, home = settings.environ.get("DOCKER_CONFIG", ""), settings.environ.get("HOME", "")
    path = os.path.join(folder or os.path.join(home, ".docker"), "config.json")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(), path
    except FileNotFoundError:
        return "", path
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UsageError(f"{where} is not a config.json of Docker")
    return value


def _login(entry: dict[str, Any], where: str) -> Login | None:
    token = entry.get("identitytoken") or ""
    user, password = entry.get("username") or "", entry.get("password") or ""
    if entry.get("auth"):
        user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    if not user and not token:
        return None
    return Login(user, Secret(password), Secret(token) if token else None, where)
