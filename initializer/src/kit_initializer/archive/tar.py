"""A reader for what Kit writes: USTAR, with PAX records where a name or a size needs them (POSIX.1-2001, pax).

Plain files and directories are understood; links, devices, sparse files, global PAX headers and whatever else a
tar can hold are refused by name, not skipped: a kit that needs them could not be served as it was packed.
GNU long names are read, because ModelPack tools other than Kit write them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_initializer.errors import UnsafeContentError
from kit_initializer.secret import printable

if TYPE_CHECKING:
    from kit_initializer.archive.limits import Limits
    from kit_initializer.archive.stream import Stream
    from kit_initializer.archive.tree import Writer

BLOCK = 512
_ZEROS = bytes(BLOCK)
_REGULAR = (0x30, 0)  # "0", and NUL in archives older than POSIX
_FOLDER = 0x35  # "5"
_PAX = 0x78  # "x": of the next entry
_LONG_NAME = 0x4C  # "L", GNU: of the next entry
_REFUSED = {
    0x31: "a hard link",
    0x32: "a symbolic link",
    0x33: "a character device",
    0x34: "a block device",
    0x36: "a FIFO",
    0x37: "a contiguous file",
    0x53: "a sparse file",
    0x67: "a global PAX header",
}
_LARGEST = 1 << 60


def read(stream: Stream, writer: Writer, limits: Limits) -> None:
    """Write the archive's files and directories, to its end. UnsafeContentError for anything malformed or refused."""
    name: str | None = None  # what an extension header says of the entry behind it
    size: int | None = None
    while (header := stream.take(BLOCK)) != _ZEROS:
        _check(header, stream.what)
        kind = header[156]
        if kind == _PAX:
            records = _pax(_extension(stream, header, limits), stream.what)
            name = records.get("path", name)
            size = _pax_size(records["size"], stream.what) if "size" in records else size
        elif kind == _LONG_NAME:
            name = _text(_extension(stream, header, limits).rstrip(b"\0"), stream.what)
        else:
            _entry(
                stream,
                writer,
                header,
                _name(header, stream.what) if name is None else name,
                _number(header, 124, 136, "size", stream.what) if size is None else size,
            )
            name = size = None
    if name is not None or size is not None:
        raise UnsafeContentError(f"{stream.what} ends after a header that announces an entry")
    _end(stream)


def _entry(stream: Stream, writer: Writer, header: bytes, name: str, size: int) -> None:
    kind = header[156]
    if kind in _REGULAR:
        executable = bool(_number(header, 100, 108, "mode", stream.what) & 0o111)
        writer.file(name, stream.parts(size), executable=executable)
        stream.skip(-size % BLOCK)
    elif kind != _FOLDER:
        described = _REFUSED.get(kind, f"an entry of type {chr(kind)!r}")
        raise UnsafeContentError(
            f"{stream.what} holds {described}: {printable(name, 200)!r}",
            hint="pack plain files and folders only",
        )
    elif size:
        raise UnsafeContentError(f"{stream.what} holds a folder with content: {printable(name, 200)!r}")
    else:
        writer.folder(name)


def _end(stream: Stream) -> None:
    """Read the second block of zeros and whatever padding follows; anything else there is no archive's."""
    if stream.take(BLOCK) != _ZEROS:
        raise UnsafeContentError(f"{stream.what} has one block of zeros where an archive's end has two")
    for part in stream.rest():
        if part.nbytes and bytes(part).strip(b"\0"):
            raise UnsafeContentError(f"{stream.what} holds bytes behind the archive's end")


def _check(header: bytes, what: str) -> None:
    stored = _number(header, 148, 156, "checksum", what)
    # the checksum is the sum of all bytes, its own eight counted as blanks
    if stored != sum(header) - sum(header[148:156]) + 8 * 0x20:
        raise UnsafeContentError(f"{what} is not a valid tar: a header's checksum is wrong")


def _number(header: bytes, start: int, end: int, field: str, what: str) -> int:
    """Return a numeric field: octal, or GNU's base-256 where the first bit is set."""
    raw = header[start:end]
    if raw[0] & 0x80:
        value = int.from_bytes(raw, "big", signed=False) & ((1 << (8 * len(raw) - 1)) - 1)
        if raw[0] == 0xFF or value > _LARGEST:
            raise UnsafeContentError(f"{what} is not a valid tar: a {field} is negative or beyond any volume")
        return value
    digits = raw.strip(b" \0")
    if digits.strip(b"01234567"):
        raise UnsafeContentError(f"{what} is not a valid tar: a {field} is not octal")
    return int(digits, 8) if digits else 0


def _name(header: bytes, what: str) -> str:
    name = header[:100].split(b"\0", 1)[0]
    if header[257:263] == b"ustar\0":
        prefix = header[345:500].split(b"\0", 1)[0]
        if prefix:
            name = prefix + b"/" + name
    return _text(name, what)


def _text(name: bytes, what: str) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise UnsafeContentError(
            f"{what} holds a name that is not UTF-8: {printable(name.decode(errors='replace'), 200)!r}"
        ) from error


def _extension(stream: Stream, header: bytes, limits: Limits) -> bytes:
    size = _number(header, 124, 136, "size", stream.what)
    if size > limits.header_bytes:
        raise UnsafeContentError(
            f"{stream.what} holds a header of {size} bytes where {limits.header_bytes} are allowed"
        )
    body = stream.take(size)
    stream.skip(-size % BLOCK)
    return body


def _pax(body: bytes, what: str) -> dict[str, str]:
    """Return the records (length, keyword, "=", value, newline) of a PAX header that matter here: path and size.

    Times, owners and extended attributes are read past: nothing of them is kept. What changes the meaning of an
    entry's content (sparse maps) is refused.
    """
    records: dict[str, str] = {}
    at = 0
    while at < len(body):
        blank = body.find(b" ", at, at + 20)
        digits = body[at:blank] if blank > at else b""
        if not digits.isdigit():
            raise UnsafeContentError(f"{what} is not a valid tar: a PAX record has no length")
        end = at + int(digits)
        record = body[blank + 1 : end]
        keyword, equals, value = record[:-1].partition(b"=")
        if end > len(body) or not equals or record[-1:] != b"\n":
            raise UnsafeContentError(f"{what} is not a valid tar: a PAX record does not end where it says")
        if keyword.startswith(b"GNU.sparse"):
            raise UnsafeContentError(f"{what} holds a sparse file", hint="pack plain files and folders only")
        if keyword in (b"path", b"size"):
            records[keyword.decode()] = _text(value, what)
        at = end
    return records


def _pax_size(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or int(text) > _LARGEST:
        raise UnsafeContentError(f"{what} is not a valid tar: a PAX size is {printable(text, 40)!r}")
    return int(text)
