"""What is attached to a kit, ready for a registry."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from kit_conformance.testbed.kits.values import OCI_MANIFEST, sha256

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
EMPTY: Final = b"{}"


class Signed(Protocol):
    """What can be signed: a kit, or an index of kits."""

    @property
    def manifest(self) -> bytes: ...
    @property
    def media_type(self) -> str: ...
    @property
    def digest(self) -> str: ...


@dataclass(frozen=True)
class Attachment:
    """A manifest with its blobs.

    `tag` is the tag that it is put under; "" means by digest, as a referrer of `subject` (a digest). `listed` is the
    artifact type that an index under the fallback tag gives for it: it need not be the true one.
    """

    manifest: bytes
    blobs: Mapping[str, bytes | Path]
    tag: str = ""
    subject: str = ""
    listed: str = ""
    media_type: str = OCI_MANIFEST
    members: tuple[Attachment, ...] = field(default=())

    @property
    def digest(self) -> str:
        """Return the manifest's digest, `sha256:hex`."""
        return sha256(self.manifest)


def descriptor(
    media_type: str, data: bytes, annotations: Mapping[str, str] | None = None
) -> dict[str, object]:
    """Return the descriptor of some bytes."""
    found: dict[str, object] = {"mediaType": media_type, "digest": sha256(data), "size": len(data)}
    return {**found, "annotations": dict(annotations)} if annotations else found


def compact(value: object) -> bytes:
    """Return JSON without blanks."""
    return json.dumps(value, separators=(",", ":")).encode()


def b64(data: bytes) -> str:
    """Return base64 as text."""
    return base64.b64encode(data).decode("ascii")


def flipped(data: bytes, at: int = -1) -> bytes:
    """Return the bytes with one bit of one of them changed."""
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def tag_of(digest: str, suffix: str = "") -> str:
    """Return the tag that belongs to a digest: `sha256-HEX`, with a suffix like ".sig"."""
    return digest.replace(":", "-") + suffix
