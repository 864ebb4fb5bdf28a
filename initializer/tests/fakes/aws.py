"""Fakes of Amazon's STS, ECR, ECR Public and of the EKS Pod Identity agent.

They speak the protocols of the services' own definitions: the query protocol with XML (STS), JSON 1.1 with a target
header (ECR), and requests signed with Signature Version 4, which is checked here byte by byte.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from initializer.tests.fakes.server import Answer, Asked

if TYPE_CHECKING:
    from collections.abc import Callable

KEY, SECRET_KEY, SESSION_TOKEN = "ASIAFAKEFAKEFAKEFAKE", "fake-secret-key", "fake-session-token"
IDENTITY = "fake-service-account-token"
ROLE = "arn:aws:iam::111122223333:role/reader"
PASSWORD = "canary-ecr-password"
_TARGETS = {
    "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken": "ecr",
    "SpencerFrontendService.GetAuthorizationToken": "ecr-public",
}
_EXPIRES = "2099-01-01T00:00:00Z"


def sts(request: Asked) -> Answer:
    """AssumeRoleWithWebIdentity, for one role and one token."""
    form = {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
    if form.get("Action") != "AssumeRoleWithWebIdentity" or form.get("Version") != "2011-06-15":
        return _sts_error(400, "InvalidAction", "unknown action")
    if form.get("WebIdentityToken") != IDENTITY:
        return _sts_error(
            400, "InvalidIdentityToken", f"the token {form.get('WebIdentityToken')} is not valid"
        )
    if form.get("RoleArn") != ROLE or not form.get("RoleSessionName"):
        return _sts_error(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    return Answer(
        200,
        '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        "<AssumeRoleWithWebIdentityResult><Credentials>"
        f"<AccessKeyId>{KEY}</AccessKeyId><SecretAccessKey>{SECRET_KEY}</SecretAccessKey>"
        f"<SessionToken>{SESSION_TOKEN}</SessionToken><Expiration>{_EXPIRES}</Expiration>"
        "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        "text/xml",
    )


def pod_identity(request: Asked) -> Answer:
    """Credentials of the EKS Pod Identity agent, for a process that shows the token of the service account."""
    if request.headers.get("authorization") != IDENTITY:
        return Answer(403, "{}")
    found = {
        "AccessKeyId": KEY,
        "SecretAccessKey": SECRET_KEY,
        "Token": SESSION_TOKEN,
        "Expiration": _EXPIRES,
    }
    return Answer(200, json.dumps(found))


def ecr(region: str, *, password: str = PASSWORD) -> Callable[[Asked], Answer]:
    """GetAuthorizationToken of ECR or ECR Public in one region."""

    def answer(request: Asked) -> Answer:
        service = _TARGETS.get(request.headers.get("x-amz-target", ""), "")
        if not service or request.headers.get("content-type") != "application/x-amz-json-1.1":
            return Answer(400, json.dumps({"__type": "UnknownOperationException"}))
        if not _is_signed(request, region, service):
            return Answer(
                400, json.dumps({"__type": "InvalidSignatureException", "message": "wrong signature"})
            )
        token = base64.b64encode(f"AWS:{password}".encode()).decode() if password else "none"
        data = {"authorizationToken": token, "expiresAt": 4070908800}
        return Answer(200, json.dumps({"authorizationData": data if service == "ecr-public" else [data]}))

    return answer


def _sts_error(status: int, code: str, message: str) -> Answer:
    return Answer(
        status,
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>",
        "text/xml",
    )


def _is_signed(request: Asked, region: str, service: str) -> bool:
    """Check Signature Version 4 with the keys that the fakes give out."""
    algorithm, _, rest = request.headers.get("authorization", "").partition(" ")
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    date = request.headers.get("x-amz-date", "")
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    if algorithm != "AWS4-HMAC-SHA256" or fields.get("Credential") != f"{KEY}/{scope}":
        return False
    names = fields["SignedHeaders"].split(";")
    headers = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in names)
    digest = hashlib.sha256(request.body).hexdigest()
    canonical = "\n".join([request.method, request.path, "", headers, ";".join(names), digest])
    text = "\n".join([algorithm, date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{SECRET_KEY}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    return (
        request.headers.get("x-amz-security-token") == SESSION_TOKEN
        and {"host", "x-amz-date", "x-amz-security-token", "x-amz-target"} <= set(names)
        and hmac.compare_digest(signature, fields["Signature"])
    )
