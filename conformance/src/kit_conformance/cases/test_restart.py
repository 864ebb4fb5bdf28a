"""The same destination again: what a pod, a job or a cache does after anything has gone wrong, or nothing."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Final

from kit_conformance import refs
from kit_conformance import tree as trees
from kit_conformance.cases import kits
from kit_conformance.cases.steps import HALF, stalled
from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.result import Finding, Result
from kit_conformance.testbed.kits import FileFact, pack
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from kit_conformance.lab import Lab

_GRACE: Final = 10.0  # seconds; Kubernetes gives 30, and to wait for all of them delays every rollout


@case("restart.second-run", level=MUST, since="0.1", ref=refs.K8S_INIT, any_registry=True)
def test_second_run(lab: Lab) -> None:
    """A second run after a successful one succeeds and leaves the same tree.

    "Init containers can be restarted, retried, or re-executed": the volume keeps what the first run brought,
    and a pod whose initializer fails on that never starts again.
    """
    kit = kits.plain()
    to = lab.destination()
    uri = lab.place(kit)
    lab.run(uri, to=to).brought(kit)
    lab.run(uri, to=to).brought(kit)


@case("restart.second-run-pairs", level=MUST, since="0.1", ref=refs.K8S_INIT, any_registry=True)
def test_second_run_pairs(lab: Lab) -> None:
    """A second run of several pairs succeeds and leaves the same trees.

    Init containers are re-executed with storageUris as they are with one.
    """
    first, second = kits.plain("first"), kits.plain("second")
    root = lab.destination()
    uris = lab.place(first, "first"), lab.place(second, "second")
    for _ in range(2):
        result = lab.run(*uris, to=[root / "a", root / "b"])
        result.brought(first, number=0).brought(second, number=1)


@case("restart.second-run-downloads-nothing", level=SHOULD, since="0.1", ref=refs.KSERVE_LOCALMODEL)
def test_second_run_downloads_nothing(lab: Lab) -> None:
    """A second run fetches no layer again.

    A hundred gigabytes that are there already need not be fetched at every restart of a pod.
    """
    kit = kits.plain()
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    to = lab.destination()
    lab.run(uri, to=to).brought(kit)
    registry.ledger.clear()
    lab.run(uri, to=to).brought(kit)
    again = registry.ledger.requests(kind="blob", method="GET")
    if again:
        raise Finding("it fetched layers that were there", [str(entry) for entry in again])


@case("restart.after-failure", level=MUST, since="0.1", ref=refs.K8S_INIT)
def test_after_failure(lab: Lab) -> None:
    """A run after one that failed half-way succeeds.

    A registry that was away for a minute must not make a volume unusable for ever.
    """
    kit = kits.large()
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    to = lab.destination()
    registry.inject(faults.Cut(after=HALF), kind="blob", times=1)
    registry.inject(faults.Status(404), kind="blob", skip=1)
    lab.run(uri, to=to, patience=True).failed("the layer broke off and then was gone")
    registry.heal()
    lab.run(uri, to=to).brought(kit)


@case("restart.killed-run", level=MUST, since="0.1", ref=refs.K8S_INIT)
def test_killed_run(lab: Lab) -> None:
    """A run after one that was killed in the middle of a layer succeeds.

    OOM kills, evictions and nodes that lose power end a container without a word; emptyDir survives that.
    """
    kit = kits.large()
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    to = lab.destination()
    stalled(lab, uri, registry, to=to).kill()
    registry.heal()
    lab.run(uri, to=to).brought(kit)


@case("restart.killed-run-leaves-nothing", level=SHOULD, since="0.1", ref=refs.KSERVE_LOCALMODEL)
def test_killed_run_leaves_nothing(lab: Lab) -> None:
    """What a killed run leaves behind is nothing that a server would load.

    Any pod may mount a LocalModelCache's folder, whether or not a job has completed there.
    """
    registry = lab.registry()
    uri = registry.add(kits.large(), "iris", "v1")
    lab.works(uri)
    result = stalled(lab, uri, registry, to=lab.destination()).kill()
    visible = {
        path: node
        for path, node in result.tree.items()
        if not any(part.startswith(".") for part in path.split("/"))
    }
    Result(result.outcome, (visible,), result.own).brought_nothing()


@case("restart.killed-run-keep", level=MUST, since="0.1", ref=refs.KIT_UNPACK, features={"keep"})
def test_killed_run_keep(lab: Lab) -> None:
    """With "keep what is there" a killed run's half of a file is not kept as if it were the whole.

    `kit unpack --ignore-existing` is what users set against failing restarts; it must not make them serve
    half a model with exit code 0.
    """
    kit = kits.large()
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    to = lab.destination()
    stalled(lab, uri, registry, to=to, ask={"keep": {}}).kill()
    registry.heal()
    lab.run(uri, to=to, ask={"keep": {}}).brought(kit)


@case("restart.killed-anywhere", level=MUST, since="0.1", ref=refs.K8S_INIT)
def test_killed_anywhere(lab: Lab) -> None:
    """Wherever a run is killed, the next one succeeds.

    It is killed at each of its first requests, and then a little later each time until it gets through.
    """
    kit = kits.many(4, size=300_000)
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    to = lab.destination()
    registry.inject(faults.Bandwidth(500_000), kind="blob")
    for requests in range(1, 6):
        registry.ledger.clear()
        running = lab.start(uri, to=to)
        registry.ledger.wait_for(requests, seconds=10.0)
        running.kill()
    for delay in (0.12, 0.16, 0.2, 0.25, 0.3):
        running = lab.start(uri, to=to)
        time.sleep(delay)
        running.kill()
    registry.heal()
    lab.run(uri, to=to).brought(kit)


@case("restart.terminated", level=MUST, since="0.1", ref=refs.K8S_LIFECYCLE)
def test_terminated(lab: Lab) -> None:
    """SIGTERM ends a run within ten seconds, and not with exit code 0.

    That is how a kubelet asks; a run that does not listen delays every deletion and rollout by the grace
    period.
    """
    registry = lab.registry()
    uri = registry.add(kits.large(), "iris", "v1")
    lab.works(uri)
    running = stalled(lab, uri, registry, to=lab.destination())
    running.terminate(signal.SIGTERM)
    asked = time.monotonic()
    result = running.finish().failed("it was asked to stop before it was done")
    if time.monotonic() - asked > _GRACE * lab.settings.factor:
        raise Finding(
            f"it took {time.monotonic() - asked:.0f} s to stop", result.outcome.log.splitlines()[-3:]
        )


@case("restart.terminated-stops-writing", level=MUST, since="0.1", ref=refs.K8S_LIFECYCLE)
def test_terminated_stops_writing(lab: Lab) -> None:
    """Between SIGTERM and the end of the main process everything else has ended, too.

    A child that goes on writes into a volume which another container is reading by then.
    """
    registry = lab.registry()
    uri = registry.add(kits.large(), "iris", "v1")
    lab.works(uri)
    running = stalled(lab, uri, registry, to=lab.destination())
    running.terminate(signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    while running.process.alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    open_ones = [entry for entry in registry.ledger.requests(kind="blob", method="GET") if not entry.ended]
    running.kill()
    if open_ones:
        raise Finding(
            "the main process has ended, and somebody still downloads", [str(each) for each in open_ones]
        )


@case("restart.damaged-file", level=SHOULD, since="0.1", ref=refs.KSERVE_LOCALMODEL, any_registry=True)
def test_damaged_file(lab: Lab) -> None:
    """A file that was cut off since is brought again.

    A node that loses power loses what was not on its disk yet, and keeps the file's name.
    """
    kit = kits.plain()
    to = lab.destination()
    uri = lab.place(kit)
    lab.run(uri, to=to).brought(kit)
    with (to / kits.MODEL).open("r+b") as file:
        file.truncate(100)
    lab.run(uri, to=to).brought(kit)


@case("restart.deleted-file", level=SHOULD, since="0.1", ref=refs.KSERVE_LOCALMODEL, any_registry=True)
def test_deleted_file(lab: Lab) -> None:
    """A file that was deleted since is brought again.

    Somebody tidies up a volume; the next start must heal it, not believe its own record.
    """
    kit = kits.plain()
    to = lab.destination()
    uri = lab.place(kit)
    lab.run(uri, to=to).brought(kit)
    (to / "src" / "lib" / "util.py").unlink()
    lab.run(uri, to=to).brought(kit)


@case("restart.lost-and-found", level=MUST, since="0.1", ref=refs.KSERVE_LOCALMODEL, any_registry=True)
def test_lost_and_found(lab: Lab) -> None:
    """What is in the volume and does not collide with the kit stays, and stands in nobody's way.

    Every new ext4 volume has a lost+found that only root may enter.
    """
    kit = kits.plain()
    to = lab.destination()
    (to / "lost+found").mkdir(mode=0o700)
    (to / "notes.txt").write_bytes(b"of somebody else")
    uri = lab.place(kit)
    notes = trees.read(to)["notes.txt"]
    also = {"notes.txt": FileFact(notes.size, notes.sha256, notes.mode)}
    result = lab.run(uri, to=to).succeeded()
    if result.tree.pop("lost+found", None) is None:
        raise Finding("lost+found is gone")
    result.brought(kit, also=also)


@case("restart.new-version", level=SHOULD, since="0.1", ref=refs.K8S_INIT, any_registry=True)
def test_new_version(lab: Lab) -> None:
    """When the tag has moved, the second run leaves the new kit, and nothing of the old one.

    Half of two versions is a model that nobody has ever tested.
    """
    old = kits.of({"model/weights.bin": b"old", "model/only-old.bin": b"x"}, path="model")
    new = kits.of({"model/weights.bin": b"new!", "model/only-new.bin": b"y"}, path="model")
    to = lab.destination()
    lab.run(lab.place(old), to=to).brought(old)
    lab.run(lab.place(new), to=to).brought(new)


@case("restart.folder-becomes-file", level=SHOULD, since="0.1", ref=refs.K8S_INIT, any_registry=True)
def test_folder_becomes_file(lab: Lab) -> None:
    """A new version with a file where the old one had an empty folder is brought, and so is the way back.

    A volume that refuses every later version has to be emptied by hand, on every node.
    """
    old = kits.of({"model/weights.bin": b"old", "model/extra": None}, path="model")
    new = kits.of({"model/weights.bin": b"new!", "model/extra": b"a file"}, path="model")
    to = lab.destination()
    for kit in (old, new, old):
        result = lab.run(lab.place(kit), to=to).succeeded()
        if kit is old:
            result.tree.pop("model/extra", None)  # whether an empty folder is brought is another matter
        result.brought(kit)


@case("restart.foreign-file", level=SHOULD, since="0.1", ref=refs.KSERVE_LOCALMODEL, any_registry=True)
def test_foreign_file(lab: Lab) -> None:
    """A file that was there first and is equal to the old version's stays when the new version has none of its name.

    Somebody has put it there for a server of another kind, and nobody may lose a file to an update.
    """
    old = kits.of({"model/weights.bin": b"old", "model/labels.txt": b"cat"}, path="model")
    new = kits.of({"model/weights.bin": b"new!"}, path="model")
    to = lab.destination()
    (to / "model").mkdir()
    (to / "model" / "labels.txt").write_bytes(b"cat")
    theirs = trees.read(to)["model/labels.txt"]
    also = {"model/labels.txt": FileFact(theirs.size, theirs.sha256, theirs.mode)}
    lab.run(lab.place(old), to=to).brought(old)
    lab.run(lab.place(new), to=to).brought(new, also=also)


@case("restart.failed-update", level=SHOULD, since="0.1", ref=refs.KSERVE_LOCALMODEL)
def test_failed_update(lab: Lab) -> None:
    """When the tag has moved and the new kit cannot be had, the old one stays as it was.

    Servers that use the volume go on; a mixture of both would be served without anybody noticing.
    """
    old = kits.of({"model/weights.bin": b"old" * 1000, "model/tokens.json": b"{}"}, path="model")
    new = pack(
        {"model/weights.bin": b"new" * 1000, "extra.bin": b"extra"},
        {
            "manifestVersion": "1.0.0",
            "package": {},
            "model": {"path": "model"},
            "datasets": [{"path": "extra.bin"}],
        },
    )
    registry = lab.registry()
    to = lab.destination()
    lab.run(registry.add(old, "iris", "v1"), to=to).brought(old)
    uri = registry.add(new, "iris", "v1")
    registry.inject(faults.Status(404), kind="blob", reference=kits.layer_of(new, 1))
    lab.run(uri, to=to, patience=True).failed("a layer of the new kit is gone").holds(
        old, why="the old kit must stay"
    )


@case("restart.at-once", level=SHOULD, since="0.1", ref=refs.KSERVE_LOCALMODEL)
def test_at_once(lab: Lab) -> None:
    """Two runs at the same time leave a whole kit, and none claims success over half of one.

    The agent of a LocalModelCache may start a job while another one is still under way.
    """
    kit = kits.many(4, size=300_000)
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    to = lab.destination()
    registry.inject(faults.Bandwidth(2_000_000), kind="blob")
    running = [lab.start(uri, to=to) for _ in range(2)]
    results = [each.finish() for each in running]
    if not any(each.outcome.code == 0 for each in results):
        raise Finding(
            "both failed", [line for each in results for line in each.outcome.log.splitlines()[-2:]]
        )
    results[-1].ended()
    Result(results[0].outcome, (trees.read(to),), results[0].own).holds(kit)


@case("restart.other-container", level=SHOULD, since="0.1", ref=refs.OPENSHIFT_UIDS, any_registry=True)
def test_other_container(lab: Lab) -> None:
    """A second run with another umask and without a home finds what the first one left.

    The next container may be another image or another node's; only the volume is the same.
    """
    kit = kits.plain()
    to = lab.destination()
    uri = lab.place(kit)
    lab.run(uri, to=to).brought(kit)
    lab.run(uri, to=to, umask=0o077, home=False).brought(kit)
