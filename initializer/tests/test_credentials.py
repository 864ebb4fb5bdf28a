"""The order of the sources, and those that need no cloud."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit_initializer import credentials
from kit_initializer.credentials import Login, hosts
from kit_initializer.errors import UsageError
from kit_initializer.secret import Secret
from kit_initializer.settings import Settings, read

if TYPE_CHECKING:
    from pathlib import Path

HOST = "r.example:5000"
CANARY = "canary-4f1d"


def auth(user: str, password: str = CANARY) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def config(**hosts: object) -> str:
    return json.dumps({"auths": {HOST: auth("docker")} | hosts})


def settings(**environ: str) -> Settings:
    return read({"PATH": os.environ["PATH"], **environ})


def find(host: str = HOST, **environ: str) -> Login | None:
    return credentials.find(host, settings(**environ))


def helper(
    folder: Path, name: str, *, answer: str = "", error: str = "", code: int = 0, wait: float = 0
) -> Path:
    """Put a credential helper into the folder that keeps the names it is asked for, and return that file."""
    asked = folder / f"{name}.asked"
    path = folder / f"docker-credential-{name}"
    path.write_text(
        f"#!{sys.executable} -I\n"
        "import sys, time\n"
        f"open({str(asked)!r}, 'a').write(sys.argv[1] + ' ' + sys.stdin.read() + '\\n')\n"
        f"time.sleep({wait})\n"
        f"sys.stdout.write({answer!r})\nsys.stderr.write({error!r})\nsys.exit({code})\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return asked


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


class TestDocker:
    def find(self, value: object, host: str = HOST, **environ: str) -> Login | None:
        return find(host, KIT_DOCKER_CONFIG_JSON=json.dumps(value), **environ)

    @pytest.mark.parametrize(
        "entry",
        [
            auth("ada"),
            auth("ada", f"{CANARY}\0\0"),
            auth("ada") | {"username": "other", "password": "other"},
            {"username": "ada", "password": CANARY},
        ],
    )
    def test_auths(self, entry: dict[str, str]) -> None:
        expected = Login("ada", Secret(CANARY), None, "KIT_DOCKER_CONFIG_JSON")
        assert self.find({"auths": {HOST: entry}}) == expected
        assert self.find({"auths": {f"https://{HOST}/v1/": entry}}) == expected
        assert self.find({"auths": {f"{HOST}/team": {}, HOST.upper(): entry}}) == expected
        assert self.find({"auths": {"other.example": entry}}) is None

    def test_a_colon_belongs_to_the_password(self) -> None:
        login = self.find({"auths": {HOST: auth("ada", "a:b:ü")}})
        assert login is not None
        assert login.password == Secret("a:b:ü")

    def test_identity_token(self) -> None:
        entry = auth("00000000-0000-0000-0000-000000000000", "") | {"identitytoken": CANARY}
        login = self.find({"auths": {HOST: entry}})
        assert login is not None
        assert login.identity_token == Secret(CANARY)
        assert login.username == "00000000-0000-0000-0000-000000000000"

    @pytest.mark.parametrize("name", ["docker.io", "registry-1.docker.io"])
    def test_docker_hub(self, name: str) -> None:
        login = self.find({"auths": {"https://index.docker.io/v1/": auth("ada")}}, name)
        assert login is not None

    @pytest.mark.parametrize(
        "value",
        [{}, {"auths": None}, {"auths": []}, {"auths": {HOST: {}}}, {"auths": {HOST: {"username": "ada"}}}],
    )
    def test_nothing_for_the_host(self, value: object) -> None:
        assert self.find(value) is None

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            (CANARY, "not an object"),
            ({"auth": 1}, "is broken"),
            ({"username": "ada", "password": [CANARY]}, "is broken"),
            ({"auth": CANARY + "!"}, "not the base64"),
            ({"auth": base64.b64encode(b"\xff:x").decode()}, "not the base64"),
            ({"auth": base64.b64encode(CANARY.encode()).decode()}, "not the base64"),
        ],
    )
    def test_a_broken_entry_is_fatal_for_its_host_only(self, entry: object, message: str) -> None:
        value = {"auths": {HOST: entry, "other.example": auth("ada")}}
        with pytest.raises(UsageError, match=message) as caught:
            self.find(value)
        assert "KIT_DOCKER_CONFIG_JSON" in caught.value.line()
        assert CANARY not in caught.value.line()
        assert self.find(value, "other.example") is not None

    @pytest.mark.parametrize("text", ["{", "[]", "null", "[" * 100_000, f'{{"auths": {{"{HOST}": '])
    def test_a_broken_file_is_fatal_for_the_registry_it_speaks_of(self, text: str) -> None:
        warnings: list[str] = []
        broken = settings(KIT_DOCKER_CONFIG_JSON=text)
        assert credentials.find("public.example", broken, warnings.append) is None
        assert warnings == ["KIT_DOCKER_CONFIG_JSON is not a config.json of Docker; going on without it"]
        if HOST in text:
            with pytest.raises(UsageError, match=f"it speaks of {HOST}"):
                credentials.find(HOST, broken)

    def test_where_the_file_is(self, tmp_path: Path) -> None:
        home, folder = tmp_path / "home", tmp_path / "folder"
        for path, name, user in [
            (home / ".docker", "config.json", "home"),
            (folder, "config.json", "folder"),
            (tmp_path / "mount", ".dockerconfigjson", "mount"),
        ]:
            path.mkdir(parents=True)
            (path / name).write_text(json.dumps({"auths": {HOST: auth(user)}}))
        places: list[tuple[dict[str, str], str | None]] = [
            ({"HOME": str(home)}, "home"),
            ({"HOME": str(home), "DOCKER_CONFIG": str(folder)}, "folder"),
            ({"DOCKER_CONFIG": str(tmp_path / "mount")}, "mount"),
            ({"HOME": str(home), "DOCKER_CONFIG": str(tmp_path / "none")}, None),
            ({"HOME": str(tmp_path / "none")}, None),
        ]
        for environ, expected in places:
            login = find(**environ)
            assert (login.username if login else None) == expected

    def test_a_file_that_cannot_be_read_is_a_warning(self, tmp_path: Path) -> None:
        warnings: list[str] = []
        (tmp_path / "file").write_text("x")
        (tmp_path / "folder" / "config.json").mkdir(parents=True)
        (tmp_path / "binary").mkdir()
        (tmp_path / "binary" / "config.json").write_bytes(b"\xff\xfe")
        for name in ("file", "folder", "binary"):
            environ = settings(DOCKER_CONFIG=str(tmp_path / name))
            assert credentials.find(HOST, environ, warnings.append) is None
        assert [text.rpartition("cannot be read: ")[2] for text in warnings] == [
            "Not a directory; going on without it",
            "Is a directory; going on without it",
            "it is not text; going on without it",
        ]
        assert str(tmp_path / "binary" / "config.json") in warnings[2]

    @given(
        st.recursive(
            st.none() | st.text(max_size=4) | st.integers(0, 1) | st.just(auth("ada")),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(
                    st.sampled_from(["auths", HOST, "credHelpers", "auth", "username", "identitytoken"]),
                    inner,
                )
            ),
            max_leaves=8,
        )
    )
    def test_any_value_is_read_or_refused(self, value: object) -> None:
        try:
            self.find(value, PATH="")
        except UsageError as error:
            assert error.line()  # noqa: PT017 - what is raised depends on the value


class TestHelpers:
    ANSWER = json.dumps({"ServerURL": HOST, "Username": "ada", "Secret": CANARY})

    def find(self, folder: Path, value: object, host: str = HOST, **environ: str) -> Login | None:
        return find(host, KIT_DOCKER_CONFIG_JSON=json.dumps(value), PATH=str(folder), **environ)

    def test_of_one_host(self, tmp_path: Path) -> None:
        asked = helper(tmp_path, "one", answer=self.ANSWER)
        value = {"credHelpers": {HOST: "one"}, "credsStore": "missing", "auths": {HOST: auth("file")}}
        source = "docker-credential-one of credHelpers of KIT_DOCKER_CONFIG_JSON"
        assert self.find(tmp_path, value) == Login("ada", Secret(CANARY), None, source)
        assert asked.read_text() == f"get {HOST}\n"

    def test_of_all_hosts(self, tmp_path: Path) -> None:
        asked = helper(tmp_path, "all", answer=self.ANSWER)
        login = self.find(tmp_path, {"credsStore": "all"}, "docker.io")
        assert login is not None
        assert login.source == "docker-credential-all of credsStore of KIT_DOCKER_CONFIG_JSON"
        assert asked.read_text() == "get https://index.docker.io/v1/\n"

    def test_identity_token(self, tmp_path: Path) -> None:
        helper(tmp_path, "all", answer=json.dumps({"Username": "<token>", "Secret": CANARY}))
        login = self.find(tmp_path, {"credsStore": "all"})
        assert login is not None
        assert (login.username, login.password, login.identity_token) == ("", Secret(""), Secret(CANARY))

    @pytest.mark.parametrize(
        "how",
        [
            {"answer": "credentials not found in native keychain\n", "code": 1},
            {"error": "error: Credentials not found", "code": 1},
            {"answer": json.dumps({"Username": "", "Secret": ""})},
        ],
    )
    @pytest.mark.parametrize("key", ["credsStore", "credHelpers"])
    def test_that_has_none_leaves_it_to_the_file(
        self, tmp_path: Path, key: str, how: dict[str, object]
    ) -> None:
        helper(tmp_path, "none", **how)  # type: ignore[arg-type]
        value = {key: "none" if key == "credsStore" else {HOST: "none"}}
        assert self.find(tmp_path, value) is None
        login = self.find(tmp_path, value | {"auths": {HOST: auth("file")}})
        assert login is not None
        assert login.username == "file"

    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ({"answer": CANARY, "error": CANARY, "code": 3}, "failed with 3 for r.example:5000"),
            ({"answer": CANARY}, "no login for r.example:5000 in the form"),
            ({"answer": "[" * 100_000}, "no login for r.example:5000 in the form"),
            ({"answer": f'["{CANARY}"]'}, "no login"),
            ({"answer": json.dumps({"Username": CANARY})}, "no login"),
            ({"answer": json.dumps({"Username": 1, "Secret": CANARY})}, "no login"),
            ({"wait": 30}, "gave no answer in 0.5 s"),
        ],
    )
    def test_that_fails_is_fatal_and_not_repeated(
        self, tmp_path: Path, how: dict[str, object], message: str
    ) -> None:
        helper(tmp_path, "bad", **how)  # type: ignore[arg-type]
        timeout = "0.5" if "wait" in how else "30"
        with pytest.raises(UsageError, match=message) as caught:
            self.find(tmp_path, {"credHelpers": {HOST: "bad"}}, KIT_FIRST_BYTE_TIMEOUT=timeout)
        assert "docker-credential-bad of credHelpers of KIT_DOCKER_CONFIG_JSON" in str(caught.value)
        assert CANARY not in caught.value.line()

    def test_that_cannot_be_run(self, tmp_path: Path) -> None:
        (tmp_path / "docker-credential-plain").write_text("x")
        with pytest.raises(UsageError, match="cannot be run: Permission denied"):
            self.find(tmp_path, {"credHelpers": {HOST: "plain"}})
        with pytest.raises(UsageError, match="docker-credential-gone, which is not on the PATH"):
            self.find(tmp_path, {"credHelpers": {HOST: "gone"}})

    @pytest.mark.parametrize("name", ["../evil", "a b", "a;b", 1, ["x"]])
    def test_names_are_names(self, tmp_path: Path, name: object) -> None:
        for value in ({"credHelpers": {HOST: name}}, {"credsStore": name, "auths": {HOST: {}}}):
            with pytest.raises(UsageError, match="name"):
                self.find(tmp_path, value)

    def test_of_another_host_is_not_asked(self, tmp_path: Path) -> None:
        asked = helper(tmp_path, "one", answer=self.ANSWER)
        assert self.find(tmp_path, {"credHelpers": {"other.example": "one"}}) is None
        assert not asked.exists()

    def test_a_missing_store_matters_only_where_the_login_is_in_it(self, tmp_path: Path) -> None:
        warnings: list[str] = []
        for auths in ({}, {HOST: auth("file")}):
            environ = settings(
                KIT_DOCKER_CONFIG_JSON=json.dumps({"credsStore": "desktop", "auths": auths}),
                PATH=str(tmp_path),
            )
            login = credentials.find(HOST, environ, warnings.append)
            assert (login is not None) == bool(auths)
        assert len(warnings) == 2
        assert "docker-credential-desktop, which is not on the PATH" in warnings[0]
        with pytest.raises(UsageError, match="docker-credential-desktop"):
            self.find(tmp_path, {"credsStore": "desktop", "auths": {HOST: {}}})
