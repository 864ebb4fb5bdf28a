"""Who may sign what: `KIT_SIGNATURE_POLICY`, or cosign's variables for one key or one identity, as a value.

A rule goes by repository. The longest pattern that matches decides, and what no pattern names is rejected. Repositories
are compared by what they reach, not by how they are written: `Registry.example:443/iris` dodges no rule.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from kit_initializer.errors import SignatureError, UsageError
from kit_initializer.reference import parse_bare
from kit_initializer.secret import printable
from kit_initializer.signature.document import Node
from kit_initializer.signature.document import read as read_document
from kit_initializer.verify import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kit_initializer.reference import Reference
    from kit_initializer.signature.keyless import Keyless
    from kit_initializer.signature.keys import Key

MANIFEST, INDEX, EITHER = "manifest", "index", "either"
_RULE = (
    *("repositories", "accept", "reject", "keys", "identities", "attestations"),
    *("signaturesIn", "signedAs", "signed"),
)
_SUBJECT_CHARACTERS = 4096
_COMPONENT = re.compile(r"(?:[a-z0-9._-]|\*(?!\*))+")
_HOST = re.compile(r"(?:[a-z0-9._-]|\*(?!\*)|\[[0-9a-f:.]+\])+(?::[0-9]{1,5})?")
# Names of one registry, and the ports that its address may carry or leave out.
_DOCKER_HUB = {"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}
_SHORT_FORMS = ("COSIGN_KEY", "COSIGN_CERT_IDENTITY", "COSIGN_CERT_OIDC_ISSUER")


class Wish(NamedTuple):
    """What a text has to be: equal to `exact`, or matched as a whole by `regex`."""

    exact: str | float | bool | None = None
    regex: re.Pattern[str] | None = None

    def met(self, value: object) -> bool:
        """Say whether a value is what is asked for; 1 is not true, and a long text is not tried."""
        if self.regex is not None:
            return (
                isinstance(value, str)
                and len(value) <= _SUBJECT_CHARACTERS
                and bool(self.regex.fullmatch(value))
            )
        return type(value) is type(self.exact) and value == self.exact

    def __str__(self) -> str:
        if self.regex is not None:
            return printable(self.regex.pattern, 120)
        return printable(self.exact if isinstance(self.exact, str) else json.dumps(self.exact), 120)


class Identity(NamedTuple):
    """A keyless signer: who vouched for it, and its name there (an e-mail address, a workflow's URI)."""

    issuer: Wish
    subject: Wish

    def __str__(self) -> str:
        return f"{self.subject} of {self.issuer}"


class Attestation(NamedTuple):
    """A statement that is needed beside the signature; `where` has conditions by path in its predicate."""

    predicate_type: str
    where: tuple[tuple[str, Wish], ...]


class Rule(NamedTuple):
    """What is asked of the repositories that `patterns` name. Neither keys nor identities: `accept` decides alone."""

    patterns: tuple[str, ...]
    accept: bool
    keys: tuple[Key, ...]
    identities: tuple[Identity, ...]
    attestations: tuple[Attestation, ...]
    signatures_in: Reference | None
    signed_as: str
    signed: str

    @property
    def judges(self) -> bool:
        """Whether signatures decide."""
        return bool(self.keys or self.identities)


class Policy(NamedTuple):
    """All rules. `fingerprint` changes with anything that could change a verdict; `keyless` checks certificates.

    `port` is the one that an address may leave out, as ":443".
    """

    rules: tuple[Rule, ...]
    fingerprint: str
    keyless: Keyless | None
    port: str

    def rule(self, reference: Reference) -> tuple[str, Rule]:
        """Return the rule for a kit, and the pattern by which it was found.

        Raises SignatureError where none is, or one that rejects. No request is needed for that.
        """
        name = repository_name(reference, self.port)
        found = [
            (pattern, rule) for rule in self.rules for pattern in rule.patterns if matches(pattern, name)
        ]
        if not found:
            raise SignatureError(
                f"{reference}: no rule of the signature policy names {name}",
                hint="name its repository in KIT_SIGNATURE_POLICY of the ClusterStorageContainer, or take another kit",
            )
        longest = max(_length(pattern) for pattern, _ in found)
        best = [each for each in found if _length(each[0]) == longest]
        if len(best) > 1:
            raise UsageError(
                f"KIT_SIGNATURE_POLICY: {best[0][0]} and {best[1][0]} both name {name} and are equally long",
                hint="add a rule for this repository alone",
            )
        pattern, rule = best[0]
        if not rule.accept and not rule.judges:
            raise SignatureError(
                f"{reference}: rule {pattern} of the signature policy rejects it", hint="take another kit"
            )
        return pattern, rule


def repository_name(reference: Reference, port: str) -> str:
    """Return `host/repository` in the one form by which repositories are compared; `port` may be left out."""
    host, path = _host(reference.host, port), reference.repository
    return f"{host}/library/{path}" if host == "docker.io" and "/" not in path else f"{host}/{path}"


def _host(host: str, port: str) -> str:
    host = host.lower().removesuffix(port)
    return "docker.io" if host in _DOCKER_HUB else host


def _length(pattern: str) -> int:
    """Return how much a pattern says: a last `**` is any length, so it counts for nothing."""
    return len(pattern.removesuffix("**"))


def matches(pattern: str, name: str) -> bool:
    """Say whether a pattern names a repository: `*` is within one part, a last `**` everything below."""
    return _compiled(pattern).fullmatch(name) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    if pattern == "**":
        return re.compile(".+", re.DOTALL)
    below = pattern.endswith("/**")
    parts = pattern.removesuffix("/**").split("/")
    text = "/".join("[^/]*".join(map(re.escape, part.split("*"))) for part in parts)
    return re.compile(text + ("/.+" if below else ""))


def _pattern(node: Node, port: str) -> str:
    text = node.text()
    if text == "**":
        return text
    host, slash, path = text.partition("/")
    parts = path.removesuffix("/**").split("/") if path != "**" else []
    good = _HOST.fullmatch(host.lower()) and slash and all(map(_COMPONENT.fullmatch, parts))
    if not good or path != path.lower():
        raise node.wrong(
            f"is {printable(text, 100)!r}, which names no repositories",
            "write registry.example/team/** for all below, registry.example/team/iris for one, or **",
        )
    return f"{_host(host, port)}/{path}"


def read(environ: Mapping[str, str], *, plain_http: bool) -> Policy:
    """Read the policy that the environment sets. Raises UsageError for anything that leaves a doubt."""
    port = ":80" if plain_http else ":443"
    given = {name: environ[name] for name in environ if name in (*_SHORT_FORMS, "KIT_SIGNATURE_POLICY")}
    root = environ.get("KIT_SIGSTORE_TRUSTED_ROOT")
    for name in (*given, *(["KIT_SIGSTORE_TRUSTED_ROOT"] if root is not None else [])):
        if not environ[name].strip():
            raise UsageError(f"{name} is empty", hint="give it its value, or remove the variable")
    if "KIT_SIGNATURE_POLICY" in given and len(given) > 1:
        other = next(name for name in given if name != "KIT_SIGNATURE_POLICY")
        raise UsageError(
            f"KIT_SIGNATURE_POLICY and {other} are both set", hint="write the key or identity into the policy"
        )
    if "KIT_SIGNATURE_POLICY" in given:
        rules = _rules(read_document(given["KIT_SIGNATURE_POLICY"]), port)
    else:
        rules = (_short_form(given),)
    keyless = _keyless(root, needed=any(rule.identities for rule in rules))
    return Policy(rules, _fingerprint(rules, keyless), keyless, port)


def _short_form(given: Mapping[str, str]) -> Rule:
    names = set(given)
    identity = {"COSIGN_CERT_IDENTITY", "COSIGN_CERT_OIDC_ISSUER"}
    if not names:
        raise UsageError(
            "KIT_SIGSTORE_TRUSTED_ROOT is set without a policy",
            hint="set KIT_SIGNATURE_POLICY, or COSIGN_CERT_IDENTITY and COSIGN_CERT_OIDC_ISSUER",
        )
    if names == {"COSIGN_KEY"}:
        return _rule_of("**", keys=_keys([Node(given["COSIGN_KEY"], "COSIGN_KEY")], short=True))
    if names == identity:
        who = Identity(Wish(given["COSIGN_CERT_OIDC_ISSUER"]), Wish(given["COSIGN_CERT_IDENTITY"]))
        return _rule_of("**", identities=(who,))
    if "COSIGN_KEY" in names:
        raise UsageError(
            "COSIGN_KEY and COSIGN_CERT_… are both set, and which of them must hold is not said",
            hint="set one of them, or KIT_SIGNATURE_POLICY with both",
        )
    missing, there = (identity - names).pop(), names.pop()
    raise UsageError(
        f"{there} is set but {missing} is not",
        hint="an identity is nothing without the issuer that vouches for it",
    )


def _rule_of(pattern: str, keys: tuple[Key, ...] = (), identities: tuple[Identity, ...] = ()) -> Rule:
    return Rule((pattern,), False, keys, identities, (), None, "", MANIFEST)  # noqa: FBT003


def _rules(document: Node, port: str) -> tuple[Rule, ...]:
    members = document.members(("rules",))
    if "rules" not in members:
        raise document.wrong("has no rules")
    rules = tuple(_rule(node, port) for node in members["rules"].items())
    seen: set[str] = set()
    for pattern in (pattern for rule in rules for pattern in rule.patterns):
        if pattern in seen:
            raise document.wrong(f"names {pattern} twice", "one rule a pattern")
        seen.add(pattern)
    return rules


def _rule(node: Node, port: str) -> Rule:
    members = node.members(_RULE)
    if "repositories" not in members:
        raise node.wrong("has no repositories")
    accept = "accept" in members and members["accept"].true()
    reject = "reject" in members and members["reject"].true()
    signs = [name for name in ("keys", "identities") if name in members]
    if accept + reject + bool(signs) != 1:
        raise node.wrong("must have one of accept, reject, and keys or identities")
    if not signs and len(members) > 2:
        other = next(name for name in members if name not in {"repositories", "accept", "reject"})
        raise node.wrong(f"has {other}, which means nothing without keys or identities")
    return Rule(
        patterns=tuple(_pattern(each, port) for each in members["repositories"].items()),
        accept=accept,
        keys=_keys(_items(members, "keys")),
        identities=tuple(_identity(each) for each in _items(members, "identities")),
        attestations=tuple(_attestation(each) for each in _items(members, "attestations")),
        signatures_in=_repository(members["signaturesIn"]) if "signaturesIn" in members else None,
        signed_as=_pattern(members["signedAs"], port) if "signedAs" in members else "",
        signed=members["signed"].choice((MANIFEST, INDEX, EITHER)) if "signed" in members else MANIFEST,
    )


def _items(members: Mapping[str, Node], name: str) -> list[Node]:
    return members[name].items() if name in members else []


def _keys(nodes: list[Node], *, short: bool = False) -> tuple[Key, ...]:
    if not nodes:
        return ()
    try:
        from kit_initializer.signature.keys import load  # noqa: PLC0415 - 50 ms, for policies with keys alone
    except ImportError as error:
        raise _not_installed(error, "signatures") from None
    keys = []
    for node in nodes:
        what = node.where if short else f"KIT_SIGNATURE_POLICY: {node.where}"
        keys.append(load(node.text(), what))
    return tuple(keys)


def _identity(node: Node) -> Identity:
    members = node.members(("issuer", "issuerRegex", "subject", "subjectRegex"))
    return Identity(_exact_or_regex(node, members, "issuer"), _exact_or_regex(node, members, "subject"))


def _exact_or_regex(node: Node, members: Mapping[str, Node], name: str) -> Wish:
    exact, regex = members.get(name), members.get(f"{name}Regex")
    if (exact is None) == (regex is None):
        raise node.wrong(f"needs {name} or {name}Regex, and one of them alone")
    if exact is not None:
        return Wish(exact.text())
    assert regex is not None
    return Wish(regex=regex.pattern())


def _attestation(node: Node) -> Attestation:
    members = node.members(("predicateType", "where"))
    if "predicateType" not in members:
        raise node.wrong("has no predicateType")
    where: dict[str, Node] = members["where"].pairs() if "where" in members else {}
    return Attestation(
        members["predicateType"].text(), tuple((path, _condition(each)) for path, each in where.items())
    )


def _condition(node: Node) -> Wish:
    if isinstance(node.value, dict):
        members = node.members(("regex",))
        if "regex" not in members:
            raise node.wrong("has no regex")
        return Wish(regex=members["regex"].pattern())
    if isinstance(node.value, str | bool | int | float):
        return Wish(node.value)
    raise node.wrong("is neither a text, a number, true, false nor {regex: …}")


def _repository(node: Node) -> Reference:
    try:
        reference = parse_bare(node.text())
    except UsageError as error:
        raise node.wrong(f"names no repository: {error}") from None
    if reference.tag or reference.digest:
        raise node.wrong("has a tag or a digest", "name the repository alone")
    return reference


def _keyless(root: str | None, *, needed: bool) -> Keyless | None:
    if not needed:
        return None
    try:
        from kit_initializer.signature.keyless import Keyless  # noqa: PLC0415 - 0.4 s, for identities alone
    except ImportError as error:
        raise _not_installed(error, "sigstore") from None
    return Keyless.load(root)


def _not_installed(error: ImportError, extra: str) -> UsageError:
    return UsageError(
        f"the signature policy needs a package that is not installed: {error.name or error}",
        hint=f"install kit-initializer[{extra}], or use the project's image",
    )


def _fingerprint(rules: tuple[Rule, ...], keyless: Keyless | None) -> str:
    """Return a digest of all that decides, however it was written."""
    text = repr([1, [_plain(rule) for rule in rules], keyless.fingerprint if keyless is not None else ""])
    return digest_of(text.encode(errors="backslashreplace"))


def _plain(value: object) -> object:
    """Return a value as one whose `repr` shows all of it: that of a regular expression ends after 200 characters."""
    if isinstance(value, re.Pattern):
        return ["regex", value.pattern]
    fingerprint = getattr(value, "fingerprint", None)  # of a key
    if fingerprint is not None:
        return fingerprint
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
