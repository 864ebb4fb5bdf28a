"""The order of the sources, the environment and STORAGE_CONFIG."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initializer.tests.logins import CANARY, HOST, auth, config, find
from kit_initializer.credentials import Login, Wanted, hosts
from kit_initializer.errors import UsageError
from kit_initializer.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path


ALL = {
    "STORAGE_CONFIG": json.dumps({"type": "kit", "username": "storage", "password": CANARY}),
    "KIT_USER": "environment",
    "KIT_PASSWORD": CANARY,
    "KIT_DOCKER_CONFIG_JSON": config(),
}


def test_order(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(config(**{HOST: auth("folder")}))
    environ = ALL | {"DOCKER_CONFIG": str(tmp_path)}
    found = []
    for name in [*ALL, "DOCKER_CONFIG"]:
        login = find(**environ)
        assert login is not None
        assert login.password == Secret(CANARY)
        found.append((login.username, login.source))
        environ = {key: value for key, value in environ.items() if key != name}
        environ.pop("KIT_PASSWORD" if name == "KIT_USER" else "", None)
        if "KIT_USER" not in environ:
            environ.pop("KIT_PASSWORD", None)
    assert found == [
        ("storage", "STORAGE_CONFIG"),
        ("environment", "KIT_USER and KIT_PASSWORD"),
        ("docker", "KIT_DOCKER_CONFIG_JSON"),
        ("docker", "KIT_DOCKER_CONFIG_JSON"),
        ("folder", str(tmp_path / "config.json")),
    ]
    assert find() is None


def test_only_a_login_that_names_the_host_is_for_a_parent() -> None:
    parent = Wanted(HOST, "base", parent=True)
    assert find(parent, KIT_USER="ada", KIT_PASSWORD=CANARY, KIT_REGISTRY=HOST) is None
    storage = {"type": "kit", "username": "ada", "password": CANARY}
    for written, found in [
        (storage, False),
        (storage | {"registry": HOST}, True),
        (storage | {"registry": "other.example"}, False),
        ({"type": "kit", "auths": {HOST: auth("ada")}}, True),
    ]:
        assert (find(parent, STORAGE_CONFIG=json.dumps(written)) is not None) == found
    assert find(parent, KIT_DOCKER_CONFIG_JSON=config_of("*.example:5000")) is not None
    assert find(parent, KIT_DOCKER_CONFIG_JSON=config_of("other.example")) is None
    ecr = Wanted("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "base", parent=True)
    assert find(ecr, AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY=CANARY) is None


def config_of(*hosts: str) -> str:
    return json.dumps({"auths": {host: auth("ada") for host in hosts}})


def test_a_login_shows_no_secret() -> None:
    login = find(**ALL)
    assert CANARY not in f"{login!r} {login}"


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("r.example", "R.example", True),
        ("https://r.example/v2/", "r.example", True),
        ("r.example/team", "r.example", True),
        ("r.example:5000", "r.example", False),
        ("r.example.evil", "r.example", False),
        ("https://index.docker.io/v1/", "registry-1.docker.io", True),
        ("docker.io", "index.docker.io", True),
    ],
)
def test_hosts(one: str, other: str, *, equal: bool) -> None:
    assert hosts.same(one, other) == equal


class TestEnvironment:
    @pytest.mark.parametrize(
        ("registry", "found"),
        [
            ("", True),
            (HOST, True),
            (f"https://{HOST}/", True),
            ("r.example", False),
            ("other.example", False),
        ],
    )
    def test_registry_narrows(self, registry: str, *, found: bool) -> None:
        login = find(KIT_USER="ada", KIT_PASSWORD=CANARY, KIT_REGISTRY=registry)
        assert (login is not None) == found


class TestStorageConfig:
    def find(self, text: object, override: object = None, host: str = HOST) -> Login | None:
        environ = {"STORAGE_CONFIG": text if isinstance(text, str) else json.dumps(text)}
        if override is not None:
            environ["STORAGE_OVERRIDE_CONFIG"] = (
                override if isinstance(override, str) else json.dumps(override)
            )
        return find(host, **environ)

    def test_password(self) -> None:
        expected = Login("ada", Secret(CANARY), None, "STORAGE_CONFIG")
        login = {"username": "ada", "password": f"{CANARY}\n"}
        assert self.find({"type": "kit", **login}) == expected
        assert self.find(login, {"type": "kit"}) == expected
        assert self.find({"type": "s3", **login}, {"type": "kit"}) == expected
        assert self.find({"type": "kit", "registry": HOST, **login}) == expected
        assert self.find(login, {"type": "kit", "registry": "https://R.example:5000/"}) == expected

    def test_identity_token(self) -> None:
        expected = Login("", Secret(""), Secret(CANARY), "STORAGE_CONFIG")
        assert self.find({"type": "kit", "identity_token": CANARY}) == expected

    def test_auths(self) -> None:
        login = self.find({"type": "kit", "auths": {HOST: auth("ada")}})
        assert login == Login("ada", Secret(CANARY), None, "STORAGE_CONFIG")
        assert self.find({"type": "kit", "auths": {"other.example": auth("ada")}}) is None
        assert self.find({"type": "kit", "auths": None}) is None

    def test_of_another_registry(self) -> None:
        login = {"username": "ada", "password": CANARY}
        assert self.find({"type": "kit", "registry": "r.example", **login}) is None

    @pytest.mark.parametrize(
        ("text", "override"),
        [
            ("", None),
            ("  ", {"type": "kit"}),
            ("not JSON", None),
            ("not JSON", "not JSON"),
            ([], []),
            ({"username": "ada", "password": "pw"}, None),
            ({"type": "s3", "access_key_id": "a"}, None),
            ({"type": "kit", "username": "ada", "password": "pw"}, {"type": "s3"}),
        ],
    )
    def test_of_other_storage_is_left_alone(self, text: object, override: object) -> None:
        assert self.find(text, override) is None

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (f"username: {CANARY}", "is not a JSON object"),
            (f'["{CANARY}"]', "is not a JSON object"),
            ("[" * 100_000, "is not a JSON object"),
            ({"username": "ada"}, "neither username and password"),
            ({"password": CANARY}, "neither username and password"),
            ({"user": "ada", "password": CANARY}, "neither username and password"),
            ({"username": "ada", "password": {"x": CANARY}}, "password that is not text"),
            ({"username": 1, "password": CANARY}, "username that is not text"),
        ],
    )
    def test_of_type_kit_must_hold_a_login(self, text: object, message: str) -> None:
        with pytest.raises(UsageError, match=message) as caught:
            self.find(text, {"type": "kit"})
        assert CANARY not in caught.value.line()

    @given(st.text(max_size=30), st.sampled_from(["", "{}", '{"type":"kit"}', "x"]))
    def test_any_text_is_read_or_refused(self, text: str, override: str) -> None:
        try:
            login = self.find(text, override)
        except UsageError as error:
            login = None
            text = error.line()
        assert login is None
