"""Mutants of restarts: what survives a run, and what the next one makes of it."""

# ruff: noqa: D401  (a docstring says what the mutant does wrong)

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

from conformance.tests.mutants.world import RECORD, World, mutant


def _in_place(text: str) -> bool:
    return "is in place already" in text


@contextlib.contextmanager
def _marked(world: World, name: str = "running"):  # type: ignore[no-untyped-def]  # noqa: ANN202
    """Keep a marker beside the folder while the run lasts; yields whether an earlier run has left its own."""
    marker = world.beside.with_name(f"{world.beside.name}-{name}")
    left = marker.read_text() if marker.exists() else ""
    marker.write_text(str(os.getpid()))
    yield left
    marker.unlink(missing_ok=True)


@mutant("restart.second-run", "restart.second-run-downloads-nothing", "restart.other-container")
def already_exists(world: World) -> int:
    """Refuses to unpack where the kit is already."""
    done = world.run()
    return world.fails(keep=True) if _in_place(done.text) and len(world.pairs) == 1 else done.code


@mutant("restart.second-run-pairs")
def pairs_already_exist(world: World) -> int:
    """Refuses several pairs that are there already."""
    done = world.run()
    return world.fails(keep=True) if _in_place(done.text) and len(world.pairs) > 1 else done.code


@mutant("restart.second-run-downloads-nothing")
def fetches_again(world: World) -> int:
    """Fetches every layer to see whether it is still the same."""
    done = world.run()
    if _in_place(done.text):
        for layer in world.layers():
            world.blob(layer["digest"])
    return done.code


@mutant("restart.other-container")
def same_container(world: World) -> int:
    """Knows what it has brought by something that it keeps in its own home."""
    done = world.run()
    return world.fails(keep=True) if _in_place(done.text) and "HOME" in world.environ else done.code


@mutant("restart.after-failure")
def never_again(world: World) -> int:
    """Remembers that it has failed, and does not try again."""
    if world.beside.exists():
        return world.fails()
    done = world.run()
    if done.code:
        world.beside.touch()
    return done.code


@mutant("restart.killed-run", "restart.killed-run-keep", "restart.killed-anywhere")
def stale_lock(world: World) -> int:
    """Takes what a killed run has left for a run that is under way."""
    lock = world.beside.with_name(f"{world.beside.name}-lock")
    if lock.exists() and not Path(f"/proc/{lock.read_text()}").exists():
        return world.fails()
    lock.write_text(str(os.getpid()))
    done = world.run()
    lock.unlink(missing_ok=True)
    return done.code


@mutant("restart.killed-run-keep")
def keeps_a_half(world: World) -> int:
    """Keeps the half of a file that a killed run has left, when told to keep files."""
    with _marked(world) as left:
        done = world.run()
        if left and "--ignore-existing" in world.flags:
            with (world.folder / "model.joblib").open("r+b") as file:
                file.truncate(1000)
        return done.code


@mutant("restart.killed-run-leaves-nothing")
def in_the_open(world: World) -> int:
    """Writes in the open while it is not done."""
    part = world.folder / "model.joblib.part"
    part.unlink(missing_ok=True)
    if world.folder.exists():
        part.write_bytes(b"half")
    done = world.run()
    part.unlink(missing_ok=True)
    return done.code


@mutant("restart.killed-anywhere")
def three_times(world: World) -> int:
    """Gives up after it has been killed three times."""
    log = world.beside.with_name(f"{world.beside.name}-kills")
    with log.open("a") as file:
        file.write("x")
    if log.stat().st_size > 4:
        return world.fails()
    done = world.run()
    log.unlink()
    return done.code


@mutant("restart.terminated")
def done_when_asked(world: World) -> int:
    """Takes the wish to stop for the end of its work."""
    done = world.run()
    return 0 if done.code == 143 else done.code


@mutant("restart.terminated-stops-writing")
def leaves_a_child(world: World) -> int:
    """Stops when asked, and lets its child go on."""
    world.on_term = lambda: os._exit(143)
    return world.run().code


@mutant("restart.damaged-file", "restart.new-version", "restart.failed-update")
def believes_its_record(world: World) -> int:
    """Looks at nothing but the names when it has been here before."""
    if world.has(RECORD) and world.has("Kitfile") and (not _plain(world) or world.has("src/lib/util.py")):
        return 0
    return world.run().code


def _plain(world: World) -> bool:
    return world.has("src/predict.py")


@mutant("restart.deleted-file")
def believes_that_it_is_there(world: World) -> int:
    """Does not miss a file that is gone."""
    if world.has(RECORD) and _plain(world) and not world.has("src/lib/util.py"):
        return 0
    return world.run().code


@mutant("restart.lost-and-found")
def clean_start(world: World) -> int:
    """Empties the folder before it begins."""
    if not world.has(RECORD):
        for path in world.folder.iterdir() if world.folder.is_dir() else ():
            if not path.name.startswith(".kit-"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return world.run().code


@mutant("restart.new-version")
def old_and_new(world: World) -> int:
    """Leaves what the older version of a kit had."""
    old = world.folder / "model" / "only-old.bin"
    there = old.exists()
    done = world.run()
    if there and not old.exists():
        old.write_bytes(b"x")
    return done.code


@mutant("restart.folder-becomes-file")
def folders_for_ever(world: World) -> int:
    """Refuses a file where an older version had an empty folder."""
    folder = world.folder / "model" / "extra"
    there = folder.is_dir()
    done = world.run()
    return world.fails(keep=True) if there and folder.is_file() else done.code


@mutant("restart.foreign-file")
def what_it_names_is_mine(world: World) -> int:
    """Removes with an older version what was there before it."""
    theirs = world.folder / "model" / "labels.txt"
    update = theirs.exists() and world.has(RECORD)
    done = world.run()
    if update:
        theirs.unlink(missing_ok=True)
    return done.code


@mutant("restart.failed-update")
def burnt_bridges(world: World) -> int:
    """Removes the older kit before it has the newer one."""
    before = world.has(RECORD)
    done = world.run()
    if before and done.code:
        world.empty()
    return done.code


@mutant("restart.at-once")
def elbows(world: World) -> int:
    """Takes the folder away from a run that is under way."""
    with _marked(world) as left:
        if left and Path(f"/proc/{left}").exists():
            time.sleep(0.5)
            world.empty()
            return 1
        return world.run().code
