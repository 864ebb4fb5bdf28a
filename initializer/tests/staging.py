"""Kits that are staged by hand, to be published."""

from __future__ import annotations

import contextlib
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from kit_initializer.publish import (
    Delivery,
    Destination,
    Entry,
    Kit,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KIT = Kit("kit://r.example/k:v1", "sha256:1", "filters ['model']", (Entry("a/b", 3, 0xABC), Entry("ü", 0, 0)))


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Destination]:
    with contextlib.closing(Destination(str(folder), lambda _: None)) as made:
        yield made


def staged(
    made: Destination, files: Mapping[str, bytes | None], uri: str = "kit://r.example/k:v1"
) -> Delivery:
    """Stage a kit; None is an empty folder."""
    staging = made.staging()
    tree = staging.tree()
    for path, body in files.items():
        full = Path(staging.path, "kit-0", path)
        (full if body is None else full.parent).mkdir(parents=True, exist_ok=True)
        if body is not None:
            full.write_bytes(body)
    entries = [Entry(path, len(body), zlib.crc32(body)) for path, body in files.items() if body is not None]
    return Delivery(staging, tree, Kit(uri, "sha256:1", "", tuple(entries)))


def staged_beside(first: Delivery, files: Mapping[str, bytes | None], uri: str) -> Delivery:
    """Stage one more kit for the destination of `first`."""
    number = len(list(Path(first.staging.path).glob("kit-*")))
    tree = first.staging.tree()
    for path, body in files.items():
        full = Path(first.staging.path, f"kit-{number}", path)
        (full if body is None else full.parent).mkdir(parents=True, exist_ok=True)
        if body is not None:
            full.write_bytes(body)
    entries = [Entry(path, len(body), zlib.crc32(body)) for path, body in files.items() if body is not None]
    return Delivery(first.staging, tree, Kit(uri, "sha256:2", "", tuple(entries)))
