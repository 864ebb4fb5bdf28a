"""What lint says of signature policies, and that it judges them as the initializer does."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest
import yaml

from conformance.tests.mutants.manifests import CONTAINER, GOOD
from kit_conformance.lint import check, fix, parse
from kit_conformance.lint.policy import CARRIERS, names, value
from kit_conformance.testbed.signing import FakeSigstore
from kit_initializer import settings
from kit_initializer.errors import UsageError
from kit_initializer.signature.policy import read

_KEY = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE/VN5gouQXnoG1NTJ/YvtVVsuF5qu
hx3nanA5/jiSoexx/Z4EhVgYrhUL080Pr5Vn5jNI+PUQ9nVWf/81PJb9HQ==
-----END PUBLIC KEY-----
"""
_RULE = {"repositories": ["r.example/**"], "reject": True}
_SIGNED = {
    "repositories": ["r.example/**"],
    "identities": [{"issuer": "https://i.example", "subject": "ann"}],
}
_ATTESTED = {**_SIGNED, "attestations": [{"predicateType": "https://slsa.dev/provenance/v1"}]}
_JOBS = CONTAINER.replace("name: kit\n", "name: jobs\n", 1).replace(
    ": initContainer", ": localModelDownloadJob"
)
_POLICY = json.dumps({"rules": [_RULE]})


def _with(container: str, **variables: str) -> str:
    lines = "".join(
        f"      - {{name: {name}, value: {json.dumps(text)}}}\n" for name, text in variables.items()
    )
    assert "    env:\n" in container
    return container.replace("    env:\n", f"    env:\n{lines}", 1)


def _found(*documents: str) -> list[tuple[str, str]]:
    return [
        (each.rule.name, each.detail) for each in check(parse("---\n".join(documents), "m.yaml")).findings
    ]


def _rules(*documents: str) -> list[str]:
    return [name for name, _ in _found(*documents)]


@pytest.mark.parametrize(
    "variables",
    [
        {"KIT_SIGNATURE_POLICY": _POLICY},
        {"KIT_SIGNATURE_POLICY": json.dumps({"rules": [_SIGNED]}), "KIT_SIGSTORE_TRUSTED_ROOT": "/root.json"},
        {"COSIGN_KEY": "/keys/cosign.pub"},
        {"COSIGN_CERT_IDENTITY": "ann@example.com", "COSIGN_CERT_OIDC_ISSUER": "https://i.example"},
        {"COSIGN_KEY": "/keys/cosign.pub", "KIT_SIGNATURE_TIMEOUT": "30"},
        {"COSIGN_KEY": "{{ .Values.key }}"},
        {"KIT_SIGNATURE_POLICY": "${POLICY}"},
    ],
)
def test_a_policy_that_the_initializer_takes_has_no_findings(variables: dict[str, str]) -> None:
    assert _found(_with(CONTAINER, **variables)) == []


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"COSIGN_CERT_IDENTITY": "ann"}, "COSIGN_CERT_IDENTITY needs COSIGN_CERT_OIDC_ISSUER"),
        (
            {"COSIGN_CERT_OIDC_ISSUER": "https://i.example"},
            "COSIGN_CERT_OIDC_ISSUER needs COSIGN_CERT_IDENTITY",
        ),
        ({"COSIGN_KEY": "/k.pub", "KIT_SIGNATURE_POLICY": _POLICY}, "exclude each other"),
        (
            {"COSIGN_KEY": "/k.pub", "COSIGN_CERT_IDENTITY": "a", "COSIGN_CERT_OIDC_ISSUER": "b"},
            "COSIGN_KEY and COSIGN_CERT_IDENTITY exclude each other",
        ),
        ({"COSIGN_KEY": ""}, "COSIGN_KEY is empty"),
        ({"KIT_SIGNATURE_POLICY": " \n"}, "KIT_SIGNATURE_POLICY is empty"),
        ({"COSIGN_PUBLIC_KEY": "/k.pub"}, "there is no variable COSIGN_PUBLIC_KEY"),
        ({"KIT_SIGNATURES_POLICY": _POLICY}, "there is no variable KIT_SIGNATURES_POLICY"),
        ({"KIT_SIGSTORE_TRUSTED_ROOT": "/root.json"}, "KIT_SIGSTORE_TRUSTED_ROOT needs a policy"),
        ({"COSIGN_KEY": "relative.pub"}, "the key is neither a public key in PEM nor an absolute path"),
        (
            {"COSIGN_KEY": "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----"},
            "the key is a private key; write the public one",
        ),
        ({"KIT_SIGNATURE_POLICY": "rules: ["}, "neither JSON nor YAML: line 1"),
        (
            {"KIT_SIGNATURE_POLICY": json.dumps({"rules": [{**_RULE, "unless": []}]})},
            "rules[0] has no member unless",
        ),
    ],
)
def test_a_policy_that_the_initializer_refuses_is_an_error(variables: dict[str, str], says: str) -> None:
    ((rule, detail),) = _found(_with(CONTAINER, **variables))
    assert rule == "signature-policy-invalid"
    assert says in detail


def test_a_finding_never_shows_a_key() -> None:
    text = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    for variables in (
        {"COSIGN_KEY": text},
        {"KIT_SIGNATURE_POLICY": json.dumps({"rules": [{**_SIGNED, "keys": [text]}]})},
    ):
        ((_, detail),) = _found(_with(CONTAINER, **variables))
        assert "c2VjcmV0" not in detail


def test_variables_of_a_container_for_other_schemes_are_not_ours() -> None:
    assert _found(_with(CONTAINER, COSIGN_REPOSITORY="x").replace("prefix: kit://", "prefix: s3://")) == []


@pytest.mark.parametrize("name", CARRIERS)
@pytest.mark.parametrize(
    "source",
    [
        "secretKeyRef: {name: it, key: a}",
        "secretKeyRef: {name: it, key: a, optional: true}",
        "configMapKeyRef: {name: it, key: a}",
        "fieldRef: {fieldPath: it}",
    ],
)
def test_a_policy_that_users_of_a_namespace_could_replace_is_a_warning(name: str, source: str) -> None:
    """That it need not exist is not what the other rule asks for then: no policy would let every kit in."""
    more = {
        "COSIGN_CERT_IDENTITY": "COSIGN_CERT_OIDC_ISSUER",
        "COSIGN_CERT_OIDC_ISSUER": "COSIGN_CERT_IDENTITY",
        "KIT_SIGSTORE_TRUSTED_ROOT": "COSIGN_KEY",
    }
    text = _with(CONTAINER, **({more[name]: "/it"} if name in more else {}))
    entry = f"      - name: {name}\n        valueFrom: {{{source}}}\n"
    text = text.replace("    env:\n", f"    env:\n{entry}")
    assert _found(text) == [("signature-policy-reference", f"{name} from it")]
    assert fix(text) == (text, [])


def test_the_jobs_of_a_cache_read_a_policy_in_the_administrators_namespace() -> None:
    entry = "      - {name: COSIGN_KEY, valueFrom: {secretKeyRef: {name: it, key: a}}}\n"
    assert _found(_JOBS.replace("    env:\n", f"    env:\n{entry}")) == []


@pytest.mark.parametrize("first", [CONTAINER, _JOBS])
def test_the_container_without_the_policy_of_another_is_named(first: str) -> None:
    other = _JOBS if first == CONTAINER else CONTAINER
    text = f"{_with(first, KIT_SIGNATURE_POLICY=_POLICY)}---\n{other}"
    (found,) = check(parse(text, "m.yaml")).findings
    assert found.rule.name == "signature-policy-missing"
    assert found.subject.name == ("jobs" if first == CONTAINER else "kit")
    assert found.detail == f"{'kit' if first == CONTAINER else 'jobs'} has one"


def test_two_policies_that_differ_are_found_once() -> None:
    text = (_with(CONTAINER, KIT_SIGNATURE_POLICY=_POLICY), _with(_JOBS, COSIGN_KEY="/k.pub"))
    assert _found(*text) == [("signature-policy-missing", "jobs has another one")]


def test_no_policy_at_all_and_the_same_one_everywhere_are_fine() -> None:
    assert _found(GOOD, _JOBS) == []
    assert _found(*(_with(each, KIT_SIGNATURE_POLICY=_POLICY) for each in (CONTAINER, _JOBS))) == []


@pytest.mark.parametrize(
    "change", [("prefix: kit://", "prefix: s3://"), ("spec: # keep", "disabled: true\nspec:")]
)
def test_a_container_that_brings_no_kit_needs_no_policy(change: tuple[str, str]) -> None:
    assert _rules(_with(_JOBS, KIT_SIGNATURE_POLICY=_POLICY), CONTAINER.replace(*change)) == []


@pytest.mark.parametrize("prefix", ["prefix: kit://r.example/", "prefix: kit", "regex: ^kit://r.example/"])
def test_a_container_for_some_kits_needs_the_policy_too(prefix: str) -> None:
    pytest.importorskip("re2", reason="kit-conformance[lint] is not installed")
    narrow = CONTAINER.replace("prefix: kit://", prefix)
    assert _rules(_with(_JOBS, KIT_SIGNATURE_POLICY=_POLICY), narrow) == ["signature-policy-missing"]


GOOD_POLICIES = [
    {"rules": [_RULE]},
    {"rules": [{"repositories": ["**"], "accept": True}]},
    {
        "rules": [
            {**_RULE, "repositories": ["r.example/a/*", "r.example:5000/*-x/**", "*.example/a"]},
            _SIGNED,
        ]
    },
    {"rules": [{**_SIGNED, "identities": [{"issuerRegex": "https://.*", "subjectRegex": "a|b"}]}]},
    {"rules": [_ATTESTED]},
    {"rules": [{**_SIGNED, "keys": [_KEY]}]},
    {
        "rules": [
            {
                **_ATTESTED,
                "attestations": [
                    {"predicateType": "x", "where": {"a.b": "c", "d": {"regex": "e"}, "f": 1, "g": True}}
                ],
            }
        ]
    },
    {
        "rules": [
            {**_SIGNED, "signed": "either", "signaturesIn": "r.example/sigs", "signedAs": "o.example/**"}
        ]
    },
]
BAD_POLICIES: list[object] = [
    None,
    [],
    {},
    {"rules": []},
    {"rules": {}},
    {"rules": [_RULE], "version": 1},
    {"rules": ["**"]},
    {"rules": [{}]},
    {"rules": [{"repositories": ["**"]}]},
    {"rules": [{"repositories": [], "reject": True}]},
    {"rules": [{"repositories": "**", "reject": True}]},
    {"rules": [{"repositories": [7], "reject": True}]},
    {"rules": [_RULE, _RULE]},
    {"rules": [{**_RULE, "accept": True}]},
    {"rules": [{**_SIGNED, "accept": True}]},
    {"rules": [{**_RULE, "reject": False}]},
    {"rules": [{**_RULE, "reject": "true"}]},
    {"rules": [{**_RULE, "signed": "index"}]},
    {"rules": [{**_SIGNED, "identities": []}]},
    {"rules": [{**_SIGNED, "keys": []}]},
    {"rules": [{**_SIGNED, "keys": ["nothing"]}]},
    {"rules": [{**_SIGNED, "keys": [_KEY[:60]]}]},
    {"rules": [{**_SIGNED, "keys": [_KEY.replace("MFkw", "!!!!")]}]},
    {"rules": [{**_SIGNED, "identities": [{"issuer": "a"}]}]},
    {"rules": [{**_SIGNED, "identities": [{"issuer": "a", "subject": ""}]}]},
    {"rules": [{**_SIGNED, "identities": [{"issuer": "a", "issuerRegex": "a", "subject": "b"}]}]},
    {"rules": [{**_SIGNED, "identities": [{"issuer": "a", "subjectRegex": "("}]}]},
    {"rules": [{**_SIGNED, "identities": [{"issuer": "a", "subject": "b", "email": "c"}]}]},
    {"rules": [{**_SIGNED, "attestations": [{}]}]},
    {"rules": [{**_SIGNED, "attestations": [{"predicateType": "a", "where": {}}]}]},
    {"rules": [{**_SIGNED, "attestations": [{"predicateType": "a", "where": {"b": None}}]}]},
    {"rules": [{**_SIGNED, "attestations": [{"predicateType": "a", "where": {"b": {"glob": "c"}}}]}]},
    {"rules": [{**_SIGNED, "signed": "both"}]},
    {"rules": [{**_SIGNED, "signaturesIn": "r.example/**"}]},
    *(
        {"rules": [{"repositories": [pattern], "reject": True}]}
        for pattern in ("", "*", "r.example", "r.example/", "r.example/**/a", "r.example/a**", "r.example/A")
    ),
    {"rules": [{"repositories": ["kit://r.example/a"], "reject": True}]},
]
TEXTS = [
    *(
        'rules: [{repositories: ["**"], reject: true}]',
        "rules: [{repositories: ['**'], reject: true, reject: true}]",
        '{"rules": [{"repositories": ["**"], "repositories": ["**"], "reject": true}]}',
        "rules: [&a {repositories: ['r.example/**'], reject: true}, *a]",
        "rules: !!seq [{repositories: ['**'], reject: true}]",
        "rules: [{repositories: ['**'], reject: yes}]",
        "rules: [{repositories: ['**'], reject: true}",
        '{"rules": [{"repositories": ["**"], "reject": NaN}]}',
        "",
        "\t",
        "[" * 5000,
        "a: " * 200_000,
    ),
    *map(json.dumps, [*GOOD_POLICIES, *BAD_POLICIES]),
]


def test_the_sample_gives_both_containers_of_deploy_one_policy() -> None:
    deploy = Path(__file__).parents[2] / "deploy"
    (patch,) = yaml.safe_load((deploy / "signatures" / "policy.yaml").read_text("utf-8"))
    assert (patch["op"], patch["path"]) == ("add", "/spec/container/env/-")
    documents = []
    for path in sorted((deploy / "initializer").glob("cluster*.yaml")):
        document = yaml.safe_load(
            path.read_text("utf-8").replace("image: kit-initializer", "image: r.example/k:1.2.3")
        )
        documents.append(yaml.safe_dump(document))
        document["spec"]["container"]["env"].append(patch["value"])
        documents.append(yaml.safe_dump(document))
    jobs, signed_jobs, pods, signed_pods = documents  # by name
    assert _rules(signed_pods, signed_jobs) == []
    assert _rules(signed_pods, jobs) == _rules(pods, signed_jobs) == ["signature-policy-missing"]


def test_the_policy_of_the_page_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "signatures.md").read_text("utf-8")
    (policy,) = re.findall(r"```yaml\n(rules:.*?)```", page, re.DOTALL)
    assert value("KIT_SIGNATURE_POLICY", policy) == ""
    assert not _refused(policy)


def test_good_and_bad_policies_are_told_apart() -> None:
    assert [each for each in GOOD_POLICIES if value("KIT_SIGNATURE_POLICY", json.dumps(each))] == []
    assert [each for each in BAD_POLICIES if not value("KIT_SIGNATURE_POLICY", json.dumps(each))] == []


_NAMES = (
    *("KIT_SIGNATURE_POLICY", "COSIGN_KEY", "COSIGN_CERT_IDENTITY", "COSIGN_CERT_OIDC_ISSUER"),
    *("KIT_SIGSTORE_TRUSTED_ROOT", "COSIGN_KEYS", "Kit_Signature_Policy", "KIT_SIG_POLICY", "KIT_POLICY"),
)
_VALUES = {
    "KIT_SIGNATURE_POLICY": _POLICY,
    "COSIGN_KEY": _KEY,
    "KIT_SIGSTORE_TRUSTED_ROOT": FakeSigstore().trusted_root(),
}


def _names_refused(given: tuple[str, ...]) -> bool:
    environ = {name: _VALUES.get(name, "https://ann.example") for name in given}
    try:
        if settings.read(environ).signatures:
            read(environ, plain_http=False)
    except UsageError:
        return True
    return False


def test_names_are_judged_as_the_initializer_judges_them() -> None:
    table = [given for size in range(4) for given in itertools.combinations(_NAMES, size)]
    assert [given for given in table if bool(names(given)) != _names_refused(given)] == []


def _refused(text: str) -> bool:
    try:
        read({"KIT_SIGNATURE_POLICY": text}, plain_http=False)
    except UsageError:
        return True
    return False


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_policies_are_judged_as_the_initializer_judges_them(number: int) -> None:
    assert bool(value("KIT_SIGNATURE_POLICY", TEXTS[number])) == _refused(TEXTS[number]), TEXTS[number][:200]
