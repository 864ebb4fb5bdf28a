"""Kits that are hostile, broken or only odd; what each is stands in `kit_conformance.testbed.kits.hostile`."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.result import Finding
from kit_conformance.testbed.kits import hostile, single
from kit_conformance.testbed.kits.hostile.base import GOOD, fact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kit_conformance.lab import Lab
    from kit_conformance.result import Result

_MEMORY: Final = 512 * kits.MIB  # far above what a stream needs, far below what a bomb would like
_LINES: Final = 4

_GOOD: Final = {"good.txt": fact(GOOD)}

# Which case tries which kits: by the beginnings of their names, or whole names. A kit belongs to the first.
FAMILIES: Final = {
    "kitfile-paths": ("path-old-layout", "path-raw"),
    "extended-paths": ("path-pax", "path-gnu"),
    "parent-paths": ("path-parent", "path-dot-parent", "path-prefix-parent"),
    "absolute-paths": ("path-absolute", "path-prefix-absolute"),
    "bad-names": ("path-",),
    "links": ("link-",),
    "kinds": ("kind-",),
    "clashes": ("clash-",),
    "broken-tars": ("tar-",),
    "broken-pax": ("pax-",),
    "broken-compression": ("gzip-", "zstd-"),
    "bombs": ("bomb-",),
    "config-bombs": ("config-",),
    "windows-names": ("windows-",),
    "odd-names": (
        *("odd-two-dots", "odd-three-dots", "odd-space", "odd-newline", "odd-dash"),
        *("odd-dot-slash", "odd-non-ascii", "odd-long", "odd-gnu-long", "odd-case"),
    ),
    "odd-modes": ("odd-mode",),
    "odd-archives": ("odd-",),
}


def family(name: str) -> str:
    """Return the family of a hostile kit."""
    return next(each for each, starts in FAMILIES.items() if name.startswith(starts))


def _of(name: str) -> list[hostile.Hostile]:
    return [each for each in hostile.ALL if family(each.name) == name]


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Let no other process of the suite look for escaped files meanwhile: some of their paths are absolute."""
    path = Path(tempfile.gettempdir()) / f"kit-conformance-{os.getuid()}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _escaped(lab: Lab) -> list[str]:
    """Return what came to be outside of every destination, and remove it."""
    places = [Path(hostile.OUTSIDE), Path("/", hostile.ESCAPE), *lab.folder.parent.glob(hostile.ESCAPE)]
    places += [path for path in lab.folder.rglob(hostile.ESCAPE) if "volume-" not in path.as_posix()]
    found = [path for path in dict.fromkeys(places) if os.path.lexists(path)]
    for path in found:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return [str(path) for path in found]


def _refuses(lab: Lab, name: str) -> None:
    """Show that every kit of a family is refused, or harmless where that is tolerable."""
    lab.works(lab.place(single(kits.harmless(), "."), "harmless"))
    lines = []
    with _alone():
        for each in _of(name):
            kit = each.kit()
            result = lab.run(lab.place(kit, each.name), memory=_MEMORY)
            escaped = _escaped(lab)
            problem = f"it wrote {', '.join(escaped)}" if escaped else _problem(each, result)
            if problem:
                lines.append(f"{each.name} ({each.why}): {problem}")
    if lines:
        raise Finding(f"{len(lines)} of {len(_of(name))} kits are not refused as they should be", lines)


def _problem(each: hostile.Hostile, result: Result) -> str:
    """Return what is wrong with a run over a hostile kit, "" for nothing.

    A good file that came before the bad one may be left; that is judged by a case of its own.
    """
    try:
        result.ended()
        if result.outcome.peak > _MEMORY:
            return f"it held {result.outcome.peak // kits.MIB} MiB in memory"
        if result.outcome.code == 0 and each.tolerable:
            brought = {path: node.sha256 for path, node in result.tree.items()}
            lost = [path for path, fact in each.kit().files.items() if brought.get(path) != fact.sha256]
            return f"it succeeded without {', '.join(lost)}" if lost else ""
        result.failed()
        result.brought_nothing(also=_GOOD if "good.txt" in result.tree else {})
    except Finding as finding:
        return "; ".join([finding.what, *finding.differences[:_LINES]])
    return ""


def _brings(lab: Lab, name: str) -> None:
    """Show that every kit of a family is brought, odd as it is."""
    lines = []
    for each in _of(name):
        if "zstd" in each.name and "zstd" not in lab.subject.config.features:
            continue
        kit = each.kit()
        result = lab.run(lab.place(kit, each.name))
        try:
            result.succeeded().holds(kit, modes=False)
        except Finding as finding:
            lines.append(
                f"{each.name} ({each.why}): {'; '.join([finding.what, *finding.differences[:_LINES]])}"
            )
    if lines:
        raise Finding(f"{len(lines)} of {len(_of(name))} kits are not brought as they should be", lines)


@case("modelkit.parent-paths", level=MUST, since="0.1", ref=refs.TAR_TRAVERSAL, any_registry=True)
def test_parent_paths(lab: Lab) -> None:
    """Paths with `..` in a layer are refused, wherever they lead.

    A kit could otherwise write over anything that the initializer may write.
    """
    _refuses(lab, "parent-paths")


@case("modelkit.absolute-paths", level=MUST, since="0.1", ref=refs.TAR_TRAVERSAL, any_registry=True)
def test_absolute_paths(lab: Lab) -> None:
    """Absolute paths in a layer are refused.

    A kit says what it is made of, never where on a node it goes.
    """
    _refuses(lab, "absolute-paths")


@case("modelkit.extended-paths", level=MUST, since="0.1", ref=refs.TAR_TRAVERSAL, any_registry=True)
def test_extended_paths(lab: Lab) -> None:
    """Paths that lead out by an extended header are refused like any other.

    PAX records and GNU long names take the place of a name that looks harmless.
    """
    _refuses(lab, "extended-paths")


@case("modelkit.kitfile-paths", level=MUST, since="0.1", ref=refs.TAR_TRAVERSAL, any_registry=True)
def test_kitfile_paths(lab: Lab) -> None:
    """Paths that lead out by the Kitfile, or by a layer's annotation, are refused.

    In old layouts and raw layers the archive's own names do not decide alone.
    """
    _refuses(lab, "kitfile-paths")


@case("modelkit.bad-names", level=MUST, since="0.1", ref=refs.TAR_CVES, any_registry=True)
def test_bad_names(lab: Lab) -> None:
    """Names that no file can have are refused, and leave nothing behind.

    What one tool shortens, another one takes for a folder: then two of them see two different kits.
    """
    _refuses(lab, "bad-names")


@case("modelkit.links", level=MUST, since="0.1", ref=refs.TAR_LINKS, any_registry=True)
def test_links(lab: Lab) -> None:
    """Links of every kind are refused.

    Kit packs none. A link to the outside makes the server read, or the next layer write, what is not the
    kit's; the published holes of tar readers are nearly all of this kind.
    """
    _refuses(lab, "links")


@case("modelkit.kinds", level=MUST, since="0.1", ref=refs.TAR_CVES, any_registry=True)
def test_kinds(lab: Lab) -> None:
    """Devices, FIFOs, sparse files and every other kind of entry are refused.

    Kit packs files and folders. A program that opens a FIFO hangs, and a device is the node's.
    """
    _refuses(lab, "kinds")


@case("modelkit.clashes", level=MUST, since="0.1", ref=refs.KIT_UNPACK, any_registry=True)
def test_clashes(lab: Lab) -> None:
    """The same path twice, with different contents, is refused.

    Which of the two is scanned and which is served would be up to the tool.
    """
    _refuses(lab, "clashes")


@case("modelkit.broken-tars", level=MUST, since="0.1", ref=refs.TAR_CVES, any_registry=True)
def test_broken_tars(lab: Lab) -> None:
    """Archives that are cut off, or lie about their sizes, are refused.

    Half a file has its name and its folder; only its end is missing.
    """
    _refuses(lab, "broken-tars")


@case("modelkit.broken-pax", level=MUST, since="0.1", ref=refs.TAR_CVES, any_registry=True)
def test_broken_pax(lab: Lab) -> None:
    """Extended headers that are malformed are refused.

    They are read before anything of the entry is known, and readers differ in what they make of them.
    """
    _refuses(lab, "broken-pax")


@case("modelkit.broken-compression", level=MUST, since="0.1", ref=refs.TAR_CVES, any_registry=True)
def test_broken_compression(lab: Lab) -> None:
    """Layers that are not compressed as they say, or break off, are refused.

    What decompresses in part is a part of a model.
    """
    _refuses(lab, "broken-compression")


@case("modelkit.bombs", level=MUST, since="0.1", ref=refs.TAR_BOMB, any_registry=True)
def test_bombs(lab: Lab) -> None:
    """A few kilobytes that become gigabytes are refused, or brought without needing the memory for them.

    A container that is killed for its memory tells nobody why, and a node without memory takes others along.
    """
    _refuses(lab, "bombs")


@case("modelkit.config-bombs", level=MUST, since="0.1", ref=refs.CWE_ALLOCATION, any_registry=True)
def test_config_bombs(lab: Lab) -> None:
    """A config of a few megabytes is refused, or read without needing hundreds of megabytes for it.

    A registry takes any config. Each of its values costs many times its bytes when it is read, and an indented line
    when it is written into the Kitfile.
    """
    _refuses(lab, "config-bombs")


@case(
    "modelkit.refused-leaves-nothing", level=MUST, since="0.1", ref=refs.KSERVE_LOCALMODEL, any_registry=True
)
def test_refused_leaves_nothing(lab: Lab) -> None:
    """Of a kit that is refused nothing is left, not even what came before the bad entry.

    The file before it is perfect, and is not the kit.
    """
    lab.works(lab.place(single(kits.harmless(), "."), "harmless"))
    bad = hostile.BY_NAME["path-parent"].kit()
    with _alone():
        result = lab.run(lab.place(bad, "bad"))
        _escaped(lab)
    result.failed("it holds a path that leads out").brought_nothing()


@case("modelkit.odd-names", level=MUST, since="0.1", ref=refs.KIT_PACK, any_registry=True)
def test_odd_names(lab: Lab) -> None:
    """Names that only look dangerous are brought.

    Two dots within a name are no parent, a blank ends nothing; users have such files.
    """
    _brings(lab, "odd-names")


@case("modelkit.windows-names", level=SHOULD, since="0.1", ref=refs.KIT_FORMAT, any_registry=True)
def test_windows_names(lab: Lab) -> None:
    """Names with the backslashes of Windows become folders, or the kit is refused.

    Kit before 0.2.4 packed them on Windows. Taken literally, all files come to lie in one folder, and the server
    finds no model where the kit says that it has one.
    """
    lines = []
    for each in _of("windows-names"):
        kit = each.kit()
        result = lab.run(lab.place(kit, each.name))
        try:
            result.ended()
            if result.outcome.code == 0:
                result.holds(kit, modes=False)
            else:
                result.failed()
                result.brought_nothing(also=_GOOD if "good.txt" in result.tree else {})
        except Finding as finding:
            lines.append(f"{each.name} ({each.why}): {finding.what}")
            lines += finding.differences[:_LINES]
    if lines:
        raise Finding("names of Windows are neither folders nor refused", lines)


@case("modelkit.odd-modes", level=MUST, since="0.1", ref=refs.KIT_PACK, any_registry=True)
def test_odd_modes(lab: Lab) -> None:
    """Files and folders with modes that stand in the way are brought.

    Modes are whatever they were on somebody's laptop.
    """
    _brings(lab, "odd-modes")


@case("modelkit.odd-archives", level=MUST, since="0.1", ref=refs.KIT_FORMAT, any_registry=True)
def test_odd_archives(lab: Lab) -> None:
    """Archives as other tools write them are brought.

    ModelKits are packed by more tools than Kit: with Python's tarfile, GNU tar, with padding and other headers.
    """
    _brings(lab, "odd-archives")
