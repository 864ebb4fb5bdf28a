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
from kit_initializer.modelkit.manifest import Manifest, read_object
from kit_initializer.modelkit.mediatypes import DEFAULT_MODE, Typed, known, mode, typed
from kit_initializer.modelkit.modelpack import FILEPATH
from kit_initializer.reference import parse_bare
from kit_initializer.secret import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Layer(NamedTuple):
    """One blob and what becomes of it. The same digest may occur twice with different places.

    `kind` is model, modelpart, dataset, code, docs, prompt or mcpb; `format` is "tar" or "raw";
    `compression` is "", "gzip" or "zstd". Names in a tar are below `directory` ("" for the destination); a
    raw layer is the file `path` with the permissions `mode`. `part` is the path in the Kitfile, for people.
    """

    digest: str
    size: int
    kind: str
    format: str
    compression: str
    directory: str
    path: str
    mode: int
    part: str = ""


class Plan(NamedTuple):
    """Layers in Kit's order, the Kitfile to write, if any, and the kit that lends the model, if any."""

    layers: tuple[Layer, ...]
    kitfile: bytes | None
    parent: str | None


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
    found = [typed(layer) for layer in manifest.layers]
    value = _kitfile(manifest, config, found)
    parent, parts = _parent(entries(value), found)
    for entry in parts:
        inside(entry.path)
    layers = tuple(
        _place(entry, layer)
        for entry, layer in _assign(parts, found)
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


def _kitfile(manifest: Manifest, config: bytes, layers: list[Typed]) -> dict[str, Any]:
    if not manifest.is_model_pack:
        return read_object(config, "the config")
    if modelpack.KITFILE in manifest.annotations:
        return read_object(manifest.annotations[modelpack.KITFILE], "the Kitfile in the manifest")
    return modelpack.kitfile(
        manifest, read_object(config, "the config"), [known(layer).kind for layer in layers]
    )


def _parent(found: tuple[Entry, ...], layers: list[Typed]) -> tuple[str | None, list[Entry]]:
    """Tell a model that another kit lends from one of this kit, and drop the parts that have no layer."""
    parent, parts = None, []
    has_model = any(layer.kind == "model" for layer in layers)
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


def _assign(parts: list[Entry], layers: list[Typed]) -> Iterator[tuple[Entry, Typed]]:
    """Pair each part with its layer: by digest if the parts have digests, in order if none has."""
    if any(entry.digest for entry in parts):
        by_digest: dict[str, Typed] = {}
        by_path: dict[tuple[str, str], Typed] = {}
        for layer in layers:
            descriptor = layer.descriptor
            by_digest.setdefault(descriptor.digest, layer)
            by_path.setdefault((descriptor.digest, descriptor.annotations.get(FILEPATH, "")), layer)
        for entry in parts:
            found = _named(entry, by_digest)
            # two raw files with the same bytes share a digest, but not what their annotations say
            yield entry, by_path.get((entry.digest, inside(entry.path)), found)
        return
    for kind in dict.fromkeys([entry.kind for entry in parts] + [known(layer).kind for layer in layers]):
        named = [entry for entry in parts if entry.kind == kind]
        there = [layer for layer in layers if layer.kind == kind]
        if len(named) != len(there):
            raise NotAModelKitError(
                f"the config names {len(named)} of kind {kind}, the manifest has {len(there)}"
            )
        yield from zip(named, there, strict=True)


def _named(entry: Entry, by_digest: Mapping[str, Typed]) -> Typed:
    layer = by_digest.get(entry.digest) if entry.digest else None
    if layer is None:
        digest = printable(entry.digest, 100)
        missing = f"the digest {digest!r}, which no layer has" if entry.digest else "no digest"
        raise NotAModelKitError(f"{entry.kind} {printable(entry.path, 200)!r} of the config has {missing}")
    return layer


def _place(entry: Entry, layer: Typed) -> Layer:
    clean, descriptor = inside(entry.path), known(layer).descriptor
    directory = path = ""
    permissions = DEFAULT_MODE
    if layer.format == "raw":
        if clean == ".":
            raise UnsafeContentError(f"a raw layer is one file and cannot be {entry.path!r}")
        path, permissions = clean, mode(layer)
    elif not entry.digest:
        directory = posixpath.dirname(clean)
    return Layer(
        digest=descriptor.digest,
        size=descriptor.size,
        kind=layer.kind,
        format=layer.format,
        compression=layer.compression,
        directory=directory,
        path=path,
        mode=permissions,
        part=clean,
    )
