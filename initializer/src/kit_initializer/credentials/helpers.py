"""Docker's credential helpers: `docker-credential-NAME get`, a server's name in, JSON out."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

from kit_initializer.credentials import Login
from kit_initializer.errors import UsageError
from kit_initializer.secret import Secret

if TYPE_CHECKING:
    from kit_initializer.http import Transport
    from kit_initializer.settings import Settings

# What helpers print, with a failure, when they simply have no login for the server.
_NOT_FOUND = "credentials not found"
# The user name that marks a secret as an identity token.
_TOKEN_USER = "<token>"  # noqa: S105 - a marker, not a secret
# Variables of ours, of KServe and of signatures hold logins and keys that are not the helper's business.
_OURS = ("KIT_", "KITOPS_", "STORAGE_", "COSIGN_")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def ask(name: object, server: str, settings: Settings, transport: Transport, where: str) -> Login | None:
    """Return the login that a helper has for the server, None if it has none.

    The helper may take as long as a registry may take to answer. It gets a small environment: none of our variables,
    which may hold other logins. Raises UsageError when it cannot be run, fails or answers something else; what it
    printed is not repeated, for it may hold the secret.
    """
    if not isinstance(name, str) or not name or not _LETTERS.issuperset(name):
        raise UsageError(
            f"{where} does not name a credential helper", hint="name it as in docker-credential-NAME"
        )
    program = f"docker-credential-{name}"
    until = transport.nearer("KIT_FIRST_BYTE_TIMEOUT", settings.first_byte_timeout)
    try:
        # the name has no separator: the program is one of the PATH
        run = subprocess.run(  # noqa: S603
            [program, "get"],
            input=server.encode(),
            capture_output=True,
            timeout=until.left(),
            check=False,
            env=_environment(settings),
        )
    except FileNotFoundError:
        raise UsageError(
            f"{where} names {program}, which is not on the PATH", hint="put the login itself into auths"
        ) from None
    except OSError as error:
        raise UsageError(f"{program} of {where} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"{program} of {where} gave no answer in {until.seconds:g} s", hint=until.hint()
        ) from None
    if run.returncode:
        if _NOT_FOUND in (run.stdout + run.stderr).decode(errors="replace").lower():
            return None
        raise UsageError(f"{program} of {where} failed with {run.returncode} for {server}")
    return _login(run.stdout, f"{program} of {where}", server)


def _environment(settings: Settings) -> dict[str, str]:
    """Return what a helper needs: paths, proxies, CAs and its own cloud's variables, none of ours or KServe's."""
    kept = {
        name: value
        for name, value in settings.environ.items()
        if not name.upper().startswith(_OURS) and "\0" not in value
    }
    return kept | {"PATH": settings.environ.get("PATH", os.defpath)}


def _login(answer: bytes, source: str, server: str) -> Login | None:
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        value = None
    user, secret = (value.get("Username"), value.get("Secret")) if isinstance(value, dict) else (None, None)
    if not isinstance(user, str) or not isinstance(secret, str):
        raise UsageError(f"{source} gave no login for {server} in the form of a credential helper")
    if not secret:
        return None
    if user == _TOKEN_USER:
        return Login("", Secret(""), Secret(secret), source)
    return Login(user, Secret(secret), None, source)
