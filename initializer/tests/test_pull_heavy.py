"""Sizes and crowds: memory and open files of the real process, and a real registry that is restarted under load."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest

from initializer.tests.destinations import KITFILE
from kit_conformance.testbed.kits import Noise, Source, pack, push, single, tars
from kit_conformance.testbed.registry import Registry, faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from initializer.tests.conftest import Command, Process, Trees
    from kit_conformance.testbed.kits import ModelKit

pytestmark = pytest.mark.timeout(900)

MEMORY_BYTES = 64 * 1024 * 1024  # what a container gets

# Runs the command under a limit of open files and tells what its peak of memory was. A process of its own, and a
# small one: what a child is forked from counts as its own peak.
MEASURE = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
child = os.posix_spawn(sys.executable, [sys.executable, "-m", "kit_initializer", *sys.argv[1:]], os.environ)
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024)
"""


class Measured(NamedTuple):
    """The end of a run: exit code, peak of resident memory in bytes, log."""

    code: int
    peak: int
    log: str


def measured(command: Command, uri: str, folder: Path, env: Mapping[str, str] | None = None) -> Measured:
    """Run the command with 256 open files allowed, and measure it."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, uri, str(folder)],
        env=command.environ(env or {}),
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    code, peak = map(int, done.stdout.split())
    print(f"peak of {peak / 1024 / 1024:.1f} MiB")  # noqa: T201 - a measurement, for pytest -s
    return Measured(code, peak, done.stderr)


def within(run: Measured) -> None:
    assert run.code == 0, run.log
    assert run.peak < MEMORY_BYTES


def zeros(folder: Path, size: int) -> ModelKit:
    """Return a kit with one file of zeros that takes no room in the registry: a sparse tar."""
    path, hasher, chunk = folder / "layer", hashlib.sha256(), bytes(1024 * 1024)
    head = tars.member("model/weights.bin", size, 0o644)
    total = len(head) + size + -size % tars.BLOCK + len(tars.END)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(total)
    hasher.update(head)
    for _ in range((total - len(head)) // len(chunk)):
        hasher.update(chunk)
    hasher.update(chunk[: (total - len(head)) % len(chunk)])
    digest = f"sha256:{hasher.hexdigest()}"
    kit = single(b"", "model")
    layer = replace(kit.layers[0], digest=digest, size=total, data=path, diff_id=digest)
    config = kit.config.replace(kit.layers[0].digest.encode(), digest.encode())
    manifest = json.loads(kit.manifest)
    manifest["layers"][0] |= {"digest": digest, "size": total}
    manifest["config"] |= {"digest": f"sha256:{hashlib.sha256(config).hexdigest()}", "size": len(config)}
    return replace(kit, config=config, manifest=json.dumps(manifest).encode(), layers=(layer,))


@pytest.mark.interop
@pytest.mark.parametrize("slow", [False, True], ids=["a near registry", "a slow link"])
def test_the_memory_of_a_layer_of_2_gb(
    *, slow: bool, registry: Registry, initialize: Command, tmp_path: Path
) -> None:
    size = 2_000_000_000
    uri = registry.add(zeros(tmp_path, size), "k", "v1")
    if slow:
        registry.inject(faults.Bandwidth(40_000_000), kind="blob")
    within(measured(initialize, uri, tmp_path / "d"))
    assert (tmp_path / "d/model/weights.bin").stat().st_size == size


@pytest.mark.interop
@pytest.mark.parametrize("compression", ["gzip-fastest", "zstd"])
def test_the_memory_of_a_compressed_layer(
    *, compression: str, registry: Registry, initialize: Command, tmp_path: Path, trees: Trees
) -> None:
    kit = pack(
        {"model/weights.bin": Noise(200_000_000)}, KITFILE, compression=compression, directory=tmp_path
    )
    registry.inject(faults.Bandwidth(20_000_000), kind="blob")
    within(measured(initialize, registry.add(kit, "k", "v1"), tmp_path / "d"))
    trees.check(tmp_path / "d", kit)


@pytest.mark.interop
@pytest.mark.parametrize("compression", ["", "gzip"])
def test_the_memory_of_100000_files(
    *, compression: str, registry: Registry, initialize: Command, tmp_path: Path, trees: Trees
) -> None:
    """On the first run, on a restart that finds all in place, and when the next version replaces them."""
    kits = []
    for version in (0, 1):
        files: dict[str, Source | None] = {
            f"model/a-longer-name-of-a-folder-{number % 200}/part-{number + version:06}.json": b"%d" % number
            for number in range(100_000)
        }
        kits.append(pack(files, KITFILE, compression=compression, directory=tmp_path))
        uri = registry.add(kits[-1], "k", f"v{version}")
        within(measured(initialize, uri, tmp_path / "d"))
        within(measured(initialize, uri, tmp_path / "d"))
    trees.check(tmp_path / "d", kits[-1])
    assert len(registry.ledger.requests(kind="blob")) == 2


@pytest.mark.interop
@pytest.mark.parametrize("connections", ["8", "64"])
def test_64_layers(
    *, connections: str, registry: Registry, initialize: Command, tmp_path: Path, trees: Trees
) -> None:
    names = [f"data-{number}.bin" for number in range(63)]
    recipe = KITFILE | {"datasets": [{"path": name} for name in names]}
    files: dict[str, Source | None] = {name: Noise(3_000_000, number) for number, name in enumerate(names)}
    kit = pack({**files, "model/weights.bin": Noise(10_000_000, 99)}, recipe, directory=tmp_path)
    registry.inject(faults.Bandwidth(20_000_000), kind="blob")
    uri = registry.add(kit, "k", "v1")
    within(measured(initialize, uri, tmp_path / "d", {"KIT_CONCURRENCY": connections}))
    trees.check(tmp_path / "d", kit)


class Store:
    """Debian's docker-registry, which is the one of the image registry:2, on a port that it keeps."""

    def __init__(self, folder: Path) -> None:
        self._root, self._config = folder / "store", folder / "registry.yml"
        self._process: subprocess.Popen[str] | None = None
        self._drain = threading.Thread()
        self.host = "127.0.0.1:0"

    def start(self) -> None:
        """Start, and wait until it answers."""
        storage = f"storage: {{filesystem: {{rootdirectory: {self._root}}}}}"
        log = "log: {accesslog: {disabled: true}, level: info}"
        self._config.write_text(
            f'version: 0.1\n{log}\n{storage}\nhttp: {{addr: "{self.host}"}}\n', encoding="utf-8"
        )
        command = ["docker-registry", "serve", str(self._config)]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        port = next(
            found[1] for line in self._process.stderr if (found := re.search(r"listening on .*:(\d+)", line))
        )
        self.host = f"127.0.0.1:{port}"
        self._drain = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._drain.start()
        deadline = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self.host, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/v2/")
            return connection.getresponse().status == 200
        return False

    def kill(self) -> None:
        """End at once, in the middle of whatever it sends."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._drain.join(10)
        assert self._process.stderr is not None
        self._process.stderr.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    store.start()
    yield store
    store.kill()


def published(folder: Path) -> bool:
    return (folder / ".kit-initializer.json").exists()


@pytest.mark.interop("docker-registry")
def test_32_pulls_at_once_from_a_registry_that_is_restarted(
    *, store: Store, initialize: Command, tmp_path: Path, trees: Trees
) -> None:
    """Nothing is lost, and no folder holds a half of the kit at any moment that is looked at."""
    recipe = KITFILE | {"datasets": [{"path": "data.bin"}]}
    files: dict[str, Source | None] = {
        "model/weights.bin": Noise(30_000_000),
        "data.bin": Noise(5_000_000, 1),
    }
    files |= {f"model/part-{number}": b"x" * number for number in range(50)}
    kit = pack(files, recipe)
    uri = push(kit, store.host, "k", "v1")
    folders = [tmp_path / f"d{number}" for number in range(32)]
    runs: list[Process] = [initialize.start(uri, folder) for folder in folders]
    half, restarts, interrupted = [], 0, 0
    while any(run.poll() is None for run in runs):
        if restarts < 2:
            time.sleep(0.7)
            interrupted += sum(run.poll() is None for run in runs)
            store.kill()
            time.sleep(0.5)
            store.start()
            restarts += 1
        for folder in folders:
            there = {path.name for path in folder.glob("*") if not path.name.startswith(".kit-staging-")}
            if there and not published(folder):
                half.append(folder)
        time.sleep(0.2)
    ends = [run.end(300) for run in runs]
    assert [end.code for end in ends] == [0] * 32, [end.last for end in ends if end.code]
    assert interrupted > 0
    assert not half
    for folder in folders:
        trees.check(folder, kit)


@pytest.mark.interop("docker-registry")
def test_a_real_registry(store: Store, initialize: Command, destination: Path, trees: Trees) -> None:
    kit = pack(
        {"model/weights.bin": Noise(5_000_000), "model/config.json": b"{}"}, KITFILE, compression="gzip"
    )
    uri = push(kit, store.host, "some/where/k", "v1")
    assert initialize(uri, destination).code == 0
    trees.check(destination, kit)
    assert initialize(f"{uri.rpartition(':')[0]}@{kit.digest}", destination / "2").code == 0
    assert initialize(uri.replace(":v1", ":v2"), destination / "3").code == 3
    assert initialize(uri.replace("/k:", "/none:"), destination / "3").code == 3
