"""Signature policies of kit-initializer, judged as text: which variables carry one, and what may be in it.

This is a second reading, made without the initializer's: a test compares the two. The page is docs/signatures.md.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

POLICY: Final = "KIT_SIGNATURE_POLICY"
KEY: Final = "COSIGN_KEY"
IDENTITY: Final = "COSIGN_CERT_IDENTITY"
ISSUER: Final = "COSIGN_CERT_OIDC_ISSUER"
ROOT: Final = "KIT_SIGSTORE_TRUSTED_ROOT"
_TIMEOUT: Final = "KIT_SIGNATURE_TIMEOUT"
DEMANDS: Final = (POLICY, KEY, IDENTITY, ISSUER)  # one of these is what demands a signature
CARRIERS: Final = (*DEMANDS, ROOT)
_PREFIXES: Final = ("COSIGN", "KIT_SIG", "KIT_POLICY", "KIT_COSIGN")
_LIMIT: Final = 256 << 10
_DEPTH: Final = 64
_RULE: Final = frozenset(
    "repositories keys identities attestations signaturesIn signedAs signed accept reject".split()  # noqa: SIM905
)
_IDENTITY: Final = frozenset({"issuer", "issuerRegex", "subject", "subjectRegex"})
_ATTESTATION: Final = frozenset({"predicateType", "where"})
_SIGNED: Final = ("manifest", "index", "either")
_HOST: Final = re.compile(r"(?:[a-z0-9._-]|\*(?!\*)|\[[0-9a-f:.]+\])+(?::[0-9]{1,5})?")
_SEGMENT: Final = r"(?:[a-z0-9._-]|\*(?!\*))+"
_PATH: Final = re.compile(rf"(?:{_SEGMENT}/)*(?:{_SEGMENT}|\*\*)")
_PEM: Final = re.compile(r"\s*-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)-----END PUBLIC KEY-----\s*")
_SEQUENCE: Final = 0x30  # the first byte of every DER SubjectPublicKeyInfo


class _PolicyError(Exception):
    """What is wrong with a policy, and where in it."""


def misspelt(given: Collection[str]) -> list[str]:
    """Return the names that begin like those of a policy but are not, sorted."""
    known = (*CARRIERS, _TIMEOUT)
    return sorted(name for name in given if name.upper().startswith(_PREFIXES) and name not in known)


def names(given: Collection[str]) -> str:
    """Return what is wrong with the variables that are set, by their names alone, or nothing."""
    odd = misspelt(given)
    half = {IDENTITY, ISSUER} & set(given)
    faults = (
        (odd, f"there is no variable {', '.join(odd)}"),
        (POLICY in given and (KEY in given or half), f"{POLICY} and {KEY} or {IDENTITY} exclude each other"),
        (KEY in given and half, f"{KEY} and {IDENTITY} exclude each other"),
        (len(half) == 1, f"{' '.join(half)} needs {' '.join({IDENTITY, ISSUER} - half)}"),
        (ROOT in given and not set(DEMANDS) & set(given), f"{ROOT} needs a policy"),
    )
    return next((text for fault, text in faults if fault), "")


def value(name: str, text: str) -> str:
    """Return what is wrong with the literal value of one of the variables, or nothing."""
    if not text.strip():
        return f"{name} is empty"
    try:
        if name == POLICY:
            _policy(_read(text))
        elif name == KEY:
            _key(text, "the key")
    except _PolicyError as error:
        return f"{name}: {error}"
    return ""


def _read(text: str) -> object:
    """Read JSON, else YAML without aliases and tags; neither may have a member twice or be too long."""
    if len(text) > _LIMIT:
        raise _PolicyError("it is longer than 256 KiB")
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("{"):
            raise _PolicyError(f"it is not JSON: {error}") from error
    try:
        return _yaml(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _PolicyError(f"it is neither JSON nor YAML: line {line}: {error.problem}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise _PolicyError("it is neither JSON nor YAML") from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is repeated")
    return found


def _refuse(token: str) -> None:
    raise ValueError(f"{token} is not a number")


def _yaml(text: str) -> object:
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH:  # the time that PyYAML takes grows with its square
            raise _PolicyError(f"line {line} is nested too deep")
        if isinstance(event, yaml.AliasEvent):
            raise _PolicyError(f"line {line} has an alias")
        if getattr(event, "tag", None) not in {None, "!"}:
            raise _PolicyError(f"line {line} has a tag")
    _unique(yaml.compose(text, yaml.SafeLoader))
    return yaml.safe_load(text)


def _unique(node: yaml.Node | None) -> None:
    if isinstance(node, yaml.SequenceNode):
        for below in node.value:
            _unique(below)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, below in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if not name or name in seen:
                raise _PolicyError(f"line {key.start_mark.line + 1}: a member is repeated or is not a text")
            seen.add(name)
            _unique(below)


def _map(found: object, where: str, known: Collection[str] = ()) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise _PolicyError(f"{where} is not a map")
    odd = sorted(str(name) for name in found if known and name not in known)
    if odd:
        raise _PolicyError(f"{where} has no member {odd[0]}; it may have {', '.join(sorted(known))}")
    return found


def _list(found: object, where: str) -> list[object]:
    if not isinstance(found, list) or not found:
        raise _PolicyError(f"{where} is not a list with an entry")
    return found


def _text(found: object, where: str) -> str:
    if not isinstance(found, str) or not found.strip():
        raise _PolicyError(f"{where} is not a text")
    return found


def _regex(found: object, where: str) -> str:
    try:
        re.compile(_text(found, where))
    except re.error as error:
        raise _PolicyError(f"{where} is not a regex: {error}") from error
    return str(found)


def _policy(document: object) -> None:
    rules = _list(_map(document, "the policy", {"rules"}).get("rules"), "rules")
    owners: dict[str, str] = {}
    for number, entry in enumerate(rules):
        where = f"rules[{number}]"
        rule = _map(entry, where, _RULE)
        for name in _list(rule.get("repositories"), f"{where}.repositories"):
            pattern = _pattern(name, f"{where}.repositories")
            if pattern in owners:
                raise _PolicyError(f"{where}.repositories repeats {name} of {owners[pattern]}")
            owners[pattern] = where
        _verdict(rule, where)


def _verdict(rule: dict[str, Any], where: str) -> None:
    signed = {"keys", "identities"} & set(rule)
    verdicts = [name for name in ("accept", "reject") if name in rule]
    for verdict in verdicts:
        if rule[verdict] is not True:
            raise _PolicyError(f"{where}.{verdict} can only be true")
    if len(verdicts) + bool(signed) != 1:
        raise _PolicyError(f"{where} needs one of: keys or identities; accept; reject")
    more = sorted(set(rule) - signed - {"repositories", *verdicts})
    if verdicts and more:
        raise _PolicyError(f"{where} has {verdicts[0]}, so {more[0]} has no effect")
    for name in sorted(set(rule) & set(_MEMBERS)):
        _MEMBERS[name](rule[name], f"{where}.{name}")


def _pattern(found: object, where: str) -> str:
    text = _text(found, where)
    if text == "**":
        return text
    host, _, path = text.partition("/")
    if not _HOST.fullmatch(host.lower()) or not _PATH.fullmatch(path):
        raise _PolicyError(
            f"{where}: {text} is not of the form host[:port]/path, with ** as the last segment only"
        )
    return f"{host.lower()}/{path}"


def _keys(found: object, where: str) -> None:
    for number, key in enumerate(_list(found, where)):
        _key(_text(key, f"{where}[{number}]"), f"{where}[{number}]")


def _key(text: str, where: str) -> None:
    if text.startswith("/") and "\n" not in text:
        return
    if "PRIVATE KEY" in text:
        raise _PolicyError(f"{where} is a private key; write the public one, and replace this pair")
    found = _PEM.fullmatch(text)
    try:
        der = base64.b64decode("".join(found[1].split()), validate=True) if found else b""
    except binascii.Error:
        der = b""
    if not der or der[0] != _SEQUENCE:
        raise _PolicyError(f"{where} is neither a public key in PEM nor an absolute path")


def _identities(found: object, where: str) -> None:
    for number, entry in enumerate(_list(found, where)):
        place = f"{where}[{number}]"
        identity = _map(entry, place, _IDENTITY)
        for exact in ("issuer", "subject"):
            given = [name for name in (exact, f"{exact}Regex") if name in identity]
            if len(given) != 1:
                raise _PolicyError(f"{place} needs one of {exact} and {exact}Regex")
            check = _text if given[0] == exact else _regex
            check(identity[given[0]], f"{place}.{given[0]}")


def _attestations(found: object, where: str) -> None:
    for number, entry in enumerate(_list(found, where)):
        place = f"{where}[{number}]"
        attestation = _map(entry, place, _ATTESTATION)
        _text(attestation.get("predicateType"), f"{place}.predicateType")
        if "where" in attestation:
            _conditions(_map(attestation["where"], f"{place}.where"), f"{place}.where")


def _conditions(found: dict[str, Any], where: str) -> None:
    if not found:
        raise _PolicyError(f"{where} has no condition")
    for member, wanted in found.items():
        if isinstance(wanted, dict):
            _regex(_map(wanted, f"{where}.{member}", {"regex"}).get("regex"), f"{where}.{member}")
        elif not isinstance(wanted, str | bool | int | float):
            raise _PolicyError(f"{where}.{member} is neither a text, a number, true, false nor a regex")


def _signatures_in(found: object, where: str) -> None:
    if "*" in _pattern(found, where):
        raise _PolicyError(f"{where} is a pattern; it must name one repository")


def _signed(found: object, where: str) -> None:
    if found not in _SIGNED:
        raise _PolicyError(f"{where} is not one of {', '.join(_SIGNED)}")


_MEMBERS: Final[Mapping[str, Callable[[object, str], object]]] = {
    "keys": _keys,
    "identities": _identities,
    "attestations": _attestations,
    "signaturesIn": _signatures_in,
    "signedAs": _pattern,
    "signed": _signed,
}
