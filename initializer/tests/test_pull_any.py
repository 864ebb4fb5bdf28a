"""Any sequence of faults ends with the kit's tree, or a code and the older tree; the next run heals all."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from initializer.tests.conftest import Command, Trees
from kit_conformance.testbed.kits import Noise, pack
from kit_conformance.testbed.registry import Bearer, Registry, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kit_conformance.testbed.registry import Fault

RECIPE: dict[str, Any] = {
    "manifestVersion": "1.0.0",
    "package": {"name": "k"},
    "model": {"path": "model"},
    "code": [{"path": "code"}],
    "docs": [{"path": "README.md"}],
}
OLDER = pack({"model/older": b"older", "model/same": b"1", "code/x": b"", "README.md": b"r"}, RECIPE)
KIT = pack(
    {
        "model/weights.bin": Noise(3_000_000),
        "model/same": b"1",
        "code/a/b.py": Noise(1_500_000, 1),
        "code/run.sh": b"",
        "README.md": b"other",
    },
    RECIPE,
    compression="gzip",
    modes={"code/run.sh": 0o755},
)
FOREIGN = {"notes.txt": b"mine", "model/mine": b"mine"}
ENVIRON = {
    "KIT_USER": "ann",
    "KIT_PASSWORD": "grey-otter",
    "KIT_RETRIES": "2",
    "KIT_CONNECT_TIMEOUT": "2",
    "KIT_FIRST_BYTE_TIMEOUT": "0.3",
    "KIT_STALL_TIMEOUT": "0.3",
    "KIT_PROGRESS_TIMEOUT": "1",
}
# What stalls after each 70,000 bytes is slow, but it comes.
LONGEST_S = 180  # a server that asks for patience gets two minutes
AT = st.sampled_from([0, 1, 300, 70_000, 1_100_000])
FAULTS: st.SearchStrategy[Fault] = st.one_of(
    st.builds(faults.Cut, AT),
    st.builds(faults.Reset, AT),
    st.builds(faults.Stall, AT),
    st.builds(faults.Tamper, st.sampled_from([0, 7, 600, -1])),
    st.builds(
        faults.Status, st.sampled_from([401, 403, 404, 408, 416, 429, 500, 503]), st.sampled_from(["", "0"])
    ),
    st.builds(faults.Drop, st.booleans()),
    st.builds(faults.WrongLength, st.sampled_from([-3, 3])),
    st.builds(faults.WrongContentRange, st.just(1), st.booleans()),
    st.builds(faults.Slices, st.sampled_from([997, 70_000])),
    st.builds(faults.Redirect),
    st.builds(faults.Replace, st.sampled_from([b"", b"{}", b"[]", bytes(2000)])),
    st.sampled_from(
        [
            faults.Hang(),
            faults.Garbage(),
            faults.NoRange(),
            faults.Chunked(),
            faults.ExpireTokens(),
            faults.no_digest_header(),
            faults.wrong_digest_header(),
            faults.RedirectLoop(),
        ]
    ),
)


class Mishap(NamedTuple):
    """A fault, what it befalls, how many requests pass before it and how many it meets (None: all)."""

    fault: Fault
    kind: str
    skip: int
    times: int | None


MISHAPS = st.lists(
    st.builds(
        Mishap,
        FAULTS,
        st.sampled_from(["manifest", "config", "blob", "blob", "blob", ""]),
        st.integers(0, 2),
        st.sampled_from([1, 1, 2, None]),
    ),
    min_size=1,
    max_size=5,
)


@contextlib.contextmanager
def place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="any-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def check(mishaps: list[Mishap], connections: int) -> None:
    """Bring a kit over an older one through these mishaps, and once more without them."""
    with place() as folder, Registry(auth=Bearer({"ann": "grey-otter"})) as registry:
        command, destination = Command(folder), folder / "d"
        environ = ENVIRON | {"KIT_CONCURRENCY": str(connections)}
        with contextlib.closing(command):
            uri = registry.add(OLDER, "k", "v1")
            assert command(uri, destination, env=environ).code == 0
            for path, body in FOREIGN.items():
                (destination / path).write_bytes(body)
            registry.add(KIT, "k", "v1")
            for each in mishaps:
                registry.inject(each.fault, kind=each.kind, skip=each.skip, times=each.times)
            run = command(uri, destination, env=environ, timeout=LONGEST_S)
            assert run.code in {0, 3, 4, 5, 7, 9}, run.lines
            assert "grey-otter" not in str(run)
            Trees.check(destination, OLDER if run.code else KIT, FOREIGN)
            registry.heal()
            again = command(uri, destination, env=environ)
            assert again.code == 0, again.lines
            Trees.check(destination, KIT, FOREIGN)


@pytest.mark.timeout(1200)
@settings(max_examples=12, deadline=None)
@given(MISHAPS, st.sampled_from([1, 2, 8]))
def test_any_faults(mishaps: list[Mishap], connections: int) -> None:
    check(mishaps, connections)


@pytest.mark.fuzz
@pytest.mark.timeout(0)
def test_many_faults() -> None:
    deadline = time.monotonic() + float(os.environ.get("FUZZ_SECONDS", "1"))
    while time.monotonic() < deadline:
        example = settings(max_examples=5, deadline=None, database=None)(
            given(MISHAPS, st.sampled_from([1, 2, 8]))(check)
        )
        seed(random.getrandbits(64))(example)()
