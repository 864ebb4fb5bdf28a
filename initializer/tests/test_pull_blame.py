"""Who is blamed: the line names the host that has answered, and its reason, without what signs an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from initializer.tests.conftest import failed
from initializer.tests.destinations import LARGE as KIT
from initializer.tests.logins import USERS
from initializer.tests.proxy import Proxy
from kit_conformance.testbed.registry import Bearer, Registry, faults
from kit_initializer.secret import without_query

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command

ONCE = {"KIT_RETRIES": "0", "KIT_PROGRESS_TIMEOUT": "0.5"}
SLUGS = {3: "not-found", 4: "denied", 5: "unreachable"}
PAGE = b"<!DOCTYPE html><html><head><title>Sign in &amp; go on</title></head></html>"
SIGNATURE = "0123456789abcdef"


@pytest.mark.parametrize("kind", ["config", "blob"])
@pytest.mark.parametrize(("status", "code"), [(401, 4), (403, 4), (404, 3), (410, 3), (418, 5), (503, 5)])
def test_a_store_that_refuses_is_named_with_its_reason(
    *, status: int, code: int, kind: str, registry: Registry, initialize: Command, destination: Path
) -> None:
    uri = registry.add(KIT, "k", "v1")
    registry.inject(faults.Redirect())
    registry.inject(faults.StoreRefusal(status), kind=kind, origin="elsewhere")
    run = initialize(uri, destination, env=ONCE)
    store = registry.elsewhere.host
    answer = f"{registry.host} redirects to {store}, which answered {status} Refused signature=***"
    failed(run, code, SLUGS[code], answer.replace("signature=", ""), "AccessDenied: Request has expired")
    assert SIGNATURE not in "\n".join(run.lines)
    assert "anonymous" not in run.last
    assert "repository and the tag" not in run.last


def test_a_facade_before_another_registry(registry: Registry, initialize: Command, destination: Path) -> None:
    with Registry(auth=Bearer(USERS)) as other:
        other.add(KIT, "k", "v1")
        registry.inject(faults.RedirectTo(f"{other.url}/v2/k/manifests/v1"), kind="manifest")
        run = initialize(f"kit://{registry.host}/k:v1", destination, env=ONCE)
        words = (f"redirects to {other.host}, which answered 401", f"name {other.host} in the URI")
    failed(run, 4, "denied", *words)


@pytest.mark.parametrize("kind", ["manifest", "config", "blob"])
@pytest.mark.parametrize("redirected", [False, True])
def test_a_login_page(
    *, redirected: bool, kind: str, registry: Registry, initialize: Command, destination: Path
) -> None:
    uri = registry.add(KIT, "k", "v1")
    if redirected:
        registry.inject(faults.RedirectTo(f"{registry.elsewhere.url}/login?to=somewhere"), kind=kind)
        registry.inject(faults.Text(200, PAGE, "text/html; charset=utf-8"), origin="elsewhere")
    else:
        registry.inject(faults.Text(200, PAGE, "text/html"), kind=kind)
    run = initialize(uri, destination, env=ONCE)
    host = registry.elsewhere.host if redirected else registry.host
    failed(run, 5, "unreachable", host, "answered with a page of HTML: Sign in & go on", "below /v2/")


@pytest.mark.parametrize(
    ("body", "media_type", "said"),
    [
        (
            b"Your address is blocked.\n\x1b[31m Ask ops.",
            "text/plain",
            "Your address is blocked. \ufffd[31m Ask ops.",
        ),
        (PAGE, "text/html", "Sign in & go on"),
        (b'{"error": "invalid_client", "error_description": "no"}', "application/json", "invalid_client: no"),
        (b'{"message": "over quota"}', "application/json", "over quota"),
        (b'{"detail": "over quota"}', "application/json", "over quota"),
        (b"x" * 100_000, "text/plain", "x" * 199 + "\u2026"),
    ],
)
def test_what_is_said_in_any_form(
    *, body: bytes, media_type: str, said: str, registry: Registry, initialize: Command, destination: Path
) -> None:
    registry.inject(faults.Text(418, body, media_type), kind="manifest")
    run = initialize(registry.add(KIT, "k", "v1"), destination, env=ONCE)
    failed(run, 5, "unreachable", f"{registry.host} answered 418")
    assert run.last.endswith(f": {said}")


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"\0\1", b"[", b"<html>", b'{"errors": [{"code": 7}]}'])
def test_what_says_nothing(body: bytes, registry: Registry, initialize: Command, destination: Path) -> None:
    registry.inject(faults.Text(418, body), kind="manifest")
    run = initialize(registry.add(KIT, "k", "v1"), destination, env=ONCE)
    assert run.last.endswith("answered 418 I'm a Teapot"), run.last


def test_a_layer_that_a_store_calls_a_page_is_a_layer(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    registry.inject(faults.Header("Content-Type", "text/html"), kind="blob")
    assert initialize(registry.add(KIT, "k", "v1"), destination).code == 0


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("tls", [False, True])
def test_a_proxy_that_wants_a_login_is_named(
    *, tls: bool, given: bool, initialize: Command, destination: Path
) -> None:
    with Proxy(login="ann:pw") as proxy:
        user = "ann:grey-otter@" if given else ""
        environ = {
            "KIT_UNPACK_FLAGS": "" if tls else "--plain-http",
            "HTTPS_PROXY" if tls else "HTTP_PROXY": f"http://{user}{proxy.host}",
        }
        run = initialize("kit://registry.example/k:v1", destination, env=ONCE | environ)
        words = (f"the proxy {proxy.host} refused", "registry.example", "407", "check" if given else "give")
    failed(run, 5, "unreachable", *words)
    assert "grey-otter" not in str(run)


def test_what_came_through_a_proxy_may_be_the_proxys(initialize: Command, destination: Path) -> None:
    with Proxy() as proxy:
        environ = ONCE | {"KIT_UNPACK_FLAGS": f"--plain-http --proxy=http://{proxy.host}"}
        run = initialize("kit://127.0.0.1:1/k:v1", destination, env=environ)
        words = f"127.0.0.1:1 through the proxy {proxy.host} answered 502"
    failed(run, 5, "unreachable", words)


@pytest.mark.parametrize(
    ("text", "query", "shown"),
    [
        ("see a=1&sig=abcdefgh%2F", "a=1&sig=abcdefgh%2F", "see ***"),
        ("abcdefgh/ and ABCDEFGH%2f and abcdefg", "a=1&sig=abcdefgh%2F", "*** and *** and abcdefg"),
        ("a=1", "a=1", "a=1"),
        ("anything", "", "anything"),
    ],
)
def test_a_query_and_its_values_are_struck_out(text: str, query: str, shown: str) -> None:
    assert without_query(text, query) == shown
