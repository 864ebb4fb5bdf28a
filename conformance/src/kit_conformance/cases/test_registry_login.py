"""Registries that want to know who asks, and who must be asked who they are."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Final

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.result import Finding
from kit_conformance.testbed.registry import TLS, Basic, Bearer, faults

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kit_conformance.lab import Lab
    from kit_conformance.testbed.registry import Entry, Registry

_USER: Final = "robot$models"
_PASSWORD: Final = "correct-horse-battery"  # noqa: S105  (of a registry that lives for a second)
_LOGIN: Final = (_USER, _PASSWORD)
_USERS: Final = {_USER: _PASSWORD}
_MANY: Final = 40  # requests: who is refused that often is locked out


def _authorized(entries: Iterable[Entry]) -> list[str]:
    return [str(entry) for entry in entries if entry.authorization != "none"]


def _few(registry: Registry) -> None:
    if len(registry.ledger) > _MANY:
        raise Finding(
            f"it asked {len(registry.ledger)} times", [str(each) for each in list(registry.ledger)[:8]]
        )


# Basic


@case("registry.plain-http-login", level=MUST, since="0.1", ref=refs.KIT_KSERVE, features={"login"})
def test_plain_http_login(lab: Lab) -> None:
    """User and password open a registry with Basic authentication and plain HTTP.

    A registry in the cluster, or on a laptop, is just that; plain HTTP must be meant for the login as well.
    """
    kit = kits.plain()
    registry = lab.registry(auth=Basic(_USERS))
    lab.run(registry.add(kit, "iris", "v1"), login=_LOGIN).brought(kit)


@case("registry.tls-login", level=MUST, since="0.1", ref=refs.KIT_KSERVE, features={"login", "ca"})
def test_tls_login(lab: Lab) -> None:
    """User and password open a registry with Basic authentication and a certificate of an own authority.

    Harbor and Nexus in a company's network are like that.
    """
    kit = kits.plain()
    registry = lab.registry(auth=Basic(_USERS), tls=True)
    lab.run(registry.add(kit, "iris", "v1"), login=_LOGIN).brought(kit)


@case("registry.wrong-password", level=MUST, since="0.1", ref=refs.OCI_ERRORS, features={"login"})
def test_wrong_password(lab: Lab) -> None:
    """A wrong password fails the run, without a storm of tries.

    Directories lock accounts after a few wrong tries.
    """
    registry = lab.registry(auth=Basic(_USERS))
    uri = registry.add(kits.plain(), "iris", "v1")
    lab.works(uri, login=_LOGIN)
    registry.ledger.clear()
    lab.run(uri, login=(_USER, "not-the-password")).failed("the password is wrong").brought_nothing()
    _few(registry)


@case("registry.no-login", level=MUST, since="0.1", ref=refs.OCI_ERRORS, features={"login"})
def test_no_login(lab: Lab) -> None:
    """Without a login a registry that wants one fails the run, without a storm of tries.

    The secret may have been forgotten, or be called otherwise.
    """
    registry = lab.registry(auth=Basic(_USERS))
    uri = registry.add(kits.plain(), "iris", "v1")
    lab.works(uri, login=_LOGIN)
    registry.ledger.clear()
    lab.run(uri).failed("nobody has logged in").brought_nothing()
    _few(registry)


@case("registry.odd-passwords", level=MUST, since="0.1", ref=refs.KIT_LOGIN, features={"login"})
def test_odd_passwords(lab: Lab) -> None:
    """A password may be any text: with colons, quotes, dollars, blanks inside, or like an option of echo.

    Tokens are made by machines; what a shell makes of them shows only on the day when they are renewed.
    """
    kit = kits.model()
    for password in ("-n -e", "a:b:c", "pa$$w0rd `id` $(id)", "\"quoted\" 'twice' \\back", "über-naïve-日本"):
        registry = lab.registry(auth=Basic({"ann": password}))
        uri = registry.add(kit, "iris", "v1")
        lab.run(uri, login=("ann", password)).brought(kit)


@case("registry.login-leaks-nothing", level=MUST, since="0.1", ref=refs.KIT_LOGIN, features={"login"})
def test_login_leaks_nothing(lab: Lab) -> None:
    """Neither log, nor message, nor volume ever holds the password: not when it works, and not when it fails.

    Logs are collected, and status fields are read, by people who may not pull.
    """
    registry = lab.registry(auth=Bearer(_USERS))
    kit = kits.plain()
    uri = registry.add(kit, "iris", "v1")
    results = [lab.run(uri, login=_LOGIN).brought(kit)]
    results.append(lab.run(uri, login=(_USER, "wrong-horse-battery")).failed("the password is wrong"))
    registry.inject(faults.Status(500), kind="blob")
    results.append(lab.run(uri, login=_LOGIN, patience=True).failed("the registry is broken"))
    leaks = [f"run {number}: {where}" for number, result in enumerate(results, 1) for where in result.leaks]
    if leaks:
        raise Finding("the password can be read", leaks)


# tokens


@case("registry.token-login", level=MUST, since="0.1", ref=refs.OCI_TOKENS, features={"login"})
def test_token_login(lab: Lab) -> None:
    """User and password are exchanged for a token, where a registry wants that.

    Docker Hub, GitLab, GHCR, Harbor and Quay all do.
    """
    kit = kits.plain()
    registry = lab.registry(auth=Bearer(_USERS))
    lab.run(registry.add(kit, "iris", "v1"), login=_LOGIN).brought(kit)


@case("registry.token-anonymous", level=MUST, since="0.1", ref=refs.OCI_TOKENS)
def test_token_anonymous(lab: Lab) -> None:
    """A registry that gives tokens to anybody is pulled from without a login.

    Every public repository of Docker Hub and GHCR is like that.
    """
    kit = kits.plain()
    registry = lab.registry(auth=Bearer(_USERS, anonymous=True))
    lab.run(registry.add(kit, "iris", "v1")).brought(kit)


@case("registry.token-elsewhere", level=MUST, since="0.1", ref=refs.OCI_TOKENS, features={"login", "ca"})
def test_token_elsewhere(lab: Lab) -> None:
    """The token endpoint may be at another origin.

    Docker Hub's is at auth.docker.io, GitLab's at gitlab.com. Both have TLS: without it no login may go there.
    """
    kit = kits.plain()
    registry = lab.registry(auth=Bearer(_USERS, elsewhere=True), tls=True)
    lab.run(registry.add(kit, "iris", "v1"), login=_LOGIN).brought(kit)


@case("registry.token-expires", level=MUST, since="0.1", ref=refs.OCI_TOKENS, features={"login"})
def test_token_expires(lab: Lab) -> None:
    """A token that expires in the middle is renewed.

    Tokens live for five minutes, large models take longer.
    """
    kit = kits.many(4)
    registry = lab.registry(auth=Bearer(_USERS))
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.ExpireTokens(), kind="blob", skip=1, times=1)
    lab.run(uri, login=_LOGIN).brought(kit)


@case("registry.token-expires-anonymous", level=SHOULD, since="0.1", ref=refs.OCI_TOKENS)
def test_token_expires_anonymous(lab: Lab) -> None:
    """A token of nobody's that expires in the middle is renewed, too.

    Public models are no smaller than private ones.
    """
    kit = kits.many(4)
    registry = lab.registry(auth=Bearer(_USERS, anonymous=True))
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.ExpireTokens(), kind="blob", skip=1, times=1)
    lab.run(uri).brought(kit)


@case("registry.token-large-layer", level=SHOULD, since="0.1", ref=refs.OCI_TOKENS, features={"login"})
def test_token_large_layer(lab: Lab) -> None:
    """A large layer is brought with tokens that are good for two requests each.

    Fetching a layer in parts, or resuming, needs a token for each request.
    """
    kit = kits.large()
    registry = lab.registry(auth=Bearer(_USERS, uses=2))
    lab.run(registry.add(kit, "iris", "v1"), login=_LOGIN).brought(kit)


# Docker's file


@case("registry.docker-config", level=MUST, since="0.1", ref=refs.DOCKER_CONFIG, features={"docker-config"})
def test_docker_config(lab: Lab) -> None:
    """A login in a Docker config.json is found by the registry's host and port.

    It is what imagePullSecrets are made of, so every cluster has one.
    """
    kit = kits.plain()
    registry = lab.registry(auth=Basic(_USERS))
    uri = registry.add(kit, "iris", "v1")
    auth = b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()
    other = b64encode(b"nobody:nothing").decode()
    docker = {"auths": {"other.example.invalid": {"auth": other}, registry.host: {"auth": auth}}}
    lab.run(uri, docker=docker).brought(kit)


@case(
    "registry.docker-config-other-host",
    level=MUST,
    since="0.1",
    ref=refs.DOCKER_CONFIG,
    features={"docker-config"},
)
def test_docker_config_other_host(lab: Lab) -> None:
    """A login in a Docker config.json is for its registry alone.

    Sent to another one, the password is somebody else's.
    """
    mine, other = lab.registry(auth=Basic(_USERS)), lab.registry()
    auth = {"auth": b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()}
    kit = kits.plain()
    mine.add(kit, "iris", "v1")
    docker = {"auths": {mine.host: auth}}
    lab.works(f"kit://{mine.host}/iris:v1", docker=docker)
    other.inject(faults.Status(401), times=3)
    lab.run(other.add(kit, "iris", "v1"), docker=docker).ended()
    if sent := _authorized(other.ledger):
        raise Finding("the login of one registry was sent to another", sent)


@case("registry.identity-token", level=MUST, since="0.1", ref=refs.OCI_IDENTITY, features={"identity-token"})
def test_identity_token(lab: Lab) -> None:
    """An identity token of a Docker config.json is exchanged for a token of the registry.

    `docker login` at Azure's registry, and others, leaves such a token instead of a password.
    """
    kit = kits.plain()
    registry = lab.registry(auth=Bearer(identity_tokens={"an-identity-token"}))
    uri = registry.add(kit, "iris", "v1")
    lab.run(uri, docker={"auths": {registry.host: {"identitytoken": "an-identity-token"}}}).brought(kit)


# where a login must not go


@case("registry.redirect-without-login", level=MUST, since="0.1", ref=refs.RFC_REDIRECT, features={"login"})
def test_redirect_without_login(lab: Lab) -> None:
    """A redirect to another origin is followed without the login.

    The address there is signed, the object store refuses a second way to log in, and its owner would learn
    the password or token.
    """
    kit = kits.plain()
    registry = lab.registry(auth=Bearer(_USERS))
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.Redirect())
    result = lab.run(uri, login=_LOGIN, patience=True)
    if sent := _authorized(registry.elsewhere.ledger):
        raise Finding("the login was sent to the second origin", sent)
    result.brought(kit)


@case(
    "registry.redirect-without-password", level=MUST, since="0.1", ref=refs.RFC_REDIRECT, features={"login"}
)
def test_redirect_without_password(lab: Lab) -> None:
    """A redirect from a registry with Basic authentication is followed without user and password.

    Here it is the password itself that the other side would read.
    """
    kit = kits.plain()
    registry = lab.registry(auth=Basic(_USERS))
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.Redirect())
    result = lab.run(uri, login=_LOGIN, patience=True)
    if sent := _authorized(registry.elsewhere.ledger):
        raise Finding("the password was sent to the second origin", sent)
    result.brought(kit)


@case("registry.login-not-first", level=SHOULD, since="0.1", ref=refs.RFC_HTTP, features={"login"})
def test_login_not_first(lab: Lab) -> None:
    """No password is sent to a registry that has not asked for one.

    A typing error in the host would give it to a stranger.
    """
    kit = kits.plain()
    registry = lab.registry()
    lab.run(registry.add(kit, "iris", "v1"), login=_LOGIN).brought(kit)
    if sent := _authorized(registry.ledger):
        raise Finding("the password was sent unasked", sent)


# TLS


@case("registry.own-authority", level=MUST, since="0.1", ref=refs.RFC_TLS, features={"ca"})
def test_own_authority(lab: Lab) -> None:
    """A registry with a certificate of an own authority is trusted when its authority was given.

    Few companies buy certificates for what is inside.
    """
    kit = kits.plain()
    lab.run(lab.registry(tls=True).add(kit, "iris", "v1")).brought(kit)


@case("registry.unknown-authority", level=MUST, since="0.1", ref=refs.RFC_TLS)
def test_unknown_authority(lab: Lab) -> None:
    """A registry whose certificate nobody vouches for is refused.

    It may be anybody.
    """
    lab.works(lab.registry().add(kits.plain(), "iris", "v1"))
    registry = lab.registry(tls=True)
    uri = registry.add(kits.plain(), "iris", "v1")
    result = lab.run(uri, trust=False, plain_http=False, patience=True)
    result.failed("nobody vouches for its certificate").brought_nothing()


@case("registry.wrong-name", level=MUST, since="0.1", ref=refs.RFC_TLS, features={"ca"})
def test_wrong_name(lab: Lab) -> None:
    """A certificate for another name is refused, though its authority is trusted.

    A company's authority vouches for thousands of servers, and not all are registries.
    """
    other = lab.registry()
    lab.works(other.add(kits.plain(), "iris", "v1"))
    registry = lab.registry(tls=TLS(names=("registry.example.invalid",)))
    uri = registry.add(kits.plain(), "iris", "v1")
    lab.run(uri, plain_http=False, patience=True).failed(
        "the certificate is for another name"
    ).brought_nothing()


@case("registry.insecure", level=SHOULD, since="0.1", ref=refs.KIT_UNPACK, features={"insecure"})
def test_insecure(lab: Lab) -> None:
    """When told so, any certificate is accepted.

    It is how one finds out whether the certificate is what is wrong.
    """
    kit = kits.plain()
    registry = lab.registry(tls=True)
    lab.run(registry.add(kit, "iris", "v1"), trust=False, ask={"insecure": {}}).brought(kit)


@case("registry.no-downgrade", level=MUST, since="0.1", ref=refs.RFC_TLS)
def test_no_downgrade(lab: Lab) -> None:
    """Without being told so nothing is fetched by plain HTTP.

    An attacker who can break off a TLS handshake could otherwise read and change everything.
    """
    registry = lab.registry()
    uri = registry.add(kits.plain(), "iris", "v1")
    lab.works(uri)
    registry.ledger.clear()
    lab.run(uri, plain_http=False, patience=True).failed("there is no TLS there").brought_nothing()
    if len(registry.ledger):
        raise Finding("it asked in plain text", [str(entry) for entry in registry.ledger])


@case(
    "registry.client-certificate",
    level=SHOULD,
    since="0.1",
    ref=refs.KIT_UNPACK,
    features={"client-cert", "ca"},
)
def test_client_certificate(lab: Lab) -> None:
    """A client certificate is shown to a registry that wants one.

    Where networks are not trusted, services know each other by certificates.
    """
    kit = kits.plain()
    registry = lab.registry(tls=TLS(names=("127.0.0.1", "localhost", lab.subject.address), client_auth=True))
    lab.run(registry.add(kit, "iris", "v1"), ask={"client-cert": {}}).brought(kit)
