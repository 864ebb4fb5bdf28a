"""The policy as text: what is read, and that nothing which leaves a doubt is."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from kit_conformance.testbed.signing import FakeSigstore, Key
from kit_initializer.errors import InitializerError, SignatureError, UsageError
from kit_initializer.reference import parse
from kit_initializer.settings import read as read_settings
from kit_initializer.signature.policy import read as read_policy

if TYPE_CHECKING:
    from kit_initializer.signature import Policy

KEY = Key.new().public
WHO = {"issuer": "https://issuer.example", "subject": "ann@example.com"}


def read(environ: dict[str, str], *, plain_http: bool = False) -> Policy:
    assert read_settings(environ).signatures
    return read_policy(environ, plain_http=plain_http)


def rules(*rules: object) -> dict[str, str]:
    return {"KIT_SIGNATURE_POLICY": json.dumps({"rules": list(rules)})}


def rule(**members: object) -> dict[str, str]:
    return rules({"repositories": ["r.example/**"], **members})


RSA_1024 = """-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCqGKukO1De7zhZj6+H0qtjTkVx
wTCpvKe4eCZ0FPqri0cb2JZfXJ/DgYSF6vUpwmJG8wVQZKjeGcjDOL5UlsuusFnc
CzWBQ7RKNUSesmQRMSGkVb1/3j+skZ6UtW+5u09lHNsj6tQ51s1SPrCBkedbNf0T
p0GbMJDyR4e9T04ZZwIDAQAB
-----END PUBLIC KEY-----
"""
BAD: dict[str, tuple[dict[str, str], str]] = {
    "empty": ({"KIT_SIGNATURE_POLICY": " "}, "KIT_SIGNATURE_POLICY is empty"),
    "empty key": ({"COSIGN_KEY": ""}, "COSIGN_KEY is empty"),
    "empty root": (
        {"COSIGN_KEY": KEY, "KIT_SIGSTORE_TRUSTED_ROOT": ""},
        "KIT_SIGSTORE_TRUSTED_ROOT is empty",
    ),
    "no object": ({"KIT_SIGNATURE_POLICY": "[]"}, "is not an object"),
    "a word": ({"KIT_SIGNATURE_POLICY": "accept"}, "is not an object"),
    "broken JSON": ({"KIT_SIGNATURE_POLICY": '{"rules": ['}, "is not JSON"),
    "broken YAML": ({"KIT_SIGNATURE_POLICY": "rules:\n- [\n"}, "is not YAML: line"),
    "a member twice": ({"KIT_SIGNATURE_POLICY": '{"rules": [], "rules": []}'}, "'rules' is there twice"),
    "a member twice in YAML": ({"KIT_SIGNATURE_POLICY": "rules: []\nrules: []"}, "'rules' is there twice"),
    "an alias": ({"KIT_SIGNATURE_POLICY": "rules: &a [*a]"}, "aliases"),
    "a tag": ({"KIT_SIGNATURE_POLICY": "rules: !!python/object:os.system []"}, "tags"),
    "two documents": ({"KIT_SIGNATURE_POLICY": "rules: []\n---\nrules: []"}, "not YAML"),
    "no rules": ({"KIT_SIGNATURE_POLICY": "{}"}, "has no rules"),
    "an empty list": (rules(), "is not a list with items"),
    "unknown member": (rule(keys=[KEY], key=KEY), "unknown member 'key'"),
    "unknown member above": ({"KIT_SIGNATURE_POLICY": '{"rule": []}'}, "unknown member 'rule'"),
    "nothing asked": (rule(), "must have one of accept, reject, and keys or identities"),
    "two answers": (rule(accept=True, reject=True), "must have one of"),
    "accept and keys": (rule(accept=True, keys=[KEY]), "must have one of"),
    "accept: false": (rule(accept=False), "is not true"),
    "attestations alone": (rule(attestations=[{"predicateType": "x"}]), "must have one of"),
    "accept with more": (rule(accept=True, signedAs="r.example/x"), "means nothing without"),
    "no keys": (rule(keys=[]), "is not a list with items"),
    "an empty key": (rule(keys=[""]), "rules[0].keys[0] is not a text"),
    "a truncated key": (rule(keys=[KEY[:-40]]), "is not one public key"),
    "a key cut within": (rule(keys=[KEY.replace("A", "", 3)]), "does not parse"),
    "two keys in one": (rule(keys=[KEY + KEY]), "is not one public key"),
    "a private key": (rule(keys=[Key.new().secret]), "is a private key"),
    "a certificate": (rule(keys=[KEY.replace("PUBLIC KEY", "CERTIFICATE")]), "is not one public key"),
    "a short RSA key": (rule(keys=[RSA_1024]), "of a kind that is not accepted"),
    "a file that is not there": (rule(keys=["/nonexistent/cosign.pub"]), "No such file"),
    "a KMS": ({"COSIGN_KEY": "awskms:///alias/x"}, "is the address of a key"),
    "identity without issuer": (rule(identities=[{"subject": "ann"}]), "needs issuer or issuerRegex"),
    "issuer without identity": (rule(identities=[{"issuer": "x"}]), "needs subject or subjectRegex"),
    "both": (rule(identities=[WHO | {"subjectRegex": "a"}]), "needs subject or subjectRegex"),
    "no expression": (
        rule(identities=[{"issuer": "x", "subjectRegex": "("}]),
        "is not a regular expression",
    ),
    "half of the short form": ({"COSIGN_CERT_IDENTITY": "ann"}, "COSIGN_CERT_OIDC_ISSUER is not"),
    "other half": ({"COSIGN_CERT_OIDC_ISSUER": "x"}, "COSIGN_CERT_IDENTITY is not"),
    "key and identity": (
        {"COSIGN_KEY": KEY, "COSIGN_CERT_IDENTITY": "a", "COSIGN_CERT_OIDC_ISSUER": "x"},
        "are both set",
    ),
    "policy and short form": (rule(keys=[KEY]) | {"COSIGN_KEY": KEY}, "are both set"),
    "a root alone": ({"KIT_SIGSTORE_TRUSTED_ROOT": "{}"}, "without a policy"),
    "not a trust root": (
        {"KIT_SIGSTORE_TRUSTED_ROOT": "{}", "COSIGN_CERT_IDENTITY": "a", "COSIGN_CERT_OIDC_ISSUER": "x"},
        "KIT_SIGSTORE_TRUSTED_ROOT cannot be used",
    ),
    "a root that is not there": (
        {"KIT_SIGSTORE_TRUSTED_ROOT": "/x", "COSIGN_CERT_IDENTITY": "a", "COSIGN_CERT_OIDC_ISSUER": "x"},
        "KIT_SIGSTORE_TRUSTED_ROOT: No such file",
    ),
    "misspelt": ({"COSIGN_KEYS": KEY}, "COSIGN_KEYS is no variable"),
    "cosign's own name": ({"COSIGN_CERTIFICATE_IDENTITY": "a"}, "COSIGN_CERTIFICATE_IDENTITY is no variable"),
    "lower case": ({"cosign_key": KEY}, "cosign_key is no variable"),
    "nearly": ({"KIT_SIGNATURES_POLICY": "{}"}, "KIT_SIGNATURES_POLICY is no variable"),
    "a pattern twice": (
        rules({"repositories": ["a.b/c"], "accept": True}, {"repositories": ["A.b:443/c"], "reject": True}),
        "names a.b/c twice",
    ),
    "a pattern without a repository": (
        rules({"repositories": ["r.example"], "accept": True}),
        "names no repositories",
    ),
    "a scheme": (rules({"repositories": ["kit://r.example/x"], "accept": True}), "names no repositories"),
    "a tag in a pattern": (
        rules({"repositories": ["r.example/x:v1"], "accept": True}),
        "names no repositories",
    ),
    "** within": (rules({"repositories": ["r.example/**/x"], "accept": True}), "names no repositories"),
    "*** ": (rules({"repositories": ["r.example/***"], "accept": True}), "names no repositories"),
    "signatures in a tag": (rule(keys=[KEY], signaturesIn="r.example/x:v1"), "has a tag or a digest"),
    "signed what": (rule(keys=[KEY], signed="both"), "is not one of its words"),
    "a condition of lists": (
        rule(keys=[KEY], attestations=[{"predicateType": "x", "where": {"a": []}}]),
        "is neither a text",
    ),
    "huge": ({"KIT_SIGNATURE_POLICY": "#" * 300_000}, "more than 262144"),
    "deep": ({"KIT_SIGNATURE_POLICY": '{"rules":' + "[" * 100_000}, "nested too deep"),
    "deep YAML": ({"KIT_SIGNATURE_POLICY": "rules: " + "[" * 5_000}, "KIT_SIGNATURE_POLICY is not YAML"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_doubt_is_a_usage_error(name: str) -> None:
    environ, words = BAD[name]
    with pytest.raises(UsageError) as raised:
        read(environ)
    assert words in str(raised.value)
    assert raised.value.hint
    secret = Key.new().secret.splitlines()[1]
    assert secret not in raised.value.line()


def test_json_and_yaml_say_the_same() -> None:
    document = {"rules": [{"repositories": ["r.example/**"], "keys": [KEY], "signed": "either"}]}
    indented = KEY.replace("\n", "\n      ")
    text = f"rules:\n- repositories: [r.example/**]\n  signed: either\n  keys:\n    - |\n      {indented}\n"
    one, two = read({"KIT_SIGNATURE_POLICY": json.dumps(document)}), read({"KIT_SIGNATURE_POLICY": text})
    assert one.fingerprint == two.fingerprint


def test_the_fingerprint_changes_with_what_decides() -> None:
    long = "x" * 300
    policies = [
        rule(keys=[KEY]),
        rule(keys=[Key.new().public]),
        rule(keys=[KEY], signed="index"),
        rule(keys=[KEY], signedAs="a.b/c"),
        rule(keys=[KEY], signaturesIn="a.b/c"),
        rule(keys=[KEY], attestations=[{"predicateType": "x"}]),
        rule(keys=[KEY], attestations=[{"predicateType": "x", "where": {"a": {"regex": long + "a"}}}]),
        rule(keys=[KEY], attestations=[{"predicateType": "x", "where": {"a": {"regex": long + "b"}}}]),
        rule(keys=[KEY], attestations=[{"predicateType": "x", "where": {"a": True}}]),
        rule(keys=[KEY], attestations=[{"predicateType": "x", "where": {"a": "True"}}]),
        rule(accept=True),
        rule(reject=True),
    ]
    prints = [read(each).fingerprint for each in policies]
    roots = [FakeSigstore().trusted_root() for _ in range(2)]
    prints += [
        read(rule(identities=[WHO]) | {"KIT_SIGSTORE_TRUSTED_ROOT": root}).fingerprint for root in roots
    ]
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize(
    ("uri", "pattern"),
    [
        ("kit://r.example/team/iris:v1", "r.example/team/iris"),
        ("kit://R.example/team/iris:v1", "r.example/team/iris"),
        ("kit://r.example:443/team/iris", "r.example/team/iris"),
        ("kit://r.example/team/other", "r.example/team/*"),
        ("kit://r.example/team/deep/iris", "r.example/team/**"),
        ("kit://r.example/else", "r.example/**"),
        ("kit://r.example:5000/else", "**"),
        ("kit://r.example/team", "r.example/**"),
        ("kit://docker.io/iris", "docker.io/library/iris"),
        ("kit://index.docker.io/library/iris", "docker.io/library/iris"),
        ("kit://registry-1.docker.io:443/iris", "docker.io/library/iris"),
        ("kit://a.team.example/x", "*.team.example/x"),
    ],
)
def test_the_longest_pattern_decides_however_a_repository_is_written(uri: str, pattern: str) -> None:
    patterns = ["r.example/team/iris", "r.example/team/*", "r.example/team/**", "r.example/**", "**"]
    patterns += ["docker.io/library/iris", "*.team.example/x"]
    policy = read(rules(*({"repositories": [each], "accept": True} for each in patterns)))
    assert policy.rule(parse(uri))[0] == pattern


def test_the_port_that_may_be_left_out_is_that_of_the_scheme() -> None:
    environ = rules({"repositories": ["r.example/x"], "accept": True})
    for plain_http, port, other in ((False, 443, 80), (True, 80, 443)):
        policy = read(environ, plain_http=plain_http)
        assert policy.rule(parse(f"kit://r.example:{port}/x"))[0] == "r.example/x"
        with pytest.raises(SignatureError):
            policy.rule(parse(f"kit://r.example:{other}/x"))


def test_equally_long_patterns_are_no_answer() -> None:
    policy = read(
        rules(
            {"repositories": ["r.example/a*/b"], "accept": True},
            {"repositories": ["r.example/*a/b"], "reject": True},
        )
    )
    with pytest.raises(UsageError, match="equally long"):
        policy.rule(parse("kit://r.example/aa/b"))


def test_a_dot_in_a_pattern_is_a_dot() -> None:
    policy = read(rules({"repositories": ["r.example/**"], "accept": True}))
    with pytest.raises(InitializerError, match=re.escape("no rule")):
        policy.rule(parse("kit://rxexample.com/x"))


def test_without_one_nothing_is_read() -> None:
    assert not read_settings({}).signatures
    assert not read_settings({"KIT_SIGNATURE_TIMEOUT": "5"}).signatures


@pytest.mark.parametrize("service", ["COSIGN", "KIT_SIGNER", "KIT_POLICY_SERVER"])
def test_a_service_of_the_namespace_is_no_misspelt_policy(service: str) -> None:
    """Kubernetes tells every pod of the namespace's Services by such variables."""
    ends = (
        "_SERVICE_HOST",
        "_SERVICE_PORT",
        "_SERVICE_PORT_HTTP",
        "_PORT",
        "_PORT_80_TCP",
        "_PORT_80_TCP_ADDR",
    )
    assert not read_settings({f"{service}{end}": "10.0.0.9" for end in ends}).signatures
    for name in (f"{service}_SERVICE", f"{service}_HOST", service):
        with pytest.raises(UsageError, match=f"{name} is no variable"):
            read_settings({name: "10.0.0.9"})
