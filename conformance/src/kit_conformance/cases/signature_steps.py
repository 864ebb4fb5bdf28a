"""Steps of the cases of signatures: a registry, a key that the subject is told to want, and what lies beside a kit."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Unpack

from kit_conformance.cases import kits
from kit_conformance.testbed import signing
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kit_conformance.lab import Lab, Wish
    from kit_conformance.result import Result
    from kit_conformance.testbed.kits import ModelKit
    from kit_conformance.testbed.registry import Registry
    from kit_conformance.testbed.registry.wire import Request

    Make = Callable[["Shop", ModelKit], Iterable[signing.Attachment]]

SLSA: Final = "https://slsa.dev/provenance/v1"
ISSUER: Final = "https://issuer.fake.example"
IDENTITY: Final = "https://ci.fake.example/models/.github/workflows/pack.yaml@refs/tags/v1"
Asked = dict[str, dict[str, str]]


@cache
def key(name: str = "ours", kind: str = "p256") -> signing.Key:
    """Return a key, the same for the same name as long as the process runs."""
    del name
    return signing.Key.new(kind)


@cache
def instance(name: str = "ours") -> signing.FakeSigstore:
    """Return a fake instance of Sigstore, the same for the same name as long as the process runs."""
    del name
    return signing.FakeSigstore()


def by_key(wanted: signing.Key | str = "") -> Asked:
    """Ask for signatures by a key: ours, another one, or any text in its place."""
    pem = wanted if isinstance(wanted, str) and wanted else key().public
    return {"signature-key": {"key_pem": wanted.public if isinstance(wanted, signing.Key) else pem}}


def by_identity(
    identity: str = IDENTITY, issuer: str = ISSUER, *, root: signing.FakeSigstore | None = None
) -> Asked:
    """Ask for signatures by an identity of a fake instance of Sigstore."""
    return {"signature-identity": {"identity": identity, "issuer": issuer}, **trusting(root)}


def trusting(root: signing.FakeSigstore | None = None) -> Asked:
    """Give the trusted root of an instance."""
    return {"trusted-root": {"trusted_root": (root or instance()).trusted_root()}}


def by_policy(*rules: Mapping[str, object]) -> Asked:
    """Ask for what a policy document of these rules says."""
    return {"signature-policy": {"policy": json.dumps({"rules": list(rules)})}}


@dataclass
class Shop:
    """A registry of signed kits, and how the subject is asked to look at them."""

    lab: Lab
    asked: Asked = field(default_factory=by_key)
    referrers: int = 200
    page: int = 0
    auth: Any = None
    registry: Registry = field(init=False)

    def __post_init__(self) -> None:
        self.registry = self.lab.registry(auth=self.auth)
        self.registry.referrers, self.registry.page = self.referrers, self.page

    @property
    def host(self) -> str:
        return self.registry.host

    def add(
        self, kit: ModelKit, *attachments: signing.Attachment, repository: str = "iris", tag: str = "v1"
    ) -> str:
        """Put a kit into a repository with what is attached to it, and return its URI."""
        uri = self.registry.add(kit, repository, tag)
        signing.attach(self.registry, repository, *attachments)
        return uri

    def both(
        self, kit: ModelKit, repository: str = "iris", *, by: signing.Key | None = None
    ) -> tuple[signing.Attachment, ...]:
        """Sign a kit in both formats."""
        by = by or key()
        return signing.bundle(by, kit), self.simple(kit, repository, by=by)

    def simple(
        self,
        kit: ModelKit,
        repository: str = "iris",
        *,
        by: signing.Key | None = None,
        **wrong: Any,  # noqa: ANN401  (as `simple_layer` has them)
    ) -> signing.Attachment:
        """Sign a kit in the older format."""
        layer = signing.simple_layer(by or key(), kit, f"{self.host}/{repository}", **wrong)
        return signing.simple(kit, layer)

    def run(self, *uris: str, **wish: Unpack[Wish]) -> Result:
        """Run the subject and ask for signatures."""
        given: Wish = {"ask": self.asked, **wish}
        return self.lab.run(*uris, **given)

    def works(self, **wish: Unpack[Wish]) -> None:
        """Show that a kit that is signed as it must be is brought."""
        kit = kits.plain("control")
        uri = self.add(kit, *self._good(kit), repository="control")
        given: Wish = {"ask": self.asked, **wish}
        self.lab.works(uri, **given)

    def _good(self, kit: ModelKit) -> Iterable[signing.Attachment]:
        if "signature-identity" in self.asked:
            return [instance().bundle(kit, IDENTITY, ISSUER)]
        return self.both(kit, "control")


def brings(lab: Lab, make: Make, **options: Any) -> Shop:  # noqa: ANN401  (as `Shop` has them)
    """Show that a kit is brought that has this attached."""
    shop = Shop(lab, **options)
    kit = kits.model()
    shop.run(shop.add(kit, *make(shop, kit)), patience=True).brought(kit)
    return shop


def refuses(lab: Lab, why: str, *makes: Make, **options: Any) -> Shop:  # noqa: ANN401  (as `Shop` has them)
    """Show that a signed kit is brought, and that kits are refused that have any one of these attached."""
    shop = Shop(lab, **options)
    shop.works()
    for number, make in enumerate(makes):
        kit = kits.model(seed=number + 1)
        refused(shop, shop.add(kit, *make(shop, kit), tag=f"v{number}"), why)
    return shop


def refused(shop: Shop, uri: str, why: str, **wish: Unpack[Wish]) -> Result:
    """Show that a kit is refused, and that nothing of it is left for a server."""
    given: Wish = {"patience": True, **wish}
    return shop.run(uri, **given).failed(why).brought_nothing()


def tag_moves(shop: Shop, other: ModelKit, repository: str) -> None:
    """Let the tag v1 of a repository mean another kit as soon as the signatures there are asked for."""

    def moves(request: Request) -> bool:
        asked = request.kind == "referrers" or request.reference.startswith("sha256-")
        if asked and request.repository == repository:
            shop.registry.add(other, repository, "v1")
        return False

    shop.registry.inject(faults.Latency(0), when=moves)


def unpacks_what_was_verified(lab: Lab, shop: Shop) -> None:
    """Show that a kit is what was verified, or nothing, where its tag moves while signatures are asked for."""
    signed, other = kits.model(), kits.model(seed=8)
    uri = shop.add(signed, *shop.both(signed))
    tag_moves(shop, other, "iris")
    result = shop.run(uri)
    if result.outcome.code:
        result.failed().brought_nothing()
    else:
        result.brought(signed)
    shop.registry.heal()
    lab.run(uri).brought(other)
