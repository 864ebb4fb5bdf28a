"""The registries that people run, as they are: each gets the same tests (`nox -s interop`)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from initializer.tests.conftest import failed
from initializer.tests.destinations import KITFILE
from initializer.tests.real import REGISTRIES, USER, Cutting, Real
from kit_conformance.testbed.kits import Noise, pack, push

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command, Trees

NEEDS = {name: [name] for name in REGISTRIES} | {"registry:2": ["docker", "registry:2"]}
KIT = pack(
    {
        "model/weights.bin": Noise(24_000_000),
        "model/config.json": b"{}",
        "data.bin": Noise(6_000_000, seed=1),
    },
    KITFILE | {"datasets": [{"path": "data.bin"}]},
)
SIZE = sum(layer.size for layer in KIT.layers)
OTHER = pack({"model/weights.bin": b"other"}, KITFILE)
AFTER = 10_000_000

pytestmark = pytest.mark.timeout(120)
each = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.interop(*NEEDS[name])) for name in REGISTRIES]
)
with_login = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.interop(*NEEDS[name])) for name in REGISTRIES if name != "crane"],
)


def real(name: str, folder: Path, *, login: bool = False) -> Real:
    place = folder / "real"
    place.mkdir()
    return REGISTRIES[name](place, login)


@each
def test_a_kit_by_tag_by_digest_and_by_both(
    name: str, initialize: Command, tmp_path: Path, trees: Trees
) -> None:
    with real(name, tmp_path) as registry:
        uri = push(KIT, registry.host, "some/where/k", "v1")
        bare = uri.rpartition(":")[0]
        for number, reference in enumerate((uri, f"{bare}@{KIT.digest}", f"{uri}@{KIT.digest}")):
            run = initialize(reference, tmp_path / str(number))
            assert run.code == 0, run.lines
            trees.check(tmp_path / str(number), KIT)
        push(OTHER, registry.host, "some/where/k", "v1")
        run = initialize(f"{uri}@{KIT.digest}", tmp_path / "moved")
        assert run.code == 0, run.lines
        assert any("the digest decides" in line for line in run.lines), run.lines
        trees.check(tmp_path / "moved", KIT)
        run = initialize(f"{bare}:gone@{KIT.digest}", tmp_path / "gone")
        assert run.code == 0, run.lines
        trees.check(tmp_path / "gone", KIT)


@each
def test_what_is_not_there(name: str, initialize: Command, tmp_path: Path) -> None:
    with real(name, tmp_path) as registry:
        uri = push(OTHER, registry.host, "k", "v1")
        failed(initialize(uri.replace(":v1", ":v2"), tmp_path / "d"), 3, "not-found", registry.host)
        failed(initialize(uri.replace("/k:", "/none:"), tmp_path / "d"), 3, "not-found", registry.host)


@each
@pytest.mark.parametrize("connections", ["1", "8"])
def test_a_transfer_is_resumed_after_a_cut(
    *, name: str, connections: str, initialize: Command, tmp_path: Path, trees: Trees
) -> None:
    with real(name, tmp_path) as registry:
        push(KIT, registry.host, "k", "v1")
        with Cutting(registry.host, after=AFTER) as network:
            run = initialize(f"kit://{network.host}/k:v1", tmp_path / "d", KIT_CONCURRENCY=connections)
        assert run.code == 0, run.lines
        trees.check(tmp_path / "d", KIT)
        assert network.cut
        assert network.passed >= SIZE
        if connections == "1":  # it has not begun again
            assert network.passed < SIZE + AFTER / 2


@each
def test_a_registry_that_is_restarted(name: str, initialize: Command, tmp_path: Path, trees: Trees) -> None:
    with real(name, tmp_path) as registry:
        push(KIT, registry.host, "k", "v1")
        with Cutting(registry.host, after=AFTER) as network:
            process = initialize.start(f"kit://{network.host}/k:v1", tmp_path / "d", KIT_CONCURRENCY="1")
            deadline = time.monotonic() + 60
            while not network.cut:
                assert time.monotonic() < deadline, "nothing was fetched"
                time.sleep(0.005)
            registry.kill()
            time.sleep(0.5)
            registry.start()
            run = process.end(60)
        assert run.code == 0, run.lines
        trees.check(tmp_path / "d", KIT)


@with_login
def test_a_login(name: str, initialize: Command, tmp_path: Path, trees: Trees) -> None:
    user, password = USER
    with real(name, tmp_path, login=True) as registry:
        uri = push(KIT, registry.host, "k", "v1", user=USER)
        run = initialize(uri, tmp_path / "d", KIT_USER=user, KIT_PASSWORD=password)
        assert run.code == 0, run.lines
        trees.check(tmp_path / "d", KIT)
        failed(initialize(uri, tmp_path / "2"), 4, "denied", registry.host, "KIT_USER")
        wrong = initialize(uri, tmp_path / "3", KIT_USER=user, KIT_PASSWORD="red-otter")
        failed(wrong, 4, "denied", registry.host, "check the user")
