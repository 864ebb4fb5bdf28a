"""What a kit may cost: bytes, files, memory and time, over all its layers."""

from __future__ import annotations

import gzip
import threading
import time
from typing import TYPE_CHECKING

import pytest

from initializer.tests.unpacking import Unpacker
from kit_conformance.testbed.kits import Tar
from kit_conformance.testbed.kits.layers import zstd
from kit_initializer.archive import Limits
from kit_initializer.archive.compression import _window
from kit_initializer.archive.limits import Windows
from kit_initializer.errors import UnsafeContentError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_what_a_kit_may_unpack_to(tmp_path: Path, name: str) -> None:
    """It is bytes that fill a volume, of all layers together; how well they shrink does not matter."""
    tar = bytes(Tar().file("zeros", bytes(3_000_000)))
    data = gzip.compress(tar) if name == "gzip" else zstd().compress(tar)
    unpacker = Unpacker(tmp_path / "a", limits=Limits(bytes=2 * len(tar) + 1000))
    unpacker.unpack(data, compression=name, directory="one")
    unpacker.unpack(data, compression=name, directory="two")
    assert len(unpacker.found()["one/zeros"]) == 3_000_000
    with pytest.raises(UnsafeContentError, match=r"to more than 6\.0 MB") as caught:
        unpacker.unpack(data, compression=name, directory="three")
    assert "KIT_MAX_BYTES (now 60" in caught.value.hint


def test_how_many_files_a_kit_may_have(tmp_path: Path) -> None:
    unpacker = Unpacker(tmp_path / "a", limits=Limits(members=4))
    unpacker.unpack(bytes(Tar().file("a").directory("b")))
    unpacker.unpack(bytes(Tar().file("c").file("d")))
    with pytest.raises(UnsafeContentError, match="more than 4 files and folders") as caught:
        unpacker.unpack(bytes(Tar().file("e")))
    assert "KIT_MAX_FILES (now 4)" in caught.value.hint


@pytest.mark.parametrize("name", ["gzip", "zstd"])
@pytest.mark.parametrize("step", [1 << 20, 1000, 7])
def test_many_small_members_are_one_content(tmp_path: Path, name: str, step: int) -> None:
    tar = bytes(Tar().file("a", bytes(range(256)) * 10))
    pack = gzip.compress if name == "gzip" else zstd().compress
    empty, count = pack(b""), 40_000 if step > 1000 else 500
    data = empty * count + b"".join(pack(tar[at : at + 100]) + empty for at in range(0, len(tar), 100))
    unpacker = Unpacker(tmp_path / "a")
    began = time.process_time()
    unpacker.unpack(data, compression=name, step=step)
    assert unpacker.found() == {"a": bytes(range(256)) * 10}
    assert time.process_time() - began < 20, "each member costs as much as the chunk that it is in"


def test_windows_of_zstd_are_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = Windows(20)
    order: list[str] = []

    def work(name: str, count: int, go: threading.Event) -> None:
        with windows.hold(count):
            order.append(name)
            assert go.wait(20)

    def begin(name: str, count: int) -> tuple[threading.Thread, threading.Event]:
        go = threading.Event()
        thread = threading.Thread(target=work, args=(name, count, go))
        thread.start()
        return thread, go

    first = [begin("a", 10), begin("b", 10)]
    wait_for(lambda: len(order) == 2)
    large = begin("large", 100)
    time.sleep(0.1)
    assert sorted(order) == ["a", "b"], "a window larger than all that there is waits until it is alone"
    for thread, go in first:
        go.set()
        thread.join(20)
    wait_for(lambda: order[2:] == ["large"])
    small = begin("c", 1)
    time.sleep(0.1)
    assert order[3:] == []
    for thread, go in (large, small):
        go.set()
        thread.join(20)
    assert order[3:] == ["c"]


def wait_for(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("log", "size", "expected"),
    [(10, None, 1 << 10), (23, None, 1 << 23), (27, None, 1 << 27), (None, 100, 100), (None, 70_000, 70_000)],
)
def test_the_window_of_a_zstd_frame(log: int | None, size: int | None, expected: int) -> None:
    module = zstd()
    if size is None:
        options = {
            module.CompressionParameter.window_log: log,
            module.CompressionParameter.content_size_flag: 0,
        }
        compressor = module.ZstdCompressor(options=options)
        frame = compressor.compress(bytes(10)) + compressor.flush()
    else:
        frame = module.compress(bytes(size), level=1)
    assert _window(frame[:18]) == expected
    assert _window(b"\x50\x2a\x4d\x18" + bytes(14)) == 0
