"""What only looks like a signature: of something else, by somebody else, changed, or of another kind."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Final

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.cases.signature_steps import SLSA, Shop, key, refused, refuses
from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.testbed import signing
from kit_conformance.testbed.kits import index

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kit_conformance.lab import Lab
    from kit_conformance.testbed.kits import ModelKit

_KEY: Final = {"signatures"}
_OTHER: Final = "sha256:" + "0123456789abcdef" * 4


@case("signature.unsigned", level=MUST, since="0.1", ref=refs.COSIGN_BUNDLE, features=_KEY)
def test_unsigned(lab: Lab) -> None:
    """A kit without any signature is refused.

    It is what somebody pushes who may push and may not sign.
    """
    refuses(lab, "nobody has signed it", lambda *_: [])
    refuses(lab, "nobody has signed it", lambda *_: [], referrers=404)


@case("signature.another-key", level=MUST, since="0.1", ref=refs.COSIGN_BUNDLE, features=_KEY)
def test_another_key(lab: Lab) -> None:
    """A kit that somebody else's key has signed is refused, in both formats.

    Everybody can make a key.
    """
    theirs = key("theirs")
    refuses(
        lab,
        "it is by another key",
        lambda _, kit: [signing.bundle(theirs, kit)],
        lambda shop, kit: [shop.simple(kit, by=theirs)],
    )


@case("signature.hint", level=MUST, since="0.1", ref=refs.SIGSTORE_CLIENT, features=_KEY)
def test_hint(lab: Lab) -> None:
    """A bundle by another key that names the right one is refused.

    The hint says which key to try; the one who made the bundle writes it.
    """
    theirs = key("theirs")
    refuses(lab, "the hint proves nothing", lambda _, kit: [signing.bundle(theirs, kit, hint=key().hint)])


@case("signature.other-digest", level=MUST, since="0.1", ref=refs.IN_TOTO_VALIDATION, features=_KEY)
def test_other_digest(lab: Lab) -> None:
    """A true bundle of another kit, attached to this one, is refused.

    Every signature of the past is there for everybody to copy.
    """
    made = signing.envelope(key(), signing.statement(_OTHER, _OTHER[:-1] + "0", predicate={}))
    refuses(
        lab,
        "other kits are signed",
        lambda _, kit: [signing.bundle(key(), kit, digest=_OTHER)],
        lambda _, kit: [signing.bundle(key(), kit, made=made)],
    )


@case("signature.other-digest-simple", level=MUST, since="0.1", ref=refs.COSIGN_SIMPLE, features=_KEY)
def test_other_digest_simple(lab: Lab) -> None:
    """A true signature of another kit, copied to this kit's tag sha256-HEX.sig, is refused.

    The one who pushes chooses the name of a tag.
    """
    refuses(lab, "another kit is signed", lambda shop, kit: [shop.simple(kit, digest=_OTHER)])


@case("signature.annotation-lies", level=MUST, since="0.1", ref=refs.COSIGN_SIMPLE, features=_KEY)
def test_annotation_lies(lab: Lab) -> None:
    """What annotations and names say of the digest counts nothing beside what was signed.

    Nobody signs an annotation, and a name in a statement is a name.
    """

    def simple(shop: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        made = signing.simple_layer(key(), kit, f"{shop.host}/iris", digest=_OTHER)
        lies = {**made.annotations, "dev.cosignproject.cosign/digest": kit.digest}
        layer = signing.SimpleLayer(made.data, lies)
        return [signing.simple(kit, layer, annotations={"docker-manifest-digest": kit.digest})]

    def bundle(shop: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        said = json.loads(signing.statement(_OTHER, predicate={}))
        said["subject"][0] |= {"name": f"{shop.host}/iris@{kit.digest}", "annotations": {"d": kit.digest}}
        return [signing.bundle(key(), kit, made=signing.envelope(key(), json.dumps(said).encode()))]

    refuses(lab, "only an annotation or a name is this kit's", simple, bundle)


@case("signature.attestation", level=MUST, since="0.1", ref=refs.COSIGN_PREDICATE, features=_KEY)
def test_attestation(lab: Lab) -> None:
    """An attestation by the right key is no signature.

    A scanner that attests "97 vulnerabilities" must not thereby have released the kit.
    """
    refuses(lab, "it attests something", lambda _, kit: [signing.bundle(key(), kit, predicate_type=SLSA)])


@case("signature.predicate-annotation", level=MUST, since="0.1", ref=refs.COSIGN_PREDICATE, features=_KEY)
def test_predicate_annotation(lab: Lab) -> None:
    """An attestation does not become a signature because its manifest calls it one.

    The annotation is there for lists; the predicate type that counts is the signed one.
    """

    def make(_: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        return [signing.bundle(key(), kit, predicate_type=SLSA, annotated=signing.COSIGN_SIGN)]

    refuses(lab, "only the annotation says so", make)


@case("signature.attestation-tag", level=MUST, since="0.1", ref=refs.COSIGN_ATTESTATION, features=_KEY)
def test_attestation_tag(lab: Lab) -> None:
    """An attestation under sha256-HEX.att, or copied to sha256-HEX.sig, is no signature.

    In the older format they differ by the tag and by nothing that is signed.
    """

    def attested(_: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        return [signing.attestations(kit, signing.attestation_layer(key(), kit, SLSA))]

    def copied(_: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        return [signing.simple(kit, signing.attestation_layer(key(), kit, SLSA))]

    refuses(lab, "it attests something", attested, copied)


@case("signature.payload-type", level=MUST, since="0.1", ref=refs.DSSE, features=_KEY)
def test_payload_type(lab: Lab) -> None:
    """An envelope of another payload type is no statement, whatever its bytes are.

    The type is signed so that bytes for one purpose cannot be taken for another.
    """

    def make(_: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        said = signing.statement(kit.digest, predicate={})
        return [signing.bundle(key(), kit, made=signing.envelope(key(), said, "text/plain"))]

    refuses(lab, "the payload is no in-toto statement", make)


@case("signature.payload-type-changed", level=MUST, since="0.1", ref=refs.DSSE, features=_KEY)
def test_payload_type_changed(lab: Lab) -> None:
    """An envelope whose payload type was changed after signing is refused, and so is a bare signature.

    What is signed is the payload with its type, in the encoding that DSSE gives.
    """

    def changed(_: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        made = signing.envelope(key(), signing.statement(kit.digest, predicate={}), "text/plain")
        return [signing.bundle(key(), kit, made=signing.Envelope(made.payload, made.signature))]

    def bare(_: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        said = signing.statement(kit.digest, predicate={})
        return [signing.bundle(key(), kit, made=signing.Envelope(said, key().sign(said)))]

    refuses(lab, "this type was not signed", changed, bare)


@case("signature.flipped", level=MUST, since="0.1", ref=refs.DSSE, features=_KEY)
def test_flipped(lab: Lab) -> None:
    """One changed byte in the signature, the payload or the digest that it names is no signature.

    It is what signatures are for.
    """

    def bundle(_: Shop, kit: ModelKit, what: str) -> Iterable[signing.Attachment]:
        good = signing.envelope(key(), signing.statement(kit.digest, predicate={}))
        payload = (
            good.payload.replace(b'"predicate":{}', b'"predicate":[]') if what == "payload" else good.payload
        )
        signature = signing.flipped(good.signature) if what == "signature" else good.signature
        if what == "subject":
            other = _OTHER.removeprefix("sha256:").encode()
            signed = signing.envelope(key(), good.payload.replace(kit.digest[7:].encode(), other))
            signature = signed.signature
        return [signing.bundle(key(), kit, made=signing.Envelope(payload, signature))]

    def simple(shop: Shop, kit: ModelKit, *, digest: str) -> Iterable[signing.Attachment]:
        name = f"{shop.host}/iris"
        good = key().sign(signing.payload(digest or kit.digest, name))
        return [shop.simple(kit, signature=good if digest else signing.flipped(good))]

    refuses(
        lab,
        "something was changed",
        *(partial(bundle, what=what) for what in ("signature", "payload", "subject")),
        partial(simple, digest=""),
        partial(simple, digest=_OTHER),
    )


@case("signature.unparsable", level=MUST, since="0.1", ref=refs.COSIGN_BUNDLE, features=_KEY)
def test_unparsable(lab: Lab) -> None:
    """What cannot be read as a signature does not count.

    An exception on the way to a verdict is not a verdict.
    """
    deep = b"[" * 100_000
    material = {"publicKey": {"hint": key().hint}}
    envelopes: list[object] = [
        None,
        {"payload": "e30", "payloadType": signing.IN_TOTO, "signatures": [{"sig": "%%%"}]},
        {"payload": "e30=", "payloadType": signing.IN_TOTO, "signatures": []},
        {"payload": "e30=", "payloadType": 7, "signatures": {"sig": ""}},
    ]
    kind = "application/vnd.dev.sigstore.bundle.v0.3+json"
    contents = [
        b"",
        b"null",
        b"\xff\xfe{}",
        deep,
        *(
            json.dumps({"mediaType": kind, "verificationMaterial": material, "dsseEnvelope": each}).encode()
            for each in envelopes
        ),
    ]

    def broken(shop: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        good = signing.simple_layer(key(), kit, f"{shop.host}/iris")
        layers = [signing.SimpleLayer(each, good.annotations) for each in (b"", b"[]", deep)]
        odd = [
            signing.SimpleLayer(good.data, each) for each in ({}, {"dev.cosignproject.cosign/signature": "%"})
        ]
        return [*(signing.referrer(each, kit) for each in contents), signing.simple(kit, *layers, *odd)]

    refuses(lab, "none of it can be read", broken)


@case(
    "signature.index-only",
    level=SHOULD,
    since="0.1",
    ref=refs.COSIGN_SIMPLE,
    features={"signatures", "index"},
)
def test_index_only(lab: Lab) -> None:
    """A signed index does not make its members signed.

    An index is signed for its list; members that somebody else has packed stand in it too.
    """
    small, large = kits.plain("small"), kits.plain("large")
    whole = index((small, {"size": "small"}), (large, {"size": "large"}))
    shop = Shop(lab)
    shop.works()
    uri = shop.add(whole, *shop.both(whole), *shop.both(small))
    ask = {**shop.asked, "label": {"label": "size=large"}}
    refused(shop, uri, "only the index and another member are signed", ask=ask)


@case("signature.other-repository", level=MUST, since="0.1", ref=refs.COSIGN_SIMPLE, features=_KEY)
def test_other_repository(lab: Lab) -> None:
    """A signature that lies in another repository is not looked for there.

    Whoever may push to some repository of a registry may put anything under any tag of it.
    """
    kit = kits.model()
    shop = Shop(lab)
    shop.works()
    shop.add(kit, *shop.both(kit, "other"), repository="other")
    refused(shop, shop.add(kit), "the signature is in another repository")


@case("signature.docker-reference", level=SHOULD, since="0.1", ref=refs.SIGNED_IDENTITY, features=_KEY)
def test_docker_reference(lab: Lab) -> None:
    """A signature that names another repository is no signature of this one.

    Otherwise an old kit of one model can be served as another model, with its signature.
    """

    def make(shop: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        return [signing.simple(kit, signing.simple_layer(key(), kit, f"{shop.host}/other"))]

    refuses(lab, "another repository was signed", make)


@case(
    "signature.parent-unsigned",
    level=MUST,
    since="0.1",
    ref=refs.KIT_PARENTS,
    features={"signatures", "parents"},
)
def test_parent_unsigned(lab: Lab) -> None:
    """A signed kit whose parent is not signed is refused.

    The model is the parent's: a tag, which says nothing of what will be there tomorrow.
    """
    shop = Shop(lab)
    shop.works()
    shop.add(kits.model(), repository="base")
    child = kits.child(f"{shop.host}/base:v1")
    refused(shop, shop.add(child, *shop.both(child)), "the parent is not signed")
