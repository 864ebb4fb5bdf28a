"""Random input for each parser, as long as FUZZ_SECONDS says for all of them together.

What may come of it is a result or one of our own errors, soon, and never exit code 70. Each example is a number, which
the failure prints: FUZZ_EXAMPLE=number runs that one alone. `nox -s fuzz -- SECONDS` runs them for longer.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from initializer.tests.fuzz import kits, layers, signatures, texts, wires

if TYPE_CHECKING:
    from collections.abc import Callable

    Target = Callable[[random.Random, Path], None]

TARGETS: dict[str, Target] = {
    "layer": layers.layer,
    "kit": kits.a_kit,
    "reference": texts.a_reference,
    "environment": texts.environment,
    "addresses": texts.addresses,
    "record": texts.a_record,
    "printed": texts.printed,
    "responses": wires.responses,
    "bundle": signatures.a_bundle,
    "payload": signatures.a_payload,
    "policy": signatures.a_policy,
}
LONGEST_S = 30.0  # for one example, on a busy machine: anything beyond is a hang


@pytest.mark.fuzz
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", TARGETS)
def test_any_input_gives_a_result_or_our_own_error(name: str) -> None:
    only = os.environ.get("FUZZ_EXAMPLE")
    share = float(os.environ.get("FUZZ_SECONDS", "4")) / len(TARGETS)
    deadline, done = time.monotonic() + share, 0
    while not done or (only is None and time.monotonic() < deadline):
        number = int(only) if only else random.getrandbits(64)
        folder, began = Path(tempfile.mkdtemp(prefix="fuzz-")), time.monotonic()
        try:
            TARGETS[name](random.Random(number), folder)
            assert time.monotonic() - began < LONGEST_S
        except BaseException as error:
            error.add_note(f"FUZZ_EXAMPLE={number}")
            raise
        finally:
            shutil.rmtree(folder)
        done += 1
    print(f"{name}: {done} examples")  # noqa: T201 - for those who asked for a longer run
