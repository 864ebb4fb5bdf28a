"""What a hostile kit is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from kit_conformance.testbed.kits.pack import single
from kit_conformance.testbed.kits.tars import Tar
from kit_conformance.testbed.kits.values import FileFact, ModelKit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ESCAPE: Final = (
    "kit-hostile-escape"  # the name of each file that must not come to be outside of the destination
)
OUTSIDE: Final = f"/tmp/{ESCAPE}"  # noqa: S108  (what attacks name, not a file of ours)
GOOD: Final = b"a good file, before the bad one"


@dataclass(frozen=True)
class Hostile:
    """A kit whose digests are all right and whose content is not, or only looks as if.

    `expect` "unsafe": it must be refused, nothing of it published, and nothing called ESCAPE may exist
    anywhere; `tolerable` says that one may also bring it where no harm comes of it (Kit does, for one), then
    with `files` among what is brought. `expect` "ok": exactly `files` must be brought; of modes nothing is
    said.
    """

    name: str
    why: str
    expect: Literal["unsafe", "ok"]
    build: Callable[[], ModelKit]
    tolerable: bool = False
    files: Mapping[str, bytes] | None = None

    def kit(self) -> ModelKit:
        """Build the kit; the same bytes each time."""
        kit = self.build()
        return replace(kit, files={name: fact(data) for name, data in (self.files or {}).items()})

    def __str__(self) -> str:
        return self.name


def fact(data: bytes, mode: int = 0o644) -> FileFact:
    """Return what a file of such content must be."""
    return FileFact(len(data), hashlib.sha256(data).hexdigest(), mode)


def good() -> Tar:
    """Return a tar that begins with a good file: it must not be left behind when the rest is refused."""
    return Tar().file("good.txt", GOOD)


def unsafe(
    name: str,
    why: str,
    tar: Callable[[], Tar | bytes | ModelKit],
    *,
    brings: Mapping[str, bytes] | None = None,
    suffix: str = "tar",
) -> Hostile:
    """Return a kit to be refused; with `brings`, one that may also be brought as that."""
    return Hostile(name, why, "unsafe", lambda: _kit(tar(), suffix), brings is not None, brings)


def fine(
    name: str,
    why: str,
    tar: Callable[[], Tar | bytes | ModelKit],
    files: Mapping[str, bytes],
    *,
    suffix: str = "tar",
) -> Hostile:
    """Return a kit that looks odd and must be brought all the same."""
    return Hostile(name, why, "ok", lambda: _kit(tar(), suffix), files=files)


def _kit(made: Tar | bytes | ModelKit, suffix: str) -> ModelKit:
    if isinstance(made, ModelKit):
        return made
    return single(bytes(made), ".", suffix=suffix)
