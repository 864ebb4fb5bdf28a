"""Make docs/exit-codes.md by provoking every exit code and writing down what the command says.

`python docs/exit_codes.py` writes the page, `--check` compares it with the one that is there (exit 1: it is out of
date). Each line of the table is what a real run against the testbed's registry prints, the registry's address
replaced by `r.example`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kit_conformance.testbed.kits import Tar, pack, single
from kit_conformance.testbed.registry import TLS, Basic, Registry, faults, refusing

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parent / "exit-codes.md"
KIT = pack({"model.joblib": b"weights"}, {"manifestVersion": "1.0.0", "model": {"path": "model.joblib"}})
TIMEOUT_S = 60
# Of a key pair that nobody has the other half of.
KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEmzMY7kLOhIvz7BeGJDWooRAOGPcp
wy2rnkHquYlPRLhe5P88dXmoR/jLVfdF9JXONGZWLO2hMb7zvq4dYeWQQw==
-----END PUBLIC KEY-----"""

HEAD = """# Exit codes and messages
The exit code and the last line of the log say why a run failed. KServe shows both:
`kubectl get inferenceservice NAME -o jsonpath='{.status.modelStatus.lastFailureInfo}'`, and the line is also the
container's termination message.

The lines below are what the command prints; this page is made by `python docs/exit_codes.py`.

| code | cause | for instance | line |
|---|---|---|---|
"""
TAIL = """| 1 | the Kit CLI failed (`KIT_ENGINE=kit` only) and no cause above could be established | a flag that this \
Kit does not know | Kit's own last line, behind `kit: ` |
| 70 | a fault of ours | | `bug: …`: please report it |
"""


class Run(NamedTuple):
    """What one run ended with: exit code, and its last line."""

    code: int
    line: str


def run(host: str, folder: str, *arguments: str, **environ: str) -> Run:
    """Run the command with the registry at `host`; whatever depends on this machine is replaced in its line."""
    base = {name: value for name, value in os.environ.items() if not name.startswith("KIT_")}
    done = subprocess.run(
        [sys.executable, "-m", "kit_initializer", *arguments],
        env={**base, "KIT_UNPACK_FLAGS": "--plain-http", "KIT_RETRIES": "0", **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return ended(done.returncode, done.stderr, host, folder)


def ended(code: int, stderr: str, host: str, folder: str) -> Run:
    """Return what a run ended with, without anything of this machine."""
    last = (stderr.strip().splitlines() or [""])[-1]
    if code == 0:
        last = last.partition(": 2 files")[0] + ": …"
    return Run(code, last.replace(host, "r.example").replace(folder, "/mnt/models"))


def stopped(folder: str) -> Run:
    """Send SIGTERM to a run that waits for its registry."""
    with Registry() as registry:
        uri = registry.add(KIT, "iris", "v1")
        registry.inject(faults.Hang(), kind="blob", times=None)
        command = [sys.executable, "-m", "kit_initializer", uri, place(folder)]
        environ = {**os.environ, "KIT_UNPACK_FLAGS": "--plain-http"}
        with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
            registry.ledger.wait_for(1, kind="blob")
            process.terminate()
            _, stderr = process.communicate(timeout=TIMEOUT_S)
        return ended(process.returncode, stderr, registry.host, folder)


def place(folder: str) -> str:
    """Return a new destination."""
    return tempfile.mkdtemp(dir=folder) + "/models"


def provoke(folder: str) -> list[tuple[str, str, Run]]:
    """Return cause, instance and outcome for each code that needs nothing but this machine."""
    rows: list[tuple[str, str, Run]] = []

    def add(cause: str, instance: str, prepare: Callable[[Registry], str], **environ: str) -> None:
        with Registry() as registry:
            to = place(folder)
            uri = prepare(registry)
            rows.append((cause, instance, run(registry.host, to, *([uri, to] if uri else []), **environ)))

    def kit(registry: Registry) -> str:
        return registry.add(KIT, "iris", "v1")

    def hostile(registry: Registry) -> str:
        return registry.add(single(bytes(Tar().file("../escape", b"x")), path="model"), "iris", "v1")

    def empty(registry: Registry) -> str:
        return registry.add(pack({}, {"manifestVersion": "1.0.0"}), "iris", "v1")

    def image(registry: Registry) -> str:
        strange = replace(
            KIT, manifest=KIT.manifest.replace(b"vnd.kitops.modelkit.config", b"vnd.oci.image.config")
        )
        return registry.add(strange, "iris", "v1")

    def tampered(registry: Registry) -> str:
        uri = kit(registry)
        registry.inject(faults.Tamper(0), kind="blob")
        return uri

    add("everything is in place", "", kit)
    add("usage or settings", "no arguments", lambda _: "")
    add("", "a user without a password", kit, KIT_USER="reader")
    add("not found", "a tag that is not there", lambda registry: kit(registry).replace(":v1", ":v2"))
    with Registry(auth=Basic({"reader": "secret"})) as registry:
        to = place(folder)
        rows.append(("denied", "no credentials", run(registry.host, to, registry.add(KIT, "iris", "v1"), to)))
    with refusing() as host:
        to = place(folder)
        rows.append(("unreachable", "a registry that is down", run(host, to, f"kit://{host}/iris:v1", to)))
    with Registry(tls=TLS()) as registry:
        to = place(folder)
        done = run(registry.host, to, registry.add(KIT, "iris", "v1"), to, KIT_UNPACK_FLAGS="")
        rows.append(("TLS", "a private authority that was not given", done))
    add("integrity", "a flipped byte", tampered)
    add("signature", "a policy that wants a key, and a kit that nobody signed", kit, COSIGN_KEY=KEY)
    add("unsafe or malformed content", "a path that leads out", hostile)
    add("not a ModelKit", "a container image", image)
    with Registry() as registry:
        to = place(folder)
        Path(to).mkdir()
        Path(to, "model.joblib").write_text("somebody else's")
        rows.append(("destination", "a file in the way", run(registry.host, to, kit(registry), to)))
    add("nothing to bring", "a kit without files", empty)
    add("", "a filter that matches nothing", kit, KIT_UNPACK_FLAGS="--plain-http --filter datasets")
    rows.append(("stopped by SIGTERM; by SIGINT it is 130", "the pod is deleted", stopped(folder)))
    return rows


def page() -> str:
    """Return the whole page."""
    with tempfile.TemporaryDirectory() as folder:
        rows = "".join(
            f"| {done.code} | {cause} | {instance} | `{done.line.replace('|', chr(92) + '|')}` |\n"
            for cause, instance, done in provoke(folder)
        )
    return HEAD + rows + TAIL


def main(*, check: bool) -> int:
    """Write or check the page."""
    made = page()
    if check:
        return int(PAGE.read_text(encoding="utf-8") != made)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    sys.exit(main(check=parser.parse_args().check))
