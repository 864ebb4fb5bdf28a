"""Basic, and Bearer with its token endpoint."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest

from kit_conformance.testbed.kits import ModelKit, PushError, push
from kit_conformance.testbed.registry import Basic, Bearer, Registry, faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.tests.conftest import Client

    Connect = Callable[..., Client]

USERS = {"ann": "pass:word"}


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def challenge(header: str) -> dict[str, str]:
    assert header.startswith("Bearer ")
    return dict(re.findall(r'(\w+)="([^"]*)"', header))


def test_basic(connect: Connect, kit: ModelKit) -> None:
    with Registry(auth=Basic(USERS)) as registry:
        client = connect(registry.host)
        registry.add(kit, "iris")
        target = "/v2/iris/manifests/latest"
        refused = client("GET", target)
        assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, 'Basic realm="fixture"')
        assert client("GET", target, headers=basic("ann", "wrong")).status == 401
        assert client("GET", target, headers={"Authorization": "Basic !"}).status == 401
        assert client("GET", target, headers=basic("ann", "pass:word")).status == 200
        push(kit, registry.host, "pushed", user=("ann", "pass:word"))
        with pytest.raises(PushError, match="401"):
            push(kit, registry.host, "pushed", user=("ann", "no"))


@pytest.mark.parametrize("elsewhere", [False, True])
def test_bearer(connect: Connect, kit: ModelKit, elsewhere: bool) -> None:
    auth = Bearer(USERS, elsewhere=elsewhere)
    with Registry(auth=auth) as registry:
        client = connect(registry.host)
        registry.add(kit, "iris")
        target = "/v2/iris/manifests/latest"
        asked = challenge(client("GET", target).headers["WWW-Authenticate"])
        assert asked["scope"] == "repository:iris:pull"
        realm = urlsplit(asked["realm"])
        assert realm.netloc == (registry.elsewhere.host if elsewhere else registry.host)
        query = f"{realm.path}?service={asked['service']}&scope={quote(asked['scope'])}"
        tokens = connect(realm.netloc)
        assert tokens("GET", query).status == 401
        assert tokens("GET", query, headers=basic("ann", "no")).status == 401
        token = json.loads(tokens("GET", query, headers=basic("ann", "pass:word")).body)["token"]
        assert client("GET", target, token=token).status == 200
        assert client("GET", target, token="another").status == 401
        scope = client("POST", "/v2/iris/blobs/uploads/", token=token).headers["WWW-Authenticate"]
        assert challenge(scope)["error"] == "insufficient_scope"
        assert challenge(scope)["scope"] == "repository:iris:pull,push"
        ledger = registry.elsewhere.ledger if elsewhere else registry.ledger
        assert [entry.authorization for entry in ledger.requests(kind="token")] == ["none", "basic", "basic"]


def token_of(client: Client, **parameters: str) -> str:
    query = "&".join(f"{name}={quote(value)}" for name, value in parameters.items())
    return str(json.loads(client("GET", f"/token?{query}&scope=repository:iris:pull").body)["token"])


def test_bearer_without_a_user_only_pulls(connect: Connect, kit: ModelKit) -> None:
    with Registry(auth=Bearer(anonymous=True)) as registry:
        client = connect(registry.host)
        registry.add(kit, "iris")
        token = token_of(client)
        assert client("GET", "/v2/iris/manifests/latest", token=token).status == 200
        assert client("POST", "/v2/iris/blobs/uploads/", token=token).status == 401
        assert client("GET", "/v2/other/tags/list", token=token).status == 401


def test_bearer_tokens_expire(connect: Connect, kit: ModelKit) -> None:
    auth = Bearer(anonymous=True, uses=2)
    with Registry(auth=auth) as registry:
        client = connect(registry.host)
        registry.add(kit, "iris")
        target, token = "/v2/iris/manifests/latest", token_of(client)
        assert [client("GET", target, token=token).status for _ in range(3)] == [200, 200, 401]
        registry.inject(faults.ExpireTokens(), kind="manifest", times=1)
        token = token_of(client)
        expired = client("GET", target, token=token)
        assert challenge(expired.headers["WWW-Authenticate"])["error"] == "invalid_token"
        assert client("GET", target, token=token).status == 401
        auth.expires_in = 0.0
        assert client("GET", target, token=token_of(client)).status == 401


def test_identity_tokens(connect: Connect, kit: ModelKit) -> None:
    auth = Bearer(USERS, identity_tokens={"identity"})
    with Registry(auth=auth) as registry:
        client = connect(registry.host)
        registry.add(kit, "iris")
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        grant = b"grant_type=refresh_token&service=fixture&scope=repository:iris:pull&refresh_token="
        assert client("POST", "/token", grant + b"wrong", headers=form).status == 401
        token = json.loads(client("POST", "/token", grant + b"identity", headers=form).body)["access_token"]
        assert client("GET", "/v2/iris/manifests/latest", token=token).status == 200
        password = grant.replace(
            b"refresh_token&", b"password&username=ann&password=pass%3Aword&access_type=offline&"
        )
        answer = json.loads(client("POST", "/token", password, headers=form).body)
        assert client("POST", "/token", grant + answer["refresh_token"].encode(), headers=form).status == 200
