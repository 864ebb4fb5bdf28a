"""Staging: kept while its run lives, swept when its owner is gone, whatever stands in the way."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path

import pytest

from initializer.tests.staging import abandoned, opened, staged
from kit_initializer.publish import (
    Collisions,
    Destination,
    publish,
)
from kit_initializer.publish import staging as staging_module


def test_staging_that_cannot_be_removed_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, *, dir_fd: int | None = None) -> None:
        del dir_fd
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    said: list[str] = []
    left = abandoned(tmp_path)
    with contextlib.closing(Destination(str(tmp_path), said.append)) as made:
        monkeypatch.setattr(os, "rmdir", refuse)
        staging = made.staging()
        monkeypatch.undo()
        assert said == [f"{left}, left by another run, cannot be removed: Input/output error"]
        staging.remove()
        made.staging().remove()
    assert not list(tmp_path.iterdir())


def test_staging_of_a_run_that_lives_is_left_alone(tmp_path: Path) -> None:
    """Where locks are a node's own two runs are in one folder: neither removes what the other works in."""
    with opened(tmp_path) as made:
        living = staged(made, {"a": b"1"})
        fcntl.flock(made.handle, fcntl.LOCK_UN)  # a lock that another node does not see
        with opened(tmp_path) as other:
            other.staging().remove()
            other.settle()
        assert Path(living.staging.path).is_dir()
        publish([living], Collisions.REFUSE)
        living.staging.remove()
    assert (tmp_path / "a").read_bytes() == b"1"


@pytest.mark.parametrize(("age", "removed"), [(10, False), (3000, True)])
def test_staging_of_another_node_goes_when_nobody_touches_it(
    tmp_path: Path, *, age: int, removed: bool
) -> None:
    foreign = tmp_path / ".kit-staging-000000000000-7-1f"
    foreign.mkdir()
    os.utime(foreign, (time.time() - age,) * 2)
    with opened(tmp_path) as made:
        made.staging().remove()
    assert foreign.exists() is not removed


def test_the_staging_of_a_run_shows_that_it_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging_module, "_BEAT_S", 0.05)
    with opened(tmp_path) as made:
        staging = made.staging()
        os.utime(staging.path, (1, 1))
        until = time.monotonic() + 10
        while os.stat(staging.path).st_mtime < 2:
            assert time.monotonic() < until
            time.sleep(0.02)
        staging.remove()


def test_folders_1500_deep_are_removed(tmp_path: Path) -> None:
    left = abandoned(tmp_path)
    handle = os.open(left, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=handle)
        inner = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)
    with opened(tmp_path) as made:
        made.staging().remove()
    assert not list(tmp_path.iterdir())
