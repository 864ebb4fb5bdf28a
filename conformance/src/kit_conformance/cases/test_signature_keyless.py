"""Keyless signatures: by an identity, a certificate and a log, of an instance of Sigstore that the subject trusts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.cases.signature_steps import (
    IDENTITY,
    ISSUER,
    SLSA,
    Shop,
    brings,
    by_identity,
    instance,
    key,
    refused,
    refuses,
)
from kit_conformance.catalog import MUST, case
from kit_conformance.testbed import signing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kit_conformance.lab import Lab
    from kit_conformance.testbed.kits import ModelKit

_KEYLESS: Final = {"keyless"}


def _refuses(
    lab: Lab,
    why: str,
    *identities: str,
    issuer: str = ISSUER,
    root: signing.FakeSigstore | None = None,
    **wrong: Any,  # noqa: ANN401  (as `FakeSigstore.document` has them)
) -> None:
    """Show that a kit is refused that has such a signature, by each of these identities (ours without)."""
    shop = Shop(lab, by_identity())
    shop.works()
    for number, identity in enumerate(identities or [IDENTITY]):
        kit = kits.model(seed=number)
        made = (root or instance()).bundle(kit, identity, issuer, **wrong)
        refused(shop, shop.add(kit, made, tag=f"v{number}"), why)


@case("signature.keyless", level=MUST, since="0.1", ref=refs.SIGSTORE_CLIENT, features=_KEYLESS)
def test_keyless(lab: Lab) -> None:
    """A kit that the wanted identity has signed without a key is brought.

    It is how CI signs: the certificate says which workflow of which repository it was.
    """
    brings(lab, lambda _, kit: [instance().bundle(kit, IDENTITY, ISSUER)], asked=by_identity())


@case("signature.keyless-identity", level=MUST, since="0.1", ref=refs.SIGSTORE_CLIENT, features=_KEYLESS)
def test_keyless_identity(lab: Lab) -> None:
    """A kit that another identity of the same issuer has signed is refused.

    Everybody has an identity at a public issuer; so has a workflow whose name goes on where ours ends.
    """
    others = (IDENTITY.replace("models", "fork"), f"{IDENTITY}0", IDENTITY.upper(), "ann@fake.example")
    _refuses(lab, "another identity has signed", *others)


@case("signature.keyless-issuer", level=MUST, since="0.1", ref=refs.SIGSTORE_CLIENT, features=_KEYLESS)
def test_keyless_issuer(lab: Lab) -> None:
    """The same identity of another issuer is another identity.

    Whoever runs an issuer names its identities.
    """
    _refuses(lab, "another issuer says so", issuer="https://issuer.evil.example")


@case("signature.keyless-root", level=MUST, since="0.1", ref=refs.SIGSTORE_CLIENT, features=_KEYLESS)
def test_keyless_root(lab: Lab) -> None:
    """The same identity by another instance of Sigstore is refused.

    An instance is a few keys: everybody can make one, as the testbed has.
    """
    _refuses(lab, "another instance has certified it", root=instance("theirs"))


@case("signature.keyless-time", level=MUST, since="0.1", ref=refs.SIGSTORE_CLIENT, features=_KEYLESS)
def test_keyless_time(lab: Lab) -> None:
    """A signature that was logged after its certificate had expired is refused.

    The key of an old certificate may be anybody's by now.
    """
    _refuses(lab, "the certificate had expired", late=timedelta(hours=1))


@case("signature.keyless-log", level=MUST, since="0.1", ref=refs.SIGSTORE_CLIENT, features=_KEYLESS)
def test_keyless_log(lab: Lab) -> None:
    """A keyless signature without an entry in the log is refused.

    Without it nothing says when it was made, and nobody can see that it was.
    """
    _refuses(lab, "no log has it", entries=False)


@case("signature.keyless-entry", level=MUST, since="0.1", ref=refs.SIGSTORE_CLIENT, features=_KEYLESS)
def test_keyless_entry(lab: Lab) -> None:
    """A log entry about another signature does not count for this one.

    Entries of the past are public, and each is true.
    """
    _refuses(
        lab, "the log has something else", entry_of=signing.statement("sha256:" + "0" * 64, predicate={})
    )


@case(
    "signature.keyless-certificate-log", level=MUST, since="0.1", ref=refs.SIGSTORE_CLIENT, features=_KEYLESS
)
def test_keyless_certificate_log(lab: Lab) -> None:
    """A certificate that no certificate log has promised to publish is refused.

    An authority that issues in secret is one that was broken into.
    """
    _refuses(lab, "the certificate was not logged", logged=False)


@case("signature.keyless-digest", level=MUST, since="0.1", ref=refs.IN_TOTO_VALIDATION, features=_KEYLESS)
def test_keyless_digest(lab: Lab) -> None:
    """A true keyless signature of another kit is refused.

    The identity signs every kit of its repository.
    """
    _refuses(lab, "another kit is signed", digest="sha256:" + "0" * 64)


@case("signature.keyless-attestation", level=MUST, since="0.1", ref=refs.COSIGN_PREDICATE, features=_KEYLESS)
def test_keyless_attestation(lab: Lab) -> None:
    """A keyless attestation by the wanted identity is no signature.

    CI attests where a kit comes from before anybody has released it.
    """
    _refuses(lab, "it attests something", predicate_type=SLSA)


@case("signature.keyless-bare-key", level=MUST, since="0.1", ref=refs.COSIGN_BARE_KEY, features=_KEYLESS)
def test_keyless_bare_key(lab: Lab) -> None:
    """A signature by a key, with no certificate, is by no identity.

    Where a verifier takes the key that it is given, everybody is everybody.
    """

    def make(shop: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        made = signing.simple_layer(key("theirs"), kit, f"{shop.host}/iris")
        annotations = {**made.annotations, "dev.sigstore.cosign/certificate": key("theirs").public}
        return [
            signing.bundle(key("theirs"), kit),
            signing.simple(kit, signing.SimpleLayer(made.data, annotations)),
        ]

    refuses(lab, "no identity has signed", make, asked=by_identity())
