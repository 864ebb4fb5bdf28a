"""The machine, and what it can do at best: how fast bytes are received, copied, hashed, decompressed and written."""

from __future__ import annotations

import hashlib
import http.client
import os
import platform
import shutil
import subprocess
import sys
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from bench.origin import REPOSITORY
from bench.shapes import weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BYTES = 64 * 1024 * 1024
_CHUNK = 1024 * 1024
_PIECE = 256 * 1024  # of decompressed content at a time
_TIMES = 5
_FILES = 3_000
HASH = "hash"  # the name of the limit that the budget supposes something of
# The machine is quiet when it gives us so much of its processors for so long.
_OURS, _MOMENT_S = 0.9, 0.3


class Limit(NamedTuple):
    """What one thread does of one kind of work: `rate` in MB/s of content, or files a second."""

    name: str
    what: str
    rate: float
    unit: str = "MB/s"


def facts(work: Path, disk: Path) -> dict[str, object]:
    """Return what a reader must know of the machine to judge a number."""
    processor = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30),
        "kernel": platform.release(),
        "file_system": _file_system(work),
        "disk": _file_system(disk),
        "python": sys.version.split()[0],
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _file_system(work: Path) -> str:
    """Return the type of the file system that trees are written to."""
    real, best, kind = str(work.resolve()), "", "unknown"
    for line in _lines("/proc/self/mounts"):
        fields = line.split(" ")
        mount = fields[1].rstrip("/") + "/"
        if (real + "/").startswith(mount) and len(mount) > len(best):
            best, kind = mount, fields[2]
    return kind


def _rate(work: Callable[[], int]) -> float:
    """Return the median of bytes a second, in MB."""
    rates = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        count = work()
        rates.append(count / (time.perf_counter() - began) / 1e6)
    return median(rates)


class Quiet:
    """Waits for a machine that leaves us its processors, `patience` seconds in all."""

    def __init__(self, patience: float) -> None:
        self._left = patience

    def wait(self) -> float:
        """Return when the processors were ours for a moment, or when patience is at an end: the seconds it took."""
        arrived = time.monotonic()
        while self._left > 0:
            began = time.monotonic()
            if _share() > _OURS:
                break
            time.sleep(_MOMENT_S)
            self._left -= time.monotonic() - began
        return time.monotonic() - arrived


def _share() -> float:
    """Return which part of all processors a process on each of them is given at once; what is niced gives way."""
    spin = f"import time as t; e = t.monotonic() + {_MOMENT_S}\nwhile t.monotonic() < e: pass\nprint(t.process_time())"
    command = [sys.executable, "-I", "-S", "-c", spin]
    spinning = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(os.cpu_count() or 1)]
    used = [float(process.communicate()[0]) for process in spinning]
    return sum(used) / len(used) / _MOMENT_S


def limits(host: str, digest: str, work: Path) -> Iterator[Limit]:
    """Measure, one thread, one thing at a time; `digest` is a large blob of the registry at `host`."""
    source = b"".join(weights(_BYTES))
    target = bytearray(len(source))
    view = memoryview(target)

    def copy() -> int:
        view[:] = source
        return len(source)

    def receive() -> int:
        connection = http.client.HTTPConnection(host, timeout=30)
        connection.request("GET", f"/v2/{REPOSITORY}/blobs/{digest}")
        response = connection.getresponse()
        total = 0
        while count := response.readinto(view[:_CHUNK]):
            total += count
        connection.close()
        return total

    def write() -> int:
        path = work / "written"
        with path.open("xb", buffering=0) as file:
            for at in range(0, len(view), _CHUNK):
                file.write(view[at : at + _CHUNK])
        path.unlink()
        return len(view)

    def sha256() -> int:
        return _each(hashlib.sha256().update)

    def _each(update: Callable[[memoryview], object]) -> int:
        for at in range(0, len(view), _CHUNK):
            update(view[at : at + _CHUNK])
        return len(view)

    yield Limit("copy", "from memory to memory", _rate(copy))
    yield Limit("receive", "a blob of the registry, over loopback, to memory", _rate(receive))
    yield Limit(HASH, "SHA-256", _rate(sha256))
    yield Limit("write", "to a new file", _rate(write))
    yield from _decompressors(source)
    yield Limit("create", "files of 4 KiB", _create(work, source[:4096]), "files/s")


def _decompressors(source: bytes) -> Iterator[Limit]:
    from isal import isal_zlib  # noqa: PLC0415 - the initializer brings it where it can be built

    encoder = zlib.compressobj(1, wbits=31)
    packed = encoder.compress(source) + encoder.flush()

    def inflate(module: object) -> Callable[[], int]:
        def run() -> int:
            decoder = module.decompressobj(wbits=31)  # type: ignore[attr-defined]
            total = 0
            for at in range(0, len(packed), _PIECE):
                data = packed[at : at + _PIECE]
                while data:
                    total += len(decoder.decompress(data, _PIECE))
                    data = decoder.unconsumed_tail
            return total

        return run

    yield Limit("gzip, isal", "decompress, bytes of content", _rate(inflate(isal_zlib)))
    yield Limit("gzip, zlib", "decompress, bytes of content", _rate(inflate(zlib)))
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore] # noqa: PLC0415
    except ImportError:
        from backports import zstd  # type: ignore[no-redef,unused-ignore] # noqa: PLC0415
    small = zstd.compress(source)

    def unzstd() -> int:
        decoder = zstd.ZstdDecompressor()
        total, data = 0, small
        while not decoder.eof:
            total += len(decoder.decompress(data, _PIECE))
            data = b""
        return total

    yield Limit("zstd", "decompress, bytes of content", _rate(unzstd))


def _create(work: Path, content: bytes) -> float:
    """Return how many files a second are created, written and closed below a directory handle."""
    rates = []
    for _ in range(3):
        folder = work / "created"
        folder.mkdir()
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        began = time.perf_counter()
        for index in range(_FILES):
            handle = os.open(f"{index:05}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=root)
            os.write(handle, content)
            os.close(handle)
        rates.append(_FILES / (time.perf_counter() - began))
        os.close(root)
        shutil.rmtree(folder)
    return median(rates)
