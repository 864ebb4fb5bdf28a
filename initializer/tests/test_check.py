"""`kit-initializer check`: what a run would do is said, and nothing is brought."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kit_conformance.testbed.kits import Noise, pack
from kit_conformance.testbed.registry import Basic, Registry
from kit_conformance.testbed.signing import Key, attach, bundle

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command

KIT = pack(
    {"model/weights.bin": Noise(300_000), "README.md": b"x"},
    {"manifestVersion": "1.0.0", "package": {}, "model": {"path": "model"}, "docs": [{"path": "README.md"}]},
)


def check(command: Command, *arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kit_initializer", "check", *map(str, arguments)],
        env=command.environ(environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_a_run_would_bring(initialize: Command, tmp_path: Path) -> None:
    with Registry(auth=Basic({"ann": "pw"})) as registry:
        uri, folder = registry.add(KIT, "iris", "v1"), tmp_path / "models"
        done = check(initialize, uri, folder, KIT_USER="ann", KIT_PASSWORD="pw")
        assert done.returncode == 0, done.stderr
        lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
        size = sum(layer.size for layer in KIT.layers)
        assert lines[0] == uri
        assert f"digest {KIT.digest}" in lines
        assert f"size {size / 1000:.1f} kB in 2 layers, as they are in the registry" in lines
        assert "brings model, README.md" in lines
        assert "login KIT_USER and KIT_PASSWORD" in lines
        assert "signature no policy is set" in lines
        assert lines[-1].endswith(f"free at {folder}: it fits")
        assert registry.ledger.requests(kind="blob") == []
    assert not folder.exists()
    assert not initialize.message.exists()


def test_json_and_a_policy(registry: Registry, initialize: Command) -> None:
    uri, key = registry.add(KIT, "iris", "v1"), Key.new()
    done = check(initialize, uri, COSIGN_KEY=key.public)
    assert (done.returncode, done.stdout) == (7, "")
    assert "signature: " in done.stderr
    attach(registry, "iris", bundle(key, KIT))
    done = check(initialize, uri, COSIGN_KEY=key.public, KIT_LOG_FORMAT="json")
    found = json.loads(done.stdout)
    assert (found["uri"], found["digest"], found["fits"]) == (uri, KIT.digest, True)
    assert found["signature"] == f"rule **, key SHA256:{key.hint}"
    assert registry.ledger.requests(kind="blob", reference=KIT.layers[0].digest) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "check takes URIs"),
        (["kit://r.example/a", "/a", "/b"], "check takes URIs"),
        (["--plain-http", "kit://r.example/a"], "KIT_UNPACK_FLAGS"),
        (["s3://bucket/x"], "brings kit:// only"),
    ],
)
def test_what_makes_no_sense(initialize: Command, arguments: list[str], words: str) -> None:
    done = check(initialize, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
