"""Any sequence of kits, foreign files and deaths, against a model of what a destination should hold."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from kit_initializer.errors import DestinationError
from kit_initializer.listing import Entry, Listing
from kit_initializer.publish import Collisions, Delivery, Destination, PublishedKit, folders, merge, publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CHANGES = ("rename", "unlink", "rmdir", "mkdir", "open")


class Death(BaseException):
    """The process ends here: nothing is cleaned up."""


@contextlib.contextmanager
def doomed(death: int) -> Iterator[None]:
    """Raise Death in place of the N-th change of a file system that is made in here; never, for 0.

    An audit hook would see the same calls, but stays for the life of the process, and Python 3.11 refuses to trace
    a thread that starts while such a hook runs.
    """
    left = death

    def dying(call: Callable[..., object], name: str) -> Callable[..., object]:
        def change(*arguments: object, **options: object) -> object:
            nonlocal left
            flags = arguments[1] if name == "open" else os.O_CREAT
            assert isinstance(flags, int)
            if flags & os.O_CREAT:
                left -= 1
                if not left:
                    raise Death
            return call(*arguments, **options)

        return change

    with pytest.MonkeyPatch.context() as patch:
        if death:
            patch.setattr(merge, "rename_new", dying(folders.rename_new, "rename"))
            for name in CHANGES:
                patch.setattr(os, name, dying(getattr(os, name), name))
        yield


class Step(NamedTuple):
    """One run: what its kits hold, how collisions are met, at which change the process dies first (0: never).

    `again` is whether the same kits are asked for after that, or only others.
    """

    kits: tuple[Mapping[str, bytes], ...]
    collisions: Collisions
    death: int
    again: bool
    foreign: Mapping[str, bytes]

    @property
    def files(self) -> dict[str, bytes]:
        """All that the kits hold."""
        return {path: body for kit in self.kits for path, body in kit.items()}

    @property
    def clashes(self) -> bool:
        """Whether two kits differ in what they bring to one place."""
        merged = self.files
        return any(merged[path] != body for kit in self.kits for path, body in kit.items()) or any(
            below(path, other) for path in merged for other in merged
        )


def free(paths: Mapping[str, bytes]) -> dict[str, bytes]:
    """Drop what could not be together: a path below another one."""
    found: dict[str, bytes] = {}
    for path, body in sorted(paths.items()):
        if not any(path.startswith(other + "/") for other in found):
            found[path] = body
    return found


def below(one: str, other: str) -> bool:
    return one.startswith(other + "/")


class Model:
    """What should be there: files, and which of them are ours."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ours: set[str] = set()

    def add(self, foreign: Mapping[str, bytes]) -> dict[str, bytes]:
        """Take in files of others where nothing stands in their way, and return those."""
        added = {
            path: body
            for path, body in foreign.items()
            if not any(path == each or below(path, each) or below(each, path) for each in self.files)
        }
        self.files |= added
        return added

    def publish(self, step: Step) -> bool:
        """Do what a run should do; say whether it succeeds."""
        if step.clashes:
            return False
        foreign = {path: body for path, body in self.files.items() if path not in self.ours}
        kept = set()
        for path, body in step.files.items():
            for other, there in foreign.items():
                if below(path, other) or below(other, path):
                    return False
                if path == other and body != there:
                    if step.collisions is Collisions.REFUSE:
                        return False
                    if step.collisions is Collisions.KEEP:
                        kept.add(path)
        kept |= {path for path, body in step.files.items() if foreign.get(path) == body}  # adopted, not ours
        ours = {path: body for path, body in step.files.items() if path not in kept}
        self.files = {path: body for path, body in foreign.items() if path not in ours} | ours
        self.ours = set(ours)
        return True


def stage(destination: Destination, kits: tuple[Mapping[str, bytes], ...]) -> list[Delivery]:
    staging = destination.staging()
    deliveries = []
    for number, files in enumerate(kits):
        root = staging.new_root()
        for path, body in files.items():
            folder = Path(f"/proc/self/fd/{root}", path).parent
            folder.mkdir(parents=True, exist_ok=True)
            (folder / Path(path).name).write_bytes(body)
        listing = Listing(Entry(path, len(body), zlib.crc32(body)) for path, body in sorted(files.items()))
        kit = PublishedKit(f"kit://r.example/k:{number}", "sha256:0", "", len(listing), listing.bytes)
        deliveries.append(Delivery(staging, root, kit, listing))
    return deliveries


def run(folder: Path, step: Step, death: int) -> bool:
    """Do a run; say whether it succeeded. Death is a process that is killed: the kernel closes what it had open."""
    handles = set(os.listdir("/proc/self/fd"))
    destination = Destination(str(folder), lambda _: None)
    try:
        deliveries = stage(destination, step.kits)
        try:
            with doomed(death):
                publish(deliveries, step.collisions)
            succeeded = True
        except DestinationError:
            succeeded = False
        deliveries[0].staging.remove()
    except Death:
        succeeded = True  # nobody hears of it
        for handle in set(os.listdir("/proc/self/fd")) - handles:
            with contextlib.suppress(OSError):
                if int(handle) != destination.handle:
                    os.close(int(handle))
    finally:
        destination.close()
    return succeeded


def found(folder: Path) -> dict[str, bytes]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    files.pop(".kit-initializer.json", None)
    return {path: each.read_bytes() for path, each in files.items() if not path.startswith(".kit-staging-")}


def check(steps: list[Step]) -> None:
    """Do the steps in a folder of their own, and compare it with the model after each."""
    folder = Path(tempfile.mkdtemp(prefix="model-"))
    try:
        model, certain = Model(), True
        for step in steps:
            for path, body in model.add(step.foreign).items() if certain else ():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(body)
            foreign = {path: body for path, body in model.files.items() if path not in model.ours}
            succeeds = model.publish(step)
            if step.death:
                run(folder, step, step.death)
            if step.death and not step.again and succeeds and not foreign.keys() & step.files.keys():
                certain = (
                    False  # what there is now is ours, and so is what there was: any later kit replaces it
                )
            else:
                assert run(folder, step, 0) is succeeds
                certain = certain or succeeds
            assert found(folder).items() >= {
                (path, body) for path, body in foreign.items() if path not in step.files
            }
            if not certain:
                continue
            assert found(folder) == model.files
            assert not list(folder.glob(".kit-staging-*"))
            with contextlib.closing(Destination(str(folder), lambda _: None)) as destination:
                if succeeds:
                    assert destination.record is not None
                    assert set(destination.record.ours()) == model.ours
                    assert destination.intact()
    finally:
        shutil.rmtree(folder)


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
FILES = st.dictionaries(PATHS, st.sampled_from([b"", b"1", b"22"]), min_size=1, max_size=6).map(free)
STEPS = st.lists(
    st.builds(
        Step,
        kits=st.one_of(st.tuples(FILES), st.tuples(FILES), st.tuples(FILES, FILES)),
        collisions=st.sampled_from(Collisions),
        death=st.integers(0, 12),
        again=st.booleans(),
        foreign=st.one_of(st.just({}), FILES),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_any_sequence_ends_as_the_model_says(steps: list[Step]) -> None:
    check(steps)


ONE = {"a/a/a": b"1", "a/a/b": b"", "a/b": b"", "b/a": b"", "c": b""}
TWO = {"a/a/c": b"1", "a/b/a": b"22", "b": b"", "c": b"1"}
MINE = {"a/c/a": b"mine", "d": b"mine"}


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("death", range(1, 20))
def test_death_at_every_change(death: int, *, again: bool) -> None:
    steps = [
        Step((ONE,), Collisions.REFUSE, 0, again=True, foreign=MINE),
        Step((TWO,), Collisions.REFUSE, death, again=again, foreign={}),
        Step((ONE,), Collisions.REFUSE, 0, again=True, foreign={}),
    ]
    check(steps)


@pytest.mark.fuzz
@pytest.mark.timeout(0)
def test_many_sequences_end_as_the_model_says() -> None:
    deadline = time.monotonic() + float(os.environ.get("FUZZ_SECONDS", "1"))
    while time.monotonic() < deadline:
        example = settings(max_examples=50, deadline=None, database=None)(given(STEPS)(check))
        seed(random.getrandbits(64))(example)()
