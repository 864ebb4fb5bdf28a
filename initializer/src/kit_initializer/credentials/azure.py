"""Azure Container Registry: a login for the workload identity of the pod.

The webhook of Azure Workload Identity sets AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE and
AZURE_AUTHORITY_HOST. The service account's token is exchanged at Entra for an access token, and that one at the
registry for a refresh token, which stands in for user and password at the registry's token service. Only hosts of
Azure's registries are asked for, told by their full names.

Sources: Microsoft's documentation of the client credentials flow with a federated assertion, and of the registry's
`/oauth2/exchange`.
"""

from __future__ import annotations

import importlib
import json
import re
from typing import TYPE_CHECKING, Any

from kit_initializer.credentials import Login
from kit_initializer.errors import DeniedError, TLSError, UnreachableError, UsageError
from kit_initializer.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

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
_ANSWER_BYTES = 1 << 20
_HINT = "check the federated credential of the identity and its right AcrPull"


def find(host: str, settings: Settings, _warn: Callable[[str], None]) -> Login | None:
    """Return a login for a registry of Azure, None for any other or without a workload identity.

    Raises DeniedError, UnreachableError, TLSError or UsageError when the identity cannot be used.
    """
    match = re.fullmatch(_HOSTS, host)
    environ = settings.environ
    client, tenant = environ.get("AZURE_CLIENT_ID", ""), environ.get("AZURE_TENANT_ID", "")
    path = environ.get("AZURE_FEDERATED_TOKEN_FILE", "")
    if not match or not (client and tenant and path):
        return None
    try:
        with open(path, encoding="utf-8") as file:
            assertion = file.read().strip()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=_HINT) from None
    authority = environ.get("AZURE_AUTHORITY_HOST", "") or "https://login.microsoftonline.com/"
    form = {
        "grant_type": "client_credentials",
        "client_id": client,
        "scope": f"{_AUDIENCES[match[1]]}/.default",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion,
    }
    entra = f"{authority.rstrip('/')}/{tenant}/oauth2/v2.0/token"
    access = _post(entra, form, "access_token", settings)
    form = {"grant_type": "access_token", "service": host, "tenant": tenant, "access_token": access}
    refresh = _post(f"https://{host}/oauth2/exchange", form, "refresh_token", settings)
    return Login(_USER, Secret(refresh), Secret(refresh), SOURCE)


def _post(url: str, form: dict[str, str], wanted: str, settings: Settings) -> str:
    """Send a form and return one text of the JSON that comes back. Nothing that was sent or came is shown."""
    parse: Any = importlib.import_module("urllib.parse")
    errors: Any = importlib.import_module("urllib.error")
    ssl: Any = importlib.import_module("ssl")
    where = parse.urlsplit(url).netloc
    try:
        opener = _opener(url, settings)
        answer = opener.open(url, parse.urlencode(form).encode(), timeout=settings.first_byte_timeout)
        with answer:
            value = json.loads(answer.read(_ANSWER_BYTES))
    except errors.HTTPError as error:
        with error:
            if error.code >= 500 or error.code in {408, 429}:
                raise UnreachableError(f"{where} answered {error.code}", hint="try again later") from None
            raise DeniedError(f"{where} gave no token: it answered {error.code}", hint=_HINT) from None
    except (OSError, importlib.import_module("http.client").HTTPException) as error:
        if isinstance(getattr(error, "reason", error), ssl.SSLError):
            raise TLSError(f"no trust in {where}", hint="give its CA by KIT_CA_CERT") from None
        raise UnreachableError(f"{where} cannot be reached") from None
    except (ValueError, RecursionError):
        value = None
    token = value.get(wanted) if isinstance(value, dict) else None
    if not isinstance(token, str) or not token:
        raise DeniedError(f"{where} gave no token", hint=_HINT)
    return token


def _opener(url: str, settings: Settings) -> Any:  # noqa: ANN401 - urllib.request, imported when it is needed
    """Return what opens addresses through our proxy with our trust; certificates are checked in any case."""
    request: Any = importlib.import_module("urllib.request")
    ssl: Any = importlib.import_module("ssl")
    context = ssl.create_default_context()
    for path in settings.ca_files:
        context.load_verify_locations(path)
    if settings.ca_pem:
        context.load_verify_locations(cadata=settings.ca_pem)
    scheme, _, rest = url.partition("://")
    proxy = settings.https_proxy if scheme == "https" else settings.http_proxy
    if request.proxy_bypass_environment(rest.partition("/")[0], {"no": settings.no_proxy}):
        proxy = ""
    proxy = settings.proxy or proxy
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"

    class Straight(request.HTTPRedirectHandler):  # type: ignore[misc]
        def redirect_request(self, *_: object) -> None:
            """Follow nothing: a token is for whom it was sent to."""

    proxies = request.ProxyHandler({scheme: proxy} if proxy else {})
    return request.build_opener(proxies, request.HTTPSHandler(context=context), Straight)
