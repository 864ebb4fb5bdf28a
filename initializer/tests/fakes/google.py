"""Fakes of Google's metadata server and of its token services, on loopback.

They follow the documented protocols: the flavor header both ways and the two paths that a token takes (metadata
server), the token exchange of RFC 8693 (workload identity federation), and the JWT grant of RFC 7523 (a service
account's key), whose signature is checked.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from initializer.tests.fakes.server import Answer, Asked

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

FLAVOR = "Metadata-Flavor: Google"
TOKEN = "canary-google-token"
SUBJECT = "fake-subject-token"
AUDIENCE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k"
EMAIL = "reader@project.iam.gserviceaccount.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_ENDPOINT = "https://oauth2.googleapis.com/token"
_ACCOUNTS = "/computeMetadata/v1/instance/service-accounts/"


def metadata(request: Asked) -> Answer:
    """Answer as the metadata server of a machine with one service account."""
    if request.headers.get("metadata-flavor") != "Google":
        return Answer(403, "missing Metadata-Flavor header", "text/plain")
    path = request.path.partition("?")[0]
    if path in (f"{_ACCOUNTS}default/token", f"{_ACCOUNTS}{EMAIL}/token"):
        return Answer(200, json.dumps({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}))
    if path == f"{_ACCOUNTS}default/":
        return Answer(200, json.dumps({"aliases": ["default"], "email": EMAIL, "scopes": [SCOPE]}))
    return Answer(200 if path == "/" else 404, "{}")


def exchange(request: Asked) -> Answer:
    """Exchange the token of another identity provider for one of Google."""
    form = _form(request)
    expected = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "audience": AUDIENCE,
        "scope": SCOPE,
    }
    if any(form.get(key) != value for key, value in expected.items()):
        return _error("invalid_request", "a parameter is missing")
    if form.get("subject_token") != SUBJECT:
        return _error("invalid_grant", f"the token {form.get('subject_token')} is not valid")
    return _token({"issued_token_type": expected["requested_token_type"]})


def grants(key: RSAPublicKey) -> Callable[[Asked], Answer]:
    """Answer the JWT grant of a service account with this key."""

    def answer(request: Asked) -> Answer:
        form = _form(request)
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return _error("unsupported_grant_type", "")
        header, claims, signature = form["assertion"].split(".")
        key.verify(_decode(signature), f"{header}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
        said = json.loads(_decode(claims))
        right = said["iss"] == EMAIL and said["scope"] == SCOPE and said["aud"] == _ENDPOINT
        return _token({}) if right else _error("invalid_grant", "wrong claims")

    return answer


def _form(request: Asked) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(request.body.decode()).items()}


def _token(more: dict[str, str]) -> Answer:
    return Answer(200, json.dumps({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"} | more))


def _error(code: str, description: str) -> Answer:
    return Answer(400, json.dumps({"error": code, "error_description": description}))


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
