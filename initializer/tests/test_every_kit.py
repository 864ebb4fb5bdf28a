"""Every form of a kit, from registry to folder: what Kits of all ages and tools without Kit push."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kit_conformance.testbed.kits import ModelKit, Source, foreign_modelpack, index, modelpack, pack

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command, Run, Trees
    from kit_conformance.testbed.registry import Registry

FILES: dict[str, Source | None] = {
    "models/iris/m..v1.bin": b"weights" * 1000,
    "models/lora/a.bin": b"adapter",
    "models/lora/deep/b.bin": b"b",
    "src/run.sh": b"#!/bin/sh\n",
    "data/train.csv": b"a,b\n",
    "docs/README.md": b"# Iris\n",
}
MODES = {"src/run.sh": 0o755, "data/train.csv": 0o600}
KITFILE: dict[str, Any] = {
    "manifestVersion": "1.0.0",
    "package": {"name": "iris", "description": "a: b"},
    "model": {
        "name": "iris",
        "path": "./models/iris/m..v1.bin",
        "parts": [{"name": "lora", "path": "models/lora/"}],
        "parameters": {"rate": 1.5e-07, "on": "yes"},
    },
    "code": [{"path": "src/"}],
    "datasets": [{"name": "train", "path": "data/train.csv"}],
    "docs": [{"path": "docs"}],
}
# Raw layers are single files.
SINGLE: dict[str, Any] = {
    **KITFILE,
    "model": {
        **KITFILE["model"],
        "parts": [{"path": "models/lora/a.bin"}, {"path": "models/lora/deep/b.bin"}],
    },
    "code": [{"path": "src/run.sh"}],
    "docs": [{"path": "./docs/README.md"}],
}
NEWER: dict[str, Any] = {
    **SINGLE,
    "docs": [],
    "prompts": [{"name": "p", "path": "docs/README.md"}],
    "datasets": [*SINGLE["datasets"], {"name": "far", "remotePath": "s3://bucket/key", "remoteHash": "x"}],
}


def kits() -> dict[str, ModelKit]:
    """Return a kit for each row of the format's table."""
    found = {
        f"Kit {version} {compression or 'tar'}": pack(
            FILES, KITFILE, as_kit=version, compression=compression, modes=MODES
        )
        for version, compressions in {
            "0.1.0": ["gzip"],
            "0.2.5": ["", "gzip"],
            "0.4.0": [""],
            "0.5.0": [""],
            "1.7.0": ["", "gzip", "gzip-fastest"],
            "1.10.0": ["", "gzip"],
            "1.17.0": ["", "gzip", "zstd"],
        }.items()
        for compression in compressions
    }
    for compression in ("", "gzip", "zstd"):
        how: dict[str, Any] = {"compression": compression, "modes": MODES}
        found[f"raw {compression}"] = pack(FILES, SINGLE, raw=True, **how)
        found[f"ModelPack {compression}"] = modelpack(FILES, KITFILE, **how)
    found["prompts and a far dataset"] = pack(FILES, NEWER, as_kit="1.17.0", modes=MODES)
    found["raw ModelPack"] = modelpack(FILES, SINGLE, raw=True, modes=MODES)
    plain = {path: body for path, body in FILES.items() if body is not None}
    types = {"src/run.sh": "code", "data/train.csv": "dataset", "docs/README.md": "docs"}
    for raw in (True, False):
        found[f"foreign ModelPack {raw=}"] = foreign_modelpack(plain, types=types, raw=raw, modes=MODES)
    return found


KITS = kits()


@pytest.mark.parametrize("name", KITS)
def test_is_brought(
    name: str, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    run = initialize(registry.add(KITS[name], "iris", "v1"), destination)
    assert run.code == 0, run.lines
    trees.check(destination, KITS[name])
    written = yaml.safe_load((destination / "Kitfile").read_text(encoding="utf-8"))
    if "foreign" in name:
        assert written["model"]["path"] == "models/iris/m..v1.bin"
        return
    single = name.startswith(("raw", "prompts"))
    expected = {**(SINGLE if single else KITFILE)}
    if name.startswith("prompts"):
        expected = {key: value for key, value in NEWER.items() if value}
    if name < "Kit 1":  # these wrote empty descriptions of docs
        expected["docs"] = [{"path": "docs", "description": ""}]
    assert written == expected


def brought(run: Run, folder: Path, trees: Trees) -> set[str]:
    assert run.code == 0, run.lines
    return set(trees.content(folder)) - {".kit-initializer.json"}


@pytest.mark.parametrize("name", ["Kit 0.2.5 tar", "Kit 1.7.0 tar", "raw ", "ModelPack gzip"])
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--filter=model:iris", {"models/iris/m..v1.bin"}),
        ("-f model:models/iris/m..v1.bin,none -f docs:docs/../docs/README.md", {"models/iris/m..v1.bin"}),
        ("--model", {"models/iris/m..v1.bin", "models/lora/a.bin", "models/lora/deep/b.bin"}),
        ("--code --kitfile", {"src/run.sh", "Kitfile"}),
        ("--filter=datasets:./data/train.csv", {"data/train.csv"}),
        ("--filter=kitfile", {"Kitfile"}),
    ],
)
def test_filters(
    name: str,
    flags: str,
    expected: set[str],
    *,
    registry: Registry,
    initialize: Command,
    destination: Path,
    trees: Trees,
) -> None:
    uri = registry.add(KITS[name], "iris", "v1")
    run = initialize(uri, destination, KIT_UNPACK_FLAGS=f"--plain-http {flags}")
    found = brought(run, destination, trees)
    assert found - {"docs/README.md"} == expected
    assert ("docs/README.md" in found) == ("docs/" in flags and name == "raw ")


def test_labels_choose_from_an_index(
    registry: Registry, initialize: Command, tmp_path: Path, trees: Trees
) -> None:
    both = index(
        (KITS["Kit 1.17.0 zstd"], {"quant": "int8", "gpu": True}), (KITS["raw gzip"], {"quant": "fp16"})
    )
    uri = registry.add(both, "iris", "v1")
    run = initialize(uri, tmp_path / "a", KIT_UNPACK_FLAGS="--plain-http -l quant=int8 -l gpu=true")
    assert run.code == 0, run.lines
    trees.check(tmp_path / "a", KITS["Kit 1.17.0 zstd"])
    for flags, code, words in [
        ("", 2, "2 ModelKits in the index match"),
        ("-l quant=int4", 11, "no ModelKit in the index has quant=int4"),
    ]:
        run = initialize(uri, tmp_path / "b", KIT_UNPACK_FLAGS=f"--plain-http {flags}")
        assert (run.code, words in run.last) == (code, True), run.lines
        trees.nothing_in(tmp_path / "b")


class TestParents:
    def chain(self, registry: Registry, length: int) -> str:
        """Put `length` kits in, each borrowing the model of the one before; return the last one's URI."""
        uri = registry.add(
            pack({"m.bin": b"root", "x": b"x"}, {**_MODEL, "code": [{"path": "x"}]}), "kit0", "v1"
        )
        for number in range(1, length):
            parent = uri.removeprefix("kit://")
            kitfile = {
                "manifestVersion": "1.0.0",
                "model": {"path": parent},
                "code": [{"path": f"c{number}"}],
            }
            uri = registry.add(pack({f"c{number}": b"code"}, kitfile), f"kit{number}", "v1")
        return uri

    @pytest.mark.parametrize("length", [2, 11])
    def test_lend_their_model_and_nothing_else(
        self, length: int, registry: Registry, initialize: Command, destination: Path, trees: Trees
    ) -> None:
        run = initialize(self.chain(registry, length), destination)
        assert brought(run, destination, trees) == {"m.bin", f"c{length - 1}", "Kitfile"}

    def test_are_ten_at_most(
        self, registry: Registry, initialize: Command, destination: Path, trees: Trees
    ) -> None:
        run = initialize(self.chain(registry, 12), destination)
        assert (run.code, "more than 10 parents" in run.last) == (9, True), run.lines
        trees.nothing_in(destination)

    def test_may_not_lead_back(
        self, registry: Registry, initialize: Command, destination: Path, trees: Trees
    ) -> None:
        for name, other in (("a", "b"), ("b", "a")):
            path = f"{registry.host}/{other}:v1"
            registry.add(pack({}, {"manifestVersion": "1.0.0", "model": {"path": path}}), name, "v1")
        run = initialize(f"kit://{registry.host}/a:v1", destination)
        assert (run.code, "refers to itself" in run.last) == (9, True), run.lines
        trees.nothing_in(destination)

    def test_without_a_registry_are_named(
        self, registry: Registry, initialize: Command, destination: Path
    ) -> None:
        uri = registry.add(
            pack({}, {"manifestVersion": "1.0.0", "model": {"path": "team/iris:v1"}}), "a", "v1"
        )
        run = initialize(uri, destination)
        assert (run.code, "borrows its model" in run.last) == (9, True), run.lines

    def test_follow_filters(
        self, registry: Registry, initialize: Command, tmp_path: Path, trees: Trees
    ) -> None:
        uri = self.chain(registry, 2)
        run = initialize(uri, tmp_path / "a", KIT_UNPACK_FLAGS="--plain-http --filter=code")
        assert brought(run, tmp_path / "a", trees) == {"c1"}
        run = initialize(uri, tmp_path / "b", KIT_UNPACK_FLAGS="--plain-http --filter=model")
        assert brought(run, tmp_path / "b", trees) == {"m.bin"}


_MODEL: dict[str, Any] = {"manifestVersion": "1.0.0", "model": {"path": "m.bin"}}
