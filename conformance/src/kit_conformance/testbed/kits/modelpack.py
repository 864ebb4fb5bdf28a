"""ModelPack artifacts, of the CNCF model specification: as Kit makes them, and as other tools do."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any, Final

from kit_conformance.testbed.kits.kitfile import Entry, KitfileError, go_json, parse
from kit_conformance.testbed.kits.layers import Packer, members_of, tree_of
from kit_conformance.testbed.kits.pack import (
    METADATA_ANNOTATION,
    PATH_ANNOTATION,
    VERSION_ANNOTATION,
    _kitfile_text,
    annotations_of,
    blob_of,
    metadata,
)
from kit_conformance.testbed.kits.values import OCI_MANIFEST, Blob, ModelKit, Source, sha256

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MODELPACK_ARTIFACT: Final = "application/vnd.cncf.model.manifest.v1+json"
MODELPACK_CONFIG: Final = "application/vnd.cncf.model.config.v1+json"
KITFILE_ANNOTATION: Final = "ml.kitops.modelkit.kitfile"
_TYPES: Final = {
    "model": "weight",
    "modelpart": "weight.config",
    "dataset": "dataset",
    "code": "code",
    "docs": "doc",
}
_SUFFIXES: Final = {"": "", "gzip": "+gzip", "zstd": "+zstd"}


def modelpack(
    source: Path | Mapping[str, Source | None],
    kitfile: str | bytes | Mapping[str, object] | None = None,
    *,
    compression: str = "",
    raw: bool = False,
    modes: Mapping[str, int] | None = None,
    directory: Path | None = None,
) -> ModelKit:
    """Pack as `kit pack --use-model-pack` does: other types, and the Kitfile in an annotation.

    Arguments as of `pack`.
    """
    tree = tree_of(source, modes)
    recipe = parse(_kitfile_text(tree, kitfile))
    packer = Packer(compression, directory)
    layers = []
    others = {each.clean for each in recipe.entries()}
    for entry in recipe.entries():
        if entry.type not in _TYPES:
            raise KitfileError(f"a ModelPack has no place for {entry.path}")
        paths = members_of(tree, entry, others)
        written = packer.raw(tree, entry.clean) if raw else packer.tar(tree, paths, entry)
        entry.fields |= {"digest": written.digest, "diffId": written.diff_id}
        media_type = _media_type(entry.type, "raw" if raw else "tar", compression)
        layers.append(blob_of(media_type, written, annotations_of(entry, tree, raw=raw)))
    model = recipe.model.fields if recipe.model else {}
    config = _config(layers, recipe.package, str(model.get("format", "")))
    annotations = {KITFILE_ANNOTATION: recipe.config().decode(), VERSION_ANNOTATION: "1.17.0"}
    return ModelKit(_manifest(config, layers, annotations), config, tuple(layers), packer.files)


def foreign_modelpack(
    files: Mapping[str, Source],
    *,
    types: Mapping[str, str] | None = None,
    raw: bool = True,
    compression: str = "",
    modes: Mapping[str, int] | None = None,
    paths: bool = True,
) -> ModelKit:
    """Make a ModelPack as a tool that knows no Kitfile does: a layer a file, raw unless told otherwise.

    `types` maps paths to "model", "modelpart", "dataset", "code" or "docs" ("model" otherwise). Names in tars
    are whole paths. Without `paths` the annotation that says where a layer goes is left out, which makes it
    impossible to unpack.
    """
    tree = tree_of(dict(files), modes)
    packer = Packer(compression)
    layers = []
    for path in files:
        clean = posixpath.normpath(path)
        entry = Entry((types or {}).get(path, "model"), {"path": path})
        written = packer.raw(tree, clean) if raw else packer.tar(tree, [clean], entry)
        annotations = {
            METADATA_ANNOTATION: metadata(posixpath.basename(clean), tree[clean]),
            **({PATH_ANNOTATION: clean} if paths else {}),
        }
        media_type = _media_type(entry.type, "raw" if raw else "tar", compression)
        layers.append(blob_of(media_type, written, annotations))
    config = _config(layers, {"name": "foreign"}, "")
    return ModelKit(_manifest(config, layers, {}), config, tuple(layers), packer.files)


def _media_type(kind: str, form: str, compression: str) -> str:
    return f"application/vnd.cncf.model.{_TYPES[kind]}.v1.{form}{_SUFFIXES[compression]}"


def _config(layers: list[Blob], package: Mapping[str, Any], model_format: str) -> bytes:
    descriptor: dict[str, object] = {"createdAt": "1970-01-01T00:00:00Z"}
    for key, source in (("authors", "authors"), ("name", "name"), ("version", "version")):
        if package.get(source):
            descriptor[key] = package[source]
    if package.get("license"):
        descriptor["licenses"] = [package["license"]]
    if package.get("description"):
        descriptor["description"] = package["description"]
    document = {
        "descriptor": descriptor,
        "modelfs": {"type": "layers", "diffIds": [layer.diff_id for layer in layers]},
        "config": {"format": model_format} if model_format else {},
    }
    return go_json(document).encode()


def _manifest(config: bytes, layers: list[Blob], annotations: Mapping[str, str]) -> bytes:
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": MODELPACK_ARTIFACT,
        "config": {"mediaType": MODELPACK_CONFIG, "digest": sha256(config), "size": len(config)},
        "layers": [layer.descriptor() for layer in layers],
    }
    return go_json(
        {**document, "annotations": dict(sorted(annotations.items()))} if annotations else document
    ).encode()
