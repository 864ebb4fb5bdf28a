"""A registry that repeats secrets: nothing of them is in the log or in the termination message."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from initializer.tests.destinations import KIT
from kit_conformance.testbed.registry import Basic, Bearer, Fault, Registry, faults
from kit_conformance.testbed.registry.wire import Memory, Response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from initializer.tests.conftest import Command
    from kit_conformance.testbed.registry.faults import Exchange

_LETTERS = st.characters(
    min_codepoint=0x21, max_codepoint=0x17F, exclude_characters="*:", exclude_categories=("C", "Z")
)
_WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 of URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "quoted": lambda text: quote(text, safe=""),
    "JSON": lambda text: json.dumps(text)[1:-1],
}
_PLACES = ("body", "reason", "header", "challenge", "location", "realm", "relative")


class Say(Fault):
    """Say something at one place of the answers to requests that were authorised."""

    def __init__(self, place: str, text: str) -> None:
        self.place, self.text = place, text

    def answer(self, exchange: Exchange) -> Response | None:
        if "authorization" not in exchange.request.headers:
            return None
        wire = self.text.encode().decode("latin-1")
        body = Memory(json.dumps({"errors": [{"code": self.text, "message": f"<{self.text}>"}]}).encode())
        response = Response(418, {"Content-Type": "application/json"}, body)
        return {
            "body": response,
            "reason": replace(response, reason=wire, content=Memory(b"")),
            "header": replace(response, headers={"Retry-After": wire, "X-Said": wire}),
            "challenge": Response(401, {"WWW-Authenticate": f'{wire} realm="{wire}", scope="{wire}"'}),
            "location": Response(307, {"Location": f"http://ann:{wire}@[?{wire}"}),
            "realm": Response(
                401, {"WWW-Authenticate": f'Bearer realm="http://ann:{wire}@127.0.0.1:1/?q={wire}"'}
            ),
            "relative": Response(307, {"Location": f"//[{wire}"}),
        }[self.place]


@pytest.mark.parametrize("place", _PLACES)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    password=st.text(_LETTERS, min_size=8, max_size=24),
    way=st.sampled_from(sorted(_WRITTEN)),
)
def test_no_place_of_an_answer_shows_the_password(
    place: str, password: str, way: str, initialize: Command, tmp_path: Path
) -> None:
    written = _WRITTEN[way](password)
    with Registry(auth=Basic({"ann": password})) as registry:
        registry.inject(Say(place, written))
        environ = {"KIT_USER": "ann", "KIT_PASSWORD": password, "KIT_RETRIES": "0", "KIT_LOG_LEVEL": "debug"}
        run = initialize(registry.add(KIT, "k", "v1"), tmp_path / "to", env=environ)
    shown = "\n".join([*run.lines, run.message])
    assert run.code in {4, 5}, run.lines
    assert password not in shown
    assert written not in shown
    assert written.encode().decode("latin-1") not in shown
    assert shown.replace("\n", "").isprintable()


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("auth", [Basic({"ann": "grey-otter"}), Bearer({"ann": "grey-otter"})])
def test_what_was_sent_as_authorization_is_not_shown(
    *, auth: Basic | Bearer, log_format: str, initialize: Command, tmp_path: Path
) -> None:
    """The token of a token service is a secret from the moment on that it came."""
    sent: list[str] = []

    class Listen(faults.RepeatLogin):
        def answer(self, exchange: Exchange) -> Response:
            sent.append(exchange.request.headers["authorization"].partition(" ")[2])
            return super().answer(exchange)

    with Registry(auth=auth) as registry:
        registry.inject(Listen(418), kind="manifest")
        environ = {"KIT_USER": "ann", "KIT_PASSWORD": "grey-otter", "KIT_LOG_FORMAT": log_format}
        run = initialize(registry.add(KIT, "k", "v1"), tmp_path / "to", env=environ)
    assert run.code == 5, run.lines
    assert "***" in run.message
    assert sent
    assert not [each for each in (*sent, "grey-otter") if each in str(run)]
