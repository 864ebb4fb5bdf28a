"""Logins of docker configs and of their helpers."""

from __future__ import annotations

import base64
import json
import stat
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initializer.tests.logins import CANARY, HOST, auth, find, find_with, ignored, settings
from kit_initializer.credentials import Login, Wanted
from kit_initializer.errors import UsageError
from kit_initializer.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path


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

    @pytest.mark.parametrize(
        "text",
        [
            "\n".join(textwrap.wrap(base64.b64encode(f"ada:{CANARY}{'x' * 80}".encode()).decode(), 76))
            + "\n",
            base64.b64encode(f"ada:{CANARY}{'x' * 80}".encode()).decode().rstrip("="),
            base64.b64encode(f"ada:{CANARY}{'x' * 80}\n".encode()).decode(),
            base64.b64encode(f"ada:{CANARY}{'x' * 80}\r\n\0".encode()).decode(),
        ],
    )
    def test_auth_as_tools_write_it(self, text: str) -> None:
        login = self.find({"auths": {HOST: {"auth": text}}})
        assert login is not None
        assert (login.username, login.password) == ("ada", Secret(CANARY + "x" * 80))

    @pytest.mark.parametrize(
        ("repository", "keys", "user"),
        [
            ("iris", ["*.example:5000"], "*.example:5000"),
            ("iris", ["*.example", "*:5000", "*.*.example:5000", "r.*:500*"], None),
            ("iris", ["?.ex[a-b]mple:5000", "[^s].example:5000"], "?.ex[a-b]mple:5000"),
            ("iris", ["*.example:5000", "r.*:5000", "r.example:5000"], "r.example:5000"),
            ("team/iris", ["*.example:5000/team", "r.example:5000"], "r.example:5000"),
            ("team/iris", ["*.example:5000/team", "*.example:5000"], "*.example:5000/team"),
            (
                "team/iris",
                ["r.example:5000", "r.example:5000/team", "r.example:5000/team/i"],
                "r.example:5000/team",
            ),
            (
                "team/iris",
                ["https://r.example:5000/v2/team/", "r.example:5000"],
                "https://r.example:5000/v2/team/",
            ),
            ("team/iris", ["r.example:5000/team/iris", "r.example:5000/team"], "r.example:5000/team/iris"),
            ("team/iris", ["r.example:5000/other", "r.example:5000/team/iris/x"], None),
            ("team2/iris", ["r.example:5000/team", "r.example:5000"], "r.example:5000"),
            ("team2/iris", ["r.example:5000/team"], "r.example:5000/team"),
            ("iris", ["https://r.example:5000", "r.example:5000"], "r.example:5000"),
            ("iris", ["http://r.example:5000/v1"], "http://r.example:5000/v1"),
        ],
    )
    def test_the_entry_that_says_most_is_taken(
        self, repository: str, keys: list[str], user: str | None
    ) -> None:
        """As the kubelet reads a pull secret, but that a path ends between two slashes where it can."""
        for order in (keys, keys[::-1]):
            config = {"auths": {key: {"username": key, "password": CANARY} for key in order}}
            login = find(Wanted(HOST, repository), KIT_DOCKER_CONFIG_JSON=json.dumps(config))
            assert (login.username if login else None) == user

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
        assert find_with("public.example", broken, warnings.append) is None
        assert warnings == ["KIT_DOCKER_CONFIG_JSON is not a config.json of Docker; going on without it"]
        if HOST in text:
            with pytest.raises(UsageError, match=f"it speaks of {HOST}"):
                find_with(HOST, broken, ignored)

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
            assert find_with(HOST, environ, warnings.append) is None
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
            login = find_with(HOST, environ, warnings.append)
            assert (login is not None) == bool(auths)
        assert len(warnings) == 2
        assert "docker-credential-desktop, which is not on the PATH" in warnings[0]
        with pytest.raises(UsageError, match="docker-credential-desktop"):
            self.find(tmp_path, {"credsStore": "desktop", "auths": {HOST: {}}})
