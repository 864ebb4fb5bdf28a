"""What is ours in a destination: `.kit-initializer.json`.

The record is written before the first rename and completed after the last, so that whenever a run is killed the next
one knows which files it may replace or remove. It guards against accidents (a killed run, a full disk, a node that
lost power), which is why a CRC-32 of each file is enough: who can write to the volume could rewrite a stronger
digest as well. What came over the network has been checked against its SHA-256 before.

It is one JSON document, written and read as lines, so that its size costs no memory:

    {"version":2,"state":"published","kits":[{"uri":…,"digest":…,"selection":…,"files":2,"bytes":10}],"files":[
    ["model/weights.bin",9,"cbf43926"],
    ["README.md",1,"8ffb8c2f","adopted"],
    ["model/empty/"],
    ["old.bin"],
    []]}

A file that was there before, and equal, is "adopted": it is checked, but not ours. A path with "/" at its end is an
empty folder of ours, one without size a stale file that is still to be removed.
"""

from __future__ import annotations

import json
import os
from typing import IO, TYPE_CHECKING, NamedTuple

from kit_initializer.listing import Entry, Paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RECORD_NAME = ".kit-initializer.json"
_VERSION = 2
PUBLISHING, PUBLISHED = "publishing", "published"
_END = b"[]]}\n"
_ADOPTED = "adopted"
_OF_POLICY = ("signature", "policy")
# A longer head, line or record is none of ours: paths have at most 4,095 bytes, and a kit two million files.
_HEAD_BYTES = 1 << 20
_LINE_BYTES = 32 * 1024
_RECORD_BYTES = 1 << 30


class PublishedKit(NamedTuple):
    """One ModelKit of a destination. `selection` is what was asked of it beside its digest (filters, patterns).

    `signature` says why the signature policy with the fingerprint `policy` let it in; both are "" without one.
    """

    uri: str
    digest: str
    selection: str
    files: int
    bytes: int
    signature: str = ""
    policy: str = ""


class Line(NamedTuple):
    """One line: a file (`entry`), which may be adopted, or an empty folder or a stale file of ours (`path`)."""

    path: str
    entry: Entry | None = None
    adopted: bool = False

    @property
    def folder(self) -> bool:
        """Whether it is an empty folder."""
        return self.path.endswith("/")

    @property
    def stale(self) -> bool:
        """Whether it is a file of an earlier kit that may still be there."""
        return self.entry is None and not self.folder


class Record:
    """A record on the volume, read anew each time that its lines are asked for; close `file` when it is done with."""

    def __init__(self, state: str, kits: tuple[PublishedKit, ...], file: IO[bytes]) -> None:
        self.state = state
        self.kits = kits
        self.file = file

    def lines(self) -> Iterator[Line]:
        """Yield all lines. Raises ValueError at one that is none of ours."""
        self.file.seek(0)
        self.file.readline(_HEAD_BYTES)
        while (text := self.file.readline(_LINE_BYTES)) != _END:
            if not text.endswith(b",\n"):
                raise ValueError(text[:80])
            try:
                values = json.loads(text[:-2])
            except RecursionError as error:
                raise ValueError(text[:80]) from error
            yield _line(values)

    def ours(self) -> Iterator[str]:
        """Yield every path of a file that is ours, those that are stale included; what is damaged ends it."""
        try:
            for line in self.lines():
                if not line.adopted and not line.folder:
                    yield line.path
        except ValueError:
            return

    def owned(self) -> Paths:
        """Return every file that is ours."""
        return Paths(self.ours())

    def folders(self) -> set[str]:
        """Return every folder that is ours or has a file of ours."""
        found: set[str] = set()
        try:
            for line in self.lines():
                if not line.adopted:
                    above = line.path.rpartition("/")[0]
                    while above and above not in found:
                        found.add(above)
                        above = above.rpartition("/")[0]
        except ValueError:
            pass
        return found


def write(
    file: IO[bytes], state: str, kits: Iterable[PublishedKit], lines: Iterable[bytes | memoryview]
) -> None:
    """Write a record; `lines` are those of its files, as `Listing.lines`, `folder_line` and `stale_line` make them."""
    head = {"version": _VERSION, "state": state, "kits": [_plain(kit) for kit in kits]}
    file.write(json.dumps(head, separators=(",", ":")).encode()[:-1] + b',"files":[\n')
    for line in lines:
        file.write(line)
    file.write(_END)


def _plain(kit: PublishedKit) -> dict[str, object]:
    """Return a kit's members; those about signatures only where there is a policy."""
    return {name: value for name, value in kit._asdict().items() if value or name not in _OF_POLICY}


def adopted_line(entry: Entry) -> bytes:
    """Return the line of a file that was there before."""
    values = [entry.path, entry.size, f"{entry.crc32:08x}", _ADOPTED]
    return json.dumps(values, separators=(",", ":")).encode() + b",\n"


def path_line(path: str) -> bytes:
    """Return the line of an empty folder ("a/b/") or of a stale file."""
    return json.dumps([path]).encode() + b",\n"


def load(file: IO[bytes]) -> Record | None:
    """Return the record in a file, None for one that is none of ours: then nothing in the destination is."""
    try:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(_END)))
        if size > _RECORD_BYTES or file.read() != _END:
            return None
        file.seek(0)
        head = json.loads(file.readline(_HEAD_BYTES).rstrip() + b"]}")
        if head["version"] != _VERSION or head["state"] not in {PUBLISHING, PUBLISHED}:
            return None
        kits = tuple(_kit(kit) for kit in head["kits"])
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return None
    return Record(head["state"], kits, file)


def _kit(value: dict[str, object]) -> PublishedKit:
    uri, digest, selection, files, size = (value[name] for name in PublishedKit._fields[:5])
    if type(files) is not int or type(size) is not int:
        raise ValueError(value)
    signature, policy = value.get("signature", ""), value.get("policy", "")  # unknown to records of 0.1
    return PublishedKit(str(uri), str(digest), str(selection), files, size, str(signature), str(policy))


def _line(values: object) -> Line:
    """Return a line. Raises ValueError for anything that none of ours would be."""
    if not isinstance(values, list) or not values or not isinstance(values[0], str):
        raise ValueError(values)
    path = values[0]
    if len(values) == 1:
        _path(path.removesuffix("/"))
        return Line(path)
    try:
        entry = Entry(_path(path), int(values[1]), int(values[2], 16))
    except (TypeError, LookupError, OverflowError) as error:
        raise ValueError(values) from error
    return Line(path, entry, adopted=len(values) > 3)


def _path(path: object) -> str:
    """Return a path that leads nowhere but below the destination; ValueError otherwise."""
    if not isinstance(path, str) or "\0" in path or {"", ".", ".."}.intersection(path.split("/")):
        raise ValueError(path)
    os.fsencode(path)  # what is no file's name raises a ValueError too
    return path
