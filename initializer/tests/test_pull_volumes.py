"""Volumes that are full or read-only, mounted for one run in a namespace of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from initializer.tests.destinations import KITFILE
from kit_conformance.testbed.kits import Noise, pack

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command
    from kit_conformance.testbed.registry import Registry

pytestmark = pytest.mark.interop("mount")

OLDER = pack({"model/older": b"older"}, KITFILE)

# $1: options of the mount, $2: the folder, $3: the older kit, $4: the kit, $5: Python. The tree is listed at the end.
SCRIPT = """
set -e
mount -t tmpfs -o size=2m none "$2"
"$5" -m kit_initializer "$3" "$2/d"
mount -o "remount,$1" "$2"
code=0
"$5" -m kit_initializer "$4" "$2/d" || code=$?
cd "$2/d"
echo "$code"
find . -type f | sort
"""


def run(command: Command, options: str, folder: Path, uris: list[str]) -> tuple[int, list[str], str]:
    """Bring two kits one after the other into a tmpfs of 2 MB; return code, files, and the last line of the log."""
    folder.mkdir()
    arguments = ["sh", "-c", SCRIPT, "sh", options, str(folder), *uris, sys.executable]
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", *arguments],
        env=command.environ({}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    code, *files = done.stdout.splitlines()
    assert "Traceback" not in done.stderr
    return int(code), files, done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "size", "compression", "words"),
    [
        ("size=1m", 3_000_000, "", " free, the kit needs 3.0 MB"),
        ("size=1m", 3_000_000, "gzip", "No space left on device; give the volume more room"),
        ("nr_inodes=12", 1000, "", "No space left on device"),
        ("ro", 1000, "", "Read-only file system; mount the volume for writing"),
    ],
    ids=["larger than the volume", "larger when unpacked", "more files than the volume has", "read-only"],
)
def test_a_volume_that_takes_no_more(
    *,
    options: str,
    size: int,
    compression: str,
    words: str,
    registry: Registry,
    initialize: Command,
    tmp_path: Path,
) -> None:
    body = bytes(size) if compression else Noise(size)
    kit = pack(
        {"model/weights.bin": body, **{f"model/{number}": b"" for number in range(20)}},
        KITFILE,
        compression=compression,
    )
    uris = [registry.add(OLDER, "older", "v1"), registry.add(kit, "k", "v1")]
    code, files, last = run(initialize, options, tmp_path / "mnt", uris)
    assert code == 10, last
    assert last.startswith(f"destination: {tmp_path}/mnt/d")
    assert words in last
    assert last == initialize.message.read_text(encoding="utf-8")
    assert files == ["./.kit-initializer.json", "./Kitfile", "./model/older"]


def test_a_volume_that_has_just_enough_room(registry: Registry, initialize: Command, tmp_path: Path) -> None:
    kit = pack({"model/weights.bin": Noise(900_000)}, KITFILE)
    uris = [registry.add(OLDER, "older", "v1"), registry.add(kit, "k", "v1")]
    code, files, last = run(initialize, "size=1m", tmp_path / "mnt", uris)
    assert code == 0, last
    assert files == ["./.kit-initializer.json", "./Kitfile", "./model/weights.bin"]
    assert json.loads(initialize.message.read_text(encoding="utf-8"))["more"] == 0
