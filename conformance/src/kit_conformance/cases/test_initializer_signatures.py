"""What kit-initializer promises of signatures: exit codes, messages, its record, and which settings it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.cases.signature_steps import (
    IDENTITY,
    ISSUER,
    Shop,
    by_key,
    by_policy,
    key,
)
from kit_conformance.cases.steps import some
from kit_conformance.catalog import MUST, case
from kit_conformance.result import Finding
from kit_conformance.testbed import signing
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from kit_conformance.lab import Lab
    from kit_conformance.result import Result

_KEY: Final = {"signatures"}
_RULE: Final = {"repositories": ["**"], "reject": True}


def _ends(result: Result, code: int, slug: str) -> Result:
    """Assert an exit code, and a message that begins with its slug."""
    result.failed_with(code)
    if not result.outcome.message.startswith(f"{slug}: "):
        raise Finding(f"the message should begin with {slug!r}", [result.outcome.message or "(none)"])
    return result


@case("kit-initializer.signature-refused", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES, features=_KEY)
def test_signature_refused(lab: Lab) -> None:
    """A kit that is not signed as it must be is exit code 7, and the message says what was found.

    The reader has to learn whether nobody has signed, or somebody else.
    """
    shop = Shop(lab)
    unsigned, other = kits.model(seed=1), kits.model(seed=2)
    _ends(shop.run(shop.add(unsigned)), 7, "signature").says("found none", "no signature")
    theirs = signing.bundle(key("theirs"), other)
    _ends(shop.run(shop.add(other, theirs, tag="v2")), 7, "signature").says("another key")


@case(
    "kit-initializer.signature-unreadable", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES, features=_KEY
)
def test_signature_unreadable(lab: Lab) -> None:
    """Signatures that cannot be read are exit code 7, never 70.

    What somebody pushes must not look like a mistake of the initializer.
    """
    kit = kits.model()
    shop = Shop(lab)
    contents = (b"", b"[" * 100_000, b'{"dsseEnvelope": {"payload": 1}}', b"\xff", b"1e999", b'{"a":' * 9000)
    broken = (signing.referrer(each, kit) for each in contents)
    _ends(shop.run(shop.add(kit, *broken)), 7, "signature")


@case(
    "kit-initializer.signature-unfetched", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES, features=_KEY
)
def test_signature_unfetched(lab: Lab) -> None:
    """Signatures that cannot be fetched are exit code 5, and those that are denied exit code 4.

    A signature may be there: the next try may find it, without anybody signing anew.
    """
    kit = kits.model()
    for status, code, slug in ((503, 5, "unreachable"), (403, 4, "denied")):
        shop = Shop(lab)
        uri = shop.add(kit, signing.bundle(key(), kit))
        shop.registry.inject(faults.Status(status), kind="referrers")
        _ends(shop.run(uri, patience=True), code, slug)


@case(
    "kit-initializer.signature-no-layer", level=MUST, since="0.1", ref=refs.INITIALIZER_CODES, features=_KEY
)
def test_signature_no_layer(lab: Lab) -> None:
    """A kit that is refused costs no byte of a layer.

    A model has gigabytes, and a pod that is refused is tried again all night.
    """
    kit = kits.model()
    shop = Shop(lab)
    _ends(shop.run(shop.add(kit, signing.bundle(key("theirs"), kit))), 7, "signature")
    if asked := shop.registry.ledger.requests(reference=kits.layer_of(kit)):
        raise Finding("it asked for a layer of a kit that it refused", some(asked))


@case(
    "kit-initializer.signature-settings",
    level=MUST,
    since="0.1",
    ref=refs.INITIALIZER_ENVIRONMENT,
    features=_KEY,
)
def test_signature_settings(lab: Lab) -> None:
    """Half of a policy, an empty variable and a misspelt one are exit code 2, before any request.

    Whatever is set wrongly must not be verification that is switched off.
    """
    shop = Shop(lab)
    kit = kits.model()
    uri = shop.add(kit, *shop.both(kit))
    pem = key().public
    policy = json.dumps({"rules": [_RULE]})
    wrong = [
        {"COSIGN_CERT_IDENTITY": IDENTITY},
        {"COSIGN_CERT_OIDC_ISSUER": ISSUER},
        {"COSIGN_KEY": pem, "COSIGN_CERT_IDENTITY": IDENTITY, "COSIGN_CERT_OIDC_ISSUER": ISSUER},
        {"COSIGN_KEY": pem, "KIT_SIGNATURE_POLICY": policy},
        {"COSIGN_KEY": ""},
        {"KIT_SIGNATURE_POLICY": ""},
        {"COSIGN_CERT_IDENTITY": "", "COSIGN_CERT_OIDC_ISSUER": ""},
        {"KIT_SIGSTORE_TRUSTED_ROOT": ""},
        {"COSIGN_KEYS": pem},
        {"COSIGN_CERTIFICATE_IDENTITY": IDENTITY, "COSIGN_CERTIFICATE_OIDC_ISSUER": ISSUER},
        {"KIT_SIGNATURES_POLICY": policy},
        {"KIT_SIGSTORE_TRUST_ROOT": "{}"},
    ]
    _before_any_request(shop, uri, wrong)


@case(
    "kit-initializer.signature-service",
    level=MUST,
    since="0.1",
    ref=refs.INITIALIZER_ENVIRONMENT,
    features=_KEY,
)
def test_signature_service(lab: Lab) -> None:
    """The variables that Kubernetes sets for a Service called cosign do not count as misspelt settings.

    Every pod of a namespace gets them, no matter who made the Service.
    """
    kit = kits.model()
    shop = Shop(lab)
    uri = shop.add(kit, *shop.both(kit))
    service = {
        "COSIGN_SERVICE_HOST": "10.96.0.7",
        "COSIGN_SERVICE_PORT": "443",
        "COSIGN_PORT": "tcp://10.96.0.7:443",
        "COSIGN_PORT_443_TCP_ADDR": "10.96.0.7",
    }
    shop.run(uri, environment=service).brought(kit)
    lab.run(uri, environment=service).brought(kit)


@case(
    "kit-initializer.signature-keys",
    level=MUST,
    since="0.1",
    ref=refs.INITIALIZER_ENVIRONMENT,
    features=_KEY,
)
def test_signature_keys(lab: Lab) -> None:
    """A key that cannot be read or is too weak is exit code 2, before any request.

    A key that lost its end in a YAML file is found when it is deployed, not when it is needed.
    """
    shop = Shop(lab)
    kit = kits.model()
    uri = shop.add(kit, *shop.both(kit))
    pem = key().public
    weak = signing.Key.new("rsa", bits=1024)
    texts = (pem[:-40], pem.replace("MF", "MG"), "no key", "/no/such/key.pub", key().secret, weak.public)
    _before_any_request(shop, uri, [{"COSIGN_KEY": each} for each in texts])


@case(
    "kit-initializer.signature-document",
    level=MUST,
    since="0.1",
    ref=refs.INITIALIZER_ENVIRONMENT,
    features={"signature-policy"},
)
def test_signature_document(lab: Lab) -> None:
    """A policy document with a mistake is exit code 2, before any request.

    An unknown member may be a condition that its author relies on.
    """
    shop = Shop(lab)
    kit = kits.model()
    uri = shop.add(kit, *shop.both(kit))
    rule = {"repositories": ["**"], "keys": [key().public]}
    identity = {"issuer": ISSUER, "subject": IDENTITY}
    rules: list[object] = [
        [],
        [{}],
        [{"keys": rule["keys"]}],
        [{**rule, "repositories": []}],
        [{"repositories": ["**"]}],
        [{**rule, "keys": []}],
        [{**rule, "key": key().public}],
        [{**rule, "accept": True}],
        [{**_RULE, "reject": False}],
        [{**_RULE, "accept": True}],
        [{**rule, "repositories": ["registry.example/**/iris"]}],
        [{**rule, "signed": "both"}],
        [{**rule, "identities": [{"subject": IDENTITY}]}],
        [{**rule, "identities": [{**identity, "subjectRegex": ".*"}]}],
        [{**rule, "identities": [{"issuer": ISSUER, "subjectRegex": "("}]}],
        [{**rule, "attestations": [{"where": {"a": "b"}}]}],
        [rule, rule],
    ]
    documents = ["null", "[]", "{", '{"rules": null}', "rules: [&a {accept: true, repositories: ['**']}, *a]"]
    documents += [json.dumps({"rules": each}) for each in rules]
    documents += [json.dumps({"rules": [rule], "mode": "warn"})]
    documents += ['{"rules": [{"repositories": ["**"], "reject": true, "reject": true}]}']
    _before_any_request(shop, uri, [{"KIT_SIGNATURE_POLICY": each} for each in documents])


def _before_any_request(shop: Shop, uri: str, wrong: list[dict[str, str]]) -> None:
    """Show that each of these environments is exit code 2, and that nobody was asked for anything."""
    for environment in wrong:
        shop.registry.ledger.clear()
        _ends(shop.run(uri, ask={}, environment=environment), 2, "usage").brought_nothing()
        if asked := shop.registry.ledger.requests():
            raise Finding(f"it asked the registry first, with {sorted(environment)}", some(asked))


@case(
    "kit-initializer.signature-rules-first",
    level=MUST,
    since="0.1",
    ref=refs.INITIALIZER_CODES,
    features={"signature-policy"},
)
def test_signature_rules_first(lab: Lab) -> None:
    """A host is the same with its default port and under its other names, and a rejected one is not asked.

    `registry.example:443` is `registry.example`, and Docker Hub has three names.
    """
    rejected = {"repositories": ["registry.invalid/**", "docker.io/**"], "reject": True}
    asked = by_policy({"repositories": ["**"], "accept": True}, rejected)
    lab.works(lab.registry().add(kits.plain(), "iris", "v1"), ask=asked)
    for host in (
        "registry.invalid",
        "registry.invalid:443",
        "REGISTRY.invalid",
        "index.docker.io",
        "registry-1.docker.io",
    ):
        result = lab.run(f"kit://{host}/team/iris:v1", ask=asked, plain_http=False, patience=True)
        _ends(result, 7, "signature").says("reject")


@case("kit-initializer.signature-told", level=MUST, since="0.1", ref=refs.INITIALIZER_OPERATE, features=_KEY)
def test_signature_told(lab: Lab) -> None:
    """The log, the message and the record say by which rule and which key a kit was let in.

    An auditor asks afterwards, when the policy is another one.
    """
    kit = kits.model()
    shop = Shop(lab)
    result = shop.run(shop.add(kit, *shop.both(kit))).brought(kit)
    wanted = f"key SHA256:{key().hint}"
    folder = lab.destination()
    shop.run(f"kit://{shop.host}/iris:v1", to=folder).brought(kit)
    record = (folder / lab.subject.config.record).read_text("utf-8")
    places = {"log": result.outcome.output, "message": result.outcome.message, "record": record}
    if missing := [name for name, text in places.items() if wanted not in text]:
        raise Finding(f"{wanted} is not told by {', '.join(missing)}", [result.said[-300:]])
    (told,) = json.loads(result.outcome.message)["kits"]
    if told.get("signature") != f"rule **, {wanted}":
        raise Finding("the message has no member `signature` with rule and key", [str(told)])


@case(
    "kit-initializer.signature-in-place",
    level=MUST,
    since="0.1",
    ref=refs.INITIALIZER_OPERATE,
    features=_KEY,
)
def test_signature_in_place(lab: Lab) -> None:
    """A pinned kit that this very policy has let in asks nobody for anything when it runs again.

    A node that restarts starts its pods though the registry is away.
    """
    kit = kits.model()
    shop = Shop(lab)
    shop.add(kit, *shop.both(kit))
    uri, folder = f"kit://{shop.host}/iris@{kit.digest}", lab.destination()
    shop.run(uri, to=folder).brought(kit)
    shop.registry.ledger.clear()
    shop.run(uri, to=folder).brought(kit)
    if asked := shop.registry.ledger.requests():
        raise Finding("it asked the registry", some(asked))


@case(
    "kit-initializer.signature-kept",
    level=MUST,
    since="0.1",
    ref=refs.INITIALIZER_CODES,
    features=_KEY,
)
def test_signature_kept(lab: Lab) -> None:
    """A kit in place that a new policy refuses is exit code 7, and stays as it is.

    The pod does not start; what lies there is evidence, and may be another pod's.
    """
    kit = kits.model()
    shop = Shop(lab)
    uri, folder = shop.add(kit, *shop.both(kit)), lab.destination()
    shop.run(uri, to=folder).brought(kit)
    _ends(shop.run(uri, to=folder, ask=by_key(key("theirs"))), 7, "signature").holds(kit)
    shop.run(uri, to=folder).brought(kit)
