"""What the media type and the annotations of a layer say: its kind, how to read its bytes, its permissions.

Kit writes `application/vnd.kitops.modelkit.TYPE.v1.FORMAT[+COMPRESSION]`, a ModelPack
`application/vnd.cncf.model.TYPE.v1.FORMAT[+COMPRESSION]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kit_initializer.errors import NotAModelKitError, UnsafeContentError
from kit_initializer.formats import packing
from kit_initializer.modelkit.manifest import read_object
from kit_initializer.secret import printable

if TYPE_CHECKING:
    from kit_initializer.modelkit.manifest import Descriptor

DEFAULT_MODE = 0o644

_TYPES = {
    "application/vnd.kitops.modelkit.": {
        name: name for name in ("model", "modelpart", "dataset", "code", "docs", "mcpb")
    },
    "application/vnd.cncf.model.": {
        "weight": "model",
        "weight.config": "modelpart",
        "dataset": "dataset",
        "code": "code",
        "doc": "docs",
    },
}
_SUBTYPE = "ml.kitops.modelkit.layer-subtype"
_METADATA = "org.cncf.model.file.metadata+json"
_REGULAR = (0, 48)  # tar's two type flags of a plain file


class Typed(NamedTuple):
    """A layer with what its media type says; `kind` is "" for a media type that is not known."""

    descriptor: Descriptor
    kind: str
    format: str
    compression: str


def typed(layer: Descriptor) -> Typed:
    """Read the media type of a layer."""
    for prefix, kinds in _TYPES.items():
        if layer.media_type.startswith(prefix):
            name, _, rest = layer.media_type[len(prefix) :].partition(".v1.")
            kind = kinds.get(name, "")
            if kind and layer.annotations.get(_SUBTYPE) == "prompt":
                kind = "prompt"
            packed = packing(rest)
            if packed is not None:
                return Typed(layer, kind, *packed)
    return Typed(layer, "", "", "")


def known(layer: Typed) -> Typed:
    """Return the layer. Raises NotAModelKitError for one whose media type is not known."""
    if not layer.kind:
        raise NotAModelKitError(
            f"{_name(layer)} has the unknown media type {printable(layer.descriptor.media_type, 120)!r}",
            hint="a newer initializer may know it",
        )
    return layer


def mode(layer: Typed) -> int:
    """Return the permissions of a raw layer: those of its metadata (ModelPack) or 0644.

    Raises NotAModelKitError for metadata that cannot be true, UnsafeContentError for anything but a
    file.
    """
    text = layer.descriptor.annotations.get(_METADATA)
    if not text:
        return DEFAULT_MODE
    metadata = read_object(text, f"the metadata of {_name(layer)}")
    bits, size = metadata.get("mode", DEFAULT_MODE), metadata.get("size", layer.descriptor.size)
    if type(bits) is not int or type(size) is not int:
        raise NotAModelKitError(f"the metadata of {_name(layer)} has a mode or a size of a wrong type")
    if metadata.get("typeflag", 0) not in _REGULAR:
        raise UnsafeContentError(f"{_name(layer)} is said to be something else than a plain file")
    if not layer.compression and size != layer.descriptor.size:
        raise NotAModelKitError(f"{_name(layer)} has {layer.descriptor.size} bytes, its metadata says {size}")
    return bits & 0o777


def _name(layer: Typed) -> str:
    return f"layer {layer.descriptor.digest}"
