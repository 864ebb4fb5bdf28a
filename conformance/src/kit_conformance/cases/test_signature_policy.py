"""Policy documents: which rule is a kit's, and what that rule wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.cases.signature_steps import (
    IDENTITY,
    ISSUER,
    SLSA,
    Shop,
    brings,
    by_policy,
    instance,
    key,
    refused,
    trusting,
)
from kit_conformance.catalog import MUST, case
from kit_conformance.testbed import signing
from kit_conformance.testbed.kits import index

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kit_conformance.lab import Lab
    from kit_conformance.testbed.kits import ModelKit

_POLICY: Final = {"signature-policy"}
_URI: Final = "buildDefinition.externalParameters.source.uri"
_SOURCE: Final = "git+https://git.example/models"


def _ours(*patterns: str, **more: object) -> dict[str, object]:
    """Return the rule that repositories of these patterns are signed by our key."""
    return {"repositories": list(patterns), "keys": [key().public], **more}


def _shop(lab: Lab, *rules: Mapping[str, object], **options: Any) -> Shop:  # noqa: ANN401  (as `Shop` has them)
    return Shop(lab, by_policy(*rules), **options)


def _provenance(uri: str = _SOURCE) -> dict[str, object]:
    return {"buildDefinition": {"externalParameters": {"source": {"uri": uri}}}}


@case("signature.policy-no-rule", level=MUST, since="0.1", ref=refs.SIGNED_IDENTITY, features=_POLICY)
def test_policy_no_rule(lab: Lab) -> None:
    """A repository that no rule names is refused, signed or not.

    A list of what is allowed does not grow by leaving something out.
    """
    shop = _shop(lab)
    shop.asked = by_policy(_ours(f"{shop.host}/control", f"{shop.host}/iris/*", "registry.example/**"))
    shop.works()
    kit = kits.model()
    refused(shop, shop.add(kit, *shop.both(kit)), "no rule names the repository")


@case("signature.policy-reject", level=MUST, since="0.1", ref=refs.SIGNED_IDENTITY, features=_POLICY)
def test_policy_reject(lab: Lab) -> None:
    """A repository that a rule rejects is refused, signed or not.

    It is how a repository is closed in which something went wrong.
    """
    shop = _shop(lab)
    shop.asked = by_policy(_ours("**"), {"repositories": [f"{shop.host}/iris"], "reject": True})
    shop.works()
    kit = kits.model()
    refused(shop, shop.add(kit, *shop.both(kit)), "a rule rejects the repository")


@case("signature.policy-accept", level=MUST, since="0.1", ref=refs.SIGNED_IDENTITY, features=_POLICY)
def test_policy_accept(lab: Lab) -> None:
    """A repository that a rule accepts unsigned is brought unsigned, and no other one is.

    Exceptions are written down, one by one.
    """
    shop = _shop(lab)
    shop.asked = by_policy(_ours("**"), {"repositories": [f"{shop.host}/public/**"], "accept": True})
    kit = kits.model()
    shop.run(shop.add(kit, repository="public/iris")).brought(kit)
    refused(shop, shop.add(kit, repository="iris"), "only the other repository is accepted")


@case("signature.policy-longest", level=MUST, since="0.1", ref=refs.SIGNED_IDENTITY, features=_POLICY)
def test_policy_longest(lab: Lab) -> None:
    """The rule of the longest pattern decides, in whatever order they stand.

    A strict rule for one repository must not be undone by a lax one for all.
    """
    shop = _shop(lab)
    lax = {"repositories": [f"{shop.host}/**"], "accept": True}
    strict, free = _ours(f"{shop.host}/team/**"), f"{shop.host}/team/free/**"
    kit = kits.model()
    for rules in ([lax, strict], [strict, lax]):
        shop.asked = by_policy(*rules, {"repositories": [free], "accept": True})
        shop.run(shop.add(kit, repository="team/free/iris")).brought(kit)
        refused(shop, shop.add(kit, repository="team/iris"), "the longer pattern wants a signature")


@case("signature.policy-segment", level=MUST, since="0.1", ref=refs.SIGNED_IDENTITY, features=_POLICY)
def test_policy_segment(lab: Lab) -> None:
    """A star stands for one part of a name, and a pattern for whole parts.

    Otherwise anyone who may name a repository may choose its rule.
    """
    shop = _shop(lab)
    lax = [f"{shop.host}/public/*", f"{shop.host}/open/**"]
    shop.asked = by_policy({"repositories": lax, "accept": True}, {"repositories": ["**"], "reject": True})
    kit = kits.model()
    shop.run(shop.add(kit, repository="public/iris")).brought(kit)
    shop.run(shop.add(kit, repository="open/a/b/iris")).brought(kit)
    for name in ("public/team/iris", "publics/iris", "opened/iris", "team/public/iris"):
        refused(shop, shop.add(kit, repository=name), f"no pattern means {name}")


@case("signature.policy-host", level=MUST, since="0.1", ref=refs.SIGNED_IDENTITY, features=_POLICY)
def test_policy_host(lab: Lab) -> None:
    """A rule holds for a host in whatever letters a URI writes it.

    The person who deploys writes the URI, and must not choose the rule by it.
    """
    shop = _shop(lab)
    port = shop.host.rpartition(":")[2]
    strict = _ours(f"localhost:{port}/**")
    shop.asked = by_policy({"repositories": ["**"], "accept": True}, strict)
    kit = kits.model()
    uri = shop.add(kit).replace(shop.host, f"localhost:{port}")
    lab.works(uri)
    for name in ("localhost", "LOCALHOST", "LocalHost"):
        refused(shop, uri.replace("localhost", name), f"{name} is localhost")


@case("signature.policy-signatures-in", level=MUST, since="0.1", ref=refs.COSIGN_SIMPLE, features=_POLICY)
def test_policy_signatures_in(lab: Lab) -> None:
    """Signatures are looked for in the repository that the rule names, and not beside the kit.

    COSIGN_REPOSITORY keeps them apart, in a repository where few may push.
    """
    shop = _shop(lab)
    shop.asked = by_policy(_ours("**", signaturesIn=f"{shop.host}/signatures"))
    kit, other = kits.model(), kits.model(seed=8)
    uri = shop.add(kit)
    signing.attach(shop.registry, "signatures", *shop.both(kit))
    shop.run(uri).brought(kit)
    refused(shop, shop.add(other, *shop.both(other), tag="v2"), "the signature is not where it belongs")


@case("signature.policy-signed-as", level=MUST, since="0.1", ref=refs.SIGNED_IDENTITY, features=_POLICY)
def test_policy_signed_as(lab: Lab) -> None:
    """A mirrored kit is brought by the name under which it was signed, where the rule has that name.

    A mirror copies signatures as they are; the rule says of which origin it is one.
    """
    shop = _shop(lab)
    shop.asked = by_policy(_ours("**", signedAs="origin.example/models/*"))
    for number, name in enumerate(("origin.example/models/iris", "origin.example/iris", f"{shop.host}/iris")):
        kit = kits.model(seed=number)
        layer = signing.simple_layer(key(), kit, name)
        uri = shop.add(kit, signing.simple(kit, layer), tag=f"v{number}")
        if number:
            refused(shop, uri, "another repository was signed")
        else:
            shop.run(uri).brought(kit)


@case("signature.policy-two-keys", level=MUST, since="0.1", ref=refs.SIGSTORE_CLIENT, features=_POLICY)
def test_policy_two_keys(lab: Lab) -> None:
    """Each of a rule's keys and identities is enough.

    A key is replaced by letting both hold for a while; people sign by key what CI signs without.
    """
    shop = _shop(lab)
    identity = {"issuer": ISSUER, "subject": IDENTITY}
    rule = _ours("**", identities=[identity])
    rule["keys"] = [key("old").public, key().public]
    shop.asked = {**by_policy(rule), **trusting()}
    for number, made in enumerate((key("old"), key(), None)):
        kit = kits.model(seed=number)
        signed = signing.bundle(made, kit) if made else instance().bundle(kit, IDENTITY, ISSUER)
        shop.run(shop.add(kit, signed, tag=f"v{number}")).brought(kit)
    kit = kits.model(seed=9)
    refused(shop, shop.add(kit, *shop.both(kit, by=key("theirs")), tag="v9"), "it is by none of them")


@case("signature.policy-regex", level=MUST, since="0.1", ref=refs.SIGSTORE_CLIENT, features=_POLICY)
def test_policy_regex(lab: Lab) -> None:
    """A pattern of an identity is for the whole of it.

    `https://git.example/models` stands in `https://evil.example/?https://git.example/models` too.
    """
    shop = _shop(lab)
    identity = {"issuer": ISSUER, "subjectRegex": r"https://ci\.fake\.example/models/.*@refs/tags/v[0-9]+"}
    shop.asked = {**by_policy({"repositories": ["**"], "identities": [identity]}), **trusting()}
    kit = kits.model()
    shop.run(shop.add(kit, instance().bundle(kit, IDENTITY, ISSUER))).brought(kit)
    for number, name in enumerate((f"{IDENTITY}-evil", f"https://evil.example/?{IDENTITY}", f"{IDENTITY}\n")):
        other = kits.model(seed=number + 20)
        uri = shop.add(other, instance().bundle(other, name, ISSUER), tag=f"w{number}")
        refused(shop, uri, "only a part of the identity matches")


@case("signature.policy-attested", level=MUST, since="0.1", ref=refs.IN_TOTO_VALIDATION, features=_POLICY)
def test_policy_attested(lab: Lab) -> None:
    """A kit with the attestation that its rule wants is brought, in both formats.

    Provenance says from where a model comes, in words that a rule can ask for.
    """
    wanted = {"predicateType": SLSA, "where": {_URI: _SOURCE}}

    def bundles(shop: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        return [
            *shop.both(kit),
            signing.bundle(key(), kit, predicate_type=SLSA, predicate=_provenance()),
        ]

    def tags(shop: Shop, kit: ModelKit) -> Iterable[signing.Attachment]:
        layer = signing.attestation_layer(key(), kit, SLSA, _provenance())
        return [shop.simple(kit), signing.attestations(kit, layer)]

    brings(lab, bundles, asked=by_policy(_ours("**", attestations=[wanted])))
    brings(lab, tags, asked=by_policy(_ours("**", attestations=[wanted])))


def _attested(lab: Lab, why: str, make: Any, **where: object) -> None:  # noqa: ANN401  (a kit to attachments)
    """Show that a kit with a signature and these attestations is refused."""
    wanted = {"predicateType": SLSA, **({"where": where} if where else {})}
    shop = Shop(lab, by_policy(_ours("**", attestations=[wanted])))
    good, kit = kits.model(seed=30), kits.model()
    right = signing.bundle(key(), good, predicate_type=SLSA, predicate=_provenance())
    lab.works(shop.add(good, *shop.both(good, "good"), right, repository="good"), ask=shop.asked)
    refused(shop, shop.add(kit, *shop.both(kit), *make(kit)), why)


@case(
    "signature.policy-attestation-missing",
    level=MUST,
    since="0.1",
    ref=refs.IN_TOTO_VALIDATION,
    features=_POLICY,
)
def test_policy_attestation_missing(lab: Lab) -> None:
    """A signed kit without the attestation that its rule wants is refused.

    All that a rule wants is needed; an attestation of another kind is another one.
    """
    _attested(lab, "there is no attestation", lambda _: [])
    other = "https://cyclonedx.org/bom"
    _attested(
        lab, "it attests something else", lambda kit: [signing.bundle(key(), kit, predicate_type=other)]
    )


@case(
    "signature.policy-attestation-where",
    level=MUST,
    since="0.1",
    ref=refs.IN_TOTO_VALIDATION,
    features=_POLICY,
)
def test_policy_attestation_where(lab: Lab) -> None:
    """An attestation that says something else than the rule wants does not help.

    A fork has provenance too: that of the fork.
    """
    fork, nested = _provenance("git+https://git.example/fork"), _provenance(f"{_SOURCE}/x")
    predicates: list[dict[str, object]] = [fork, nested, {}, {"buildDefinition": []}]
    for said in predicates:
        _attested(
            lab,
            "the source is another one",
            lambda kit, said=said: [signing.bundle(key(), kit, predicate_type=SLSA, predicate=said)],
            **{_URI: _SOURCE},
        )


@case(
    "signature.policy-attestation-key", level=MUST, since="0.1", ref=refs.IN_TOTO_VALIDATION, features=_POLICY
)
def test_policy_attestation_key(lab: Lab) -> None:
    """An attestation by another key, or of another kit, does not help.

    Everybody can attest everything.
    """
    said = _provenance()
    theirs, other = key("theirs"), "sha256:" + "0" * 64
    _attested(
        lab,
        "it is by another key",
        lambda kit: [signing.bundle(theirs, kit, predicate_type=SLSA, predicate=said)],
        **{_URI: _SOURCE},
    )
    _attested(
        lab,
        "it is of another kit",
        lambda kit: [signing.bundle(key(), kit, digest=other, predicate_type=SLSA, predicate=said)],
        **{_URI: _SOURCE},
    )


@case(
    "signature.policy-attestation-alone", level=MUST, since="0.1", ref=refs.COSIGN_PREDICATE, features=_POLICY
)
def test_policy_attestation_alone(lab: Lab) -> None:
    """A kit with the attestation that its rule wants, and without a signature, is refused.

    An attestation is wanted beside the signature, and not in its place.
    """
    wanted = {"predicateType": SLSA}
    shop = Shop(lab, by_policy(_ours("**", attestations=[wanted])))
    good, kit = kits.model(seed=30), kits.model()
    right = [
        signing.bundle(key(), each, predicate_type=SLSA, predicate=_provenance()) for each in (good, kit)
    ]
    lab.works(shop.add(good, *shop.both(good, "good"), right[0], repository="good"), ask=shop.asked)
    refused(shop, shop.add(kit, right[1]), "nobody has signed it")


@case(
    "signature.policy-index",
    level=MUST,
    since="0.1",
    ref=refs.KIT_UNPACK,
    features={"signature-policy", "index"},
)
def test_policy_index(lab: Lab) -> None:
    """Where the rule says so, the signature of an index is one of its members.

    Who signs once for all members lets the index's digests name them.
    """
    small, large = kits.plain("small"), kits.plain("large")
    whole = index((small, {"size": "small"}), (large, {"size": "large"}))
    label = {"label": {"label": "size=large"}}
    for signed, good, bad in (("index", whole, large), ("either", whole, small), ("either", large, small)):
        shop = _shop(lab, _ours("**", signed=signed))
        uri = shop.add(whole, *shop.both(good))
        shop.run(uri, ask={**shop.asked, **label}).brought(large)
        other = shop.add(whole, *shop.both(bad, "other"), repository="other")
        refused(shop, other, f"what is signed is not what {signed} means", ask={**shop.asked, **label})


@case(
    "signature.policy-parent",
    level=MUST,
    since="0.1",
    ref=refs.KIT_PARENTS,
    features={"signature-policy", "parents"},
)
def test_policy_parent(lab: Lab) -> None:
    """A parent kit is judged by the rule for its repository.

    A child that is accepted must not bring what is rejected, and a public base need not be signed by us.
    """
    shop = _shop(lab)
    base = kits.model()
    shop.add(base, repository="base/iris")
    shop.add(base, *shop.both(base, "closed/iris"), repository="closed/iris")
    shop.asked = by_policy(
        _ours("**"),
        {"repositories": [f"{shop.host}/base/**"], "accept": True},
        {"repositories": [f"{shop.host}/closed/**"], "reject": True},
    )
    child = kits.child(f"{shop.host}/base/iris:v1")
    files = {"c.py": child.files["c.py"], kits.MODEL: base.files[kits.MODEL]}
    shop.run(shop.add(child, *shop.both(child))).brought(files)
    other = kits.child(f"{shop.host}/closed/iris:v1")
    refused(shop, shop.add(other, *shop.both(other), tag="v2"), "the parent's repository is rejected")


@case("signature.policy-same-kit", level=MUST, since="0.1", ref=refs.SIGNED_IDENTITY, features=_POLICY)
def test_policy_same_kit(lab: Lab) -> None:
    """The same kit in two repositories is judged by the rule of each.

    What one repository may have without a signature, another one may not, though its digest is the same.
    """
    shop = _shop(lab)
    shop.asked = by_policy(_ours("**"), {"repositories": [f"{shop.host}/public/**"], "accept": True})
    kit = kits.model()
    free, strict = shop.add(kit, repository="public/iris"), shop.add(kit, repository="iris")
    shop.run(free).brought(kit)
    for order in ([free, strict], [strict, free]):
        result = shop.run(*order, patience=True).failed("one of the two repositories wants a signature")
        result.brought_nothing(number=order.index(strict))
