"""What a packed kit is, and where contents come from."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
KIT_CONFIG: Final = "application/vnd.kitops.modelkit.config.v1+json"
CHUNK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Noise:
    """So many bytes that do not compress, the same for the same seed, made as they are read."""

    size: int
    seed: int = 0

    def chunks(self) -> Iterator[bytes]:
        source = random.Random(self.seed)  # noqa: S311  (test data)
        left = self.size
        while left > 0:
            yield source.randbytes(min(CHUNK, left))
            left -= CHUNK


Source = bytes | Path | Noise


def size_of(source: Source) -> int:
    """Return the number of bytes of a content."""
    if isinstance(source, bytes):
        return len(source)
    return source.size if isinstance(source, Noise) else source.stat().st_size


def chunks_of(source: Source) -> Iterator[bytes]:
    """Yield a content in chunks of at most 1 MiB."""
    if isinstance(source, bytes):
        for at in range(0, len(source), CHUNK):
            yield source[at : at + CHUNK]
    elif isinstance(source, Noise):
        yield from source.chunks()
    else:
        with source.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk


@dataclass(frozen=True, slots=True)
class Blob:
    """A layer: its descriptor's fields, its bytes or the file that holds them, and its tar's digest."""

    media_type: str
    digest: str
    size: int
    data: bytes | Path
    diff_id: str
    annotations: Mapping[str, str] = field(default_factory=dict)

    def descriptor(self) -> dict[str, object]:
        """Return the descriptor in the order in which Go writes it."""
        plain: dict[str, object] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        return {**plain, "annotations": dict(sorted(self.annotations.items()))} if self.annotations else plain

    def read(self) -> bytes:
        """Return the bytes, wherever they are."""
        return self.data if isinstance(self.data, bytes) else self.data.read_bytes()


@dataclass(frozen=True, slots=True)
class FileFact:
    """What a file must be after unpacking."""

    size: int
    sha256: str
    mode: int


@dataclass(frozen=True)
class ModelKit:
    """A packed ModelKit, ready for a registry: `Registry.add`, `push`.

    `files` are those that unpacking everything must give (path to size, hash and mode), without the Kitfile,
    which each tool writes in its own words.
    """

    manifest: bytes
    config: bytes
    layers: tuple[Blob, ...] = ()
    files: Mapping[str, FileFact] = field(default_factory=dict)
    media_type: str = OCI_MANIFEST
    members: tuple[ModelKit, ...] = ()

    @property
    def digest(self) -> str:
        """Return the manifest's digest, `sha256:hex`."""
        return sha256(self.manifest)

    @property
    def blobs(self) -> dict[str, bytes | Path]:
        """Return config and layers by digest."""
        found: dict[str, bytes | Path] = {layer.digest: layer.data for layer in self.layers}
        return {sha256(self.config): self.config, **found} if self.config else found


def sha256(data: bytes) -> str:
    """Return `sha256:hex` of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
