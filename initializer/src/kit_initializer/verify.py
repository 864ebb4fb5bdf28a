"""Digest and size of a stream of bytes, wherever it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_initializer.errors import IntegrityError, NotAModelKitError
from kit_initializer.reference import is_digest
from kit_initializer.secret import printable

if TYPE_CHECKING:
    from hashlib import _Hash


def check_digest(digest: str) -> str:
    """Return `digest` when it is one that can be verified, else raise NotAModelKitError."""
    if not is_digest(digest):
        raise NotAModelKitError(
            f"{printable(digest, 200)!r} is not a digest that can be verified (sha256 or sha512, lower-case hex)"
        )
    return digest


class Verifier:
    """Count and hash what passes, and say at the end whether it is what was promised.

    `what` names the content in an error, for instance "layer sha256:9f2c… of kit://r.example/iris:v1".
    """

    __slots__ = ("_digest", "_hash", "_size", "_what", "seen")

    def __init__(self, digest: str, size: int, what: str) -> None:
        self._digest = check_digest(digest)
        self._hash = _new(digest.partition(":")[0])
        self._size = size
        self._what = what
        self.seen = 0

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the stream."""
        self.seen += len(data)
        self._hash.update(data)

    def check(self) -> None:
        """Raise IntegrityError unless exactly the promised bytes have passed."""
        if self.seen != self._size:
            raise IntegrityError(
                f"{self._what} has {self.seen} bytes where {self._size} were promised",
                hint="push the kit again",
            )
        if self._hash.hexdigest() != self._digest.partition(":")[2]:
            raise IntegrityError(f"{self._what} does not match its digest", hint="push the kit again")


def _new(algorithm: str, data: bytes = b"") -> _Hash:
    import hashlib  # noqa: PLC0415 - 5 ms, for which there is time while the registry looks for a manifest

    return hashlib.new(algorithm, data, usedforsecurity=True)


def digest_of(body: bytes, algorithm: str = "sha256") -> str:
    """Return the digest of `body` as the OCI specification writes it."""
    return f"{algorithm}:{_new(algorithm, body).hexdigest()}"


def verify(body: bytes, digest: str, size: int | None, what: str) -> None:
    """Check one body that is in memory; a size of None is not checked. Raises IntegrityError."""
    verifier = Verifier(digest, len(body) if size is None else size, what)
    verifier.update(body)
    verifier.check()
