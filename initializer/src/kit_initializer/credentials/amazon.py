"""Amazon ECR: a login for the role of the pod, by every way that botocore knows.

That is IAM roles for service accounts (AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE), EKS Pod Identity
(AWS_CONTAINER_CREDENTIALS_FULL_URI), keys in the environment, and the role of the node. Only hosts of ECR are
asked for, told by their full names; the region is that of the host, so that other regions and accounts work.

Sources: Amazon's documentation of the registries' names, of GetAuthorizationToken (the token opens every registry
of any account that the role may use), and of botocore.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from kit_initializer.credentials import Login
from kit_initializer.errors import (
    DeniedError,
    InitializerError,
    TLSError,
    UnreachableError,
    UsageError,
)
from kit_initializer.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit_initializer.credentials import Wanted
    from kit_initializer.deadline import Deadline
    from kit_initializer.http import Transport
    from kit_initializer.settings import Settings

PUBLIC = "public.ecr.aws"
SOURCE = "Amazon ECR, for the role of the pod"
_PUBLIC_REGION = "us-east-1"
_PRIVATE = (
    r"[0-9]{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\."
    r"(?:amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|on\.aws|on\.amazonwebservices\.com\.cn)"
)
_HINT = "check the role, who may assume it, and its right to ecr:GetAuthorizationToken"


def find(
    wanted: Wanted, settings: Settings, transport: Transport, warn: Callable[[str], None]
) -> Login | None:
    """Return a login for a registry of Amazon, None for any other or without a role or keys.

    Raises DeniedError, UnreachableError, TLSError or UsageError when Amazon gives none for a private registry; a
    public one is open without.
    """
    host = wanted.host
    private = re.fullmatch(_PRIVATE, host)
    if host == PUBLIC:
        try:
            return _login("ecr-public", _PUBLIC_REGION, settings, transport.deadline, warn)
        except InitializerError as error:
            warn(f"{error.line()}; going on without a login, for {PUBLIC} is open")
            return None
    if private:
        region = settings.environ.get("AWS_ECR_REGION", "").strip() or private[1]
        return _login("ecr", region, settings, transport.deadline, warn)
    return None


def _login(
    service: str, region: str, settings: Settings, deadline: Deadline, warn: Callable[[str], None]
) -> Login | None:
    try:
        import botocore.exceptions  # noqa: PLC0415 - 100 ms, only for hosts of Amazon
    except ImportError:
        raise UsageError(
            "botocore is not installed, and only it can log in at Amazon ECR",
            hint="install kit-initializer[aws], or set KIT_USER=AWS and KIT_PASSWORD",
        ) from None
    try:
        token = _token(service, region, settings, deadline)
    except botocore.exceptions.NoCredentialsError:
        warn("this pod has no role and no keys for Amazon; going on without a login")
        return None
    except botocore.exceptions.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        raise DeniedError(f"Amazon refused {error.operation_name} in {region}: {code}", hint=_HINT) from None
    except botocore.exceptions.SSLError as error:
        raise TLSError(
            f"no trust in Amazon's endpoint {_endpoint(error)}", hint="set AWS_CA_BUNDLE"
        ) from None
    except (botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError) as error:
        raise UnreachableError(f"Amazon's endpoint {_endpoint(error)} cannot be reached") from None
    except botocore.exceptions.BotoCoreError as error:
        # its text may hold what was read; the kind of error says enough
        raise DeniedError(f"no credentials from Amazon: {type(error).__name__}", hint=_HINT) from None
    except ValueError:
        raise UsageError(
            "botocore refuses an address in its settings", hint="check AWS_…_URL and AWS_…_URI"
        ) from None
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}", hint=_HINT) from None
    user, colon, password = token.partition(":")
    if not colon:
        raise DeniedError("Amazon gave a token that is no login", hint=_HINT)
    return Login(user, Secret(password), None, SOURCE)


def _token(service: str, region: str, settings: Settings, deadline: Deadline) -> str:
    """Return `user:password`. Raises what botocore raises, and OSError for a token file."""
    from botocore.config import Config  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    session = Session()
    session.set_config_variable("region", region)  # for the token service as well
    session.set_default_client_config(
        Config(
            connect_timeout=deadline.within(settings.connect_timeout),
            read_timeout=deadline.within(settings.first_byte_timeout),
            retries={"mode": "standard", "total_max_attempts": settings.retries + 1},
        )
    )
    data = session.create_client(service).get_authorization_token()["authorizationData"]
    found = data[0] if isinstance(data, list) else data
    try:
        return base64.b64decode(found["authorizationToken"]).decode()
    except ValueError:
        return ""


def _endpoint(error: object) -> str:
    """Return the address in an error of botocore, without anything that may follow it."""
    kwargs = getattr(error, "kwargs", {})
    return str(kwargs.get("endpoint_url") or "").partition("?")[0]
