"""One pull, measured, and its tree compared with what the kit holds."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bench.origin import Origin
    from bench.peers import Job, Peer
    from bench.shapes import Shape
    from kit_conformance.testbed.kits import ModelKit

_LIMIT_S = 180.0
_CHUNK = 1024 * 1024
# What a peer writes beside the kit's files: the Kitfile, and our own record.
_ADDED = {"Kitfile", ".kit-initializer.json"}


class FailedError(RuntimeError):
    """A peer that did not do the work: it ended with an error, or its tree is not the kit's."""


class Sample(NamedTuple):
    """What one pull took: seconds, seconds of processor time, and bytes of memory of its largest process."""

    wall: float
    cpu: float
    peak: int


class _Started(NamedTuple):
    process: subprocess.Popen[bytes]
    reader: int
    log: Path
    job: Job


def pull(peer: Peer, origin: Origin, shape: Shape, kit: ModelKit, work: Path, *, at_once: int = 1) -> Sample:
    """Let a peer pull a kit, `at_once` times at the same time, each into a folder of its own; FailedError.

    Of several, the time is that from the first start to the last end, the processor's time that of all, and the memory
    that of the largest.
    """
    with tempfile.TemporaryDirectory(dir=work, prefix="run-") as folder:
        jobs = []
        for index in range(at_once):
            home, destination = Path(folder, f"home-{index}"), Path(folder, f"models-{index}")
            home.mkdir()
            destination.mkdir()
            jobs.append(peer_job(origin, shape, kit, home, destination))
        began = time.perf_counter()
        started = [_start(peer, job) for job in jobs]
        samples = [_end(peer, each) for each in started]
        wall = time.perf_counter() - began
        for job in jobs:
            compare(peer, job)
            shutil.rmtree(job.destination)
    if at_once == 1:
        return samples[0]
    return Sample(wall, sum(sample.cpu for sample in samples), max(sample.peak for sample in samples))


def peer_job(origin: Origin, shape: Shape, kit: ModelKit, home: Path, destination: Path) -> Job:
    """Return the job of one pull."""
    from bench.peers import Job  # noqa: PLC0415 - the peers know nothing of measuring, nor the other way round

    return Job(origin, shape, kit, home, destination)


def _start(peer: Peer, job: Job) -> _Started:
    command = peer.command(job)
    reader, writer = os.pipe()
    log = job.home / "output"
    launch = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py")), str(writer)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*launch, *command.argv],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=dict(command.environ),
            pass_fds=(writer,),
            start_new_session=True,
            cwd=job.home,
        )
    os.close(writer)
    return _Started(process, reader, log, job)


def _end(peer: Peer, started: _Started) -> Sample:
    try:
        started.process.wait(_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(started.process.pid, signal.SIGKILL)
        started.process.wait()
        raise FailedError(f"{peer.name} did not end within {_LIMIT_S:g} s") from None
    finally:
        with open(started.reader, encoding="ascii") as pipe:
            said = pipe.read().split()
    if len(said) != 4 or said[3] != "0":
        text = started.log.read_text(errors="replace")[-1500:]
        raise FailedError(f"{peer.name} failed on {started.job.shape.name}:\n{text}")
    return Sample(float(said[0]), float(said[1]), int(said[2]) * 1024)


def compare(peer: Peer, job: Job) -> None:
    """Raise FailedError unless the tree holds the kit's files, byte for byte, and no other."""
    buffer = memoryview(bytearray(_CHUNK))
    expected = {path.removeprefix(peer.without): fact for path, fact in job.kit.files.items()}
    found: set[str] = set()
    for folder, _, names in os.walk(job.destination):
        for name in names:
            path = os.path.join(folder, name)
            inner = os.path.relpath(path, job.destination)
            if inner in _ADDED:
                continue
            fact = expected.get(inner)
            if fact is None or _sha256(path, buffer) != fact.sha256:
                raise FailedError(f"{peer.name} brought {inner}, which is not what {job.shape.name} holds")
            found.add(inner)
    if len(found) != len(expected):
        missing = sorted(set(expected) - found)
        raise FailedError(f"{peer.name} did not bring {len(missing)} files, such as {missing[0]}")


def _sha256(path: str, buffer: memoryview) -> str:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()
