"""What a registry holds: blobs, manifests, tags and uploads under way, per repository."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from kit_conformance.testbed.registry.wire import Content, File, Memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
_ALGORITHMS: Final = {"sha256": 64, "sha512": 128}
_NAME: Final = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
_TAG: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


class Artifact(Protocol):
    """What can be put into a registry whole: a manifest, what it needs, and an index's members."""

    @property
    def manifest(self) -> bytes: ...
    @property
    def media_type(self) -> str: ...
    @property
    def blobs(self) -> Mapping[str, bytes | Path]: ...
    @property
    def members(self) -> Sequence[Artifact]: ...


class StorageError(Exception):
    """A request that the distribution specification answers with an error: its status, code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Stored:
    """A manifest as it was put."""

    body: bytes
    media_type: str
    digest: str


@dataclass
class Repository:
    """One repository: digests to contents, tags to digests."""

    blobs: dict[str, Content] = field(default_factory=dict)
    manifests: dict[str, Stored] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    configs: set[str] = field(default_factory=set)


@dataclass
class Upload:
    """A blob on its way in, spooled to a file."""

    path: Path
    size: int = 0


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """Return `algorithm:hex` of some bytes."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def is_digest(text: str) -> bool:
    """Say whether a reference is a digest, well formed and of an algorithm that is known."""
    algorithm, colon, value = text.partition(":")
    return (
        bool(colon) and len(value) == _ALGORITHMS.get(algorithm) and not set(value) - set("0123456789abcdef")
    )


class Storage:
    """All repositories of a registry; its methods may be called from any thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.RLock()
        self._repositories: dict[str, Repository] = {}
        self._uploads: dict[tuple[str, str], Upload] = {}

    def add(self, artifact: Artifact, repository: str, tag: str = "") -> str:
        """Put an artifact in without a push, and return its digest.

        Files are referred to, not copied: they must stay as they are.
        """
        for member in artifact.members:
            self.add(member, repository)
        for digest, source in artifact.blobs.items():
            content = Memory(source) if isinstance(source, bytes) else File(source, source.stat().st_size)
            self.put_blob(repository, digest, content)
        return self.put_manifest(repository, tag, artifact.manifest, artifact.media_type, check=False).digest

    # blobs

    def put_blob(self, repository: str, digest: str, content: Content) -> None:
        """Take a blob in under a digest that nobody checks here."""
        with self._lock:
            self._open(repository).blobs[digest] = content

    def blob(self, repository: str, digest: str) -> Content:
        """Return a blob; StorageError when the repository has none of that digest."""
        with self._lock:
            content = self._repositories.get(repository, Repository()).blobs.get(digest)
        if content is None:
            raise StorageError(404, "BLOB_UNKNOWN", f"blob unknown to registry: {digest}")
        return content

    def delete_blob(self, repository: str, digest: str) -> None:
        """Remove a blob; manifests that name it stay."""
        with self._lock:
            self.blob(repository, digest)
            del self._find(repository).blobs[digest]

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """Give a repository a blob of another one; False when that has none."""
        with self._lock:
            origins = [self._repositories.get(source)] if source else list(self._repositories.values())
            for origin in origins:
                if origin is not None and digest in origin.blobs:
                    self._open(repository).blobs[digest] = origin.blobs[digest]
                    return True
        return False

    def is_config(self, repository: str, digest: str) -> bool:
        """Say whether some manifest of the repository names the blob as its config."""
        found = self._repositories.get(repository)
        return found is not None and digest in found.configs

    # uploads

    def start(self, repository: str) -> str:
        """Begin an upload and return its id."""
        name = uuid.uuid4().hex
        with self._lock:
            self._open(repository)
            path = self._directory / f"upload-{name}"
            path.touch()
            self._uploads[repository, name] = Upload(path)
        return name

    def upload(self, repository: str, name: str) -> Upload:
        """Return an upload under way."""
        with self._lock:
            found = self._uploads.get((repository, name))
        if found is None:
            raise StorageError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        return found

    def append(self, upload: Upload, chunks: Iterable[bytes]) -> None:
        """Add bytes to an upload, as they come."""
        with upload.path.open("ab") as file:
            for chunk in chunks:
                file.write(chunk)
                upload.size += len(chunk)

    def finish(self, repository: str, name: str, digest: str) -> None:
        """Turn an upload into a blob; StorageError when it does not have that digest."""
        upload = self.upload(repository, name)
        if not is_digest(digest):
            raise StorageError(400, "DIGEST_INVALID", f"not a digest: {digest!r}")
        hasher = hashlib.new(digest.partition(":")[0])
        for chunk in File(upload.path, upload.size).chunks(0, upload.size):
            hasher.update(chunk)
        if hasher.hexdigest() != digest.partition(":")[2]:
            self.cancel(repository, name)
            raise StorageError(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        with self._lock:
            del self._uploads[repository, name]
            self._open(repository).blobs[digest] = File(upload.path, upload.size)

    def cancel(self, repository: str, name: str) -> None:
        """Forget an upload."""
        upload = self.upload(repository, name)
        with self._lock:
            del self._uploads[repository, name]
        upload.path.unlink()

    # manifests

    def put_manifest(
        self, repository: str, reference: str, body: bytes, media_type: str, *, check: bool = True
    ) -> Stored:
        """Take a manifest in under a tag, its digest, or (reference "") only its digest.

        `check` demands what the specification lets a registry demand: JSON, and blobs that are there.
        """
        algorithm = reference.partition(":")[0] if is_digest(reference) else "sha256"
        stored = Stored(body, media_type, digest_of(body, algorithm))
        if is_digest(reference) and reference != stored.digest:
            raise StorageError(400, "DIGEST_INVALID", "manifest does not match the digest it is put under")
        if reference and not is_digest(reference) and not _TAG.fullmatch(reference):
            raise StorageError(400, "MANIFEST_INVALID", f"not a tag: {reference!r}")
        fields = _fields(body)
        if check:
            self._check(repository, fields)
        with self._lock:
            held = self._open(repository)
            held.manifests[stored.digest] = stored
            if isinstance(config := fields.get("config"), dict):
                held.configs.add(str(config.get("digest")))
            if reference and not is_digest(reference):
                held.tags[reference] = stored.digest
        return stored

    def _check(self, repository: str, fields: Mapping[str, object]) -> None:
        if not fields:
            raise StorageError(400, "MANIFEST_INVALID", "manifest is not a JSON object")
        with self._lock:
            held = self._open(repository)
            for descriptor in _descriptors(fields):
                digest = str(descriptor.get("digest"))
                if ".nondistributable." in str(descriptor.get("mediaType")):
                    continue  # such layers are elsewhere, and nobody may push them
                if digest not in held.blobs and digest not in held.manifests:
                    raise StorageError(404, "MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry: {digest}")

    def manifest(self, repository: str, reference: str) -> Stored:
        """Return the manifest of a tag or digest."""
        with self._lock:
            held = self._repositories.get(repository, Repository())
            stored = held.manifests.get(held.tags.get(reference, reference))
        if stored is None:
            raise StorageError(404, "MANIFEST_UNKNOWN", f"manifest unknown: {reference}")
        return stored

    def delete_manifest(self, repository: str, reference: str) -> None:
        """Remove a tag, or a manifest with all its tags."""
        with self._lock:
            stored = self.manifest(repository, reference)
            held = self._find(repository)
            if is_digest(reference):
                del held.manifests[stored.digest]
                held.tags = {tag: digest for tag, digest in held.tags.items() if digest != stored.digest}
            else:
                del held.tags[reference]

    def tags(self, repository: str) -> list[str]:
        """Return a repository's tags in lexical order."""
        with self._lock:
            return sorted(self._find(repository).tags)

    def referrers(self, repository: str, digest: str) -> list[dict[str, object]]:
        """Return descriptors of the manifests whose subject is `digest`."""
        with self._lock:
            held = self._repositories.get(repository, Repository())
            manifests = list(held.manifests.values())
        found: list[dict[str, object]] = []
        for stored in manifests:
            fields = _fields(stored.body)
            subject, config = fields.get("subject"), fields.get("config")
            if not isinstance(subject, dict) or subject.get("digest") != digest:
                continue
            kind = fields.get("artifactType") or (
                config.get("mediaType") if isinstance(config, dict) else None
            )
            found.append(
                {
                    "mediaType": stored.media_type,
                    "digest": stored.digest,
                    "size": len(stored.body),
                    **({"artifactType": kind} if kind else {}),
                    **({"annotations": fields["annotations"]} if fields.get("annotations") else {}),
                }
            )
        return found

    def _find(self, repository: str) -> Repository:
        found = self._repositories.get(repository)
        if found is None:
            raise StorageError(404, "NAME_UNKNOWN", f"repository name not known to registry: {repository}")
        return found

    def _open(self, repository: str) -> Repository:
        if not _NAME.fullmatch(repository):
            raise StorageError(400, "NAME_INVALID", f"invalid repository name: {repository!r}")
        return self._repositories.setdefault(repository, Repository())


def _fields(body: bytes) -> dict[str, object]:
    try:
        fields = json.loads(body)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _descriptors(fields: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    config = fields.get("config")
    if isinstance(config, dict):
        yield config
    for name in ("layers", "manifests"):
        entries = fields.get(name)
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                yield entry
