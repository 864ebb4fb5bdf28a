"""KIT_ENGINE=kit under a signature policy: what Kit unpacks is what was judged."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from initializer.tests.conftest import failed
from kit_conformance.testbed.kits import index, pack
from kit_conformance.testbed.registry import faults
from kit_conformance.testbed.signing import Key, attach, bundle

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command
    from kit_conformance.testbed.registry import Registry
    from kit_conformance.testbed.registry.wire import Request

pytestmark = pytest.mark.interop("kit")

KEY = Key.new()
KITFILE = {"manifestVersion": "1.0.0", "package": {}, "model": {"path": "model.bin"}}
KIT = pack({"model.bin": b"weights"}, KITFILE)
OTHER = pack({"model.bin": b"other weights"}, KITFILE)


@pytest.fixture
def with_kit(tmp_path: Path) -> dict[str, str]:
    """Say that Kit is to do it, and that our key must have signed."""
    found = shutil.which(os.environ.get("KIT", "kit"))
    assert found
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kit").symlink_to(found)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    return {"KIT_ENGINE": "kit", "PATH": path, "KIT_RETRIES": "1", "COSIGN_KEY": KEY.public}


def test_signed_and_unsigned(
    registry: Registry, initialize: Command, destination: Path, with_kit: dict[str, str]
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    failed(initialize(uri, destination, env=with_kit), 7, "signature", "found none")
    attach(registry, "iris", bundle(KEY, KIT))
    run = initialize(uri, destination, env=with_kit)
    assert run.code == 0, run.lines
    assert (destination / "model.bin").read_bytes() == b"weights"
    assert json.loads(run.message)["kits"][0]["signature"].endswith(KEY.hint)


def test_a_tag_that_moves_moves_nothing(
    registry: Registry, initialize: Command, destination: Path, with_kit: dict[str, str]
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    attach(registry, "iris", bundle(KEY, KIT))

    def move(request: Request) -> bool:
        if request.kind == "referrers":
            registry.add(OTHER, "iris", "v1")
        return False

    registry.inject(faults.Latency(0), when=move)
    run = initialize(uri, destination, env=with_kit)
    assert run.code == 0, run.lines
    assert (destination / "model.bin").read_bytes() == b"weights"


def test_a_parents_tag_that_moves_is_refused(
    registry: Registry, initialize: Command, destination: Path, with_kit: dict[str, str]
) -> None:
    """Kit resolves the parent's tag by itself, after it was judged."""
    registry.add(KIT, "base", "v1")
    recipe = {
        "manifestVersion": "1.0.0",
        "model": {"path": f"{registry.host}/base:v1"},
        "docs": [{"path": "README.md"}],
    }
    child = pack({"README.md": b"x"}, recipe)
    uri = registry.add(child, "child", "v1")
    attach(registry, "child", bundle(KEY, child))
    attach(registry, "base", bundle(KEY, KIT))
    assert initialize(uri, destination, env=with_kit).code == 0

    def move(request: Request) -> bool:
        if request.kind == "referrers" and request.repository == "base":
            registry.add(OTHER, "base", "v1")
        return False

    registry.inject(faults.Latency(0), when=move)
    run = initialize(uri, destination.with_name("again"), env=with_kit)
    failed(run, 7, "signature", "was not judged by the signature policy")
    assert not list(destination.with_name("again").glob("*"))


def test_of_an_index_the_member_is_pulled_that_was_judged(
    registry: Registry, initialize: Command, destination: Path, with_kit: dict[str, str]
) -> None:
    """Kit 1.7 knows no indexes; it is given the member."""
    for member in (KIT, OTHER):
        registry.add(member, "iris", member.digest)
    uri = registry.add(index((KIT, {"size": "small"}), (OTHER, {"size": "large"})), "iris", "v1")
    attach(registry, "iris", bundle(KEY, KIT))
    flags = {"KIT_UNPACK_FLAGS": "--plain-http -l size=small"}
    run = initialize(uri, destination, env=with_kit | flags)
    assert run.code == 0, run.lines
    assert (destination / "model.bin").read_bytes() == b"weights"
    flags = {"KIT_UNPACK_FLAGS": "--plain-http -l size=large"}
    failed(initialize(uri, destination, env=with_kit | flags), 7, "signature", "found none")
