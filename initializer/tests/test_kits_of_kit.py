"""Kits that real Kits packed are read into plans that give back the folder they were packed from."""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
import yaml

from kit_initializer import modelkit
from kit_initializer.errors import EmptyError

if TYPE_CHECKING:
    from initializer.tests.conftest import Command, Trees
    from kit_conformance.testbed.registry import Registry

KITS = Path(__file__).parent / "data" / "kits"
SOURCE = {
    path.relative_to(KITS / "source").as_posix(): path.read_bytes()
    for path in (KITS / "source").rglob("*")
    if path.is_file()
}
IRIS, LORA, TRAIN, RUN, README = (
    "models/iris/iris.bin",
    "models/adapters/lora.bin",
    "data/train.csv",
    "src/run.sh",
    "docs/README.md",
)
OLD = [("model", "", "models/iris"), ("code", "", ""), ("dataset", "", "data")]
OLD_PARTS = [("model", "", "models/iris"), ("modelpart", "", "models"), *OLD[1:]]
NEW = [(kind, "", "") for kind in ("model", "modelpart", "code", "dataset", "docs")]


def packed(kinds: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    return [(kind, "gzip", directory) for kind, _, directory in kinds]


def blob(kit: str, digest: str) -> bytes:
    body = (KITS / kit / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()
    assert digest == f"sha256:{hashlib.sha256(body).hexdigest()}"
    return body


def read(kit: str) -> tuple[modelkit.Manifest, bytes]:
    (entry,) = json.loads((KITS / kit / "index.json").read_bytes())["manifests"]
    manifest = modelkit.parse(blob(kit, entry["digest"]))
    assert isinstance(manifest, modelkit.Manifest)
    return manifest, blob(kit, manifest.config.digest)


def files(kit: str, layers: tuple[modelkit.Layer, ...]) -> dict[str, bytes]:
    """Return what the layers hold, by the path at which each file belongs."""
    found = {}
    for layer in layers:
        body = blob(kit, layer.digest)
        assert len(body) == layer.size
        with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz" if layer.compression else "r:") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                if content:
                    found[posixpath.join(layer.directory, member.name)] = content.read()
    return found


@pytest.mark.parametrize(
    ("kit", "layers", "names"),
    [
        ("0.1.0-plain", packed(OLD), (IRIS, RUN, TRAIN)),
        ("0.2.5-plain", OLD_PARTS, (IRIS, LORA, RUN, TRAIN)),
        ("0.2.5-gzip", packed(OLD_PARTS), (IRIS, LORA, RUN, TRAIN)),
        ("0.5.0-plain", NEW, (IRIS, LORA, RUN, TRAIN, README)),
        ("1.0.0-gzip", packed(NEW), (IRIS, LORA, RUN, TRAIN, README)),
        ("1.3.0-plain", [("model", "", ""), ("docs", "", "")], (IRIS, LORA, RUN, TRAIN, README)),
        ("1.7.0-plain", NEW, (IRIS, LORA, RUN, TRAIN, README)),
        ("1.7.0-child", [("modelpart", "", ""), ("code", "", "")], (LORA, RUN)),
    ],
)
def test_the_plan_gives_back_the_folder(
    kit: str, layers: list[tuple[str, str, str]], names: tuple[str, ...]
) -> None:
    plan = modelkit.plan(*read(kit), filters=())
    assert [(layer.kind, layer.compression, layer.directory) for layer in plan.layers] == layers
    assert {layer.format for layer in plan.layers} == {"tar"}
    assert files(kit, plan.layers) == {name: SOURCE[name] for name in names}
    assert plan.parent == ("registry.example/iris:plain" if kit == "1.7.0-child" else None)


@pytest.mark.parametrize("kit", sorted(path.name for path in KITS.glob("[0-9]*")))
def test_the_kitfile_says_what_kit_wrote(kit: str) -> None:
    text = modelkit.plan(*read(kit), filters=("kitfile",)).kitfile
    assert text is not None
    expected = yaml.safe_load((KITS / kit / "Kitfile").read_bytes())
    assert yaml.safe_load(text) == expected
    assert list(yaml.safe_load(text)) == list(expected)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (("model",), (IRIS, LORA)),
        (("model:iris",), (IRIS,)),
        (("model:./models/iris/iris.bin",), (IRIS,)),
        (("model:models/iris/iris.bin",), (IRIS,)),
        (("model:lora,train",), (LORA,)),
        (("datasets", "docs"), (TRAIN, README)),
        (("datasets,docs:train,docs/README.md",), (TRAIN, README)),
        (("code:src",), (RUN,)),
        (("code:src/", "model:none"), (RUN,)),
        (("kitfile,code",), (RUN,)),
    ],
)
@pytest.mark.parametrize("kit", ["0.5.0-plain", "1.0.0-gzip", "1.7.0-plain"])
def test_filters(kit: str, filters: tuple[str, ...], names: tuple[str, ...]) -> None:
    plan = modelkit.plan(*read(kit), filters=filters)
    assert files(kit, plan.layers) == {name: SOURCE[name] for name in names}
    assert (plan.kitfile is not None) == filters[0].startswith("kitfile")


def test_an_empty_kit_is_refused() -> None:
    with pytest.raises(EmptyError, match="holds no file"):
        modelkit.plan(*read("1.7.0-empty"), filters=())


def test_a_parent_lends_only_its_model() -> None:
    plan = modelkit.plan(*read("1.7.0-plain"), filters=(), only_model=True)
    assert set(files("1.7.0-plain", plan.layers)) == {IRIS, LORA}
    assert plan.kitfile is None


class Kept(NamedTuple):
    """A kept kit as the fixture registry takes it."""

    manifest: bytes
    blobs: dict[str, bytes]
    media_type: str = "application/vnd.oci.image.manifest.v1+json"
    members: tuple[Kept, ...] = ()


def kept(kit: str) -> Kept:
    (entry,) = json.loads((KITS / kit / "index.json").read_bytes())["manifests"]
    blobs = {f"sha256:{path.name}": path.read_bytes() for path in (KITS / kit / "blobs" / "sha256").iterdir()}
    return Kept(blobs.pop(entry["digest"]), blobs)


@pytest.mark.parametrize(
    "kit", ["0.1.0-plain", "0.2.5-gzip", "0.5.0-plain", "1.0.0-gzip", "1.3.0-plain", "1.7.0-plain"]
)
def test_the_command_gives_back_the_folder(
    kit: str, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    run = initialize(registry.add(kept(kit), "iris", "v1"), destination)
    assert run.code == 0, run.lines
    names = set(files(kit, modelkit.plan(*read(kit), filters=()).layers))
    found = {path: (destination / path).read_bytes() for path in trees.content(destination)}
    assert {path: found[path] for path in names} == {path: SOURCE[path] for path in names}
    assert set(found) - names == {"Kitfile", ".kit-initializer.json"}
    assert yaml.safe_load(found["Kitfile"]) == yaml.safe_load((KITS / kit / "Kitfile").read_bytes())
