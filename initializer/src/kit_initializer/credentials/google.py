"""Google's Artifact Registry and Container Registry: an access token for the identity of the pod.

That is the file GOOGLE_APPLICATION_CREDENTIALS (workload identity federation, or a service account's key), or
without it Google's metadata server, which GKE gives every pod. Only Google's own registry hosts are asked for,
told by their full names. GCP_WIF=true, as in the KitOps image, makes a login required there; GCP_GAR_LOCATION is
not needed, for the host names its location.

Sources: Google's documentation of the registries' names and of their user oauth2accesstoken; google-auth. Its own
search for credentials is not used: it may start gcloud and asks for a project's name, which takes rights and time.
"""

from __future__ import annotations

import json
import logging
import re
import socket
from typing import TYPE_CHECKING, Any

from kit_initializer.credentials import Login
from kit_initializer.errors import DeniedError, InitializerError, UnreachableError, UsageError
from kit_initializer.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit_initializer.credentials import Wanted
    from kit_initializer.deadline import Deadline
    from kit_initializer.http import Transport
    from kit_initializer.settings import Settings

_HOSTS = r"[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z0-9-]+\.)?gcr\.io"
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_USER = "oauth2accesstoken"
_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
_METADATA = ("169.254.169.254", 80)
_PROBE_SECONDS = 1.0
_HINT = "check the service account of the pod and its right to read the repository"


def find(
    wanted: Wanted, settings: Settings, transport: Transport, warn: Callable[[str], None]
) -> Login | None:
    """Return a login for a registry of Google, None for any other or without an identity.

    Raises DeniedError, UnreachableError or UsageError when Google gives none although one was asked for by
    GCP_WIF or GOOGLE_APPLICATION_CREDENTIALS; without them the registry may still be open.
    """
    if not re.fullmatch(_HOSTS, wanted.host):
        return None
    path = settings.environ.get(_FILE, "")
    required = bool(path) or settings.environ.get("GCP_WIF", "").strip().lower() == "true"
    if not required and not _is_there(settings):
        return None
    try:
        return _login(path, settings, transport.deadline)
    except InitializerError as error:
        if required:
            raise
        warn(f"{error.line()}; going on without a login")
        return None


def _is_there(settings: Settings) -> bool:
    """Say whether something listens where the metadata server is: elsewhere the wait for it would be long."""
    name, _, port = settings.environ.get("GCE_METADATA_HOST", "").partition(":")
    address = (name or _METADATA[0], int(port) if port.isdecimal() else _METADATA[1])
    try:
        socket.create_connection(address, timeout=_PROBE_SECONDS).close()
    except OSError:
        return False
    return True


def _login(path: str, settings: Settings, deadline: Deadline) -> Login:
    try:
        from google.auth import exceptions as errors  # noqa: PLC0415 - 150 ms, only for hosts of Google
        from google.auth.transport import requests  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "google-auth is not installed, and only it can log in at Google",
            hint="install kit-initializer[gcp], or set KIT_USER=oauth2accesstoken and KIT_PASSWORD",
        ) from None
    try:
        credentials = _from_file(path) if path else _of_the_pod()
        credentials.refresh(_bounded(requests.Request, settings, deadline))
    except errors.TransportError:
        raise UnreachableError("Google's token service cannot be reached", hint=_HINT) from None
    except errors.GoogleAuthError as error:
        raise DeniedError(f"Google gave no token: {_code(error)}", hint=_HINT) from None
    except OSError as error:
        raise UsageError(f"{error.filename or path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            f"{path or 'the metadata server'} does not describe an identity that can be used", hint=_HINT
        ) from None
    source = f"Google, by {_FILE}" if path else "Google, for the service account of the pod"
    return Login(_USER, Secret(credentials.token), None, source)


def _of_the_pod() -> Any:  # noqa: ANN401 - google-auth's own, untyped
    from google.auth import compute_engine  # noqa: PLC0415

    # without a handler, tries that failed would be printed besides what we say ourselves
    logging.getLogger("google").addHandler(logging.NullHandler())
    return compute_engine.Credentials()  # type: ignore[no-untyped-call]


def _from_file(path: str) -> Any:  # noqa: ANN401 - google-auth's own, untyped
    """Return the credentials of a file. Raises OSError, GoogleAuthError, and others for what is none."""
    with open(path, encoding="utf-8") as file:
        value = json.load(file)
    if value["type"] == "service_account":
        from google.oauth2 import service_account  # noqa: PLC0415

        make: Any = service_account.Credentials.from_service_account_info
        return make(value, scopes=_SCOPES)
    if value["type"] == "external_account":
        from google.auth import aws, identity_pool  # noqa: PLC0415

        pool = aws if "environment_id" in value["credential_source"] else identity_pool
        return pool.Credentials.from_info(value, scopes=_SCOPES)
    raise ValueError(value["type"])


def _bounded(base: Any, settings: Settings, deadline: Deadline) -> Any:  # noqa: ANN401 - google-auth's own, untyped
    """Return a transport that waits as long as we do, not the two minutes that are its default."""

    class Bounded(base):  # type: ignore[misc]
        def __call__(self, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:  # noqa: ANN401
            bound = deadline.within(settings.first_byte_timeout)
            return super().__call__(*args, timeout=min(timeout or bound, bound), **kwargs)

    return Bounded()


def _code(error: Exception) -> str:
    """Return the error code of OAuth in an error, or what kind it is: its text may hold what was sent."""
    found = re.match(r"Error code ([a-z_]+)", str(error.args[0]) if error.args else "")
    return found[1] if found else type(error).__name__
