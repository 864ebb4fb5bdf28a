"""What Kit has pulled, looked at before it is unpacked: with a signature policy, only manifests that were judged.

A kit names its parent by a tag, and Kit resolves that tag by itself, later than we did.
"""

from __future__ import annotations

import json
import os

from kit_initializer.errors import SignatureError
from kit_initializer.verify import digest_of


def check(home: str, judged: frozenset[str], what: str) -> None:
    """Raise SignatureError when the store below `home` has a kit's manifest whose digest is not in `judged`.

    Wherever a version of Kit keeps its blobs: every file that reads as such a manifest counts.
    """
    algorithms = {digest.partition(":")[0] for digest in judged}
    for folder, _, names in os.walk(home):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                continue
            with open(path, "rb") as file:
                content = file.read() if file.read(64).lstrip().startswith(b"{") and not file.seek(0) else b""
            if _is_manifest(content) and not any(digest_of(content, each) in judged for each in algorithms):
                raise SignatureError(
                    f"{what}: Kit pulled {digest_of(content)}, which was not judged by the signature policy",
                    hint="a parent's tag has moved in between: start again, or name the parent by its digest",
                )


def _is_manifest(content: bytes) -> bool:
    """Say whether Go would read a manifest from it: whatever its size and media types, in any case of its names."""
    try:
        pairs = json.loads(content, object_pairs_hook=list) if content else []
    except (ValueError, RecursionError):
        return False
    return {"config", "layers"} <= {str(name).casefold() for name, _ in pairs}
