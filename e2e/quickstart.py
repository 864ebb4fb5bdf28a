"""The whole scenario in processes alone: pack, push, initialize, serve, predict; no Docker, no Kit, no cluster.

It runs what a pod would run, with nothing in place of it but the registry: the command `kit-initializer` with the
arguments and the environment that KServe gives, and MLServer started as KServe's kserve-mlserver starts it. Each step
is checked, and the first that fails ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
import traceback
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kit_conformance.testbed.kits import pack, push
from kit_conformance.testbed.registry import Registry
from kit_conformance.testbed.serving import MLServer, outputs

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURE = Path(__file__).parent.parent / "fixtures" / "modelkits" / "sklearn-iris"
INITIALIZER_SECONDS = 60.0  # far above the 0.2 s that it takes, far below a newcomer's patience


class Scenario:
    """Prints each step with what came of it and the seconds it took, and remembers which one is under way."""

    def __init__(self) -> None:
        self.under_way = "begin"
        self._begun = time.monotonic()

    @contextmanager
    def step(self, name: str, what: str) -> Iterator[list[str]]:
        """Run one step; the lines that it appends to the list are its outcome."""
        self.under_way = name
        print(f"\n{name:<12}{what}", flush=True)
        begun = time.monotonic()
        outcome: list[str] = []
        yield outcome
        for line in outcome:
            print(f"{'':<12}{line}")
        print(f"{'':<12}{time.monotonic() - begun:.2f} s", flush=True)

    def end(self, line: str) -> None:
        """Print the last line, with the time of the whole."""
        print(f"\n{line} ({time.monotonic() - self._begun:.1f} s in all)", flush=True)


def initialize(uri: str, destination: Path, message: Path) -> dict[str, object]:
    """Run the initializer as KServe would, show what it says, and return the kit of its termination message."""
    command = shutil.which("kit-initializer", path=Path(sys.executable).parent)
    if command is None:
        raise FileNotFoundError(f"no kit-initializer beside {sys.executable}")
    done = subprocess.run(
        [command, uri, str(destination)],
        env=os.environ | {"KIT_UNPACK_FLAGS": "--plain-http", "KIT_TERMINATION_LOG": str(message)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INITIALIZER_SECONDS,
        check=False,
    )
    print(textwrap.indent(done.stdout, f"{'':<12}| "), end="", flush=True)
    check("the exit code of kit-initializer", done.returncode, 0)
    (kit,) = json.loads(message.read_text(encoding="utf-8"))["kits"]
    return dict(kit)


def facts(folder: Path) -> dict[str, dict[str, object]]:
    """Describe every file below a folder but those that the initializer adds: size, sha256 and mode."""
    found: dict[str, dict[str, object]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in {"Kitfile", ".kit-initializer.json"}:
            data, mode = path.read_bytes(), stat.S_IMODE(path.stat().st_mode)
            facts = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "mode": f"{mode:04o}"}
            found[str(path.relative_to(folder))] = facts
    return found


def check(what: str, seen: object, expected: object) -> None:
    """Raise unless both are equal; an `assert` would fall silent under -O."""
    if seen != expected:
        raise ValueError(f"{what}: {seen!r}, expected {expected!r}")


def tell(scenario: Scenario, work: Path, python: Path) -> None:
    """Tell the scenario; every file it makes is below `work`."""
    models, message = work / "models", work / "termination-log"
    expected = json.loads((FIXTURE / "expected.json").read_text(encoding="utf-8"))

    with scenario.step(
        "pack", f"the folder {FIXTURE.name}, a Kitfile and its files, becomes a ModelKit"
    ) as outcome:
        kit = pack(FIXTURE)
        outcome.append(f"{kit.digest}: {len(kit.layers)} layer(s), {sum(x.size for x in kit.layers)} bytes")

    with Registry() as registry:
        with scenario.step("push", f"to an OCI registry at {registry.url}") as outcome:
            uri = push(kit, registry.host, "iris", "v1", plain_http=True)
            outcome.append(uri)

        with scenario.step(
            "initialize", f"kit-initializer {uri} DEST, as the pod's init container does"
        ) as outcome:
            brought = initialize(uri, models, message)
            check("the digest in the termination message", brought["digest"], kit.digest)
            check("the files", facts(models), expected["files"])
            outcome.append(f"{', '.join(expected['files'])}: size, sha256 and mode as expected")

        with scenario.step("restart", "the init container runs once more on the same volume") as outcome:
            registry.ledger.clear()
            initialize(uri, models, message)
            check("blobs asked for", registry.ledger.requests(kind="blob"), [])
            check("the files", facts(models), expected["files"])
            outcome.append("done; no layer was downloaded again")

    with ExitStack() as stack:
        with scenario.step(
            "serve", "MLServer with its scikit-learn runtime, as kserve-mlserver starts it"
        ) as outcome:
            server = stack.enter_context(MLServer(python, models, "iris"))
            outcome.append(f"{server.url}: the model iris is ready")

        with scenario.step("predict", "over the V2 inference protocol") as outcome:
            predictions = outputs(server.predict_v2(expected["v2"]["request"]))
            check("the predictions", predictions, expected["v2"]["outputs"])
            outcome.append(f"{predictions}, as expected")


def main() -> int:
    """Run the scenario in a folder of its own and return the exit code."""
    parser = argparse.ArgumentParser(prog="nox -s quickstart --", description=__doc__.partition("\n")[0])
    parser.add_argument("--mlserver", required=True, type=Path, help="the Python of MLServer's environment")
    options = parser.parse_args()
    scenario = Scenario()
    with tempfile.TemporaryDirectory(prefix="kit-quickstart-") as work:
        try:
            tell(scenario, Path(work), options.mlserver)
        except Exception:  # noqa: BLE001 (whatever it is, the step has failed and the run with it)
            traceback.print_exc()
            scenario.end(f"FAILED at '{scenario.under_way}'")
            return 1
    scenario.end("From a folder to a prediction, every step as expected")
    return 0


if __name__ == "__main__":
    sys.exit(main())
