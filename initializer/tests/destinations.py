"""Kits for destinations, and what became of those."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from initializer.tests.conftest import failed
from kit_conformance.testbed.kits import Noise, Source, pack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from initializer.tests.conftest import Command, Run
    from kit_conformance.testbed.kits import ModelKit
    from kit_conformance.testbed.registry import Registry

KITFILE = {"manifestVersion": "1.0.0", "package": {"name": "k"}, "model": {"path": "model"}}
KIT = pack({"model/weights.bin": Noise(300_000), "model/config.json": b"{}\n"}, KITFILE)
LARGE = pack({"model/weights.bin": Noise(2_000_000), "model/config.json": b"{}"}, KITFILE)


def of(files: Mapping[str, Source | None]) -> ModelKit:
    """Return a kit whose model is a folder with these files."""
    return pack({f"model/{name}": body for name, body in files.items()}, KITFILE)


def collided(run: Run, *words: str) -> None:
    failed(run, 10, "destination", *words)


def downloads(registry: Registry) -> int:
    assert registry.ledger.settle()
    return len(registry.ledger.requests(kind="blob"))


def limited(name: str, limit: int, command: Command, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command under a limit of resources (setrlimit(2))."""
    code = (
        f"import resource, runpy; resource.setrlimit(resource.RLIMIT_{name}, ({limit}, {limit}));"
        "runpy.run_module('kit_initializer', run_name='__main__', alter_sys=True)"
    )
    process = [sys.executable, "-c", code, *arguments]
    return subprocess.run(
        process, env=command.environ({}), capture_output=True, text=True, timeout=30, check=False
    )


HEAD = b'{"version": 1, "state": "published",'
