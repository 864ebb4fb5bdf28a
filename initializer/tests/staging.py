"""Kits that are staged by hand, to be published."""

from __future__ import annotations

import contextlib
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from kit_initializer.listing import Entry, Listing
from kit_initializer.publish import Delivery, Destination, PublishedKit
from kit_initializer.publish.record import path_line, write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kit_initializer.publish import Staging

URI = "kit://r.example/k:v1"
ENTRIES = (Entry("a/b", 3, 0xABC), Entry("ü", 0, 0))
KIT = PublishedKit(URI, "sha256:1", "filters ['model']", 2, 3)


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Destination]:
    with contextlib.closing(Destination(str(folder), lambda _: None)) as made:
        yield made


def staged(made: Destination, files: Mapping[str, bytes | None], uri: str = URI) -> Delivery:
    """Stage a kit; None is an empty folder."""
    return fill(made.staging(), files, uri, "sha256:1")


def staged_beside(first: Delivery, files: Mapping[str, bytes | None], uri: str) -> Delivery:
    """Stage one more kit for the destination of `first`."""
    return fill(first.staging, files, uri, "sha256:2")


def fill(staging: Staging, files: Mapping[str, bytes | None], uri: str, digest: str) -> Delivery:
    """Stage a kit in a new tree."""
    number = len(list(Path(staging.path).glob("kit-*")))
    tree = staging.new_root()
    for path, body in files.items():
        full = Path(staging.path, f"kit-{number}", path)
        (full if body is None else full.parent).mkdir(parents=True, exist_ok=True)
        if body is not None:
            full.write_bytes(body)
    listing = Listing(
        Entry(path, len(body), zlib.crc32(body)) for path, body in files.items() if body is not None
    )
    return Delivery(staging, tree, PublishedKit(uri, digest, "", len(listing), listing.bytes), listing)


def recorded(
    state: str, entries: Iterable[Entry] = ENTRIES, paths: Iterable[str] = (), kit: PublishedKit = KIT
) -> bytes:
    """Return a record with these files, and with these empty folders ("a/") or stale files."""
    file = io.BytesIO()
    write(file, state, [kit], [*map(bytes, Listing(entries).lines()), *map(path_line, paths)])
    return file.getvalue()


def abandoned(folder: Path) -> Path:
    """Return the staging of a run of this machine that was killed."""
    with opened(folder) as made:
        staging = made.staging()
        left = Path(staging.path)
        saved = left.with_name(left.name + "-killed")
        (left / "kit-0").mkdir()
        left.rename(saved)
        staging.remove()
    return saved
