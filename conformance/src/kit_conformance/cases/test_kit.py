"""A version of Kit: what it packs, what it unpacks, and what a subject makes of its kits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.cases.kit_steps import (
    FILES,
    LOGIN,
    OLD,
    does,
    expected,
    holds,
    kit_of,
    manifest,
    packed,
    recipe,
)
from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.result import Finding
from kit_conformance.testbed.kitcli import KitError
from kit_conformance.testbed.kits import ModelKit, pack
from kit_conformance.testbed.registry import Basic, Bearer, faults

if TYPE_CHECKING:
    from kit_conformance.lab import Lab
    from kit_conformance.testbed.registry import Registry


@case("kit.packs-as-expected", level=MUST, since="0.1", ref=refs.KIT_FORMAT)
def test_packs_as_expected(lab: Lab) -> None:
    """It packs the layers that the format says, byte for byte.

    Equal files make equal layers in every version since 0.5: caches, deduplication and signatures of years
    depend on it.
    """
    kit = kit_of(lab)
    registry = lab.registry()
    reference = packed(lab, kit, registry)
    document = json.loads(manifest(registry, reference))
    found = [(each["mediaType"], each["digest"], each["size"]) for each in document["layers"]]
    wanted = [(each.media_type, each.digest, each.size) for each in expected(kit).layers]
    if kit.number < (0, 2, 4):  # compressed: the deflate differs, the order and the kinds do not
        found, wanted = [(kind, "", 0) for kind, *_ in found], [(kind, "", 0) for kind, *_ in wanted]
    if sorted(found) != sorted(wanted):
        lines = [f"packed: {each}" for each in found] + [f"expected: {each}" for each in wanted]
        raise Finding("the layers are not those of the format", lines)


@case("kit.packs-reproducibly", level=MUST, since="0.1", ref=refs.KIT_PACK)
def test_packs_reproducibly(lab: Lab) -> None:
    """The same files packed twice, at other times and in other folders, are the same layers.

    Otherwise every build pushes everything again.
    """
    kit = kit_of(lab)
    registry = lab.registry()
    found = []
    for name in ("first", "second"):
        document = json.loads(manifest(registry, packed(lab, kit, registry, repository=name)))
        found.append([each["digest"] for each in document["layers"]])
    if found[0] != found[1]:
        raise Finding("the layers differ", [f"{one} {other}" for one, other in zip(*found, strict=False)])


@case("kit.roundtrip", level=MUST, since="0.1", ref=refs.KIT_UNPACK)
def test_roundtrip(lab: Lab) -> None:
    """What it packs and pushes, it unpacks from the registry as it was.

    It is all that Kit is for.
    """
    kit = kit_of(lab)
    reference = packed(lab, kit, lab.registry())
    kit.forget()
    folder = lab.scratch("unpacked")
    does(lambda: kit.unpack(reference, folder))
    holds(folder, expected(kit), "what was unpacked is not what was packed")


@case("kit.subject-brings", level=MUST, since="0.1", ref=refs.KIT_KSERVE)
def test_subject_brings(lab: Lab) -> None:
    """What this Kit packs, the subject brings.

    A new Kit on the laptops must not need a new initializer in the clusters.
    """
    kit = kit_of(lab)
    reference = packed(lab, kit, lab.registry())
    lab.run(f"kit://{reference}").brought(expected(kit))


@case("kit.subject-brings-gzip", level=MUST, since="0.1", ref=refs.KIT_KSERVE)
def test_subject_brings_gzip(lab: Lab) -> None:
    """What this Kit packs with compression, the subject brings.

    Text compresses well, and some registries charge by the byte.
    """
    kit = kit_of(lab)
    flags = ("--compression", "gzip") if kit.number >= (0, 2, 4) else ()
    reference = packed(lab, kit, lab.registry(), *flags)
    lab.run(f"kit://{reference}").brought(expected(kit))


@case("kit.unpacks-current", level=MUST, since="0.1", ref=refs.KIT_FORMAT)
def test_unpacks_current(lab: Lab) -> None:
    """It unpacks what Kit 1.7 packs to the right places.

    Kits and tools are upgraded at different times. Versions before 0.5 put files into wrong folders, with
    exit code 0.
    """
    _unpacks(lab, pack(FILES, recipe((1, 7, 0)), as_kit="1.7.0"))


@case("kit.unpacks-0.4", level=MUST, since="0.1", ref=refs.KIT_FORMAT)
def test_unpacks_old(lab: Lab) -> None:
    """It unpacks what Kit 0.4 packed to the right places.

    Models outlive tools.
    """
    _unpacks(lab, pack(FILES, recipe((0, 4, 0)), as_kit="0.4.0"))


@case("kit.unpacks-gzip", level=MUST, since="0.1", ref=refs.KIT_FORMAT)
def test_unpacks_gzip(lab: Lab) -> None:
    """It unpacks compressed layers in its own layout.

    Those who pack choose the compression.
    """
    number = kit_of(lab).number
    layout = "0.4.0" if number < OLD else "1.7.0"
    _unpacks(lab, pack(FILES, recipe(number), as_kit=layout, compression="gzip"))


@case("kit.unpacks-1.10", level=MUST, since="0.1", ref=refs.KIT_FORMAT)
def test_unpacks_new(lab: Lab) -> None:
    """It unpacks what Kit 1.10 packs to the right places.

    Its manifest says more than older ones; an older initializer may ignore that.
    """
    _unpacks(lab, pack(FILES, recipe((1, 7, 0)), as_kit="1.10.0"))


def _unpacks(lab: Lab, given: ModelKit) -> None:
    kit = kit_of(lab)
    reference = lab.registry().add(given, "given", "v1").removeprefix("kit://")
    folder = lab.scratch("unpacked")
    does(lambda: kit.unpack(reference, folder))
    holds(folder, given, "what was unpacked is not what was packed")


@case("kit.kitfile", level=MUST, since="0.1", ref=refs.KIT_KITFILE)
def test_kitfile(lab: Lab) -> None:
    """The Kitfile that it unpacks says what the one said that it packed.

    A kit that is unpacked, changed and packed again keeps its description.
    """
    kit = kit_of(lab)
    reference = packed(lab, kit, lab.registry())
    kit.forget()
    folder = lab.scratch("unpacked")
    does(lambda: kit.unpack(reference, folder))
    found = yaml.safe_load((folder / "Kitfile").read_text("utf-8"))
    wanted = recipe(kit.number)
    found = _without_empty(found)
    differ = [
        f"{key}: {found.get(key)}, packed as {wanted[key]}" for key in wanted if found.get(key) != wanted[key]
    ]
    if differ:
        raise Finding("the Kitfile says something else", differ)


def _without_empty(value: Any) -> Any:  # noqa: ANN401  (YAML)
    """Drop empty texts: some versions write them, and they say nothing."""
    if isinstance(value, dict):
        return {key: _without_empty(each) for key, each in value.items() if each != ""}
    return [_without_empty(each) for each in value] if isinstance(value, list) else value


@case("kit.filter", level=MUST, since="0.1", ref=refs.KIT_UNPACK)
def test_filter(lab: Lab) -> None:
    """With --filter=model it unpacks the model alone.

    It is what KIT_UNPACK_FLAGS is used for most.
    """
    kit = kit_of(lab)
    if kit.number < (0, 3, 3):
        lab.does_not_apply("--filter is known from Kit 0.3.3 on")
    given = expected(kit)
    reference = lab.registry().add(given, "given", "v1").removeprefix("kit://")
    folder = lab.scratch("unpacked")
    does(lambda: kit.unpack(reference, folder, "--filter=model"))
    model = {path: fact for path, fact in given.files.items() if path.startswith("model/")}
    holds(folder, model, "a filter of the model gives something else")


@case("kit.digest", level=MUST, since="0.1", ref=refs.KIT_VERIFIES)
def test_digest(lab: Lab) -> None:
    """`kit unpack` from a registry refuses a layer with one changed byte.

    The documentation promises it, and initializers that leave the work to Kit rely on it.
    """
    kit = kit_of(lab)
    given = expected(kit)
    registry = lab.registry()
    reference = registry.add(given, "given", "v1").removeprefix("kit://")
    does(lambda: kit.unpack(reference, lab.scratch("good")))
    kit.forget()
    registry.inject(faults.Tamper(4500), kind="blob", reference=given.layers[0].digest)
    result = kit.unpack(reference, lab.scratch("bad"), check=False)
    if result.code == 0:
        raise Finding("it unpacked a layer that was changed, and succeeded")


@case("kit.pull-digest", level=MUST, since="0.1", ref=refs.KIT_VERIFIES)
def test_pull_digest(lab: Lab) -> None:
    """`kit pull` refuses a layer with one changed byte.

    What is in the local store is not checked again.
    """
    kit = kit_of(lab)
    given = expected(kit)
    registry = lab.registry()
    reference = registry.add(given, "given", "v1").removeprefix("kit://")
    does(lambda: kit.pull(reference))
    kit.forget()
    registry.inject(faults.Tamper(4500), kind="blob", reference=given.layers[0].digest)
    try:
        kit.pull(reference)
    except KitError:
        return
    raise Finding("it pulled a layer that was changed, and succeeded")


@case("kit.second-unpack", level=SHOULD, since="0.1", ref=refs.K8S_INIT)
def test_second_unpack(lab: Lab) -> None:
    """`kit unpack` into a folder where the same kit is already succeeds.

    Init containers are executed again; every initializer that leaves the work to Kit has to help here.
    """
    kit = kit_of(lab)
    given = expected(kit)
    reference = lab.registry().add(given, "given", "v1").removeprefix("kit://")
    folder = lab.scratch("unpacked")
    does(lambda: kit.unpack(reference, folder))
    does(lambda: kit.unpack(reference, folder))
    holds(folder, given, "the second time it left something else")


@case("kit.overwrite", level=MUST, since="0.1", ref=refs.KIT_UNPACK)
def test_overwrite(lab: Lab) -> None:
    """`kit unpack --overwrite` replaces what is there.

    It is the one way by which Kit heals a folder that a killed run has left.
    """
    kit = kit_of(lab)
    given = expected(kit)
    reference = lab.registry().add(given, "given", "v1").removeprefix("kit://")
    folder = lab.scratch("unpacked")
    does(lambda: kit.unpack(reference, folder))
    (folder / "model" / "weights.bin").write_bytes(b"half")
    does(lambda: kit.unpack(reference, folder, "--overwrite"))
    holds(folder, given, "it did not replace what was there")


@case("kit.login", level=MUST, since="0.1", ref=refs.KIT_LOGIN)
def test_login(lab: Lab) -> None:
    """After `kit login` it pushes to and unpacks from a registry with Basic authentication.

    Most registries are not open.
    """
    _logs_in(lab, lab.registry(auth=Basic(dict([LOGIN]))))


@case("kit.token-login", level=MUST, since="0.1", ref=refs.KIT_LOGIN)
def test_token_login(lab: Lab) -> None:
    """After `kit login` it pushes to and unpacks from a registry with tokens.

    Docker Hub, GitLab, GHCR and Harbor give tokens.
    """
    _logs_in(lab, lab.registry(auth=Bearer(dict([LOGIN]))))


def _logs_in(lab: Lab, registry: Registry) -> None:
    kit = kit_of(lab)
    does(lambda: kit.login(registry.host, *LOGIN))
    reference = packed(lab, kit, registry)
    kit.forget()
    folder = lab.scratch("unpacked")
    does(lambda: kit.unpack(reference, folder))
    holds(folder, expected(kit), "what was unpacked is not what was packed")


@case("kit.parent", level=SHOULD, since="0.1", ref=refs.KIT_PARENTS)
def test_parent(lab: Lab) -> None:
    """A kit whose model is another kit's is unpacked with that one's model.

    Fine-tuning kits name their base.
    """
    kit = kit_of(lab)
    if kit.number < OLD:
        lab.does_not_apply("parents of the current layout are known from Kit 0.5 on")
    registry = lab.registry()
    base = kits.model()
    parent = registry.add(base, "base", "v1").removeprefix("kit://")
    child = pack(
        {"c.py": b"c"},
        {"manifestVersion": "1.0.0", "package": {}, "model": {"path": parent}, "code": [{"path": "c.py"}]},
    )
    reference = registry.add(child, "child", "v1").removeprefix("kit://")
    folder = lab.scratch("unpacked")
    does(lambda: kit.unpack(reference, folder))
    holds(folder, {**child.files, **base.files}, "the parent's model is not there")


@case("kit.odd-names", level=MUST, since="0.1", ref=refs.KIT_PACK)
def test_odd_names(lab: Lab) -> None:
    """Every name that it packs, it unpacks: m..v1.bin, say.

    What can be packed and pushed and never unpacked is lost without anybody noticing.
    """
    kit = kit_of(lab)
    registry = lab.registry()
    folder = lab.scratch("source")
    names = ("m..v1.bin", "with blank.bin", "ünï.bin")
    (folder / "model").mkdir()
    for name in names:
        (folder / "model" / name).write_bytes(name.encode())
    recipe = {"manifestVersion": "1.0.0", "package": {"name": "odd"}, "model": {"name": "m", "path": "model"}}
    (folder / "Kitfile").write_text(yaml.safe_dump(recipe), "utf-8")
    reference = f"{registry.host}/odd:v1"
    does(lambda: kit.pack(folder, reference))
    does(lambda: kit.push(reference))
    kit.forget()
    to = lab.scratch("unpacked")
    does(lambda: kit.unpack(reference, to))
    wanted = kits.of({f"model/{name}": name.encode() for name in names}, path="model")
    holds(to, wanted, "what was unpacked is not what was packed")
