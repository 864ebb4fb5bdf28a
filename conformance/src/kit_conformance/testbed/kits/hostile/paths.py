"""Names that lead out of the destination, cannot exist, or only look as if."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kit_conformance.testbed.kits.hostile.base import ESCAPE, GOOD, OUTSIDE, fine, good, unsafe
from kit_conformance.testbed.kits.pack import assemble, layer
from kit_conformance.testbed.kits.tars import FILE, PAX, Header, Tar, extended, long_name, padded, pax_records

if TYPE_CHECKING:
    from kit_conformance.testbed.kits.values import ModelKit

_CONTENT: Final = b"x"


def _named(name: str) -> Tar:
    return good().file(name, _CONTENT)


def _by_pax(path: str | bytes) -> Tar:
    return good().raw(extended({"path": path})).file("harmless", _CONTENT)


def _two_paths() -> bytes:
    body = pax_records({"path": "ok"}) + pax_records({"path": f"../{ESCAPE}"})
    return Header(b"PaxHeaders.0/x", len(body), PAX, mode=0, uid=0).block() + padded(body)


def _by_gnu(path: bytes) -> Tar:
    return good().raw(long_name(path)).file("harmless", _CONTENT)


def _prefixed(prefix: bytes, name: bytes) -> Tar:
    return good().add(Header(name, 1, prefix=prefix), _CONTENT)


def _old_layout(path: str) -> ModelKit:
    blob = layer(bytes(Tar().file(ESCAPE, _CONTENT)))
    return assemble(
        {"manifestVersion": "1.0.0", "package": {}, "model": {"path": path}}, [blob], as_kit="0.4.0"
    )


def _raw(path: str) -> ModelKit:
    blob = layer(_CONTENT, suffix="raw", **{"org.cncf.model.filepath": path})
    model = {"path": path, "digest": blob.digest, "diffId": blob.diff_id}
    return assemble({"manifestVersion": "1.0.0", "package": {}, "model": model}, [blob], as_kit="1.17.0")


_DEEP = "d/" * 1500 + "f"
_LONG = "n" * 256

PATHS = (
    unsafe("path-parent", "a file above the destination", lambda: _named(f"../{ESCAPE}")),
    unsafe("path-parent-nested", "out by way of a folder", lambda: _named(f"a/../../{ESCAPE}")),
    unsafe("path-dot-parent", "out behind a harmless dot", lambda: _named(f"./../{ESCAPE}")),
    unsafe("path-parent-far", "out to the root, however deep", lambda: _named("../" * 20 + f"tmp/{ESCAPE}")),
    unsafe(
        "path-parent-inside",
        "up and down again within the kit: no packer writes it",
        lambda: _named("a/../b"),
    ),
    unsafe("path-parent-folder", "a folder above the destination", lambda: good().directory(f"../{ESCAPE}")),
    unsafe(
        "path-parent-last",
        "a folder that is its own parent",
        lambda: good().directory("a/.."),
        brings={"good.txt": GOOD},
    ),
    unsafe("path-absolute", "a file at an absolute path", lambda: _named(OUTSIDE)),
    unsafe("path-absolute-slashes", "an absolute path that begins twice", lambda: _named(f"/{OUTSIDE}")),
    unsafe("path-absolute-folder", "a folder at an absolute path", lambda: good().directory(OUTSIDE)),
    unsafe("path-prefix-parent", "out by the other name field", lambda: _prefixed(b"..", ESCAPE.encode())),
    unsafe(
        "path-prefix-absolute",
        "absolute by the other name field",
        lambda: _prefixed(b"/tmp", ESCAPE.encode()),
    ),
    unsafe("path-pax-parent", "out by a PAX record over a harmless name", lambda: _by_pax(f"../{ESCAPE}")),
    unsafe("path-pax-absolute", "absolute by a PAX record", lambda: _by_pax(OUTSIDE)),
    unsafe("path-pax-nul", "a NUL within a path, where C ends it", lambda: _by_pax(f"ok\x00/../../{ESCAPE}")),
    unsafe(
        "path-pax-twice",
        "two paths in one PAX header, of which the last counts",
        lambda: good().raw(_two_paths()).file("harmless", _CONTENT),
    ),
    unsafe("path-gnu-parent", "out by a GNU long name", lambda: _by_gnu(f"../{ESCAPE}".encode())),
    unsafe("path-gnu-absolute", "absolute by a GNU long name", lambda: _by_gnu(OUTSIDE.encode())),
    unsafe("path-empty", "a file without a name", lambda: good().file("", _CONTENT)),
    unsafe("path-dot-file", "a file that is the destination itself", lambda: good().file(".", _CONTENT)),
    unsafe(
        "path-slash-file",
        "a regular file whose name ends in a slash, which some take for a folder",
        lambda: good().file("folder/", _CONTENT),
        brings={"good.txt": GOOD},
    ),
    unsafe("path-name-too-long", "a name of 256 bytes", lambda: _by_pax(_LONG)),
    unsafe("path-too-long", "a path of more than 4,096 bytes", lambda: _by_pax("/".join(["n" * 250] * 20))),
    unsafe(
        "path-too-deep",
        "1,500 folders in one another",
        lambda: _by_pax(_DEEP),
        brings={"good.txt": GOOD, _DEEP: b"x"},
    ),
    unsafe(
        "path-not-utf8",
        "a name that is no text in any locale of ours",
        lambda: good().file(b"\xff\xfe\xfd", _CONTENT),
        brings={"good.txt": GOOD},
    ),
    unsafe(
        "path-old-layout",
        "out by the Kitfile's path, to which older layouts are relative",
        lambda: _old_layout("../x/m"),
    ),
    unsafe("path-old-layout-absolute", "absolute by the Kitfile's path", lambda: _old_layout(OUTSIDE + "/m")),
    unsafe("path-raw-parent", "a raw layer whose path leads out", lambda: _raw(f"../{ESCAPE}")),
    unsafe("path-raw-absolute", "a raw layer whose path is absolute", lambda: _raw(OUTSIDE)),
    fine(
        "odd-two-dots",
        "two dots within a name are no parent",
        lambda: _named("m..v1.bin"),
        {"good.txt": GOOD, "m..v1.bin": b"x"},
    ),
    fine("odd-three-dots", "a name of three dots", lambda: _named("..."), {"good.txt": GOOD, "...": b"x"}),
    fine(
        "windows-file",
        "a file of Windows in a folder",
        lambda: _named("folder\\deep\\m.bin"),
        {"good.txt": GOOD, "folder/deep/m.bin": b"x"},
    ),
    fine(
        "windows-folders",
        "folders of Windows, with entries for them",
        lambda: good().directory("folder\\deep").file("folder\\deep\\m.bin", _CONTENT),
        {"good.txt": GOOD, "folder/deep/m.bin": b"x"},
    ),
    unsafe(
        "path-backslash-parent",
        "a file above the destination, as Windows writes it",
        lambda: _named(f"..\\{ESCAPE}"),
        brings={"good.txt": GOOD, f"..\\{ESCAPE}": b"x"},
    ),
    unsafe(
        "path-backslash-drive",
        "a file on a drive of Windows",
        lambda: _named(f"C:\\{ESCAPE}"),
        brings={"good.txt": GOOD, f"C:\\{ESCAPE}": b"x"},
    ),
    fine(
        "odd-space",
        "blanks and quotes are letters",
        lambda: _named(" a 'b\" "),
        {"good.txt": GOOD, " a 'b\" ": b"x"},
    ),
    fine("odd-newline", "a line break in a name", lambda: _named("a\nb"), {"good.txt": GOOD, "a\nb": b"x"}),
    fine(
        "odd-dash",
        "a name that looks like an option",
        lambda: _named("--help"),
        {"good.txt": GOOD, "--help": b"x"},
    ),
    fine("odd-dot-slash", "names that begin with ./", lambda: _named("./a"), {"good.txt": GOOD, "a": b"x"}),
    fine(
        "odd-non-ascii",
        "a name beyond ASCII, by PAX",
        lambda: _by_pax("modèle/ß.bin"),
        {"good.txt": GOOD, "modèle/ß.bin": b"x"},
    ),
    fine(
        "odd-long",
        "a path of 240 bytes in two fields",
        lambda: _prefixed(b"p" * 150, b"n" * 90),
        {"good.txt": GOOD, "p" * 150 + "/" + "n" * 90: b"x"},
    ),
    fine("odd-gnu-long", "a GNU long name", lambda: _by_gnu(b"l" * 180), {"good.txt": GOOD, "l" * 180: b"x"}),
    fine(
        "odd-no-folders",
        "a file whose folders have no entries",
        lambda: _named("p/q/m"),
        {"good.txt": GOOD, "p/q/m": b"x"},
    ),
    fine(
        "odd-case",
        "two names that differ in case",
        lambda: _named("Good.txt"),
        {"good.txt": GOOD, "Good.txt": b"x"},
    ),
    fine(
        "odd-folder-slash",
        "folders with a slash at the end, as GNU tar and tarfile write them",
        lambda: good().directory("d/").file("d/f", _CONTENT),
        {"good.txt": GOOD, "d/f": b"x"},
    ),
    fine(
        "odd-v7",
        "the type NUL and no magic, as before POSIX",
        lambda: good().add(Header(b"old", 1, kind=b"\x00", magic=b""), _CONTENT),
        {"good.txt": GOOD, "old": b"x"},
    ),
    fine(
        "odd-pax-times",
        "PAX records that are of no account here",
        lambda: (
            good()
            .raw(extended({"mtime": "1.5", "atime": "2.5", "SCHILY.xattr.user.a": "b"}))
            .add(Header(b"a", 1, FILE), b"x")
        ),
        {"good.txt": GOOD, "a": b"x"},
    ),
)
