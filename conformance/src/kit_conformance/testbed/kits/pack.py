"""The packer: a ModelKit from a folder with a Kitfile, without Kit.

Layers are byte for byte what Kit from 0.5 on packs from the same files (and, with `as_kit` below 0.5, what
Kit 0.2.4 to 0.4 did), as long as they are not compressed: compressed ones differ in their deflate, not in
their diff id.
"""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING, Any, Final

from kit_conformance.testbed.kits.kitfile import Entry, Kitfile, KitfileError, go_json, parse
from kit_conformance.testbed.kits.layers import Node, Packer, Tree, Written, members_of, tree_of
from kit_conformance.testbed.kits.values import (
    KIT_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    Blob,
    ModelKit,
    Source,
    chunks_of,
    sha256,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

KIT_ARTIFACT: Final = "application/vnd.kitops.modelkit.manifest.v1+json"
KIT_INDEX: Final = "application/vnd.kitops.modelkit.index.v1+json"
VERSION_ANNOTATION: Final = "ml.kitops.modelkit.cli-version"
PATH_ANNOTATION: Final = "org.cncf.model.filepath"
METADATA_ANNOTATION: Final = "org.cncf.model.file.metadata+json"
_SUBTYPE_ANNOTATION: Final = "ml.kitops.modelkit.layer-subtype"
_SUFFIXES: Final = {"": "", "gzip": "+gzip", "gzip-fastest": "+gzip", "zstd": "+zstd"}


def pack(
    source: Path | Mapping[str, Source | None],
    kitfile: str | bytes | Mapping[str, object] | None = None,
    *,
    compression: str = "",
    raw: bool = False,
    as_kit: str = "",
    modes: Mapping[str, int] | None = None,
    directory: Path | None = None,
) -> ModelKit:
    """Pack a folder, or entries in memory (path to content; None is a directory), into a ModelKit.

    The Kitfile is taken from the source unless given as text or as a map. `compression` is "", "gzip",
    "gzip-fastest" or "zstd". `raw` makes each layer the file itself. `as_kit` is the Kit version whose format
    is written: 1.7.0, or 1.17.0 for what only later ones have; from 1.10 on manifests have an artifact type
    and layers their paths. `modes` gives permission bits to paths (0644 and 0755 otherwise). Layers are kept
    in memory, or in files below `directory`, which then must outlive the kit. KitfileError says what cannot
    be packed.
    """
    version = as_kit or ("1.17.0" if raw or compression == "zstd" else "1.7.0")
    known = _parts(version)
    tree = tree_of(source, modes)
    recipe = parse(_kitfile_text(tree, kitfile))
    packer = Packer(compression, directory, old=known < (0, 5))
    layers = tuple(
        _layer(packer, tree, recipe, entry, raw=raw, version=known)
        for entry in recipe.entries()
        if not entry.reference
    )
    if known < (1,):
        for entry in recipe.sections.get("docs", ()):
            entry.fields.setdefault("description", "")
    return assemble(recipe.config(digests=known >= (0, 5)), layers, as_kit=version, files=packer.files)


def assemble(
    config: bytes | Mapping[str, object],
    layers: Sequence[Blob],
    *,
    as_kit: str = "1.7.0",
    files: Mapping[str, Any] | None = None,
) -> ModelKit:
    """Make a kit from a config (a map is written as Kit would) and layers that are there already."""
    body = config if isinstance(config, bytes) else go_json(config).encode()
    new = _parts(as_kit) >= (1, 10)
    manifest: dict[str, object] = {"schemaVersion": 2}
    if new:
        manifest |= {"mediaType": OCI_MANIFEST, "artifactType": KIT_ARTIFACT}
    manifest["config"] = {"mediaType": KIT_CONFIG, "digest": sha256(body), "size": len(body)}
    manifest["layers"] = [layer.descriptor() for layer in layers] or ([] if new else None)
    manifest["annotations"] = {VERSION_ANNOTATION: as_kit}
    return ModelKit(go_json(manifest).encode(), body, tuple(layers), files or {})


def layer(data: bytes, kind: str = "model", suffix: str = "tar", **annotations: str) -> Blob:
    """Make a layer of any bytes: `kind` "model", "modelpart", …, `suffix` "tar", "tar+gzip", "raw", …."""
    media_type = f"application/vnd.kitops.modelkit.{kind}.v1.{suffix}"
    return Blob(media_type, sha256(data), len(data), data, sha256(data), annotations)


def single(data: bytes, path: str = "model", *, suffix: str = "tar", diff_id: str = "") -> ModelKit:
    """Make a kit whose one model layer consists of these bytes, whatever they are."""
    blob = layer(data, suffix=suffix)
    model = {"name": "model", "path": path, "digest": blob.digest, "diffId": diff_id or blob.diff_id}
    return assemble({"manifestVersion": "1.0.0", "package": {}, "model": model}, [blob])


def index(*members: tuple[ModelKit, Mapping[str, object]]) -> ModelKit:
    """Make an index of kits, each with the labels by which it is chosen, as Kit 1.17 does."""
    entries = []
    for kit, labels in members:
        entry: dict[str, object] = {
            "mediaType": kit.media_type,
            "digest": kit.digest,
            "size": len(kit.manifest),
            "artifactType": KIT_ARTIFACT,
        }
        entries.append({**entry, "modelMetadata": dict(labels)} if labels else entry)
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "artifactType": KIT_INDEX, "manifests": entries}
    return ModelKit(
        go_json(document).encode(), b"", media_type=OCI_INDEX, members=tuple(kit for kit, _ in members)
    )


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _kitfile_text(tree: Tree, given: str | bytes | Mapping[str, object] | None) -> str | bytes:
    if given is None:
        node = next((tree[name] for name in ("Kitfile", "kitfile", ".kitfile") if name in tree), None)
        if node is None or node.source is None:
            raise KitfileError("there is no Kitfile")
        return b"".join(chunks_of(node.source))
    return given if isinstance(given, (str, bytes)) else json.dumps(given)  # JSON is YAML


def _layer(
    packer: Packer, tree: Tree, recipe: Kitfile, entry: Entry, *, raw: bool, version: tuple[int, ...]
) -> Blob:
    others = {each.clean for each in recipe.entries() if not each.reference}
    paths = members_of(tree, entry, others)
    raw = raw or entry.type == "mcpb"
    written = packer.raw(tree, entry.clean) if raw else packer.tar(tree, paths, entry)
    entry.fields |= {"digest": written.digest, "diffId": written.diff_id}
    suffix = ("raw" if raw else "tar") + _SUFFIXES[packer.compression]
    media_type = f"application/vnd.kitops.modelkit.{entry.type}.v1.{suffix}"
    annotations = annotations_of(entry, tree, raw=raw) if version >= (1, 10) else {}
    return blob_of(media_type, written, annotations)


def blob_of(media_type: str, written: Written, annotations: Mapping[str, str]) -> Blob:
    """Return the layer that has been written."""
    return Blob(media_type, written.digest, written.size, written.data, written.diff_id, annotations)


def annotations_of(entry: Entry, tree: Tree, *, raw: bool) -> dict[str, str]:
    """Return what a layer says of itself from Kit 1.10 on."""
    found = {PATH_ANNOTATION: entry.clean}
    if raw:
        found[METADATA_ANNOTATION] = metadata(posixpath.basename(entry.clean), tree[entry.clean])
    if entry.prompt:
        found[_SUBTYPE_ANNOTATION] = "prompt"
    return found


def metadata(name: str, node: Node) -> str:
    """Return the file metadata of a raw layer, as the model specification has it."""
    size = sum(len(chunk) for chunk in chunks_of(node.source or b""))
    return json.dumps(
        {
            "name": name,
            "mode": node.mode,
            "uid": 1000,
            "gid": 0,
            "size": size,
            "mtime": "1970-01-01T00:00:00Z",
            "typeflag": 48,
        },
        separators=(",", ":"),
    )
