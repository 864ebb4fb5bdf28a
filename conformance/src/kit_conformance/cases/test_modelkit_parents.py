"""Parents, filters, and what is no ModelKit at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.result import Finding
from kit_conformance.testbed.kits import (
    ModelKit,
    assemble,
    layer,
    pack,
)

if TYPE_CHECKING:
    from kit_conformance.lab import Lab

# parents


def _child(parent: str, name: str = "child") -> ModelKit:
    return pack(
        {f"{name}.py": name.encode()},
        {
            "manifestVersion": "1.0.0",
            "package": {"name": name},
            "model": {"name": "m", "path": parent},
            "code": [{"path": f"{name}.py"}],
        },
    )


@case(
    "modelkit.parent", level=MUST, since="0.1", ref=refs.KIT_PARENTS, features={"parents"}, any_registry=True
)
def test_parent(lab: Lab) -> None:
    """A kit whose model is another kit's brings that one's model.

    Fine-tuning kits name the base model instead of packing it again.
    """
    parent = kits.plain("base")
    uri = lab.place(parent, "base", "v1").removeprefix("kit://")
    child = _child(uri)
    files = {**child.files, kits.MODEL: parent.files[kits.MODEL]}
    lab.run(lab.place(child, "child")).brought(files)


@case(
    "modelkit.parent-chain",
    level=SHOULD,
    since="0.1",
    ref=refs.KIT_PARENTS,
    features={"parents"},
    any_registry=True,
)
def test_parent_chain(lab: Lab) -> None:
    """A parent may have a parent: five of them in a row are followed.

    Kit itself follows ten.
    """
    base = kits.plain("base")
    uri = lab.place(base, "level-0", "v1").removeprefix("kit://")
    for number in range(1, 5):
        uri = lab.place(_child(uri, f"c{number}"), f"level-{number}", "v1").removeprefix("kit://")
    last = _child(uri, "last")
    files = {**last.files, kits.MODEL: base.files[kits.MODEL]}
    lab.run(lab.place(last, "last")).brought(files)


@case("modelkit.parent-cycle", level=MUST, since="0.1", ref=refs.KIT_PARENTS, features={"parents"})
def test_parent_cycle(lab: Lab) -> None:
    """Kits that are each other's parent fail the run.

    Tags move; nobody needs to have meant it.
    """
    registry = lab.registry()
    lab.works(registry.add(kits.plain(), "iris"))
    registry.add(_child(f"{registry.host}/two:v1", "one"), "one", "v1")
    registry.add(_child(f"{registry.host}/one:v1", "two"), "two", "v1")
    lab.run(f"kit://{registry.host}/one:v1").failed("each is the other's parent").brought_nothing()


@case(
    "modelkit.parent-missing",
    level=MUST,
    since="0.1",
    ref=refs.KIT_PARENTS,
    features={"parents"},
    any_registry=True,
)
def test_parent_missing(lab: Lab) -> None:
    """A parent that is not there fails the run.

    Without it there is no model at all.
    """
    there = lab.place(kits.plain())
    lab.works(there)
    uri = lab.place(_child(there.removeprefix("kit://").replace("/iris:", "/no-such-kit:")), "child")
    lab.run(uri).failed("there is no such parent").brought_nothing()


# filters


@case(
    "modelkit.filter-type",
    level=MUST,
    since="0.1",
    ref=refs.KIT_UNPACK,
    features={"filters"},
    any_registry=True,
)
def test_filter_type(lab: Lab) -> None:
    """A filter of a type brings what is of that type, and nothing else.

    Servers want the model, not the training data that is a hundred times its size.
    """
    kit = kits.plain()
    result = lab.run(lab.place(kit), ask={"filter": {"filter": "model"}})
    result.brought({kits.MODEL: kit.files[kits.MODEL]}, kitfile=False)


@case(
    "modelkit.filter-types",
    level=MUST,
    since="0.1",
    ref=refs.KIT_UNPACK,
    features={"filters"},
    any_registry=True,
)
def test_filter_types(lab: Lab) -> None:
    """A filter of several types brings all of them.

    Model and docs, say, without code and data.
    """
    kit = kits.plain()
    wanted = {path: fact for path, fact in kit.files.items() if path in {kits.MODEL, "docs/README.md"}}
    lab.run(lab.place(kit), ask={"filter": {"filter": "model,docs"}}).brought(wanted, kitfile=False)


@case(
    "modelkit.filter-name",
    level=MUST,
    since="0.1",
    ref=refs.KIT_UNPACK,
    features={"filters"},
    any_registry=True,
)
def test_filter_name(lab: Lab) -> None:
    """A filter with a name brings what has that name, and not its neighbours.

    A kit with five adapters is served with one.
    """
    files = {"train.csv": b"train", "test.csv": b"test", "m.bin": b"m"}
    recipe = {
        "manifestVersion": "1.0.0",
        "package": {},
        "model": {"name": "m", "path": "m.bin"},
        "datasets": [{"name": "training", "path": "train.csv"}, {"name": "testing", "path": "test.csv"}],
    }
    kit = pack(files, recipe)
    result = lab.run(lab.place(kit), ask={"filter": {"filter": "datasets:testing"}})
    result.brought({"test.csv": kit.files["test.csv"]}, kitfile=False)


@case("modelkit.filter-saves", level=SHOULD, since="0.1", ref=refs.KIT_UNPACK, features={"filters"})
def test_filter_saves(lab: Lab) -> None:
    """What a filter leaves out is not fetched.

    That is what filters are for.
    """
    kit = kits.plain()
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    wanted = {kits.MODEL: kit.files[kits.MODEL]}
    lab.run(uri, ask={"filter": {"filter": "model"}}).brought(wanted, kitfile=False)
    fetched = registry.ledger.requests(kind="blob", method="GET")
    if len({entry.reference for entry in fetched}) != 1:
        raise Finding("layers were fetched that nobody wants", [str(entry) for entry in fetched])


@case(
    "modelkit.filter-nothing",
    level=SHOULD,
    since="0.1",
    ref=refs.KIT_UNPACK,
    features={"filters"},
    any_registry=True,
)
def test_filter_nothing(lab: Lab) -> None:
    """A filter that matches nothing fails the run.

    A typing error in a name would otherwise start a server over an empty folder, with exit code 0.
    """
    uri = lab.place(kits.plain())
    lab.works(uri, ask={"filter": {"filter": "model"}})
    lab.run(uri, ask={"filter": {"filter": "model:no-such-model"}}).failed(
        "nothing matches"
    ).brought_nothing()


# what is no ModelKit


@case("modelkit.not-a-modelkit", level=MUST, since="0.1", ref=refs.KIT_UNPACK, any_registry=True)
def test_not_a_modelkit(lab: Lab) -> None:
    """An image that is no ModelKit fails the run, and nothing is brought.

    Its layers are archives as well, of a whole operating system.
    """
    blob = layer(kits.harmless())
    kit = assemble(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}, [blob]
    )
    document = json.loads(kit.manifest)
    document["config"]["mediaType"] = "application/vnd.oci.image.config.v1+json"
    document["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar"
    image = ModelKit(json.dumps(document).encode(), kit.config, kit.layers)
    lab.works(lab.place(kits.plain()))
    lab.run(lab.place(image, "image")).failed("that is an image").brought_nothing()


@case("modelkit.config-not-json", level=MUST, since="0.1", ref=refs.KIT_FORMAT, any_registry=True)
def test_config_not_json(lab: Lab) -> None:
    """A config that cannot be read fails the run, and nothing is brought.

    Nobody knows then which layer goes where.
    """
    kit = kits.plain()
    lab.works(lab.place(kit))
    broken = assemble(b'{"manifestVersion": "1.0.0", "model": [', kit.layers)
    lab.run(lab.place(broken, "broken")).failed("the config is no JSON").brought_nothing()


@case("modelkit.config-of-other-layers", level=MUST, since="0.1", ref=refs.KIT_FORMAT, any_registry=True)
def test_config_of_other_layers(lab: Lab) -> None:
    """A config whose digests are not those of the layers fails the run, and nothing is brought.

    The manifest of one kit with the config of another is no kit.
    """
    kit, other = kits.plain(), kits.plain("other", 4000)
    lab.works(lab.place(kit))
    mixed = assemble(kit.config, other.layers)
    lab.run(lab.place(mixed, "mixed")).failed("the config speaks of other layers").brought_nothing()
