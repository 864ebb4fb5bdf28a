"""`kit-initializer check`: what a run would bring, by whom it would be let in, and whether it fits; no layer comes."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

from kit_initializer.deadline import Deadline
from kit_initializer.pull.pull import Pair
from kit_initializer.pull.resolve import contents, resolve
from kit_initializer.pull.run import connect, signed_by
from kit_initializer.sizes import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit_initializer.reference import Reference
    from kit_initializer.report import Reporter
    from kit_initializer.settings import Settings


class Found(NamedTuple):
    """One kit as the registry has it. `bytes` come over the network; `login` is where the login is from, if any.

    `parts` are the files and folders that its layers hold, as its Kitfile names them. `free` are bytes of the volume
    at `folder`.
    """

    uri: str
    digest: str
    layers: int
    bytes: int
    parts: tuple[str, ...]
    login: str
    signature: str
    folder: str
    free: int

    def lines(self) -> list[str]:
        """Return what is to be read by people."""
        fits = "fits" if self.bytes <= self.free else "does NOT fit"
        rows = [
            ("digest", self.digest),
            ("size", f"{size(self.bytes)} in {self.layers} layers, as they are in the registry"),
            ("brings", ", ".join(self.parts) or "its Kitfile alone"),
            ("login", self.login or "none was asked for"),
            ("signature", self.signature or "no policy is set"),
            ("room", f"{size(self.free)} free at {self.folder}: it {fits}"),
        ]
        return [self.uri, *(f"  {name:<10} {value}" for name, value in rows)]

    def json(self) -> str:
        """Return the same as one line of JSON."""
        return json.dumps({**self._asdict(), "fits": self.bytes <= self.free}, ensure_ascii=False)


def check(
    references: Sequence[Reference], folder: str, settings: Settings, reporter: Reporter
) -> list[Found]:
    """Look at kits as a run would that brings them into `folder`. Raises what that run would, but for the layers."""
    registry = connect(settings, Deadline(settings.total_timeout), reporter)
    try:
        pairs = [Pair(reference, folder) for reference in references]
        signed = signed_by(pairs, registry, settings)
        found = []
        for pair in pairs:
            reporter.info(f"resolving {pair.reference}")
            resolved = resolve(registry, pair.reference)
            what, signature = (
                (contents(registry, resolved, settings), "") if signed is None else signed.look(resolved)
            )
            login = resolved.repository.login
            found.append(
                Found(
                    uri=str(pair.reference),
                    digest=resolved.digest,
                    layers=len(what.parts),
                    bytes=sum(part.layer.size for part in what.parts),
                    parts=tuple(dict.fromkeys(part.layer.part for part in what.parts)),
                    login=login.source if login is not None else "",
                    signature=signature,
                    folder=folder,
                    free=_free(folder),
                )
            )
        return found
    finally:
        registry.transport.close()


def _free(folder: str) -> int:
    """Return the free bytes of the volume that a folder is on, or will be."""
    place = os.path.abspath(folder)
    while not os.path.exists(place):
        place = os.path.dirname(place)
    volume = os.statvfs(place)
    return volume.f_bavail * volume.f_frsize
