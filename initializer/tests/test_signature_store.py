"""Kit's store under a signature policy: whatever Kit could unpack was judged, or the run ends."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from kit_initializer.errors import SignatureError
from kit_initializer.pull.kit.store import check

if TYPE_CHECKING:
    from pathlib import Path

MANIFESTS = [
    b'{"config": {"mediaType": "x"}, "layers": []}',
    b' {"CONFIG": {}, "Layers": null}',
    b'{"config": {"digest": "x"}, "config": {}, "layers": [1]}',
    b'{"con\\u0066ig": {}, "layers": [], "pad": "' + b"x" * 5_000_000 + b'"}',
]


@pytest.mark.parametrize("content", MANIFESTS, ids=["another type", "another case", "twice", "large"])
def test_a_manifest_that_was_not_judged(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "x").write_bytes(content)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    check(str(tmp_path), frozenset({digest}), "kit")
    with pytest.raises(SignatureError, match="was not judged"):
        check(str(tmp_path), frozenset({"sha256:" + "0" * 64}), "kit")


def test_what_is_no_manifest(tmp_path: Path) -> None:
    for number, content in enumerate(
        (b"", b"{", b"[]", b'{"manifests": []}', b'{"config": {}}', b"\0" * 600)
    ):
        (tmp_path / str(number)).write_bytes(content)
    check(str(tmp_path), frozenset({"sha256:" + "0" * 64}), "kit")
