"""Kits that a real Kit packs from odd folders: one that was initialized, and one that is two parts at once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from initializer.tests.conftest import Command, Trees, failed
from kit_conformance.testbed.kits import ModelKit, Tar, assemble, layer, pack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kit_conformance.testbed.registry import Registry

SAME = """manifestVersion: 1.0.0
package: {name: same}
code: [{path: src}]
datasets: [{name: d, path: ./src}]
"""
FILES: dict[str, bytes] = {"src/run.py": b"print(1)\n", "src/data/t.csv": b"a,b\n"}


@pytest.fixture
def push(tmp_path: Path) -> Callable[[Path, str], None]:
    """Pack a folder with the Kit under test, and push it."""
    found = shutil.which(os.environ.get("KIT", "kit"))
    assert found
    home = tmp_path / "packer"
    home.mkdir()
    (home / "disable-update-notifications").touch()
    env = {"HOME": str(home), "KITOPS_HOME": str(home), "DOCKER_CONFIG": str(home)}

    def push(folder: Path, reference: str) -> None:
        for command in (
            ["pack", str(folder), "-t", reference],
            ["push", reference, "--plain-http"],
        ):
            subprocess.run([found, *command], env=env, check=True, timeout=60)

    return push


@pytest.mark.interop("kit")
def test_an_initialized_folder_is_packed_and_initialized_again(
    push: Callable[[Path, str], None], registry: Registry, initialize: Command, tmp_path: Path, trees: Trees
) -> None:
    recipe = {"manifestVersion": "1.0.0", "package": {"name": "k"}, "model": {"path": "."}}
    kit = pack({"m.bin": b"m", "deep/n.bin": b"n"}, recipe)
    first, second = tmp_path / "first", tmp_path / "second"
    assert initialize(registry.add(kit, "k", "v1"), first).code == 0
    (first / ".kit-staging-left").mkdir()
    (first / ".kit-staging-left" / "m.bin").write_bytes(b"a half")
    push(first, f"{registry.host}/k:v2")
    uri = f"kit://{registry.host}/k:v2"
    run = initialize(uri, second)
    assert run.code == 0, run.lines
    left = [line for line in run.lines if "left out" in line]
    assert any(".kit-initializer.json" in line for line in left)
    assert any(".kit-staging-left/m.bin" in line for line in left)
    trees.check(second, kit)
    assert json.loads((second / ".kit-initializer.json").read_bytes())["kits"][0]["uri"] == uri
    assert initialize(uri, second).last.endswith("nothing to download")
    # and over the folder that it came from
    shutil.rmtree(first / ".kit-staging-left")
    run = initialize(uri, first)
    assert run.code == 0, run.lines
    trees.check(first, kit)


@pytest.mark.interop("kit")
@pytest.mark.parametrize("flag", ["", " -o", " -i"])
def test_one_folder_as_code_and_as_dataset(
    *,
    flag: str,
    push: Callable[[Path, str], None],
    registry: Registry,
    initialize: Command,
    tmp_path: Path,
    destination: Path,
) -> None:
    """Kit packs it if the two paths are spelled otherwise; its unpack needs -o or -i, as both are the same files."""
    for name, body in {**FILES, "Kitfile": SAME.encode()}.items():
        (tmp_path / "context" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "context" / name).write_bytes(body)
    push(tmp_path / "context", f"{registry.host}/same:v1")
    registry.ledger.clear()
    run = initialize(f"kit://{registry.host}/same:v1", destination, KIT_UNPACK_FLAGS=f"--plain-http{flag}")
    assert run.code == 0, run.lines
    assert {name: (destination / name).read_bytes() for name in FILES} == FILES
    assert json.loads(run.message)["kits"][0]["files"] == 3
    assert len(registry.ledger.requests(kind="blob")) == 1, "the one layer is downloaded once"


def twice(first: str, second: str, form: str = "tar") -> ModelKit:
    data = b"m" if form == "raw" else bytes(Tar().file("m.bin", b"m"))
    code, dataset = layer(data, "code", form), layer(data, "dataset", form)
    entry = {"digest": code.digest, "diffId": code.diff_id}
    config = {
        "manifestVersion": "1.0.0",
        "package": {},
        "code": [{"path": first, **entry}],
        "datasets": [{"path": second, **entry}],
    }
    return assemble(config, [code, dataset], as_kit="1.17.0")


@pytest.mark.parametrize(
    ("kit", "paths"),
    [
        (twice("m.bin", "./m.bin"), {"m.bin"}),
        (twice("m.bin", "./m.bin", "raw"), {"m.bin"}),
        (twice("m.bin", "n.bin", "raw"), {"m.bin", "n.bin"}),
    ],
)
def test_one_layer_as_two_parts(
    kit: ModelKit, paths: set[str], registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    run = initialize(registry.add(kit, "k", "v1"), destination)
    assert run.code == 0, run.lines
    assert set(trees.content(destination)) == {*paths, "Kitfile", ".kit-initializer.json"}


@pytest.mark.parametrize("flag", ["", " -o", " -i"])
def test_two_layers_that_differ_in_a_file_are_refused(
    flag: str, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    """Kit packs no such kit. Which file is meant is not for a flag about the destination to say."""
    blobs = [layer(bytes(Tar().file("m", body)), kind) for kind, body in (("code", b"1"), ("dataset", b"2"))]
    entries = [{"path": "m", "digest": blob.digest, "diffId": blob.diff_id} for blob in blobs]
    config = {"manifestVersion": "1.0.0", "package": {}, "code": entries[:1], "datasets": entries[1:]}
    uri = registry.add(assemble(config, blobs), "k", "v1")
    run = initialize(uri, destination, KIT_UNPACK_FLAGS=f"--plain-http{flag}")
    failed(run, 8, "unsafe", "which the kit holds already")
    trees.nothing_in(destination)
