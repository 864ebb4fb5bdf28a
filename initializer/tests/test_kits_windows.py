"""Kits packed on Windows: Kit before 0.2.4 wrote backslashes into layers, and Kitfiles have them to this day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from initializer.tests.conftest import Command, failed
from kit_conformance.testbed.kits import ModelKit, Tar, assemble, layer

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Trees
    from kit_conformance.testbed.registry import Registry


def old(tar: Tar, path: str) -> ModelKit:
    """Return a kit of Kit 0.1.0: no digests, names relative to the folder that holds the part."""
    config = {"manifestVersion": "v1.0.0", "package": {}, "model": {"name": "m", "path": path}}
    return assemble(config, [layer(bytes(tar))], as_kit="0.1.0")


def new(tar: Tar, path: str, **fields: str) -> ModelKit:
    blob = layer(bytes(tar))
    model = {"name": "m", "path": path, "digest": blob.digest, "diffId": blob.diff_id, **fields}
    return assemble({"manifestVersion": "1.0.0", "package": {}, "model": model}, [blob])


def raw(path: str) -> ModelKit:
    blob = layer(b"m", suffix="raw")
    model = {"path": path, "digest": blob.digest, "diffId": blob.diff_id}
    return assemble({"manifestVersion": "1.0.0", "package": {}, "model": model}, [blob], as_kit="1.17.0")


NESTED = Tar().directory("iris").directory("iris\\deep").file("iris\\deep\\m.bin", b"m")


@pytest.mark.parametrize(
    ("kit", "paths"),
    [
        (old(NESTED, ".\\models\\iris"), {"models/iris/deep/m.bin"}),
        (new(NESTED, ".\\iris"), {"iris/deep/m.bin"}),
        (new(Tar().directory("a\\").file("b\\m.bin").file("./b\\n.bin"), "."), {"b/m.bin", "b/n.bin"}),
        (raw("models\\m.bin"), {"models/m.bin"}),
    ],
)
def test_backslashes_are_folders(
    kit: ModelKit, paths: set[str], registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(kit, "iris", "v1")
    run = initialize(uri, destination)
    assert run.code == 0, run.lines
    assert set(trees.content(destination)) == {*paths, "Kitfile", ".kit-initializer.json"}
    registry.ledger.clear()
    assert initialize(uri, destination).code == 0
    assert [each.kind for each in registry.ledger] == ["manifest"], "nothing is downloaded again"


def test_the_log_says_so(registry: Registry, initialize: Command, destination: Path) -> None:
    run = initialize(registry.add(new(NESTED, "iris"), "iris", "v1"), destination)
    assert [line for line in run.lines if "backslashes in names, such as iris/deep/m.bin" in line]


@pytest.mark.parametrize("name", ["models/iris", "models\\iris", ".\\models\\iris"])
def test_filters_and_patterns_see_the_folders(
    name: str, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    tar = Tar().file("models\\iris\\m.bin").file("models\\iris\\n.txt")
    uri = registry.add(new(tar, "models\\iris", name="iris"), "iris", "v1")
    run = initialize(
        uri,
        destination,
        KIT_UNPACK_FLAGS=f"--plain-http '--filter=model:{name}'",
        STORAGE_ALLOW_PATTERNS='["models/iris/*.bin"]',
    )
    assert run.code == 0, run.lines
    assert set(trees.content(destination)) == {"models/iris/m.bin", ".kit-initializer.json"}


@pytest.mark.parametrize(
    ("kit", "words"),
    [
        (new(Tar().file("..\\m"), "."), "leads out"),
        (new(Tar().file("a\\..\\..\\m"), "."), "leads out"),
        (new(Tar().file("\\m"), "."), "leads out"),
        (new(Tar().file("\\\\server\\share\\m"), "."), "leads out"),
        (new(Tar().file("C:\\m"), "."), "a drive of Windows"),
        (new(Tar().file("C:m\\n"), "."), "a drive of Windows"),
        (new(Tar().directory("d:\\"), "."), "a drive of Windows"),
        (new(Tar().file("a\\"), "."), "without a name"),
        (new(Tar().file("a\\b").file("a/b"), "."), "which the kit holds already"),
        (new(Tar().file("a").file("a\\b"), "."), "as a file and as a folder"),
        (new(Tar().file("m"), "..\\m"), "names the path"),
        (new(Tar().file("m"), "C:\\m"), "names the path"),
        (raw("..\\m"), "names the path"),
        (raw("\\m"), "names the path"),
        (old(Tar().file("m"), "..\\m"), "names the path"),
    ],
)
def test_what_leads_elsewhere_is_refused(
    kit: ModelKit, words: str, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    run = initialize(registry.add(kit, "iris", "v1"), destination)
    failed(run, 8, "unsafe", words)
    trees.nothing_in(destination)


def test_a_name_of_windows_is_no_way_around_reserved_names(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    tar = Tar().file("m").file(".kit-staging-1\\x").file(".\\.kit-initializer.json")
    assert initialize(registry.add(new(tar, "."), "iris", "v1"), destination).code == 0
    assert set(trees.content(destination)) == {"m", "Kitfile", ".kit-initializer.json"}
    trees.no_staging(destination)
