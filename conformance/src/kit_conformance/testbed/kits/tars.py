"""Tar streams: members as Go's writer lays them out, which is what Kit uses, and any other block by hand.

Kit's layers are USTAR, with one PAX record set before a member only where a field of USTAR cannot hold its
value. The layouts are those of POSIX.1-2001 (pax) and were compared with what Kit 0.2 to 1.7 wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
FILE: Final = b"0"
LINK: Final = b"1"
SYMLINK: Final = b"2"
CHARACTER: Final = b"3"
DEVICE: Final = b"4"
DIRECTORY: Final = b"5"
FIFO: Final = b"6"
CONTIGUOUS: Final = b"7"
PAX: Final = b"x"
PAX_GLOBAL: Final = b"g"
GNU_LONG_NAME: Final = b"L"
GNU_LONG_LINK: Final = b"K"
GNU_SPARSE: Final = b"S"

_NAME: Final = 100  # bytes in the header for a name
_PREFIX: Final = 155  # bytes for what comes before a slash in a longer one
_LARGEST: Final = 8**11 - 1  # the largest size in eleven octal digits


@dataclass(frozen=True, slots=True)
class Header:
    """One header block, field by field; bytes are written as they are, numbers in octal.

    `checksum` None computes the right one.
    """

    name: bytes
    size: int | bytes = 0
    kind: bytes = FILE
    mode: int | bytes = 0o644
    uid: int | bytes = 1000
    gid: int | bytes = 0
    mtime: int | bytes = 0
    link: bytes = b""
    magic: bytes = b"ustar\x0000"
    major: int | bytes = 0
    minor: int | bytes = 0
    prefix: bytes = b""
    checksum: bytes | None = None

    def block(self) -> bytes:
        """Return the 512 bytes."""
        numbers = (_octal(self.mode, 8), _octal(self.uid, 8), _octal(self.gid, 8))
        before = b"".join((_text(self.name, _NAME), *numbers, _octal(self.size, 12), _octal(self.mtime, 12)))
        after = b"".join(
            (
                self.kind,
                _text(self.link, _NAME),
                _text(self.magic, 8),
                bytes(64),  # the names of user and group, which Kit leaves empty
                _octal(self.major, 8),
                _octal(self.minor, 8),
                _text(self.prefix, _PREFIX),
                bytes(12),
            )
        )
        total = sum(before) + sum(after) + 8 * ord(" ")
        return before + (self.checksum if self.checksum is not None else b"%06o\x00 " % total) + after


def base256(value: int, size: int) -> bytes:
    """Return a number as GNU tar writes those that octal digits cannot hold: big-endian, first bit set."""
    body = value.to_bytes(size, "big", signed=True)
    return bytes([body[0] | 0x80]) + body[1:]


def pax_records(records: Mapping[str, str | bytes]) -> bytes:
    """Return extended header records, each with its own length in front."""
    out = bytearray()
    for key, value in records.items():
        body = b" " + key.encode() + b"=" + (value.encode() if isinstance(value, str) else value) + b"\n"
        length = len(body)
        while len(str(length)) + len(body) != length:
            length = len(str(length)) + len(body)
        out += str(length).encode() + body
    return bytes(out)


def padded(data: bytes) -> bytes:
    """Return data filled up to whole blocks."""
    return data + bytes(-len(data) % BLOCK)


def extended(
    records: Mapping[str, str | bytes], *, kind: bytes = PAX, name: bytes = b"PaxHeaders.0/x"
) -> bytes:
    """Return a PAX header member, for the member that follows or (kind "g") for all that do."""
    body = pax_records(records)
    header = Header(name, len(body), kind, mode=0, uid=0, major=bytes(8), minor=bytes(8))
    return header.block() + padded(body)


def long_name(name: bytes, *, kind: bytes = GNU_LONG_NAME) -> bytes:
    """Return GNU tar's member that names the one that follows (or, kind "K", what it links to)."""
    body = name + b"\x00"
    header = Header(
        b"././@LongLink", len(body), kind, uid=0, magic=b"ustar  \x00", major=bytes(8), minor=bytes(8)
    )
    return header.block() + padded(body)


def member(name: str, size: int, mode: int, *, directory: bool = False, uid: int = 1000) -> bytes:
    """Return all header blocks of a file or directory as Kit writes them; the content follows, padded."""
    text = name.encode()
    prefix, short = _split(text)
    records: dict[str, str | bytes] = {}
    if short is None:
        records["path"] = text
    if size > _LARGEST:
        records["size"] = str(size)
    kind = DIRECTORY if directory else FILE
    if short is not None and not records:
        return Header(short, size, kind, mode, uid, prefix=prefix).block()
    folder, _, last = text.rpartition(b"/")
    marker = _ascii(b"/".join(part for part in (folder, b"PaxHeaders.0", last) if part))[:_NAME].rstrip(b"/")
    rest = _ascii(text)  # what readers without PAX would see
    if len(rest) > _NAME:
        rest = rest[:_NAME].rstrip(b"/")
    header = Header(rest, size if size <= _LARGEST else 0, kind, mode, uid)
    return extended(records, name=marker) + header.block()


def _ascii(name: bytes) -> bytes:
    return bytes(byte for byte in name if byte < 0x80)


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """Return prefix and name as USTAR has them; the name None when it cannot have it."""
    if not name.isascii():
        return b"", None
    if len(name) <= _NAME:
        return b"", name
    at = name[: _PREFIX + 1].rfind(b"/")
    if at <= 0 or not 0 < len(name) - at - 1 <= _NAME:
        return b"", None
    return name[:at], name[at + 1 :]


def _text(value: bytes, size: int) -> bytes:
    if len(value) > size:
        raise ValueError(f"{value[:20]!r}… does not fit into {size} bytes")
    return value.ljust(size, b"\x00")


def _octal(value: int | bytes, size: int) -> bytes:
    return _text(value if isinstance(value, bytes) else b"%0*o" % (size - 1, value), size)


@dataclass
class Tar:
    """A tar stream built block by block, for what no honest writer makes.

    Each method returns the stream, so that calls can be chained; `bytes()` of it adds the two zero blocks of
    the end.
    """

    data: bytearray = field(default_factory=bytearray)
    end: bytes = END

    def raw(self, data: bytes) -> Tar:
        """Add bytes as they are."""
        self.data += data
        return self

    def add(self, header: Header, content: bytes = b"") -> Tar:
        """Add a header and its padded content."""
        return self.raw(header.block() + padded(content))

    def file(self, name: str | bytes, content: bytes = b"x", mode: int = 0o644) -> Tar:
        """Add a regular file under any name of at most 100 bytes."""
        return self.add(
            Header(name.encode() if isinstance(name, str) else name, len(content), mode=mode), content
        )

    def directory(self, name: str | bytes, mode: int = 0o755) -> Tar:
        """Add a directory under any name of at most 100 bytes."""
        return self.add(Header(name.encode() if isinstance(name, str) else name, kind=DIRECTORY, mode=mode))

    def __bytes__(self) -> bytes:
        return bytes(self.data) + self.end
