"""Trees as subjects leave them: none of them may end a run of the suite."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kit_conformance import tree
from kit_conformance.result import Finding, Result
from kit_conformance.subject import Outcome
from kit_conformance.testbed.kits import FileFact

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give a folder that is removed as the suite does it: pytest's own way fails for the deepest of them."""
    path = tmp_path / "tree"
    path.mkdir()
    yield path
    tree.remove(path)
    assert not path.exists()


def deep(folder: Path, levels: int, name: str = "d") -> None:
    """Make a chain of folders that no path can name, with a file in the last one."""
    handle = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=handle)
        below = os.open(name, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    with open(os.open("last", os.O_WRONLY | os.O_CREAT, dir_fd=handle), "wb") as file:
        file.write(b"x")
    os.close(handle)


@pytest.mark.parametrize("levels", [1, 1500, 3000])
def test_a_deep_tree_is_read_to_its_end(folder: Path, levels: int) -> None:
    deep(folder, levels)
    found = tree.read(folder)
    assert len(found) == levels + 1
    assert found["d/" * levels + "last"].size == 1
    assert [content for _, content in tree.contents(folder, 10)] == [b"x"]


def test_what_is_deeper_than_memory_allows_is_named(folder: Path) -> None:
    deep(folder, 4200)
    found = tree.read(folder)
    (last,) = [node for node in found.values() if node.note]
    assert "deeper" in str(last)
    assert "d/last" not in "".join(found)


def test_long_names_on_the_way(folder: Path) -> None:
    deep(folder, 40, "ä" * 127)
    assert len(tree.read(folder)) == 41


def test_sockets_pipes_and_links_are_entries_as_others(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(folder / "socket"))
        os.mkfifo(folder / "pipe")
        os.symlink("/nowhere", folder / "link")
        os.symlink(".", folder / "loop")
        (folder / "file").write_bytes(b"secret")
        found = tree.read(folder)
        assert {name: node.kind for name, node in found.items()} == {
            "file": "file",
            "link": "link",
            "loop": "link",
            "pipe": "other",
            "socket": "other",
        }
        assert list(tree.contents(folder, 10)) == [("file", b"secret")]


def test_names_that_are_not_text(folder: Path) -> None:
    (folder / os.fsdecode(b"\xff\xfe")).mkdir()
    (folder / os.fsdecode(b"\xff\xfe/\x80")).write_bytes(b"x")
    lines = tree.differences(tree.read(folder), {})
    with pytest.raises(Finding) as found:
        raise Finding("the destination is not what was packed", lines)
    assert "\\udcff" in str(found.value).encode("utf-8").decode()


@pytest.fixture
def public() -> Iterator[Path]:
    """Give a folder that any user can reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="kc-test-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def test_folders_that_nobody_may_read(public: Path) -> None:
    """Run as another user where the tests are root's: to root every folder is open."""
    for name, mode in (("closed", 0), ("no-search", 0o444), ("no-list", 0o111)):
        (public / name / "below").mkdir(parents=True)
        (public / name / "file").touch()
        (public / name).chmod(mode)
    (public / "unreadable").touch(0)
    code = (
        "import os, sys; from pathlib import Path; from kit_conformance import tree\n"
        "os.getuid() or os.setuid(65534)\n"
        "for path, node in tree.read(Path(sys.argv[1])).items(): print(path, node)\n"
        "print(list(tree.contents(Path(sys.argv[1]), 10)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        command = [sys.executable, "-c", code, str(public)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
    finally:
        for path in public.iterdir():
            path.chmod(0o755)
    assert "closed folder 0000, cannot be read: Permission denied" in lines
    assert "no-list folder 0111, cannot be read: Permission denied" in lines
    assert "no-search folder 0444, cannot be read: Permission denied" in lines
    assert "unreadable 0 bytes unreadable 0000" in lines
    assert lines[-1] == "[]"


def test_removing_leaves_what_a_link_leads_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o500)
    (tmp_path / "tree" / "below").mkdir(parents=True)
    os.symlink(outside, tmp_path / "tree" / "below" / "link")
    (tmp_path / "tree" / "below").chmod(0)
    (tmp_path / "tree").chmod(0o755)
    tree.clear(tmp_path / "tree")
    assert list((tmp_path / "tree").iterdir()) == []
    assert (tmp_path / "tree").stat().st_mode & 0o777 == 0o755, "a volume keeps its own mode"
    assert outside.stat().st_mode & 0o777 == 0o500


def test_a_long_path_is_short_in_a_message(folder: Path) -> None:
    deep(folder, 1500)
    result = Result(Outcome(0, 0.1, "", ""), (tree.read(folder),))
    with pytest.raises(Finding) as found:
        result.holds({"model.bin": FileFact(1, "0" * 64, 0o644)})
    assert max(map(len, str(found.value).splitlines())) < 400
