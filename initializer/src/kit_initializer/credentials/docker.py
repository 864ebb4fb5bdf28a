"""Docker's config.json: logins in `auths`, identity tokens, `credHelpers` and `credsStore`.

Sources: Docker's documentation of the file, and of the protocol of credential helpers; for keys with patterns and
paths, Kubernetes' of pull secrets ("Interpretation of config.json") and its pkg/credentialprovider. The file comes as
KIT_DOCKER_CONFIG_JSON (its contents), then from the folder DOCKER_CONFIG, or ~/.docker without that. In a folder
it may also be called `.dockerconfigjson`, as in a mounted secret of Kubernetes.

Many a registry is open to everyone, so a file that cannot be read must not end the run where it says nothing of
the registry: then it is a warning.
"""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from kit_initializer.credentials import Login, helpers, hosts
from kit_initializer.errors import UsageError
from kit_initializer.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kit_initializer.credentials import Wanted
    from kit_initializer.http import Transport
    from kit_initializer.settings import Settings

_NAMES = ("config.json", ".dockerconfigjson")
_SIZE_LIMIT = 1 << 20
_HINT = "write it anew with docker login, or create the secret again"


class _File(NamedTuple):
    text: str
    where: str


def find(
    wanted: Wanted, settings: Settings, transport: Transport, warn: Callable[[str], None]
) -> Login | None:
    """Return the login that a config.json has for the repository. Raises UsageError when it has a broken one."""
    for file in _files(settings, warn):
        config = _config(file, wanted.host, warn)
        found = login(config, wanted, file.where, settings, transport, warn=warn) if config else None
        if found:
            return found
    return None


def login(
    config: dict[str, Any],
    wanted: Wanted,
    where: str,
    settings: Settings,
    transport: Transport,
    *,
    warn: Callable[[str], None],
) -> Login | None:
    """Return what a config has for the repository: of its host's helper, of the store of all, or of an entry.

    `where` names the config. Raises UsageError when it speaks of this host and cannot be used.
    """
    host = wanted.host
    entry = _entry(config.get("auths"), wanted, where)
    helper = _helper(config.get("credHelpers"), host, where)
    if helper:
        found = helpers.ask(helper, _server(host), settings, transport, f"credHelpers of {where}")
        if found:
            return found
    store = config.get("credsStore")
    if store and not helper:
        try:
            found = helpers.ask(store, _server(host), settings, transport, f"credsStore of {where}")
        except UsageError as error:
            if entry is not None and not _is_filled(entry):
                raise  # an empty entry says that the login is in the store
            warn(f"{error.line()}; going on without it")
            found = None
        if found:
            return found
    return _login(entry, host, where) if entry else None


def _files(settings: Settings, warn: Callable[[str], None]) -> Iterator[_File]:
    contents = settings.environ.get("KIT_DOCKER_CONFIG_JSON", "")
    if contents.strip():
        yield _File(contents, "KIT_DOCKER_CONFIG_JSON")
    folder, home = settings.environ.get("DOCKER_CONFIG", ""), settings.environ.get("HOME", "")
    if not folder and home:
        folder = os.path.join(home, ".docker")
    for name in _NAMES if folder else ():
        path = os.path.join(folder, name)
        try:
            with open(path, encoding="utf-8") as file:
                yield _File(file.read(_SIZE_LIMIT), path)
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            warn(f"{path} cannot be read: {reason}; going on without it")
        return


def _config(file: _File, host: str, warn: Callable[[str], None]) -> dict[str, Any] | None:
    try:
        value = json.loads(file.text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    problem = f"{file.where} is not a config.json of Docker"
    if hosts.normal(host) in file.text.lower():
        raise UsageError(f"{problem}, and it speaks of {host}", hint=_HINT)
    warn(f"{problem}; going on without it")
    return None


def _entry(auths: object, wanted: Wanted, where: str) -> dict[str, Any] | None:
    """Return the entry of a repository, as the kubelet chooses it: the one that says most about where it is.

    That is one that names the host before a pattern, then the longest path, then the key without a scheme. A path that
    ends within a name ("r.example/tea" of r.example/team/iris) matches as well, after all others: the kubelet, which
    compares letters, would send it, and go on to the next.
    """
    ranks = {key: _rank(key, wanted) for key in auths} if isinstance(auths, dict) else {}
    best = max((key for key in ranks if ranks[key]), key=lambda key: ranks[key] or (), default=None)
    if best is None or not isinstance(auths, dict):
        return None
    entry = auths[best]
    if isinstance(entry, dict):
        return entry
    raise UsageError(f"the entry of {wanted.host} in {where} is not an object", hint=_HINT)


def _rank(key: str, wanted: Wanted) -> tuple[object, ...]:
    """Return how well a key of `auths` fits, to be compared; () for not at all."""
    host, path = hosts.split(key)
    if not hosts.covers(host, wanted.host) or not wanted.repository.startswith(path):
        return ()
    whole = not path or wanted.repository[len(path) :][:1] in {"", "/"}
    return whole, hosts.same(host, wanted.host), len(path), len(host), -len(key)


def _helper(found: object, host: str, where: str) -> str:
    if not isinstance(found, dict):
        return ""
    name = next((name for key, name in found.items() if hosts.same(key, host)), "")
    if isinstance(name, str):
        return name
    raise UsageError(f"the credential helper of {host} in {where} is not a name", hint=_HINT)


def _server(host: str) -> str:
    return hosts.DOCKER_HUB if hosts.same(host, "docker.io") else host


def _is_filled(entry: dict[str, Any]) -> bool:
    return any(entry.get(key) for key in ("auth", "username", "password", "identitytoken"))


def _login(entry: dict[str, Any], host: str, where: str) -> Login | None:
    texts = {key: entry.get(key) or "" for key in ("auth", "username", "password", "identitytoken")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise UsageError(f"the entry of {host} in {where} is broken", hint=_HINT)
    user, password, token = texts["username"], texts["password"], texts["identitytoken"]
    if texts["auth"]:
        packed = "".join(texts["auth"].split())  # `base64` wraps its lines, and others leave the padding out
        try:
            pair = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
            user, colon, password = pair.decode().partition(":")
        except ValueError:
            colon = ""
        if not colon:
            raise UsageError(f"the auth of {host} in {where} is not the base64 of user:password", hint=_HINT)
    password = password.rstrip("\r\n\0")  # echo leaves a line break, and old Dockers zeros
    if token or (user and password):
        return Login(user, Secret(password), Secret(token) if token else None, where)
    return None
