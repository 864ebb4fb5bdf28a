"""Azure Container Registry: a login for the workload identity of the pod.

The webhook of Azure Workload Identity sets AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE and
AZURE_AUTHORITY_HOST. The service account's token is exchanged at Entra for an access token, and that one at the
registry for a refresh token, which stands in for user and password at the registry's token service. Only hosts of
Azure's registries are asked for, told by their full names.

Sources: Microsoft's documentation of the client credentials flow with a federated assertion, and of the registry's
`/oauth2/exchange`.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from kit_initializer.credentials import Login
from kit_initializer.errors import DeniedError, TLSError, UnreachableError, UsageError
from kit_initializer.http import TransientError, origin_of
from kit_initializer.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit_initializer.credentials import Wanted
    from kit_initializer.http import Transport
    from kit_initializer.settings import Settings

SOURCE = "Azure, for the workload identity of the pod"
_HOSTS = r"[a-z0-9-]+\.azurecr\.(io|cn|us)"
_AUDIENCES = {
    "io": "https://containerregistry.azure.net",
    "cn": "https://management.chinacloudapi.cn",
    "us": "https://management.usgovcloudapi.net",
}
# The user that goes with a refresh token of the registry.
_USER = "00000000-0000-0000-0000-000000000000"
_RESPONSE_BYTES = 1 << 20
_HINT = "check the federated credential of the identity and its right AcrPull"


def find(
    wanted: Wanted, settings: Settings, transport: Transport, _warn: Callable[[str], None]
) -> Login | None:
    """Return a login for a registry of Azure, None for any other or without a workload identity.

    Raises DeniedError, UnreachableError, TLSError or UsageError when the identity cannot be used.
    """
    host = wanted.host
    match = re.fullmatch(_HOSTS, host)
    environ = settings.environ
    client, tenant = environ.get("AZURE_CLIENT_ID", ""), environ.get("AZURE_TENANT_ID", "")
    path = environ.get("AZURE_FEDERATED_TOKEN_FILE", "")
    if not match or not (client and tenant and path):
        return None
    try:
        with open(path, encoding="utf-8") as file:
            assertion = file.read(_RESPONSE_BYTES).strip()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=_HINT) from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a token: it is not text", hint=_HINT) from None
    authority = environ.get("AZURE_AUTHORITY_HOST", "") or "https://login.microsoftonline.com/"
    form = {
        "grant_type": "client_credentials",
        "client_id": client,
        "scope": f"{_AUDIENCES[match[1]]}/.default",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": Secret(assertion).reveal(),
    }
    entra = f"{authority.rstrip('/')}/{tenant}/oauth2/v2.0/token"
    exchange = f"https://{host}/oauth2/exchange"
    with contextlib.closing(transport.verified()) as verified:  # the tokens open more than a kit
        access = _post(entra, form, "access_token", verified).reveal()
        form = {"grant_type": "access_token", "service": host, "tenant": tenant, "access_token": access}
        refresh = _post(exchange, form, "refresh_token", verified)
    return Login(_USER, refresh, refresh, SOURCE)


def _post(url: str, form: dict[str, str], wanted: str, transport: Transport) -> Secret:
    """Send a form and return one text of the JSON that comes back; a redirect is not followed.

    Nothing that was sent or came is shown: a token is for whom it was sent to.
    """
    where = str(origin_of(url))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        response = transport.request(url, headers, body=urlencode(form).encode())
        text = response.read(_RESPONSE_BYTES)
    except TLSError as error:
        raise TLSError(f"no trust in {where}: {error}", hint=error.hint) from None
    except TransientError as error:
        raise UnreachableError(f"{where} cannot be reached: {error}", hint=error.error.hint) from None
    if response.status >= 500 or response.status in {408, 429}:
        raise UnreachableError(f"{where} answered {response.status}", hint="try again later")
    if response.status != 200:
        raise DeniedError(f"{where} gave no token: it answered {response.status}", hint=_HINT)
    try:
        token = json.loads(text)[wanted]
    except (ValueError, LookupError, TypeError, RecursionError):
        token = None
    if not isinstance(token, str) or not token:
        raise DeniedError(f"{where} gave no token", hint=_HINT)
    return Secret(token)
