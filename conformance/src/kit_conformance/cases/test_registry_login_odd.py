"""Registries that hide what they have, or are odd about how one logs in; and pull secrets as clusters have them."""

from __future__ import annotations

import textwrap
from base64 import b64encode
from typing import TYPE_CHECKING, Final

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.result import Finding
from kit_conformance.testbed.registry import SPELLINGS, Basic, Bearer, Harbor, Hiding, Spelled, faults

if TYPE_CHECKING:
    from kit_conformance.lab import Lab

_USER: Final = "ann"
_PASSWORD: Final = "a-password-that-is-long-enough-to-be-wrapped-at-76-columns-of-base64!"  # noqa: S105
_LOGIN: Final = (_USER, _PASSWORD)
_USERS: Final = {_USER: _PASSWORD}


def _auth(user: str, password: str = _PASSWORD) -> dict[str, str]:
    return {"auth": b64encode(f"{user}:{password}".encode()).decode()}


# what is hidden from strangers


@case("registry.hidden-from-strangers", level=SHOULD, since="0.1", ref=refs.OCI_ERRORS, features={"login"})
def test_hidden_from_strangers(lab: Lab) -> None:
    """A login is used where strangers get 403 or 404, and only /v2/ asks for it.

    Nexus, Artifactory, Quay and GitLab can be set up so; the login is right, and nobody asks for it.
    """
    kit = kits.model()
    for auth in (Hiding(Basic(_USERS), 404), Hiding(Basic(_USERS), 403), Hiding(Bearer(_USERS), 404)):
        lab.run(lab.registry(auth=auth).add(kit, "iris", "v1"), login=_LOGIN).brought(kit)


@case("registry.hidden-unasked", level=SHOULD, since="0.1", ref=refs.OCI_ERRORS, features={"login"})
def test_hidden_unasked(lab: Lab) -> None:
    """A login is used where strangers get 404, and nothing asks for it.

    Where anonymous users may read some repositories, /v2/ is open, and private ones look as if they were not there.
    """
    kit = kits.model()
    registry = lab.registry(auth=Hiding(Basic(_USERS), asks=False))
    lab.run(registry.add(kit, "iris", "v1"), login=_LOGIN).brought(kit)


# challenges and tokens


@case("registry.challenge-spelled", level=MUST, since="0.1", ref=refs.RFC_CHALLENGES, features={"login"})
def test_challenge_spelled(lab: Lab) -> None:
    """A challenge is understood in every way in which it may be written.

    Several in one field or in two, blanks, empty members and quoted pairs: proxies and gateways rewrite headers.
    """
    kit = kits.model()
    for how in SPELLINGS.values():
        registry = lab.registry(auth=Spelled(Bearer(_USERS), how))
        lab.run(registry.add(kit, "iris", "v1"), login=_LOGIN).brought(kit)


@case("registry.token-basic-after", level=SHOULD, since="0.1", ref=refs.OCI_TOKENS, features={"login"})
def test_token_basic_after(lab: Lab) -> None:
    """A token that ends is renewed also where the registry then asks for Basic, with a login and without one.

    Harbor does, and its tokens live for half an hour: public projects have no user that Basic could be.
    """
    kit = kits.many(3)
    for login in (_LOGIN, None):
        registry = lab.registry(auth=Harbor(_USERS, anonymous=login is None))
        uri = registry.add(kit, "iris", "v1")
        registry.inject(faults.ExpireTokens(), kind="blob", skip=1, times=1)
        lab.run(uri, login=login).brought(kit)


@case("registry.token-moved", level=SHOULD, since="0.1", ref=refs.RFC_REDIRECT, features={"login"})
def test_token_moved(lab: Lab) -> None:
    """A token service that redirects within its origin gets the login there.

    A slash at the end, or a new path after an upgrade.
    """
    kit = kits.model()
    registry = lab.registry(auth=Bearer(_USERS))
    uri = registry.add(kit, "iris", "v1")
    moved = f"{registry.url}/token?service=fixture&scope=repository:iris:pull&moved=yes"
    registry.inject(faults.RedirectTo(moved), kind="token", when=lambda request: "moved" not in request.query)
    lab.run(uri, login=_LOGIN).brought(kit)


@case(
    "registry.token-moved-without-login",
    level=SHOULD,
    since="0.1",
    ref=refs.RFC_REDIRECT,
    features={"login", "ca"},
)
def test_token_moved_without_login(lab: Lab) -> None:
    """The login does not follow a token service that redirects to another origin.

    The registry has not named that one, which would learn the password.
    """
    registry = lab.registry(auth=Bearer(_USERS), tls=True)
    uri = registry.add(kits.model(), "iris", "v1")
    lab.works(uri, login=_LOGIN)
    location = f"{registry.elsewhere.url}/token?service=fixture&scope=repository:iris:pull"
    registry.inject(faults.RedirectTo(location), kind="token", origin="home")
    lab.run(uri, login=_LOGIN, patience=True).ended()
    sent = [str(entry) for entry in registry.elsewhere.ledger if entry.authorization != "none"]
    if sent:
        raise Finding("the login was sent to the second origin", sent)


# pull secrets


@case(
    "registry.pull-secret-paths",
    level=SHOULD,
    since="0.1",
    ref=refs.K8S_CONFIG_JSON,
    features={"docker-config"},
)
def test_pull_secret_paths(lab: Lab) -> None:
    """Of several entries of one host in a pull secret the one with the longest path that fits is used.

    Teams that share a registry have a login each; the kubelet reads the same secret so.
    """
    kit = kits.model()
    registry = lab.registry(auth=Basic(_USERS))
    uri = registry.add(kit, "team/models/iris", "v1")
    auths = {
        registry.host: _auth("somebody"),
        f"{registry.host}/team/models": _auth(_USER),
        f"{registry.host}/team": _auth("another"),
        f"{registry.host}/team/models/other": _auth("other"),
    }
    lab.run(uri, docker={"auths": auths}).brought(kit)


@case(
    "registry.pull-secret-hosts",
    level=SHOULD,
    since="0.1",
    ref=refs.K8S_CONFIG_JSON,
    features={"docker-config"},
)
def test_pull_secret_hosts(lab: Lab) -> None:
    """An entry of a pull secret may name hosts by a pattern, such as *.registry.example.

    Artifactory gives every repository a name below one domain.
    """
    kit = kits.model()
    registry = lab.registry(auth=Basic(_USERS))
    uri = registry.add(kit, "iris", "v1")
    domain = registry.host.partition(".")[2]
    lab.run(uri, docker={"auths": {f"*.{domain}": _auth(_USER)}}).brought(kit)


@case(
    "registry.pull-secret-auth",
    level=SHOULD,
    since="0.1",
    ref=refs.K8S_CONFIG_JSON,
    features={"docker-config"},
)
def test_pull_secret_auth(lab: Lab) -> None:
    """The auth of a pull secret may be wrapped at 76 columns, or lack its padding.

    The first is what the command base64 makes of it, the second what libraries do; the kubelet takes both.
    """
    kit = kits.model()
    registry = lab.registry(auth=Basic(_USERS))
    uri = registry.add(kit, "iris", "v1")
    auth = _auth(_USER)["auth"]
    for written in ("\n".join(textwrap.wrap(auth, 76)) + "\n", auth.rstrip("=")):
        lab.run(uri, docker={"auths": {registry.host: {"auth": written}}}).brought(kit)
