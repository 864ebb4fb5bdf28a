"""Digest and size of a stream."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit_initializer.errors import IntegrityError, NotAModelKitError
from kit_initializer.verify import Verifier, check_digest, digest_of, verify

BODY = b"the layer's bytes"
SHA256 = "sha256:" + hashlib.sha256(BODY).hexdigest()
SHA512 = "sha512:" + hashlib.sha512(BODY).hexdigest()


@pytest.mark.parametrize("digest", [SHA256, SHA512])
def test_a_digest_that_can_be_verified(digest: str) -> None:
    assert check_digest(digest) == digest
    verify(BODY, digest, len(BODY), "it")
    verify(BODY, digest, None, "it")
    assert digest_of(BODY, digest.partition(":")[0]) == digest


def test_a_digest_is_sha256_unless_said_otherwise() -> None:
    assert digest_of(BODY) == SHA256


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha256",
        "sha256:",
        SHA256[:-1],
        SHA256 + "0",
        SHA256.upper(),
        SHA256.replace(":", ":" + "A", 1)[:71],
        SHA256[:-1] + "g",
        SHA256[:-1] + "X",
        SHA256[:20] + "X" + SHA256[21:],
        SHA256.replace("sha256", "sha512"),
        SHA512.replace("sha512", "sha256"),
        "md5:" + "0" * 32,
        "sha384:" + "0" * 96,
        "sha256:" + "\u0663" * 64,
        "sha256:" + "-" * 64,
    ],
)
def test_a_digest_that_cannot_be_verified(digest: str) -> None:
    for make in (
        check_digest,
        lambda each: Verifier(each, 0, "it"),
        lambda each: verify(b"", each, None, "it"),
    ):
        with pytest.raises(NotAModelKitError) as caught:
            make(digest)
        assert repr(digest) in str(caught.value)
        assert "sha256 or sha512" in str(caught.value)


@pytest.mark.parametrize("digest", [SHA256, SHA512])
@pytest.mark.parametrize("at", [0, 7, len(BODY) - 1])
def test_one_bit_makes_it_another(digest: str, at: int) -> None:
    other = bytearray(BODY)
    other[at] ^= 1
    with pytest.raises(IntegrityError, match="the layer does not match its digest") as caught:
        verify(bytes(other), digest, len(BODY), "the layer")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("body", "size"), [(BODY, len(BODY) + 1), (BODY, len(BODY) - 1), (b"", len(BODY)), (BODY, 0)]
)
def test_another_size_is_told_as_one(body: bytes, size: int) -> None:
    with pytest.raises(
        IntegrityError, match=f"it has {len(body)} bytes where {size} were promised"
    ) as caught:
        verify(body, digest_of(body), size, "it")
    assert caught.value.hint


@given(st.lists(st.binary(max_size=100)), st.sampled_from([bytes, bytearray, memoryview]))
def test_pieces_are_one_stream(pieces: list[bytes], kind: type[bytes]) -> None:
    body = b"".join(pieces)
    verifier = Verifier(digest_of(body), len(body), "it")
    for number, piece in enumerate(pieces):
        verifier.update(kind(piece))
        assert verifier.seen == sum(map(len, pieces[: number + 1]))
    verifier.check()
    if body:
        verifier.update(body)
        with pytest.raises(IntegrityError):
            verifier.check()


def test_a_stream_that_is_cut_short_is_not_taken() -> None:
    verifier = Verifier(SHA256, len(BODY), "it")
    verifier.update(BODY[:-1])
    with pytest.raises(IntegrityError):
        verifier.check()
    verifier.update(BODY[-1:])
    verifier.check()
