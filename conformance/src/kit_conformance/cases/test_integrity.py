"""Bytes that are not those that were packed, wherever they are changed."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.testbed.kits import ModelKit, Tar, assemble, layer, single
from kit_conformance.testbed.registry import faults
from kit_conformance.testbed.registry.auth import Bearer

if TYPE_CHECKING:
    from kit_conformance.lab import Lab
    from kit_conformance.testbed.registry import Fault


def _refused(lab: Lab, kit: ModelKit, fault: Fault, *, number: int = 0, why: str) -> None:
    """Show that a kit is brought as it is, and refused when a layer of it is not what its digest says."""
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    lab.works(uri)
    registry.inject(fault, kind="blob", reference=kits.layer_of(kit, number))
    lab.run(uri, patience=True).failed(why).brought_nothing()


@case("integrity.layer-digest", level=MUST, since="0.1", ref=refs.KIT_VERIFIES)
def test_layer_digest(lab: Lab) -> None:
    """A layer with one changed byte is refused.

    One who can change a byte in a registry, a proxy or a cache decides what is served; weights with one
    changed bit load without complaint.
    """
    _refused(lab, kits.model(), faults.Tamper(2000), why="a byte of the layer was changed")


@case("integrity.large-layer-digest", level=MUST, since="0.1", ref=refs.KIT_VERIFIES)
def test_large_layer_digest(lab: Lab) -> None:
    """A large layer with one changed byte near its end is refused, and no part of it is left.

    Large layers are written while they come; what was written before the digest is known must not stay.
    """
    _refused(lab, kits.large(), faults.Tamper(8 * kits.MIB + 5), why="a byte of the layer was changed")


@case("integrity.layer-replaced", level=MUST, since="0.1", ref=refs.KIT_VERIFIES)
def test_layer_replaced(lab: Lab) -> None:
    """Another archive of the same size in place of a layer is refused.

    It is a perfect archive, with another model in it.
    """
    kit = kits.of({kits.MODEL: b"the model that was tested"})
    other = kits.of({kits.MODEL: b"the model of somebody else"[:25]})
    _refused(lab, kit, faults.Replace(other.layers[0].read()), why="it is another archive")


@case("integrity.layer-tail", level=MUST, since="0.1", ref=refs.OCI_DIGESTS)
def test_layer_tail(lab: Lab) -> None:
    """A byte that is changed after the archive's own end is noticed.

    An initializer that stops at the end of the archive never sees the whole blob, and so never its digest.
    """
    tar = bytes(Tar().file(kits.MODEL, b"a model")) + bytes(20_000)
    _refused(lab, single(tar, "."), faults.Tamper(-1), why="the last byte of the blob was changed")


@case("integrity.layer-truncated", level=MUST, since="0.1", ref=refs.OCI_DESCRIPTOR)
def test_layer_truncated(lab: Lab) -> None:
    """A layer of which the registry has only the first half is refused.

    Its Content-Length is that of the half, so that nothing is wrong with the transfer.
    """
    data = kits.model(40_000).layers[0].read()
    _refused(
        lab, kits.model(40_000), faults.Replace(data[: len(data) // 2]), why="half of the layer is missing"
    )


@case("integrity.layer-longer", level=MUST, since="0.1", ref=refs.OCI_DESCRIPTOR)
def test_layer_longer(lab: Lab) -> None:
    """A layer with something after its end is refused.

    It has more bytes than its descriptor says, and so another digest.
    """
    kit = kits.model(40_000)
    _refused(
        lab,
        kit,
        faults.Replace(kit.layers[0].read() + bytes(5000)),
        why="the blob is longer than it should be",
    )


@case("integrity.gzip-layer-digest", level=MUST, since="0.1", ref=refs.KIT_VERIFIES)
def test_gzip_layer_digest(lab: Lab) -> None:
    """A changed byte that the compression does not notice is noticed.

    The checksum of gzip covers what is inside, not its header; a digest covers all.
    """
    _refused(lab, kits.model(compression="gzip"), faults.Tamper(4), why="a byte of gzip's header was changed")


@case("integrity.zstd-layer-digest", level=MUST, since="0.1", ref=refs.KIT_VERIFIES, features={"zstd"})
def test_zstd_layer_digest(lab: Lab) -> None:
    """A changed byte in a zstd layer is refused.

    Zstd's own checksum is optional, and no defence against anybody who means it.
    """
    kit = kits.model(compression="zstd")
    _refused(lab, kit, faults.Tamper(kit.layers[0].size // 2), why="a byte of the layer was changed")


@case("integrity.later-layer-digest", level=MUST, since="0.1", ref=refs.KIT_VERIFIES)
def test_later_layer_digest(lab: Lab) -> None:
    """When the last of several layers is wrong, nothing of the others is left either.

    The code of one version with the weights of none is worse than no model at all.
    """
    _refused(lab, kits.many(4), faults.Tamper(700), number=3, why="a byte of the fourth layer was changed")


@case("integrity.other-pair", level=SHOULD, since="0.1", ref=refs.KIT_VERIFIES)
def test_other_pair(lab: Lab) -> None:
    """When one of two pairs is wrong, nothing of the other is published.

    Exit code 1 with a complete first model looks to a retry as if that part were done.
    """
    good, bad = kits.plain("good"), kits.model(seed=3)
    registry = lab.registry()
    uris = registry.add(good, "good"), registry.add(bad, "bad")
    root = lab.destination()
    lab.works(*uris, to=[root / "c", root / "d"])
    registry.inject(faults.Tamper(2000), kind="blob", reference=kits.layer_of(bad))
    result = lab.run(*uris, to=[root / "a", root / "b"]).failed("the second kit was changed")
    result.brought_nothing(number=0).brought_nothing(number=1)


@case("integrity.config-digest", level=MUST, since="0.1", ref=refs.OCI_DIGESTS)
def test_config_digest(lab: Lab) -> None:
    """A changed config is refused.

    The config says which layer goes where: a change decides which file becomes the model.
    """
    kit = kits.plain()
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    lab.works(uri)
    at = kit.config.index(b'"iris"') + 1
    registry.inject(faults.Replace(kit.config[:at] + b"J" + kit.config[at + 1 :]), kind="config")
    lab.run(uri, patience=True).failed("the config was changed").brought_nothing()


@case("integrity.manifest-digest", level=MUST, since="0.1", ref=refs.OCI_DIGESTS)
def test_manifest_digest(lab: Lab) -> None:
    """A manifest that does not match the digest in the reference is refused.

    A digest in a storageUri is the user's only way to say exactly which model he means.
    """
    kit, other = kits.plain(), kits.plain("another")
    registry = lab.registry()
    registry.add(other, "iris", "other")
    uri = registry.add(kit, "iris", "v1").replace(":v1", f"@{kit.digest}")
    lab.works(uri)
    registry.inject(faults.Replace(other.manifest), kind="manifest")
    lab.run(uri, patience=True).failed("the manifest is another kit's").brought_nothing()


@case("integrity.manifest-cut", level=MUST, since="0.1", ref=refs.OCI_DESCRIPTOR)
def test_manifest_cut(lab: Lab) -> None:
    """Half of a manifest is refused.

    A reader that takes what it gets would bring the first layers and call that a model.
    """
    kit = kits.plain()
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    lab.works(uri)
    registry.inject(faults.Replace(kit.manifest[: len(kit.manifest) // 2]), kind="manifest")
    lab.run(uri, patience=True).failed("half of the manifest is missing").brought_nothing()


@case("integrity.digest-header", level=SHOULD, since="0.1", ref=refs.OCI_MANIFESTS)
def test_digest_header(lab: Lab) -> None:
    """A manifest that does not match the digest which the registry states for it is refused.

    The header is the registry's own word for what the tag is; a proxy that mixes up two answers is found
    out by it.
    """
    registry = lab.registry()
    uri = registry.add(kits.plain(), "iris", "v1")
    lab.works(uri)
    registry.inject(faults.wrong_digest_header(), kind="manifest", method="GET")
    registry.inject(faults.wrong_digest_header(), kind="manifest", method="HEAD")
    lab.run(uri, patience=True).failed("the registry's header speaks of another manifest").brought_nothing()


@case("integrity.size", level=MUST, since="0.1", ref=refs.OCI_DESCRIPTOR)
def test_size(lab: Lab) -> None:
    """A descriptor whose size is not the blob's is refused, though the digest is right.

    "If the length of the retrieved content does not match the specified length, the content SHOULD NOT be
    trusted": sizes are what limits and free space are checked against.
    """
    blob = layer(kits.harmless())
    config = {"manifestVersion": "1.0.0", "package": {}, "model": {"path": ".", "digest": blob.digest}}
    honest = assemble(config, [blob])
    size = str(blob.size).encode()
    lying = ModelKit(
        honest.manifest.replace(b'"size":' + size + b"}", b'"size":' + str(blob.size + 512).encode() + b"}"),
        honest.config,
        honest.layers,
    )
    assert lying.manifest != honest.manifest
    registry = lab.registry()
    lab.works(registry.add(honest, "honest"))
    lab.run(registry.add(lying, "lying"), patience=True).failed("the size is wrong").brought_nothing()


@case("integrity.second-origin", level=MUST, since="0.1", ref=refs.KIT_VERIFIES)
def test_second_origin(lab: Lab) -> None:
    """A layer that was changed where a redirect leads to is refused.

    Object stores and content delivery networks hold the bytes; the registry vouches only for the digest.
    """
    kit = kits.model()
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.Redirect())
    lab.works(uri)
    registry.inject(faults.Tamper(2000), kind="blob", origin="elsewhere")
    lab.run(uri, patience=True).failed("the second origin sent other bytes").brought_nothing()


@case("integrity.resumed", level=MUST, since="0.1", ref=refs.RFC_RANGE)
def test_resumed(lab: Lab) -> None:
    """What comes after a break in the transfer is checked together with what came before.

    A registry that answers a range with other bytes than were asked for must not lead to a patched model.
    """
    registry = lab.registry()
    uri = registry.add(kits.large(), "iris", "v1")
    lab.works(uri)
    registry.inject(faults.Cut(after=3 * kits.MIB), kind="blob", times=1)
    registry.inject(faults.WrongContentRange(by=512, lie=False), kind="blob", skip=1)
    registry.inject(faults.Tamper(6 * kits.MIB), kind="blob", skip=1)
    lab.run(uri, patience=True).failed("the rest was not that of the same blob").brought_nothing()


@case("integrity.with-token", level=MUST, since="0.1", ref=refs.KIT_VERIFIES, features={"login"})
def test_with_token(lab: Lab) -> None:
    """A registry with a login is checked like any other.

    To be let in somewhere is no reason to trust what is there.
    """
    kit = kits.model()
    registry = lab.registry(auth=Bearer({"ann": "a-password"}))
    uri = registry.add(kit, "iris", "v1")
    lab.works(uri, login=("ann", "a-password"))
    registry.inject(faults.Tamper(2000), kind="blob", reference=kits.layer_of(kit))
    lab.run(uri, login=("ann", "a-password"), patience=True).failed("a byte was changed").brought_nothing()


@case("integrity.compressed-garbage", level=MUST, since="0.1", ref=refs.KIT_FORMAT, any_registry=True)
def test_compressed_garbage(lab: Lab) -> None:
    """A gzip layer that breaks off inside is refused, though its digest is right.

    Packing lost the end; what is there of the last file is not the model.
    """
    tar = kits.model(30_000).layers[0].read()
    good = single(gzip.compress(tar, mtime=0), ".", suffix="tar+gzip")
    cut = single(gzip.compress(tar, mtime=0)[:-4000], ".", suffix="tar+gzip")
    lab.works(lab.place(good, "good"))
    lab.run(lab.place(cut, "cut"), patience=True).failed("the gzip stream has no end").brought_nothing()
