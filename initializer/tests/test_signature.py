"""Kits that are let in and kits that are not, by what is beside them in a registry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from initializer.tests.conftest import failed
from kit_conformance.testbed.kits import pack
from kit_conformance.testbed.registry import Basic, Registry, faults
from kit_conformance.testbed.signing import (
    KINDS,
    Attachment,
    Key,
    attach,
    attestation_layer,
    attestations,
    bundle,
    envelope,
    flipped,
    referrer,
    simple,
    simple_layer,
    statement,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from initializer.tests.conftest import Command

KITFILE = {"manifestVersion": "1.0.0", "package": {}, "model": {"path": "model.bin"}}
KIT = pack({"model.bin": b"weights"}, KITFILE)
OTHER = pack({"model.bin": b"other weights"}, KITFILE)
OURS, THEIRS = Key.new(), Key.new()
SLSA = "https://slsa.dev/provenance/v1"
SCAN = "https://example.com/scan/v1"


def policy(*rules: dict[str, object]) -> str:
    return json.dumps({"rules": list(rules)})


def by_key(registry: Registry, **more: object) -> str:
    return policy({"repositories": [f"{registry.host}/**"], "keys": [OURS.public], **more})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["bundle", "simple signing"])
def test_signed_by_a_key_of_the_policy(
    *, kind: str, form: str, registry: Registry, initialize: Command, destination: Path
) -> None:
    key = Key.new(kind)
    uri = registry.add(KIT, "iris", "v1")
    layer = simple_layer(key, KIT, f"{registry.host}/iris")
    attach(registry, "iris", bundle(key, KIT) if form == "bundle" else simple(KIT, layer))
    rule: dict[str, object] = {"repositories": [f"{registry.host}/**"], "keys": [THEIRS.public, key.public]}
    run = initialize(uri, destination, KIT_SIGNATURE_POLICY=policy(rule))
    assert run.code == 0, run.lines
    said = f"rule {registry.host}/**, key SHA256:{key.hint}"
    assert f"{uri} is let in by the signature policy: {said}" in run.lines
    assert json.loads(run.message)["kits"][0]["signature"] == said
    record = json.loads((destination / ".kit-initializer.json").read_text())
    assert record["kits"][0]["signature"] == said


@pytest.mark.parametrize("status", [200, 404, 405])
@pytest.mark.parametrize("paged", [False, True])
def test_referrers_api_or_fallback_tag(
    *, status: int, paged: bool, initialize: Command, destination: Path
) -> None:
    with Registry(referrers=status, page=1 if paged else 0) as registry:
        uri = registry.add(KIT, "iris", "v1")
        attach(registry, "iris", bundle(THEIRS, KIT), bundle(OURS, KIT))
        run = initialize(uri, destination, KIT_SIGNATURE_POLICY=by_key(registry))
        assert run.code == 0, run.lines


def test_short_form(registry: Registry, initialize: Command, destination: Path, tmp_path: Path) -> None:
    uri = registry.add(KIT, "iris", "v1")
    attach(registry, "iris", bundle(OURS, KIT))
    file = tmp_path / "cosign.pub"
    file.write_text(OURS.public)
    for value in (OURS.public, str(file)):
        assert initialize(uri, destination, COSIGN_KEY=value).code == 0
    failed(initialize(uri, destination, COSIGN_KEY=THEIRS.public), 7, "signature", "by another key")


Wrong = dict[str, tuple["Callable[[str], tuple[Attachment, ...]]", str]]
WRONG: Wrong = {
    "unsigned": (lambda _: (), "found none"),
    "another key": (lambda _: (bundle(THEIRS, KIT),), "by another key"),
    "another key that hints at ours": (lambda _: (bundle(THEIRS, KIT, hint=OURS.hint),), "by another key"),
    "another manifest": (lambda _: (bundle(OURS, KIT, digest=OTHER.digest),), "another manifest"),
    "an attestation": (lambda _: (bundle(OURS, KIT, predicate_type=SCAN),), "is no signature"),
    "an attestation that claims more": (
        lambda _: (bundle(OURS, KIT, predicate_type=SCAN, annotated="https://sigstore.dev/cosign/sign/v1"),),
        "is no signature",
    ),
    "another payload type": (
        lambda _: (
            bundle(OURS, KIT, made=envelope(OURS, statement(KIT.digest, predicate={}), "application/json")),
        ),
        "payload is of type application/json",
    ),
    "no JSON": (lambda _: (referrer(b"{", KIT),), "not JSON"),
    "a list": (lambda _: (referrer(b"[]", KIT),), "not a JSON object"),
    "too large": (lambda _: (referrer(b"{}" + b" " * (5 << 20), KIT),), "at most 4194304 are read"),
    "simple signing by another key": (
        lambda host: (simple(KIT, simple_layer(THEIRS, KIT, f"{host}/iris")),),
        "by another key",
    ),
    "simple signing of another manifest": (
        lambda host: (simple(KIT, simple_layer(OURS, KIT, f"{host}/iris", digest=OTHER.digest)),),
        "another manifest",
    ),
    "simple signing of another repository": (
        lambda host: (simple(KIT, simple_layer(OURS, KIT, f"{host}/elsewhere")),),
        "was made for",
    ),
    "simple signing with a changed signature": (
        lambda host: (
            simple(KIT, simple_layer(OURS, KIT, f"{host}/iris", signature=flipped(OURS.sign(b"x")))),
        ),
        "by another key, or was changed",
    ),
    "a signature among the attestations": (
        lambda _: (attestations(KIT, attestation_layer(OURS, KIT, "https://sigstore.dev/cosign/sign/v1")),),
        "found none",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_signature(
    *, name: str, registry: Registry, initialize: Command, destination: Path
) -> None:
    make, words = WRONG[name]
    uri = registry.add(KIT, "iris", "v1")
    attach(registry, "iris", *make(registry.host))
    run = initialize(uri, destination, KIT_SIGNATURE_POLICY=by_key(registry))
    failed(run, 7, "signature", words, f"rule {registry.host}/**")
    assert not list(destination.glob("*"))
    assert layers_asked(registry) == 0


def layers_asked(registry: Registry) -> int:
    paths = {f"/v2/iris/blobs/{layer.digest}" for layer in KIT.layers}
    return sum(entry.path in paths for entry in registry.ledger)


def test_one_that_holds_is_enough(registry: Registry, initialize: Command, destination: Path) -> None:
    uri = registry.add(KIT, "iris", "v1")
    attach(registry, "iris", referrer(b"{", KIT), bundle(THEIRS, KIT), bundle(OURS, KIT))
    assert initialize(uri, destination, KIT_SIGNATURE_POLICY=by_key(registry)).code == 0


@pytest.mark.parametrize(
    ("status", "code", "slug"), [(503, 5, "unreachable"), (403, 4, "denied"), (401, 4, "denied")]
)
@pytest.mark.parametrize("where", ["referrers", "tag", "bundle"])
def test_signatures_that_cannot_be_fetched(
    *, where: str, status: int, code: int, slug: str, initialize: Command, destination: Path
) -> None:
    signature = bundle(OURS, KIT)
    kind, reference = {
        "referrers": ("referrers", KIT.digest),
        "tag": ("manifest", f"sha256-{KIT.digest.partition(':')[2]}"),
        "bundle": ("manifest", signature.digest),
    }[where]
    with Registry(referrers=404 if where == "tag" else 200) as registry:
        uri = registry.add(KIT, "iris", "v1")
        attach(registry, "iris", signature)
        registry.inject(faults.Status(status), kind=kind, reference=reference)
        run = initialize(uri, destination, KIT_SIGNATURE_POLICY=by_key(registry), KIT_RETRIES="1")
        failed(run, code, slug)


def test_what_cannot_be_fetched_does_not_hide_what_holds(initialize: Command, destination: Path) -> None:
    with Registry(referrers=503) as registry:
        uri = registry.add(KIT, "iris", "v1")
        attach(registry, "iris", bundle(OURS, KIT))
        run = initialize(uri, destination, KIT_SIGNATURE_POLICY=by_key(registry), KIT_RETRIES="1")
        assert run.code == 0, run.lines


def test_rules(registry: Registry, initialize: Command, destination: Path) -> None:
    uri = registry.add(KIT, "team/iris", "v1")
    attach(registry, "team/iris", bundle(OURS, KIT))
    host, port = registry.host.split(":")
    keys: dict[str, object] = {"repositories": [f"{registry.host}/team/**"], "keys": [THEIRS.public]}
    accept: dict[str, object] = {"repositories": [f"{registry.host}/**"], "accept": True}
    reject: dict[str, object] = {"repositories": [f"{registry.host}/team/*"], "reject": True}

    def outcome(*rules: dict[str, object]) -> tuple[int, str, int]:
        registry.ledger.clear()
        run = initialize(uri, destination, KIT_SIGNATURE_POLICY=policy(*rules))
        return run.code, run.last, len(registry.ledger)

    code, last, _ = outcome(accept, keys)  # the longest decides
    assert (code, "by another key" in last) == (7, True)
    code, last, requests = outcome({"repositories": ["registry.example/**"], "accept": True})
    assert (code, requests) == (7, 0)
    assert "no rule of the signature policy names" in last
    code, last, requests = outcome(accept, reject)
    assert (code, requests) == (7, 0)
    assert "rejects it" in last
    code, last, _ = outcome(accept)
    assert (code, f"accepted unsigned by rule {registry.host}/**" in last) == (0, True)
    assert host in last
    assert port in last


def test_signatures_in_another_repository(registry: Registry, initialize: Command, destination: Path) -> None:
    uri = registry.add(KIT, "iris", "v1")
    attach(registry, "signatures", bundle(OURS, KIT))
    failed(initialize(uri, destination, KIT_SIGNATURE_POLICY=by_key(registry)), 7, "signature")
    there = by_key(registry, signaturesIn=f"{registry.host}/signatures")
    assert initialize(uri, destination, KIT_SIGNATURE_POLICY=there).code == 0


def test_signed_as_another_name(registry: Registry, initialize: Command, destination: Path) -> None:
    uri = registry.add(KIT, "iris", "v1")
    attach(registry, "iris", simple(KIT, simple_layer(OURS, KIT, "origin.example/models/iris")))
    run = initialize(uri, destination, KIT_SIGNATURE_POLICY=by_key(registry))
    failed(run, 7, "signature", "was made for origin.example/models/iris")
    named = by_key(registry, signedAs="origin.example/models/**")
    assert initialize(uri, destination, KIT_SIGNATURE_POLICY=named).code == 0


@pytest.mark.parametrize("old", [False, True])
def test_attestations_are_all_needed(
    *, old: bool, registry: Registry, initialize: Command, destination: Path
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    source = {"buildDefinition": {"externalParameters": {"source": {"uri": "git+https://git.example/iris"}}}}
    attach(registry, "iris", bundle(OURS, KIT))

    def outcome(uri_wanted: object) -> tuple[int, str]:
        where = {"buildDefinition.externalParameters.source.uri": uri_wanted}
        text = by_key(registry, attestations=[{"predicateType": SLSA, "where": where}])
        run = initialize(uri, destination, KIT_SIGNATURE_POLICY=text)
        return run.code, run.last

    code, last = outcome("git+https://git.example/iris")
    assert code == 7
    assert f"no attestation of type {SLSA}" in last
    if old:
        attach(registry, "iris", attestations(KIT, attestation_layer(OURS, KIT, SLSA, source)))
    else:
        attach(registry, "iris", bundle(OURS, KIT, predicate_type=SLSA, predicate=source))
    code, last = outcome("git+https://git.example/other")
    assert code == 7
    assert "is not" in last
    assert outcome({"regex": r"git\+https://git\.example"})[0] == 7  # a part is not the whole
    assert outcome({"regex": r"git\+https://git\.example/.*"})[0] == 0


def test_a_parent_is_judged_under_its_own_rule(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    registry.add(KIT, "base", "v1")
    child = pack(
        {"README.md": b"x"},
        {
            "manifestVersion": "1.0.0",
            "model": {"path": f"{registry.host}/base:v1"},
            "docs": [{"path": "README.md"}],
        },
    )
    uri = registry.add(child, "child", "v1")
    attach(registry, "child", bundle(OURS, child))
    run = initialize(uri, destination, KIT_SIGNATURE_POLICY=by_key(registry))
    failed(run, 7, "signature", f"{registry.host}/base:v1", "found none")
    attach(registry, "base", bundle(THEIRS, KIT))
    rules: tuple[dict[str, object], ...] = (
        {"repositories": [f"{registry.host}/base"], "keys": [THEIRS.public]},
        {"repositories": [f"{registry.host}/**"], "keys": [OURS.public]},
    )
    run = initialize(uri, destination, KIT_SIGNATURE_POLICY=policy(*rules))
    assert run.code == 0, run.lines
    assert THEIRS.hint in run.lines[-1]


def test_a_tree_in_place_is_judged_when_the_policy_changes(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    uri = registry.add(KIT, "iris", "v1").replace(":v1", f"@{KIT.digest}")
    assert initialize(uri, destination).code == 0
    registry.ledger.clear()
    failed(initialize(uri, destination, KIT_SIGNATURE_POLICY=by_key(registry)), 7, "signature", "found none")
    assert (destination / "model.bin").read_bytes() == b"weights"
    attach(registry, "iris", bundle(OURS, KIT))
    assert initialize(uri, destination, KIT_SIGNATURE_POLICY=by_key(registry)).code == 0
    assert layers_asked(registry) == 0
    registry.ledger.clear()
    run = initialize(uri, destination, KIT_SIGNATURE_POLICY=by_key(registry))
    assert (run.code, len(registry.ledger)) == (0, 0)
    assert json.loads(run.message)["kits"][0]["signature"].endswith(OURS.hint)
    changed = policy({"repositories": ["**"], "keys": [THEIRS.public]})
    failed(initialize(uri, destination, KIT_SIGNATURE_POLICY=changed), 7, "signature", "by another key")
    assert layers_asked(registry) == 0


def test_a_flood_is_bounded(initialize: Command, destination: Path) -> None:
    with Registry(referrers=200) as registry:
        uri = registry.add(KIT, "iris", "v1")
        attach(registry, "iris", *(bundle(THEIRS, KIT) for _ in range(150)))
        run = initialize(uri, destination, KIT_SIGNATURE_POLICY=by_key(registry))
        failed(run, 7, "signature", "found 100", "50 beyond the first 100 were not looked at")


def test_no_policy_asks_for_nothing_more(registry: Registry, initialize: Command, destination: Path) -> None:
    uri = registry.add(KIT, "iris", "v1")
    assert initialize(uri, destination).code == 0
    assert [entry.kind for entry in registry.ledger] == ["manifest", "config", "blob"]


def test_a_login_hides_signatures_as_it_hides_the_kit(initialize: Command, destination: Path) -> None:
    with Registry(auth=Basic({"ann": "pw"})) as registry:
        uri = registry.add(KIT, "iris", "v1")
        attach(registry, "iris", bundle(OURS, KIT))
        run = initialize(
            uri, destination, KIT_SIGNATURE_POLICY=by_key(registry), KIT_USER="ann", KIT_PASSWORD="pw"
        )
        assert run.code == 0, run.lines
