"""Every shape of ModelKit that a version of Kit has made, and what may stand in a Kitfile."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import yaml

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.result import Finding
from kit_conformance.testbed.kits import (
    Noise,
    Tar,
    assemble,
    foreign_modelpack,
    index,
    layer,
    modelpack,
    pack,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kit_conformance.lab import Lab
    from kit_conformance.testbed.kits import Source

_TREE: Final[Mapping[str, Source | None]] = {
    "model/weights.bin": Noise(5000, 1),
    "model/tokens.json": b"{}",
    "src/predict.py": b"print()\n",
    "data/a b.csv": b"a,b\n",
    "docs/README.md": b"# kit\n",
}
_RECIPE: Final[Mapping[str, Any]] = {
    "manifestVersion": "1.0.0",
    "package": {"name": "shapes"},
    "model": {"name": "m", "path": "model"},
    "code": [{"path": "src/"}],
    "datasets": [{"name": "d", "path": "./data/a b.csv"}],
    "docs": [{"path": "docs/README.md"}],
}


# layouts


@case("modelkit.layout-0.4", level=MUST, since="0.1", ref=refs.KIT_FORMAT, any_registry=True)
def test_layout_old(lab: Lab) -> None:
    """A kit of Kit 0.2.4 to 0.4 is brought to the right places.

    Its layers' names are relative to the parent of each path, and its config has no digests. Kits of 2024
    are still served.
    """
    kit = pack(_TREE, _RECIPE, as_kit="0.4.0")
    lab.run(lab.place(kit)).brought(kit)


@case("modelkit.layout-1.7", level=MUST, since="0.1", ref=refs.KIT_FORMAT, any_registry=True)
def test_layout_current(lab: Lab) -> None:
    """A kit of Kit 0.5 to 1.9 is brought to the right places.

    Its layers' names are relative to the kit, with an entry for each folder.
    """
    kit = pack(_TREE, _RECIPE, as_kit="1.7.0")
    lab.run(lab.place(kit)).brought(kit)


@case("modelkit.layout-1.10", level=MUST, since="0.1", ref=refs.KIT_FORMAT, any_registry=True)
def test_layout_new(lab: Lab) -> None:
    """A kit of Kit 1.10 and later is brought to the right places.

    Its manifest has an artifact type and its layers their paths as annotations.
    """
    kit = pack(_TREE, _RECIPE, as_kit="1.10.0")
    lab.run(lab.place(kit)).brought(kit)


@case("modelkit.gzip", level=MUST, since="0.1", ref=refs.KIT_PACK, any_registry=True)
def test_gzip(lab: Lab) -> None:
    """Layers compressed by gzip are unpacked.

    Until 0.2.3 Kit packed nothing else.
    """
    kit = pack(_TREE, _RECIPE, compression="gzip")
    lab.run(lab.place(kit)).brought(kit)


@case("modelkit.gzip-old", level=MUST, since="0.1", ref=refs.KIT_FORMAT, any_registry=True)
def test_gzip_old(lab: Lab) -> None:
    """Layers of the old layout, compressed by gzip, are unpacked to the right places.

    That is what Kit 0.1 to 0.2.3 packed.
    """
    kit = pack(_TREE, _RECIPE, compression="gzip-fastest", as_kit="0.2.0")
    lab.run(lab.place(kit)).brought(kit)


@case("modelkit.zstd", level=MUST, since="0.1", ref=refs.KIT_PACK, features={"zstd"}, any_registry=True)
def test_zstd(lab: Lab) -> None:
    """Layers compressed by zstd are unpacked.

    Kit packs them from 1.15 on.
    """
    kit = pack(_TREE, _RECIPE, compression="zstd")
    lab.run(lab.place(kit)).brought(kit)


@case("modelkit.raw", level=MUST, since="0.1", ref=refs.KIT_PACK, features={"raw"}, any_registry=True)
def test_raw(lab: Lab) -> None:
    """Raw layers become the files that they are.

    Kit packs them from 1.15 on; they need no archive around a single file.
    """
    files: dict[str, Source | None] = {"model/weights.bin": Noise(5000, 2), "run.sh": b"#!/bin/sh\n"}
    recipe = {
        "manifestVersion": "1.0.0",
        "package": {"name": "raw"},
        "model": {"path": "model/weights.bin"},
        "code": [{"path": "run.sh"}],
    }
    kit = pack(files, recipe, raw=True, modes={"run.sh": 0o755})
    lab.run(lab.place(kit)).brought(kit)


@case("modelkit.index", level=MUST, since="0.1", ref=refs.KIT_UNPACK, features={"index"}, any_registry=True)
def test_index(lab: Lab) -> None:
    """Of an index the kit with the right labels is brought.

    Kit 1.17 puts variants of a model under one tag: by hardware, by precision.
    """
    small, large = kits.plain("small"), kits.plain("large")
    uri = lab.place(index((small, {"size": "small"}), (large, {"size": "large"})))
    lab.run(uri, ask={"label": {"label": "size=large"}}).brought(large)


@case(
    "modelkit.index-ambiguous",
    level=MUST,
    since="0.1",
    ref=refs.KIT_UNPACK,
    features={"index"},
    any_registry=True,
)
def test_index_ambiguous(lab: Lab) -> None:
    """An index of which several kits match fails, and nothing is brought.

    To take the first is to serve whichever was packed first.
    """
    uri = lab.place(index((kits.plain("small"), {"size": "small"}), (kits.plain("large"), {"size": "large"})))
    lab.works(uri, ask={"label": {"label": "size=small"}})
    lab.run(uri).failed("two kits match").brought_nothing()


@case(
    "modelkit.modelpack",
    level=MUST,
    since="0.1",
    ref=refs.MODELPACK,
    features={"modelpack"},
    any_registry=True,
)
def test_modelpack(lab: Lab) -> None:
    """A ModelPack that Kit has made is brought.

    `kit pack --use-model-pack` makes them from 1.10 on.
    """
    kit = modelpack(_TREE, _RECIPE)
    lab.run(lab.place(kit)).brought(kit)


@case(
    "modelkit.modelpack-foreign",
    level=MUST,
    since="0.1",
    ref=refs.MODELPACK,
    features={"modelpack"},
    any_registry=True,
)
def test_modelpack_foreign(lab: Lab) -> None:
    """A ModelPack of another tool, raw and without a Kitfile, is brought.

    modctl packs like that; the annotation of each layer says where it goes.
    """
    kit = foreign_modelpack({"weights/model.safetensors": Noise(4000, 3), "config.json": b"{}"})
    lab.run(lab.place(kit)).brought(kit)


# what a kit may hold


@case("modelkit.parts", level=MUST, since="0.1", ref=refs.KIT_KITFILE, any_registry=True)
def test_parts(lab: Lab) -> None:
    """Parts of a model are brought, each from its layer.

    Adapters, tokenizers and shards are parts.
    """
    kit = kits.many(5)
    lab.run(lab.place(kit)).brought(kit)


@case("modelkit.everything-at-root", level=MUST, since="0.1", ref=refs.KIT_KITFILE, any_registry=True)
def test_everything_at_root(lab: Lab) -> None:
    """A kit whose model is the whole folder (`path: .`) is brought.

    `kit import` of a model hub's repository makes such kits.
    """
    kit = kits.of({"weights.bin": Noise(2000, 4), "config.json": b"{}", "sub/x.txt": b"x"}, path=".")
    lab.run(lab.place(kit)).brought(kit)


@case("modelkit.names", level=MUST, since="0.1", ref=refs.KIT_PACK, any_registry=True)
def test_names(lab: Lab) -> None:
    """Files may have any name that a folder can hold: blanks, quotes, other scripts, two dots, many letters.

    What Kit packs it must be possible to unpack; model..v1.bin packs with every version.
    """
    names = (
        "with blank.bin",
        "m..v1.bin",
        "ünïcödé-模型.bin",
        "quote'\"`$x.bin",
        "-dash.bin",
        ".hidden",
        f"{'long-' * 40}.bin",
        f"{'deep/' * 30}file.bin",
    )
    kit = kits.of({f"model/{name}": name.encode() for name in names}, path="model")
    lab.run(lab.place(kit)).brought(kit)


@case("modelkit.empty-file", level=MUST, since="0.1", ref=refs.KIT_PACK, any_registry=True)
def test_empty_file(lab: Lab) -> None:
    """An empty file is brought.

    Python packages are made of __init__.py files.
    """
    kit = kits.of({"model/weights.bin": b"x", "model/__init__.py": b""}, path="model")
    lab.run(lab.place(kit)).brought(kit)


@case("modelkit.executable", level=MUST, since="0.1", ref=refs.KIT_PACK, any_registry=True)
def test_executable(lab: Lab) -> None:
    """A file that may be executed still may.

    Kits carry scripts and binaries beside models.
    """
    kit = kits.of(
        {"model/run.sh": b"#!/bin/sh\n", "model/x": b""}, path="model", modes={"model/run.sh": 0o755}
    )
    lab.run(lab.place(kit)).brought(kit)


@case("modelkit.no-setuid", level=MUST, since="0.1", ref=refs.K8S_RESTRICTED, any_registry=True)
def test_no_setuid(lab: Lab) -> None:
    """Setuid and setgid bits are not brought.

    Those who pack a kit must not decide as whom others run.
    """
    kit = kits.of({"model/tool": b"x"}, path="model", modes={"model/tool": 0o6755})
    result = lab.run(lab.place(kit)).brought(kit)
    mode = result.tree["model/tool"].mode
    if mode & 0o6000:
        raise Finding(f"model/tool has mode {mode:04o}")


@case("modelkit.many-files", level=MUST, since="0.1", ref=refs.KIT_UNPACK, any_registry=True)
def test_many_files(lab: Lab) -> None:
    """A layer of 600 files is unpacked with 256 open files allowed.

    Datasets have many files, and nodes have limits; a file that has been written needs not to stay open.
    """
    kit = kits.of({f"data/{number:04}.txt": b"%d" % number for number in range(600)}, path="data")
    lab.run(lab.place(kit), open_files=256).brought(kit)


@case("modelkit.same-layer-twice", level=MUST, since="0.1", ref=refs.OCI_DESCRIPTOR, any_registry=True)
def test_same_layer_twice(lab: Lab) -> None:
    """Two layers with the same content, and so the same digest, are both brought.

    Two parts that are equal are one blob in the registry, and two entries in the manifest.
    """
    blob = layer(bytes(Tar().file("same.bin", b"same")))
    config = {
        "manifestVersion": "1.0.0",
        "package": {},
        "model": {"path": "a/same.bin", "parts": [{"path": "b/same.bin"}]},
    }
    part = layer(blob.read(), "modelpart")
    kit = assemble(config, [blob, part], as_kit="0.4.0")
    expected = kits.of({"a/same.bin": b"same", "b/same.bin": b"same"}, path=".")
    lab.run(lab.place(kit)).brought(expected)


@case("modelkit.no-folder-entries", level=SHOULD, since="0.1", ref=refs.KIT_FORMAT, any_registry=True)
def test_no_folder_entries(lab: Lab) -> None:
    """A layer without entries for its folders is unpacked.

    Other packers leave them out; tar needs none.
    """
    tar = bytes(Tar().file("p/q/m.bin", b"m"))
    blob = layer(tar)
    config = {
        "manifestVersion": "1.0.0",
        "package": {},
        "model": {"path": "p/q/m.bin", "digest": blob.digest},
    }
    kit = assemble(config, [blob])
    lab.run(lab.place(kit)).brought(kits.of({"p/q/m.bin": b"m"}, path="p"))


@case("modelkit.kitfile", level=MUST, since="0.1", ref=refs.KIT_UNPACK, any_registry=True)
def test_kitfile(lab: Lab) -> None:
    """The kit's Kitfile is brought, and says what was packed.

    It is the only place where parameters, licenses and the model's name are.
    """
    recipe = {
        **_RECIPE,
        "model": {"name": "m", "path": "model", "license": "MIT", "parameters": {"epochs": 3, "rate": 0.5}},
    }
    kit = pack(_TREE, recipe)
    to = lab.destination()
    lab.run(lab.place(kit), to=to).brought(kit)
    path = to / "Kitfile"
    if not path.exists():
        raise Finding("there is no Kitfile")
    found = yaml.safe_load(path.read_text("utf-8"))
    wanted = {"name": "m", "path": "model", "license": "MIT", "parameters": {"epochs": 3, "rate": 0.5}}
    model = found.get("model") if isinstance(found, dict) else None
    if model != wanted or found.get("package") != {"name": "shapes"}:
        raise Finding("the Kitfile does not say what was packed", [f"model: {model}", f"wanted: {wanted}"])


@case("modelkit.unknown-fields", level=MUST, since="0.1", ref=refs.KIT_FORMAT, any_registry=True)
def test_unknown_fields(lab: Lab) -> None:
    """Fields of the config that are not known do no harm.

    Each release of Kit adds some; a cluster is older than the laptop that packs.
    """
    kit = kits.plain()
    config = json.loads(kit.config)
    config |= {"futureSection": [{"path": "x"}], "manifestVersion": "1.9.0"}
    config["model"]["futureField"] = {"a": 1}
    newer = assemble(config, kit.layers, files=kit.files)
    lab.run(lab.place(newer)).brought(kit)
