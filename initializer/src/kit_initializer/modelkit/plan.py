"""From a manifest and its config to a plan: which layer goes where.

Kits since Kit 0.5 name the layer of each part by its digest, and their tars are rooted at the destination.
Older kits name no digests: their layers are taken in order, and their tars are rooted at the folder that
holds the part's path.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any, NamedTuple

from kit_initializer.errors import EmptyError, NotAModelKitError, UnsafeContentError, UsageError
from kit_initializer.modelkit import modelpack, selection
from kit_initializer.modelkit.kitfile import Entry, entries, inside, to_yaml
from kit_initializer.modelkit.manifest import Descriptor, Manifest, read_object
from kit_initializer.reference import parse_bare

if TYPE_CHECKING:
    from collections.abc import Iterator

_KIT_PREFIX = "application/vnd.kitops.modelkit."
_PACK_PREFIX = "application/vnd.cncf.model."
_KIT_TYPES = {name: name for name in ("model", "modelpart", "dataset", "code", "docs", "mcpb")}
_PACK_TYPES = {
    "weight": "model",
    "weight.config": "modelpart",
    "dataset": "dataset",
    "code": "code",
    "doc": "docs",
}
_SUBTYPE = "ml.kitops.modelkit.layer-subtype"
_METADATA = "org.cncf.model.file.metadata+json"
_DEFAULT_MODE = 0o644
_REGULAR = (0, 48)


class Layer(NamedTuple):
    """One blob and what becomes of it. The same digest may occur twice with different places.

    `kind` is model, modelpart, dataset, code, docs, prompt or mcpb; `format` is "tar" or "raw";
    `compression` is "", "gzip" or "zstd". Names in a tar are below `directory` ("" for the destination); a
    raw layer is the file `path` with the permissions `mode`.
    """

    digest: str
    size: int
    kind: str
    format: str
    compression: str
    directory: str
    path: str
    mode: int


class Plan(NamedTuple):
    """Layers in Kit's order, the Kitfile to write, if any, and the kit that lends the model, if any."""

    layers: tuple[Layer, ...]
    kitfile: bytes | None
    parent: str | None


class _Typed(NamedTuple):
    descriptor: Descriptor
    kind: str
    format: str
    compression: str


def plan(manifest: Manifest, config: bytes, *, filters: tuple[str, ...], only_model: bool = False) -> Plan:
    """Say what to fetch of a kit and where it goes.

    `only_model` is for a kit that lends its model to another one: of the filters only those for models
    count, no Kitfile is written, and a plan without layers is for the caller to judge.

    Raises NotAModelKitError, UnsafeContentError, UsageError (filters), and EmptyError when nothing is
    selected or the kit has no files.
    """
    chosen = selection.parse(filters)
    if only_model:
        chosen = selection.of_parent(chosen)
        if not chosen:
            return Plan((), None, None)
    typed = [_typed(layer) for layer in manifest.layers]
    value = _kitfile(manifest, config, typed)
    parent, parts = _parent(entries(value), typed)
    for entry in parts:
        inside(entry.path)
    layers = tuple(
        _place(entry, found, rooted=bool(entry.digest))
        for entry, found in _assign(parts, typed)
        if selection.selects(chosen, entry.kind, entry.name, entry.path)
    )
    if parent and chosen and not selection.of_parent(chosen):
        parent = None
    kitfile = to_yaml(value) if not only_model and selection.selects(chosen, "kitfile") else None
    if not layers and not parent and not only_model and (not chosen or kitfile is None):
        raise _empty(filters)
    return Plan(layers, kitfile, parent)


def _empty(filters: tuple[str, ...]) -> EmptyError:
    if filters:
        return EmptyError(
            f"nothing in the kit matches {' '.join(filters)!r}", hint="kit info shows names and paths"
        )
    return EmptyError("the kit holds no file", hint="pack it again with a model, code, datasets or docs")


def _kitfile(manifest: Manifest, config: bytes, typed: list[_Typed]) -> dict[str, Any]:
    if not manifest.is_model_pack:
        return read_object(config, "the config")
    if modelpack.KITFILE in manifest.annotations:
        return read_object(manifest.annotations[modelpack.KITFILE], "the Kitfile in the manifest")
    return modelpack.kitfile(manifest, read_object(config, "the config"), [layer.kind for layer in typed])


def _typed(layer: Descriptor) -> _Typed:
    """Read a media type: `application/vnd.kitops.modelkit.TYPE.v1.FORMAT[+COMPRESSION]`, or ModelPack's."""
    for prefix, kinds in ((_KIT_PREFIX, _KIT_TYPES), (_PACK_PREFIX, _PACK_TYPES)):
        if layer.media_type.startswith(prefix):
            name, _, rest = layer.media_type[len(prefix) :].partition(".v1.")
            format_, plus, compression = rest.partition("+")
            known = format_ in ("tar", "raw") and compression in (("gzip", "zstd") if plus else ("",))
            if name in kinds and known:
                kind = "prompt" if layer.annotations.get(_SUBTYPE) == "prompt" else kinds[name]
                return _Typed(layer, kind, format_, compression)
    raise NotAModelKitError(
        f"layer {layer.digest} has the media type {layer.media_type[:120]!r}, which is not understood",
        hint="a newer initializer may know it",
    )


def _parent(found: tuple[Entry, ...], typed: list[_Typed]) -> tuple[str | None, list[Entry]]:
    """Tell a model that another kit lends from one of this kit, and drop the parts that have no layer."""
    parent, parts = None, []
    has_model = any(layer.kind == "model" for layer in typed)
    for entry in found:
        if entry.kind == "model" and not entry.digest and not has_model and _is_reference(entry.path):
            parent = entry.path
        elif entry.digest or not (entry.remote or (entry.kind == "model" and not entry.path)):
            parts.append(entry)
    return parent, parts


def _is_reference(path: str) -> bool:
    """Say whether the path of a model without a layer names another kit. Raises NotAModelKitError."""
    if ":" not in path and "@" not in path:
        return False
    try:
        parse_bare(path)
    except UsageError as error:
        raise NotAModelKitError(
            f"the kit borrows its model from another one, but {error}", hint=error.hint
        ) from None
    return True


def _assign(parts: list[Entry], typed: list[_Typed]) -> Iterator[tuple[Entry, _Typed]]:
    """Pair each part with its layer: by digest if the parts have digests, in order if none has."""
    if any(entry.digest for entry in parts):
        by_digest = {}
        for layer in reversed(typed):
            by_digest[layer.descriptor.digest] = layer
        for entry in parts:
            if entry.digest not in by_digest:
                missing = f"the digest {entry.digest!r}, which no layer has" if entry.digest else "no digest"
                raise NotAModelKitError(f"{entry.kind} {entry.path!r} of the config has {missing}")
            yield entry, by_digest[entry.digest]
        return
    for kind in dict.fromkeys([entry.kind for entry in parts] + [layer.kind for layer in typed]):
        named = [entry for entry in parts if entry.kind == kind]
        there = [layer for layer in typed if layer.kind == kind]
        if len(named) != len(there):
            raise NotAModelKitError(
                f"the config names {len(named)} of kind {kind}, the manifest has {len(there)}"
            )
        yield from zip(named, there, strict=True)


def _place(entry: Entry, layer: _Typed, *, rooted: bool) -> Layer:
    clean = inside(entry.path)
    directory = path = ""
    mode = _DEFAULT_MODE
    if layer.format == "raw":
        if clean == ".":
            raise UnsafeContentError(f"a raw layer is one file and cannot be {entry.path!r}")
        path, mode = clean, _mode(layer)
    elif not rooted:
        directory = posixpath.dirname(clean)
    descriptor = layer.descriptor
    return Layer(
        descriptor.digest, descriptor.size, layer.kind, layer.format, layer.compression, directory, path, mode
    )


def _mode(layer: _Typed) -> int:
    """Return the permissions of a raw layer. Raises NotAModelKitError or UnsafeContentError."""
    text = layer.descriptor.annotations.get(_METADATA)
    if not text:
        return _DEFAULT_MODE
    metadata = read_object(text, f"the metadata of layer {layer.descriptor.digest}")
    mode, size = metadata.get("mode", _DEFAULT_MODE), metadata.get("size", layer.descriptor.size)
    if not isinstance(mode, int) or not isinstance(size, int):
        raise NotAModelKitError(
            f"the metadata of layer {layer.descriptor.digest} has a mode or size of a wrong type"
        )
    if metadata.get("typeflag", 0) not in _REGULAR:
        raise UnsafeContentError(f"layer {layer.descriptor.digest} is said to be something else than a file")
    if not layer.compression and size != layer.descriptor.size:
        raise NotAModelKitError(
            f"layer {layer.descriptor.digest} has {layer.descriptor.size} bytes, its metadata says {size}"
        )
    return mode & 0o777
