"""The kit engine with a real Kit (`kit` on the PATH, or KIT) and the registry that registry:2 carries."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from kit_initializer.credentials import Login
from kit_initializer.deadline import Deadline
from kit_initializer.errors import KitFailedError, UsageError
from kit_initializer.pull.kit import cli, memory
from kit_initializer.reference import parse
from kit_initializer.secret import Secret
from kit_initializer.settings import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kit_initializer.settings import Settings

pytestmark = pytest.mark.interop("docker-registry", "kit")

PASSWORD = "grey-otter"
HTPASSWD = "ann:$2b$04$ZUrCCK4BD40ZblSTHddeDOy9z2PCk3.otncCRRFf3pkby1VsZR5VC\n"
FILES = {"model/m.bin": b"\x00\x01" * 40_000, "model/deep/n.bin": b"n", "docs/read.md": b"# hello\n"}
KITFILE = """manifestVersion: 1.0.0
package: {name: engine, version: 1.0.0}
model: {name: m, path: model}
docs: [{path: docs/read.md}]
"""


class Store(NamedTuple):
    """A running registry: `host:port` and the folder where it keeps its blobs."""

    host: str
    root: Path

    def blob(self, digest: str) -> Path:
        algorithm, hexadecimal = digest.split(":")
        folder = self.root / "docker/registry/v2/blobs" / algorithm
        return folder / hexadecimal[:2] / hexadecimal / "data"


@contextlib.contextmanager
def running(folder: Path, auth: str = "") -> Iterator[Store]:
    root = folder / "registry"
    config = folder / "registry.yml"
    storage = f"storage: {{filesystem: {{rootdirectory: {root}}}}}"
    config.write_text(f'version: 0.1\n{storage}\nhttp: {{addr: "127.0.0.1:0"}}\n{auth}')
    command = ["docker-registry", "serve", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        port = next(
            found[1] for line in process.stderr if (found := re.search(r"listening on .*:(\d+)", line))
        )
        drain = threading.Thread(target=process.stderr.read)
        drain.start()
        try:
            yield Store(f"127.0.0.1:{port}", root)
        finally:
            process.kill()
            drain.join()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with running(tmp_path) as store:
        yield store


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return a PATH where `kit` is the Kit under test."""
    found = shutil.which(os.environ.get("KIT", "kit"))
    assert found
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/kit").symlink_to(found)
    return str(tmp_path / "bin")


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    staging = tmp_path / "models" / ".kit-staging-1"
    staging.mkdir(parents=True)
    return staging


def settings(path: str, **environ: str) -> Settings:
    plain = {"KIT_ENGINE": "kit", "KIT_UNPACK_FLAGS": "--plain-http", "PATH": path}
    return read(plain | environ)


def push(tmp_path: Path, path: str, reference: str, kitfile: str = KITFILE, login: bool = False) -> None:
    """Pack FILES with the Kit under test, and push them."""
    context = tmp_path / "context"
    for name, content in FILES.items():
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_bytes(content)
    (context / "Kitfile").write_text(kitfile)
    home = tmp_path / "packer"
    home.mkdir(exist_ok=True)
    (home / "disable-update-notifications").touch()
    commands = [["pack", str(context), "-t", reference], ["push", reference, "--plain-http"]]
    if login:
        host = reference.split("/", maxsplit=1)[0]
        commands.insert(0, ["login", host, "--plain-http", "-u", "ann", "--password-stdin"])
    env = {"PATH": path, "HOME": str(home), "KITOPS_HOME": str(home), "DOCKER_CONFIG": str(home)}
    for command in commands:
        subprocess.run(["kit", *command], env=env, input=PASSWORD, text=True, check=True, timeout=60)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def left_in_memory() -> list[str]:
    return [name for name in os.listdir(memory.MEMORY) if name.startswith("kit-initializer-")]


BETWEEN = """#!/bin/sh
# Kit, but for what somebody else does to its store between `pull` and `unpack`.
if [ "$1" = unpack ]; then rm -r "$KITOPS_HOME/storage"; fi
exec "$0-itself" "$@"
"""


def test_unpacks_what_was_verified_and_fetches_nothing_again(
    tmp_path: Path, path: str, store: Store, staging: Path
) -> None:
    """Kit's `unpack` looks at the registry where its store lacks something, and checks no digest of that."""
    push(tmp_path, path, f"{store.host}/iris:v1")
    real = tmp_path / "bin" / "kit"
    real.rename(tmp_path / "bin" / "kit-itself")
    real.write_text(BETWEEN)
    real.chmod(0o755)
    reference = parse(f"kit://{store.host}/iris:v1")
    searched = f"{path}:/usr/bin:/bin"
    with pytest.raises(KitFailedError, match=r"^kit unpack "):
        cli.bring(reference, str(staging), settings(searched), Deadline(), None)
    assert tree(staging) == {}


def test_brings_the_tree_and_leaves_nothing_else(
    tmp_path: Path, path: str, store: Store, staging: Path
) -> None:
    push(tmp_path, path, f"{store.host}/iris:v1")
    lines: list[str] = []
    reference = parse(f"kit://{store.host}/iris:v1")
    result = cli.bring(reference, str(staging), settings(path), Deadline(), None, on_line=lines.append)
    found = tree(staging)
    assert found.pop("Kitfile").startswith(b"manifestVersion: 1.0.0")
    assert found == FILES
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", result.digest)
    assert store.blob(result.digest).exists()
    assert re.match(r"\d+\.\d+", result.kit_version)
    assert os.listdir(staging.parent) == [staging.name]
    assert any("Pulled sha256:" in line for line in lines)


def test_a_digest_and_a_filter(tmp_path: Path, path: str, store: Store, staging: Path) -> None:
    push(tmp_path, path, f"{store.host}/iris:v1")
    plain = settings(path)
    digest = cli.bring(parse(f"kit://{store.host}/iris:v1"), str(staging), plain, Deadline(), None).digest
    second = staging.with_name("second")
    second.mkdir()
    reference = parse(f"kit://{store.host}/iris:v1@{digest}")
    filtered = settings(path, KIT_UNPACK_FLAGS="--plain-http --filter=docs")
    assert cli.bring(reference, str(second), filtered, Deadline(), None).digest == digest
    assert tree(second) == {"docs/read.md": FILES["docs/read.md"]}


def test_a_parent_is_pulled_and_verified_too(tmp_path: Path, path: str, store: Store, staging: Path) -> None:
    push(tmp_path, path, f"{store.host}/parent:v1")
    child = f"manifestVersion: 1.0.0\npackage: {{name: child}}\nmodel: {{path: '{store.host}/parent:v1'}}\n"
    push(tmp_path, path, f"{store.host}/child:v1", kitfile=child)
    cli.bring(parse(f"kit://{store.host}/child:v1"), str(staging), settings(path), Deadline(), None)
    assert {"model/m.bin", "model/deep/n.bin"} <= set(tree(staging))


def test_a_tampered_layer_is_refused_with_kits_own_line(
    tmp_path: Path, path: str, store: Store, staging: Path
) -> None:
    push(tmp_path, path, f"{store.host}/iris:v1")
    largest = max(store.root.rglob("data"), key=lambda p: p.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    with pytest.raises(KitFailedError, match=r"kit pull .*(digest|hash)") as caught:
        cli.bring(parse(f"kit://{store.host}/iris:v1"), str(staging), settings(path), Deadline(), None)
    assert caught.value.exit_code == 1
    assert os.listdir(staging.parent) == [staging.name]
    assert tree(staging) == {}


def test_a_password_is_in_memory_only_and_gone_afterwards(tmp_path: Path, path: str, staging: Path) -> None:
    htpasswd = tmp_path / "htpasswd"
    htpasswd.write_text(HTPASSWD)
    auth = f"auth: {{htpasswd: {{realm: kits, path: {htpasswd}}}}}\n"
    before = left_in_memory()
    seen: list[tuple[str, list[str]]] = []

    def look(line: str) -> None:
        link = Path(f"{staging}.kit/credentials.json")
        if link.is_symlink() and link.exists():
            on_volume = [str(p) for p in staging.parent.rglob("*") if p.is_file() and not p.is_symlink()]
            seen.append((os.path.realpath(link), [p for p in on_volume if "Z3JleS1vdHRlcg" in text_of(p)]))

    with running(tmp_path, auth) as store:
        push(tmp_path, path, f"{store.host}/iris:v1", login=True)
        reference = parse(f"kit://{store.host}/iris:v1")
        with pytest.raises(KitFailedError):
            cli.bring(reference, str(staging), settings(path), Deadline(), None)
        login = Login("ann", Secret(PASSWORD), None, "test")
        cli.bring(reference, str(staging), settings(path), Deadline(), login, on_line=look)
    assert seen
    assert all(place.startswith(memory.MEMORY) and not found for place, found in seen)
    assert left_in_memory() == before
    assert os.listdir(staging.parent) == [staging.name]


def text_of(path: str) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text(errors="replace")
    return ""


def test_nobody_is_asked_for_a_newer_release(tmp_path: Path, path: str, store: Store, staging: Path) -> None:
    push(tmp_path, path, f"{store.host}/iris:v1")
    with socket.create_server(("127.0.0.1", 0)) as proxy:  # Go sends no loopback address through a proxy
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        proxied = settings(path, HTTPS_PROXY=address, HTTP_PROXY=address)
        cli.bring(parse(f"kit://{store.host}/iris:v1"), str(staging), proxied, Deadline(), None)
        proxy.settimeout(0.1)
        with pytest.raises(TimeoutError):
            proxy.accept()


def test_a_registry_that_never_answers_is_given_up(path: str, staging: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reference = parse(f"kit://127.0.0.1:{silent.getsockname()[1]}/iris:v1")
        bounded = settings(path, KIT_PROGRESS_TIMEOUT="1")
        began = time.monotonic()
        with pytest.raises(KitFailedError, match="no progress in 1 s"):
            cli.bring(reference, str(staging), bounded, Deadline(), None)
    assert time.monotonic() - began < 10
    assert os.listdir(staging.parent) == [staging.name]


STOPPED = """
import signal, sys
from kit_initializer import reference, settings
from kit_initializer.deadline import Deadline
from kit_initializer.errors import KitFailedError
from kit_initializer.pull.kit import cli
def stop(*_):
    cli.terminate()
signal.signal(signal.SIGTERM, stop)
environ = {"KIT_ENGINE": "kit", "KIT_UNPACK_FLAGS": "--plain-http", "PATH": sys.argv[3]}
try:
    cli.bring(reference.parse(sys.argv[1]), sys.argv[2], settings.read(environ), Deadline(), None)
except KitFailedError as error:
    sys.exit(f"stopped: {error}")
"""


def test_sigterm_ends_kit_as_well(path: str, staging: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        uri = f"kit://127.0.0.1:{silent.getsockname()[1]}/iris:v1"
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", STOPPED, uri, str(staging), path]
        with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = silent.accept()  # Kit is there, and waits
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            with connection:
                connection.settimeout(10)
                while connection.recv(65536):  # the end of the stream is the end of Kit
                    pass
            _, stderr = process.communicate(timeout=10)
    assert time.monotonic() - began < 5
    assert "killed by signal 9" in stderr
    assert os.listdir(staging.parent) == [staging.name]


def test_no_kit_and_too_old_a_kit_are_usage_errors(tmp_path: Path, staging: Path) -> None:
    reference = parse("kit://127.0.0.1:1/iris:v1")
    folder = tmp_path / "old"
    folder.mkdir()
    with pytest.raises(UsageError, match="no `kit` is on the PATH"):
        cli.bring(reference, str(staging), settings(str(folder)), Deadline(), None)
    fake = folder / "kit"  # a fake: it stands for releases that are not on this machine
    fake.write_text("#!/bin/sh\necho 'Version: 0.4.0'\n")
    fake.chmod(0o755)
    with pytest.raises(UsageError) as caught:
        cli.bring(reference, str(staging), settings(str(folder)), Deadline(), None)
    assert "0.4.0" in str(caught.value)
    assert "0.5.0" in caught.value.hint
