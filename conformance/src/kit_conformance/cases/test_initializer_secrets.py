"""What kit-initializer promises of secrets: who may see them, and where they may go."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.catalog import MUST, case
from kit_conformance.result import Finding
from kit_conformance.testbed.registry import Basic, Bearer, faults

if TYPE_CHECKING:
    from kit_conformance.lab import Lab

_LOGIN: Final = ("ann", "a-good-password")
_USERS: Final = dict([_LOGIN])
_ENCODED: Final = b64encode(":".join(_LOGIN).encode()).decode()


@case("kit-initializer.secret-repeated", level=MUST, since="0.1", ref=refs.INITIALIZER_CREDENTIALS)
def test_secret_repeated(lab: Lab) -> None:
    """A registry that repeats the login in its refusal does not get it into the log or the message.

    KServe copies the message into a status, which more people read than may pull.
    """
    registry = lab.registry(auth=Basic(_USERS))
    uri = registry.add(kits.plain(), "iris", "v1")
    lab.works(uri, login=_LOGIN)
    for status in (403, 418):
        registry.heal()
        registry.inject(faults.RepeatLogin(status))
        result = lab.run(uri, login=_LOGIN).failed("the registry refuses")
        shown = result.outcome.output + result.outcome.message
        if result.leaks or _ENCODED in shown:
            raise Finding("it shows the login that the registry repeated", list(result.leaks))


@case("kit-initializer.token-scope", level=MUST, since="0.1", ref=refs.INITIALIZER_CREDENTIALS)
def test_token_scope(lab: Lab) -> None:
    """A token is asked for the kit's repository and for pull, whatever scope the registry names.

    A token with the rights to push or delete elsewhere would be handed to a server that poses as the registry.
    """
    registry = lab.registry(auth=Bearer(_USERS))
    uri = registry.add(kits.plain(), "iris", "v1")
    lab.works(uri, login=_LOGIN)
    registry.ledger.clear()
    registry.auth = None
    registry.inject(faults.Challenge(f"{registry.url}/token", "repository:other/repo:pull,push,delete"))
    lab.run(uri, login=_LOGIN).failed("no token is ever good")
    asked = registry.ledger.requests(kind="token")
    wrong = [entry.query for entry in asked if parse_qs(entry.query).get("scope") != ["repository:iris:pull"]]
    if wrong or not asked:
        raise Finding("it asked for other rights, or for none", wrong)


@case("kit-initializer.realm-without-tls", level=MUST, since="0.1", ref=refs.INITIALIZER_CREDENTIALS)
def test_realm_without_tls(lab: Lab) -> None:
    """A token service at another origin that has no TLS is not asked, with or without a login.

    It may be any address within the cluster, and the registry is handed what is called a token there.
    """
    registry, internal = lab.registry(), lab.registry(auth=Bearer(_USERS, anonymous=True))
    uri = registry.add(kits.plain(), "iris", "v1")
    lab.works(uri)
    registry.inject(faults.Challenge(f"{internal.url}/token"))
    for login in (_LOGIN, None):
        lab.run(uri, login=login).failed_with(4)
    if len(internal.ledger):
        raise Finding("it asked the address that it was led to", [str(entry) for entry in internal.ledger])
