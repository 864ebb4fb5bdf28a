"""Kit binaries are found, or brought from a mirror and checked; a shell script stands in for Kit here."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import tarfile
import threading
from typing import TYPE_CHECKING

import pytest

from kit_conformance.testbed import kitcli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCRIPT = """#!/bin/sh
case "$1" in
  version) echo "Version: {version}" ;;
  env) env ;;
  fail) echo out; echo "[ERROR] no" >&2; exit 3 ;;
  login) cat >/dev/null; echo "$@" ;;
  sleep) exec sleep 30 ;;
  *) echo "$@" ;;
esac
"""


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.delenv("KIT", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "kit"
    path.parent.mkdir()
    path.write_text(SCRIPT.format(version="1.7.0"))
    path.chmod(0o755)
    return path


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Mirror:
    """A folder laid out as the release page, served over HTTP; `requests` counts what was asked."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url

    def release(self, version: str, *, says: str = "", member: str = "kit", damage: bool = False) -> None:
        folder = self.folder / "download" / f"v{version}"
        folder.mkdir(parents=True)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for name, text in (("README.md", "x"), (member, SCRIPT.format(version=says or version))):
                info = tarfile.TarInfo(name)
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode()))
        data = packed.getvalue()
        digest = hashlib.sha256(data).hexdigest()
        sums = f"{'0' * 64}  kitops-offline-linux-x86_64.tar.gz\n{digest}  kitops-linux-x86_64.tar.gz\n"
        (folder / f"kitops_v{version}_checksums.txt").write_text(sums)
        (folder / "kitops-linux-x86_64.tar.gz").write_bytes(data + (b"x" if damage else b""))


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Mirror(folder, f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
        thread.join(5)


def test_path_environment_and_search(script: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert kitcli.find(str(script)) == script
    monkeypatch.setenv("PATH", str(script.parent))
    assert kitcli.find() == script
    other = tmp_path / "other"
    other.write_bytes(script.read_bytes())
    other.chmod(0o755)
    monkeypatch.setenv("KIT", str(other))
    assert kitcli.find() == other


def test_nothing_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(kitcli.KitNotFoundError, match="put kit on the PATH"):
        kitcli.find()
    with pytest.raises(kitcli.KitNotFoundError, match="neither an executable file nor a version"):
        kitcli.find(str(tmp_path / "kit"))


def test_release_is_brought_once(mirror: Mirror, tmp_path: Path) -> None:
    mirror.release("1.7.0")
    first = kitcli.find("v1.7.0", mirror=mirror.url, cache=tmp_path / "cache")
    assert os.access(first, os.X_OK)
    assert kitcli.KitCLI(first, tmp_path / "home").version == "1.7.0"
    assert sorted(path.name for path in first.parent.iterdir()) == ["kit"]
    assert kitcli.find("1.7.0", mirror="http://127.0.0.1:1", cache=tmp_path / "cache") == first


def test_cache_is_the_users(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.release("1.3.0", member="./kit")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert (tmp_path / "xdg") in kitcli.find("1.3.0", mirror=mirror.url).parents


def test_two_at_once_get_the_same(mirror: Mirror, tmp_path: Path) -> None:
    mirror.release("1.7.0")
    found: list[Path] = []
    bring = functools.partial(kitcli.bring, "1.7.0", mirror=mirror.url, cache=tmp_path / "cache")
    threads = [threading.Thread(target=lambda: found.append(bring())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 4
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("release", "message"),
    [
        ({"damage": True}, "does not match its checksum"),
        ({"says": "1.6.0"}, "says that it is 1.6.0"),
        ({"member": "kit/kit"}, "contains no kit"),
    ],
)
def test_bad_releases(mirror: Mirror, tmp_path: Path, release: dict[str, object], message: str) -> None:
    mirror.release("1.7.0", **release)  # type: ignore[arg-type]
    with pytest.raises(kitcli.KitNotFoundError, match=message):
        kitcli.bring("1.7.0", mirror=mirror.url, cache=tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_no_release(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(kitcli.KitNotFoundError, match="404"):
        kitcli.bring("9.9.9", mirror=mirror.url, cache=tmp_path)
    with pytest.raises(kitcli.KitNotFoundError, match="refused"):
        kitcli.bring("9.9.9", mirror="http://127.0.0.1:1", cache=tmp_path)
    with pytest.raises(kitcli.KitNotFoundError, match="no http"):
        kitcli.bring("9.9.9", mirror="file:///", cache=tmp_path)
    mirror.release("1.7.0")
    (mirror.folder / "download/v1.7.0/kitops_v1.7.0_checksums.txt").write_text("nothing\n")
    with pytest.raises(kitcli.KitNotFoundError, match="does not name"):
        kitcli.bring("1.7.0", mirror=mirror.url, cache=tmp_path)
    monkeypatch.setattr("platform.system", lambda: "Plan9")
    with pytest.raises(kitcli.KitNotFoundError, match="Plan9"):
        kitcli.bring("1.7.0", mirror=mirror.url, cache=tmp_path)


def test_kit_runs_in_a_home_of_its_own(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", "/somebody's")
    monkeypatch.setenv("KITOPS_HOME", "/somebody's")
    kit = kitcli.KitCLI(script, tmp_path / "home", environment={"EXTRA": "1"})
    environment = dict(line.split("=", 1) for line in kit.run("env").stdout.splitlines())
    assert environment["HOME"] == str(tmp_path / "home")
    assert environment["KITOPS_HOME"] == str(tmp_path / "home" / "kitops")
    assert environment["EXTRA"] == "1"
    assert "DOCKER_CONFIG" not in environment
    assert (tmp_path / "home" / "kitops" / "disable-update-notifications").exists()
    assert kit.number == (1, 7, 0)


def test_kit_commands(script: Path, tmp_path: Path) -> None:
    kit = kitcli.KitCLI(script, tmp_path / "home")
    assert kit.pack(tmp_path, "r/a:v", "--compression", "gzip").stdout.split() == [
        "pack", str(tmp_path), "-t", "r/a:v", "--compression", "gzip",
    ]  # fmt: skip
    assert kit.push("r/a:v").stdout.split() == ["push", "r/a:v", "--plain-http"]
    assert kit.pull("r/a:v", plain_http=False).stdout.split() == ["pull", "r/a:v"]
    unpacked = kit.unpack("r/a:v", tmp_path / "out", "-o").stdout.split()
    assert unpacked == ["unpack", "r/a:v", "-d", str(tmp_path / "out"), "--plain-http", "-o"]
    login = kit.login("r", "ann", "s3cret")
    assert "s3cret" not in f"{login}"
    (kit.home / "kitops" / "storage").mkdir()
    kit.forget()
    kit.forget()
    assert not (kit.home / "kitops" / "storage").exists()


def test_kit_failures(script: Path, tmp_path: Path) -> None:
    kit = kitcli.KitCLI(script, tmp_path / "home")
    with pytest.raises(kitcli.KitError, match=r"fail ended with 3\nout\n\[ERROR\] no"):
        kit.run("fail")
    assert kit.run("fail", check=False).code == 3
    with pytest.raises(kitcli.KitError, match=r"no end after 0\.2 s"):
        kit.run("sleep", timeout=0.2)
    with pytest.raises(kitcli.KitNotFoundError, match="cannot be run"):
        kitcli.KitCLI(tmp_path / "none", tmp_path / "home").run("version")
    script.write_text("#!/bin/sh\necho hello\n")
    with pytest.raises(kitcli.KitNotFoundError, match="does not say its version"):
        kitcli.KitCLI(script, tmp_path / "home").version  # noqa: B018
