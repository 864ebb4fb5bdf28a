"""What a reference means: tags, digests, both, indexes, and kits that take their model from others."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from initializer.tests.destinations import KITFILE
from kit_conformance.testbed.kits import ModelKit, index, pack
from kit_conformance.testbed.registry import Fault, faults
from kit_conformance.testbed.registry.wire import Memory, Response

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command, Run, Trees
    from kit_conformance.testbed.registry import Registry
    from kit_conformance.testbed.registry.faults import Exchange

KIT = pack({"model/a": b"a"}, KITFILE)


def child(parent: str, *, docs: bool = True) -> ModelKit:
    """Return a kit whose model is that of another one."""
    recipe = KITFILE | {"model": {"path": parent}, "docs": [{"path": "README.md"}] if docs else []}
    return pack({"README.md": b"r"}, recipe)


def ended(run: Run, code: int, *words: str) -> None:
    assert run.code == code, run.lines
    for word in words:
        assert word in run.last


def test_a_tag_beside_its_digest(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(KIT, "k", "v1")
    assert initialize(f"{uri}@{KIT.digest}", destination).code == 0
    trees.check(destination, KIT)
    registry.add(pack({"model/b": b"b"}, KITFILE), "k", "v1")
    elsewhere = destination.with_name("elsewhere")
    run = initialize(f"{uri}@{KIT.digest}", elsewhere)
    ended(run, 0)
    trees.check(elsewhere, KIT)
    assert any("the tag v1 is sha256:" in line and "the digest decides" in line for line in run.lines)
    missing = initialize(f"{uri.replace(':v1', ':v9')}@{KIT.digest}", destination.with_name("another"))
    ended(missing, 0)
    assert any("the registry has no tag v9" in line for line in missing.lines)


class Also(Fault):
    """Manifests are found under a digest of another algorithm, too, as registries may offer."""

    def __init__(self, digest: str, body: bytes) -> None:
        self.digest, self.body = digest, body

    def answer(self, exchange: Exchange) -> Response | None:
        if exchange.request.reference != self.digest:
            return None
        return Response(200, {"Docker-Content-Digest": self.digest}, Memory(self.body))


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("tag", ["", ":v1"])
def test_a_digest_of_the_other_algorithm(
    *, same: bool, tag: str, registry: Registry, initialize: Command, destination: Path
) -> None:
    registry.add(KIT, "k", "v1")
    body = KIT.manifest if same else pack({"model/b": b"b"}, KITFILE).manifest
    digest = "sha512:" + hashlib.sha512(body).hexdigest()
    registry.inject(Also(digest, body), kind="manifest")
    if not same:
        registry.add(pack({"model/b": b"b"}, KITFILE), "k", "v2")
    run = initialize(f"kit://{registry.host}/k{tag}@{digest}", destination)
    ended(run, 0)
    assert (destination / "model" / ("a" if same else "b")).exists()
    assert any("the digest decides" in line for line in run.lines) == bool(tag and not same)
    before = len(registry.ledger)
    assert initialize(f"kit://{registry.host}/k{tag}@{digest}", destination).code == 0
    assert len(registry.ledger) == before, "a pinned kit that is in place costs a request"


def test_an_index_in_an_index_is_9(registry: Registry, initialize: Command, destination: Path) -> None:
    inner = index((KIT, {}))
    ended(initialize(registry.add(index((inner, {})), "k", "v1"), destination), 9, "lists no ModelKit")
    uri = registry.add(index((replace(inner, media_type=KIT.media_type), {})), "k", "v2")
    ended(initialize(uri, destination), 9, uri, "another index")


def test_a_member_of_an_index_is_verified(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(index((KIT, {})), "k", "v1")
    registry.inject(faults.Replace(b"{}"), kind="manifest", reference=KIT.digest)
    registry.inject(faults.no_digest_header(), kind="manifest")
    ended(initialize(uri, destination), 7, uri, KIT.digest)
    trees.nothing_in(destination)


def test_a_model_from_another_kit(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    parent = registry.add(KIT, "parent", "v1").removeprefix("kit://")
    middle = registry.add(child(parent), "middle", "v1").removeprefix("kit://")
    uri = registry.add(child(middle), "k", "v1")
    assert initialize(uri, destination).code == 0
    found = trees.content(destination)
    assert found.keys() == {"model/a", "README.md", "Kitfile", ".kit-initializer.json"}
    assert middle in (destination / "Kitfile").read_text(encoding="utf-8")


def test_a_parent_that_is_not_there_is_3(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(child(f"{registry.host}/nobody:v1"), "k", "v1")
    ended(initialize(uri, destination), 3, "nobody:v1")
    trees.nothing_in(destination)


def test_kits_that_lend_each_other_are_9(registry: Registry, initialize: Command, destination: Path) -> None:
    registry.add(child(f"{registry.host}/two:v1"), "one", "v1")
    registry.add(child(f"{registry.host}/one:v1"), "two", "v1")
    ended(initialize(f"kit://{registry.host}/one:v1", destination), 9, "refers to itself")


def test_more_than_ten_parents_are_9(registry: Registry, initialize: Command, destination: Path) -> None:
    last = registry.add(KIT, "p0", "v1").removeprefix("kit://")
    for number in range(1, 12):
        last = registry.add(child(last), f"p{number}", "v1").removeprefix("kit://")
    assert initialize(f"kit://{registry.host}/p10:v1", destination).code == 0
    ended(initialize(f"kit://{registry.host}/p11:v1", destination / "d"), 9, "more than 10 parents")


def test_a_parent_without_a_model_is_9(registry: Registry, initialize: Command, destination: Path) -> None:
    docs = KITFILE | {"model": None, "docs": [{"path": "README.md"}]}
    parent = registry.add(pack({"README.md": b""}, docs), "parent", "v1").removeprefix("kit://")
    uri = registry.add(child(parent), "k", "v1")
    ended(initialize(uri, destination), 9, "takes its model from", parent)


def test_a_config_that_is_none_is_9(registry: Registry, initialize: Command, destination: Path) -> None:
    config = b"[]"
    manifest = KIT.manifest.replace(
        hashlib.sha256(KIT.config).hexdigest().encode(), hashlib.sha256(config).hexdigest().encode()
    ).replace(b'"size":%d' % len(KIT.config), b'"size":%d' % len(config), 1)
    uri = registry.add(replace(KIT, config=config, manifest=manifest), "k", "v1")
    ended(initialize(uri, destination), 9, uri, "config")


def test_a_config_of_another_digest_is_7(registry: Registry, initialize: Command, destination: Path) -> None:
    uri = registry.add(KIT, "k", "v1")
    registry.inject(faults.Tamper(offset=3), kind="config")
    ended(initialize(uri, destination), 7, f"the config of {uri}", "does not match its digest")
