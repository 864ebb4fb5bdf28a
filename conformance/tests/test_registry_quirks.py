"""Registries that hide what they have, or are odd about how one logs in."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from kit_conformance.testbed.registry import SPELLINGS, Basic, Bearer, Harbor, Hiding, Registry, Spelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.tests.conftest import Client
    from kit_conformance.testbed.kits import ModelKit

    Connect = Callable[..., Client]

USERS = {"ann": "pass:word"}
TARGET = "/v2/iris/manifests/latest"


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"ann:{password}".encode()).decode()}


@pytest.mark.parametrize(("status", "asks"), [(404, True), (403, False), (401, True)])
def test_hiding(connect: Connect, kit: ModelKit, *, status: int, asks: bool) -> None:
    with Registry(auth=Hiding(Basic(USERS), status, asks)) as registry:
        client = connect(registry.host)
        registry.add(kit, "iris")
        hidden = client("GET", TARGET)
        assert (hidden.status, hidden.headers.get("WWW-Authenticate")) == (status, None)
        ping = client("GET", "/v2/")
        assert (ping.status, "WWW-Authenticate" in ping.headers) == ((401, True) if asks else (200, False))
        assert client("GET", TARGET, headers=basic("wrong")).status == 401
        assert client("GET", TARGET, headers=basic("pass:word")).status == 200


def test_harbor(connect: Connect, kit: ModelKit) -> None:
    with Registry(auth=Harbor(USERS, anonymous=True)) as registry:
        client = connect(registry.host)
        registry.add(kit, "iris")
        assert client("GET", TARGET).headers["WWW-Authenticate"].startswith("Bearer realm=")
        for sent in ("Bearer of-yesterday", basic("wrong")["Authorization"]):
            after = client("GET", TARGET, headers={"Authorization": sent})
            assert (after.status, after.headers["WWW-Authenticate"]) == (401, 'Basic realm="harbor"')


@pytest.mark.parametrize("how", SPELLINGS)
def test_every_spelling_is_another_one_and_loses_nothing(connect: Connect, how: str) -> None:
    with Registry(auth=Bearer(USERS)) as plain, Registry(auth=Spelled(Bearer(USERS), SPELLINGS[how])) as odd:
        usual = connect(plain.host)("GET", TARGET).headers.get_all("WWW-Authenticate")
        written = connect(odd.host)("GET", TARGET).headers.get_all("WWW-Authenticate")
        assert usual
        assert written
        assert len(written) == (2 if how == "two fields" else 1)
        assert [each.replace(odd.host, plain.host) for each in written] != usual
        assert all(word in " ".join(written).lower() for word in ("bearer", "realm", odd.host, "fixture"))
