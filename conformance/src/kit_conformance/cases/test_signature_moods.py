"""Signatures that cannot be fetched, keys that cannot be used, and what lies there from before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.cases.signature_steps import Shop, by_key, key, refused
from kit_conformance.cases.steps import some
from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.result import Finding
from kit_conformance.testbed import signing
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from kit_conformance.lab import Lab
    from kit_conformance.testbed.kits import ModelKit
    from kit_conformance.testbed.registry.wire import Request

_KEY: Final = {"signatures"}
_MANY: Final = 1200  # requests: cosign itself looks at a thousand signatures
_MOST: Final = 128 * kits.MIB  # bytes of one signature that cosign fetches


def _of_signatures(kit: ModelKit, request: Request) -> bool:
    """Say whether a request is for the signatures of a kit, and not for the kit."""
    ours = {kit.digest, "v1", *kit.blobs}
    return request.kind == "referrers" or (
        request.kind in {"manifest", "blob", "config"} and request.reference not in ours
    )


def _unfetched(lab: Lab, status: int, why: str) -> None:
    kit = kits.model()
    for kinds in ({"referrers", "manifest"}, {"blob"}):
        shop = Shop(lab)
        shop.works()
        uri = shop.add(kit, *shop.both(kit))
        shop.registry.inject(
            faults.Status(status),
            when=lambda each, kinds=kinds: each.kind in kinds and _of_signatures(kit, each),  # type: ignore[misc]
        )
        refused(shop, uri, why)


@case("signature.unavailable", level=MUST, since="0.1", ref=refs.OCI_REFERRERS, features=_KEY)
def test_unavailable(lab: Lab) -> None:
    """Where signatures cannot be fetched for a 503, the kit is not brought.

    An attacker who can disturb a connection could otherwise switch verification off.
    """
    _unfetched(lab, 503, "the signatures cannot be fetched")


@case("signature.denied", level=MUST, since="0.1", ref=refs.OCI_REFERRERS, features=_KEY)
def test_denied(lab: Lab) -> None:
    """Where signatures are denied with a 403, the kit is not brought.

    A repository with its own rules for tags is no reason to trust what lies in it.
    """
    _unfetched(lab, 403, "the signatures are denied")


@case("signature.tampered", level=MUST, since="0.1", ref=refs.OCI_DIGESTS, features=_KEY)
def test_tampered(lab: Lab) -> None:
    """A signature's blob that does not match its digest is not taken for one.

    It was replaced on the way.
    """
    kit = kits.model()
    shop = Shop(lab)
    shop.works()
    uri = shop.add(kit, signing.bundle(key("theirs"), kit))
    good = signing.bundle(key(), kit)
    (content,) = (each for each in good.blobs.values() if isinstance(each, bytes) and len(each) > 2)
    shop.registry.inject(
        faults.Replace(content), when=lambda each: each.kind == "blob" and _of_signatures(kit, each)
    )
    refused(shop, uri, "the bundle is not what its digest says")


@case("signature.unusable-key", level=MUST, since="0.1", ref=refs.SIGSTORE_CLIENT, features=_KEY)
def test_unusable_key(lab: Lab) -> None:
    """A key that cannot be read, or cannot verify, is no wish for less.

    A key that lost its end in a YAML file must not switch verification off.
    """
    shop = Shop(lab)
    shop.works()
    kit = kits.model()
    uri = shop.add(kit, *shop.both(kit))
    exchange = x25519.X25519PrivateKey.generate().public_key()
    pem = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    whole = key().public
    for text in (whole[:-40], whole.replace("-----BEGIN", "----BEGIN"), exchange.public_bytes(*pem).decode()):
        refused(shop, uri, "the key cannot be used", ask=by_key(text))


@case("signature.empty-key", level=MUST, since="0.1", ref=refs.SIGSTORE_CLIENT, features=_KEY)
def test_empty_key(lab: Lab) -> None:
    """An empty key is no wish for less.

    It is what a template leaves where the value is missing.
    """
    shop = Shop(lab)
    shop.works()
    kit = kits.model()
    uri = shop.add(kit, *shop.both(kit))
    refused(shop, uri, "the key is empty", ask={"signature-key": {"key_pem": ""}})


@case("signature.placed-unsigned", level=MUST, since="0.1", ref=refs.K8S_INIT, features=_KEY)
def test_placed_unsigned(lab: Lab) -> None:
    """A kit that lies there already is refused, where a signature is asked for later and it has none.

    A volume keeps what an earlier pod has brought; a new rule is a rule for it too.
    """
    kit = kits.model()
    shop = Shop(lab)
    shop.works()
    uri = shop.add(kit)
    folder = lab.destination()
    lab.run(uri, to=folder).brought(kit)
    shop.run(uri, to=folder).failed("it is not signed")
    shop.run(f"kit://{shop.host}/iris@{kit.digest}", to=folder).failed("it is not signed, by digest either")


@case("signature.key-changed", level=MUST, since="0.1", ref=refs.K8S_INIT, features=_KEY)
def test_key_changed(lab: Lab) -> None:
    """A kit that one key has let in is refused once another key is asked for.

    A key is replaced when it was lost.
    """
    kit = kits.model()
    shop = Shop(lab)
    uri = shop.add(kit, *shop.both(kit)).replace(":v1", f"@{kit.digest}")
    folder = lab.destination()
    shop.run(uri, to=folder).brought(kit)
    shop.run(uri, to=folder, ask=by_key(key("theirs"))).failed("the new key has not signed it")


@case("signature.moved-later", level=MUST, since="0.1", ref=refs.K8S_INIT, features=_KEY)
def test_moved_later(lab: Lab) -> None:
    """A tag that meant a signed kit, and later means one that is not signed, is refused the next time.

    That a tag was good once says nothing of what somebody has pushed since.
    """
    signed, other = kits.model(), kits.model(seed=8)
    shop = Shop(lab)
    folder = lab.destination()
    uri = shop.add(signed, *shop.both(signed))
    shop.run(uri, to=folder).brought(signed)
    shop.add(other)
    shop.run(uri, to=folder).failed("the new kit is not signed").holds(signed)


@case("signature.pairs", level=MUST, since="0.1", ref=refs.KSERVE_URIS, features=_KEY)
def test_pairs(lab: Lab) -> None:
    """Of several kits each is judged, wherever it stands, and one that is refused lets none be served.

    A pod has a base and its adapters; the last of them is as much the model as the first.
    """
    shop = Shop(lab)
    good = [kits.model(seed=seed) for seed in (1, 2)]
    uris = [
        shop.add(kit, *shop.both(kit, name), repository=name) for kit, name in zip(good, "ab", strict=True)
    ]
    bad = shop.add(kits.model(seed=3), repository="c")
    result = shop.run(*uris)
    for number, kit in enumerate(good):
        result.brought(kit, number=number)
    for order in ([*uris, bad], [bad, *uris]):
        result = shop.run(*order, patience=True).failed("one of them is not signed")
        result.brought_nothing(number=order.index(bad))


@case("signature.pages-without-end", level=MUST, since="0.1", ref=refs.OCI_REFERRERS, features=_KEY)
def test_pages_without_end(lab: Lab) -> None:
    """Pages of referrers that never end fail the run, after a number of requests that is bounded.

    A registry that is broken, or somebody's, must not hold a pod up for ever.
    """
    kit = kits.model()
    shop = Shop(lab)
    shop.works()
    uri = shop.add(kit, signing.bundle(key("theirs"), kit))
    shop.registry.ledger.clear()
    more = f'</v2/iris/referrers/{kit.digest}?next=1>; rel="next"'
    shop.registry.inject(faults.Header("Link", more), kind="referrers")
    refused(shop, uri, "there is no signature by the key")
    if len(shop.registry.ledger) > _MANY:
        raise Finding(f"it made {len(shop.registry.ledger)} requests", some(shop.registry.ledger.requests()))


@case("signature.many", level=MUST, since="0.1", ref=refs.COSIGN_SIMPLE, features=_KEY)
def test_many(lab: Lab) -> None:
    """Thousands of signatures by others fail the run, after a number of requests that is bounded.

    Each is a request and a calculation, and anyone who may push may add as many as they like.
    """
    kit = kits.model()
    shop = Shop(lab)
    shop.works()
    name = f"{shop.host}/iris"
    theirs = key("theirs")
    layers = [
        signing.simple_layer(theirs, kit, name, data=signing.payload(kit.digest, f"{name}/{number}"))
        for number in range(2 * _MANY)
    ]
    uri = shop.add(kit, signing.simple(kit, *layers))
    shop.registry.ledger.clear()
    refused(shop, uri, "there is no signature by the key")
    if len(shop.registry.ledger) > _MANY:
        raise Finding(f"it made {len(shop.registry.ledger)} requests", some(shop.registry.ledger.requests()))


@case("signature.huge", level=SHOULD, since="0.1", ref=refs.COSIGN_BUNDLE, features=_KEY)
def test_huge(lab: Lab) -> None:
    """A signature of many megabytes is not fetched, and does not count.

    A bundle has a few kilobytes; to read one into memory must not end the pod.
    """
    kit = kits.model()
    shop = Shop(lab)
    shop.works()
    path = lab.scratch("huge") / "bundle"
    with path.open("wb") as file:
        file.truncate(2 * _MOST)
    made = signing.referrer(b"{ }", kit, size=2 * _MOST)
    digest = next(each for each, data in made.blobs.items() if data == b"{ }")
    uri = shop.add(kit, signing.Attachment(made.manifest, {**made.blobs, digest: path}, subject=kit.digest))
    shop.registry.ledger.clear()
    refused(shop, uri, "there is no signature")
    sent = sum(each.sent for each in shop.registry.ledger.requests(reference=digest))
    if sent > _MOST:
        raise Finding(f"it fetched {sent} bytes of a signature")
