"""The Kit that a run of the suite is given: a binary of that version, and what it says of itself."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from kit_conformance.selection import OptionError

if TYPE_CHECKING:
    from kit_conformance.selection import Options


def given(options: Options) -> str:
    """Return the path of the Kit that was asked for, "" if none was. Its file is called kit. Raises OptionError."""
    if not options.text("--kit"):
        return ""
    from kit_conformance.testbed import kitcli  # noqa: PLC0415  (only where a Kit is asked for)

    try:
        return named(str(kitcli.find(options.text("--kit"), mirror=options.text("--kit-mirror"))))
    except kitcli.KitNotFoundError as error:
        raise OptionError(str(error)) from error


def named(path: str) -> str:
    """Return a path of the same binary whose file is called kit: subjects look for that name on their PATH.

    A link is made where the file has another name, and removed when this process ends.
    """
    if os.path.basename(path) == "kit":
        return path
    folder = tempfile.mkdtemp(prefix="kc-kit-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.chmod(folder, 0o755)  # noqa: S103  (cases run subjects as another user)
    link = os.path.join(folder, "kit")
    os.symlink(os.path.abspath(path), link)
    return link


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
    return {"version": version, "path": os.path.realpath(path), "digest": digest}


def released(version: str) -> bool:
    """Say whether a Kit is one of a release: a build from source says "unknown" unless it is told a version."""
    return version[:1].isdigit()
