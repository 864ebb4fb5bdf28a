"""Manifests and indexes of ModelKits and ModelPacks, as values that hold no surprises.

Sources: the OCI image specification 1.1; Kit 0.1 to 1.17 (neither `mediaType` nor `artifactType` before
1.10, and `"layers": null` in an empty kit); the CNCF ModelPack specification.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from kit_initializer.errors import EmptyError, NotAModelKitError, UsageError
from kit_initializer.reference import is_digest
from kit_initializer.secret import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
# Docker's own types are asked for so that an image can be told from a missing kit.
_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
ACCEPT = f"{MANIFEST}, {INDEX}, {_DOCKER_MANIFEST}, {_DOCKER_LIST}"

KIT_CONFIG = "application/vnd.kitops.modelkit.config.v1+json"
PACK_CONFIG = "application/vnd.cncf.model.config.v1+json"
_KIT_ARTIFACT = "application/vnd.kitops.modelkit.manifest.v1+json"
_PACK_ARTIFACT = "application/vnd.cncf.model.manifest.v1+json"
_KIT_INDEX = "application/vnd.kitops.modelkit.index.v1+json"

_SIZE_LIMIT = 1 << 63
# An empty list takes 3 bytes of JSON and 64 of memory: 4 MB of them would take 340. Ten thousand layers have a third of
# this, commas in texts included.
_VALUES_LIMIT = 300_000


class Descriptor(NamedTuple):
    """What the registry is to hold: `size` is in bytes."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str]


class Manifest(NamedTuple):
    """The manifest of a ModelKit or ModelPack."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str]
    artifact_type: str

    @property
    def is_model_pack(self) -> bool:
        """Whether this is in the CNCF's format and not in Kit's own."""
        return self.config.media_type == PACK_CONFIG or (
            self.artifact_type == _PACK_ARTIFACT and self.config.media_type != KIT_CONFIG
        )


class Member(NamedTuple):
    """One kit of an index; the values of `labels` are text or, where they are something else, JSON."""

    descriptor: Descriptor
    labels: Mapping[str, str]


class Index(NamedTuple):
    """An index of ModelKits (Kit 1.17 and newer)."""

    members: tuple[Member, ...]
    annotations: Mapping[str, str]

    def choose(self, labels: tuple[tuple[str, str], ...]) -> Descriptor:
        """Return the one kit that has all the labels.

        Raises NotAModelKitError for an empty index, EmptyError when no kit matches and UsageError when
        several do.
        """
        if not self.members:
            raise NotAModelKitError("the index lists no ModelKit", hint="push the kits and their index again")
        found = [
            member for member in self.members if all(member.labels.get(key) == value for key, value in labels)
        ]
        if len(found) == 1:
            return found[0].descriptor
        asked = ", ".join(f"{key}={value}" for key, value in labels)
        if not found:
            raise EmptyError(f"no ModelKit in the index has {asked}", hint=f"it has {self._known()}")
        raise UsageError(
            f"{len(found)} ModelKits in the index match {asked or 'without labels'}",
            hint=f"set KIT_UNPACK_FLAGS to -l key=value; it has {self._known()}",
        )

    def _known(self) -> str:
        pairs = sorted(
            {_shown(f"{key}={value}") for member in self.members for key, value in member.labels.items()}
        )
        return ", ".join(pairs[:8]) + (", …" if len(pairs) > 8 else "") if pairs else "no labels"


def parse(body: bytes) -> Manifest | Index:
    """Read what a registry answers for a reference. Raises NotAModelKitError."""
    value = read_object(body, "the manifest")
    if ("layers" in value or "config" in value) and "manifests" in value:
        raise NotAModelKitError("the manifest is a manifest and an index at once")
    if "manifests" in value:
        return _index(value)
    return _manifest(value)


def read_object(body: bytes | str, what: str) -> dict[str, Any]:
    """Read a JSON object. Raises NotAModelKitError, naming `what`, also for more values than memory is meant for."""
    raw = body if isinstance(body, bytes) else body.encode(errors="replace")
    if sum(raw.count(mark) for mark in b",[{") > _VALUES_LIMIT:
        raise NotAModelKitError(
            f"{what} has more than {_VALUES_LIMIT:,} values", hint="pack fewer and larger layers"
        )
    try:
        value = json.loads(body, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        raise NotAModelKitError(f"{what} is not JSON") from None
    if not isinstance(value, dict):
        raise NotAModelKitError(f"{what} is not a JSON object")
    return value


def _refuse(token: str) -> None:
    raise ValueError(token)


def _finite(token: str) -> float:
    number = float(token)
    if number - number != 0:  # beyond the range of a double, where Go refuses the document
        raise ValueError(token)
    return number


def _manifest(value: dict[str, Any]) -> Manifest:
    artifact_type = _text(value, "artifactType", "the manifest")
    if "config" not in value:
        raise _not_a_kit(artifact_type or _text(value, "mediaType", "the manifest") or "no config")
    config = _descriptor(value["config"], "the config")
    if config.media_type not in (KIT_CONFIG, PACK_CONFIG) and artifact_type not in (
        _KIT_ARTIFACT,
        _PACK_ARTIFACT,
    ):
        raise _not_a_kit(artifact_type or config.media_type)
    layers = _list(value, "layers", "the manifest")
    return Manifest(
        config=config,
        layers=tuple(_descriptor(layer, f"layer {number}") for number, layer in enumerate(layers, 1)),
        annotations=_annotations(value, "the manifest"),
        artifact_type=artifact_type,
    )


def _index(value: dict[str, Any]) -> Index:
    artifact_type = _text(value, "artifactType", "the index")
    if artifact_type != _KIT_INDEX:
        raise _not_a_kit(artifact_type or _text(value, "mediaType", "the index") or "an index")
    members = []
    for number, item in enumerate(_list(value, "manifests", "the index"), 1):
        what = f"manifest {number} of the index"
        descriptor = _descriptor(item, what)
        if descriptor.media_type == MANIFEST:
            members.append(Member(descriptor, _labels(item.get("modelMetadata"), what)))
    return Index(tuple(members), _annotations(value, "the index"))


def _not_a_kit(kind: str) -> NotAModelKitError:
    image = "image" in kind or "docker" in kind
    return NotAModelKitError(
        f"the reference exists but is not a ModelKit, it is {_shown(kind)}",
        hint="a container image with models in it is for oci://, not kit://"
        if image
        else "push it with kit push",
    )


def _shown(text: str) -> str:
    """Return what may be printed of a text that somebody pushed."""
    return printable(text, 120)


def _descriptor(value: object, what: str) -> Descriptor:
    if not isinstance(value, dict):
        raise NotAModelKitError(f"{what} has no descriptor")
    digest, size = _text(value, "digest", what), value.get("size")
    if not is_digest(digest):
        raise NotAModelKitError(
            f"{what} has the digest {printable(digest, 100)!r}", hint="sha256 and sha512 are understood"
        )
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < _SIZE_LIMIT:
        raise NotAModelKitError(f"{what} has no size")
    return Descriptor(_text(value, "mediaType", what), digest, size, _annotations(value, what))


def _labels(value: object, what: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NotAModelKitError(f"{what} has labels that are not an object")
    return {key: item if isinstance(item, str) else json.dumps(item) for key, item in value.items()}


def _annotations(value: dict[str, Any], what: str) -> dict[str, str]:
    found = value.get("annotations") or {}
    if not isinstance(found, dict) or not all(isinstance(item, str) for item in found.values()):
        raise NotAModelKitError(f"{what} has annotations that are not text")
    return found


def _list(value: dict[str, Any], key: str, what: str) -> list[Any]:
    found = value.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise NotAModelKitError(f"{what} has {key} that are not a list")
    return found


def _text(value: dict[str, Any], key: str, what: str) -> str:
    found = value.get(key, "")
    if not isinstance(found, str):
        raise NotAModelKitError(f"{what} has a {key} that is not text")
    return found
