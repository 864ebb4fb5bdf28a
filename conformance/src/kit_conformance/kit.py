"""The Kit that a run of the suite is given: a binary of that version, and what it says of itself."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from kit_conformance.selection import OptionError

if TYPE_CHECKING:
    from kit_conformance.selection import Options


def given(options: Options) -> str:
    """Return the path of the Kit that was asked for, "" if none was. Raises OptionError."""
    if not options.text("--kit"):
        return ""
    from kit_conformance.testbed import kitcli  # noqa: PLC0415  (only where a Kit is asked for)

    try:
        return str(kitcli.find(options.text("--kit"), mirror=options.text("--kit-mirror")))
    except kitcli.KitNotFoundError as error:
        raise OptionError(str(error)) from error


def identity(path: str) -> dict[str, str]:
    """Return the version, the path and the digest of a Kit."""
    from kit_conformance.testbed import kitcli  # noqa: PLC0415

    with open(path, "rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    with tempfile.TemporaryDirectory() as home:
        try:
            version = kitcli.KitCLI(path, Path(home)).version
        except (kitcli.KitError, kitcli.KitNotFoundError):
            version = "unknown"
    return {"version": version, "path": path, "digest": digest}
