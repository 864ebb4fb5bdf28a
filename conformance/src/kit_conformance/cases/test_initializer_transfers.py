"""What kit-initializer promises of transfers that fail: who is named, and what is not shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.catalog import MUST, case
from kit_conformance.result import Finding
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from kit_conformance.lab import Lab


@case("kit-initializer.store-blamed", level=MUST, since="0.1", ref=refs.INITIALIZER_OPERATE)
def test_store_blamed(lab: Lab) -> None:
    """A store that refuses what the registry has redirected to is named, with its reason.

    A search for the fault begins at the host that is named; the registry and its login are right.
    """
    registry = lab.registry()
    uri = registry.add(kits.model(), "iris", "v1")
    registry.inject(faults.Redirect())
    lab.works(uri)
    for status, code in ((403, 4), (404, 3), (418, 5)):
        registry.heal()
        registry.inject(faults.Redirect())
        registry.inject(faults.StoreRefusal(status), origin="elsewhere")
        result = lab.run(uri, patience=True).failed_with(code)
        for words in (registry.elsewhere.host, "Request has expired"):
            if words not in result.outcome.message:
                raise Finding(f"the message does not say {words!r}", [result.outcome.message])


@case("kit-initializer.signed-address", level=MUST, since="0.1", ref=refs.INITIALIZER_OPERATE)
def test_signed_address(lab: Lab) -> None:
    """A store that repeats the address it was asked for does not get its signature into the log or the message.

    The address gives the content to everybody who knows it, for as long as it is valid.
    """
    registry = lab.registry()
    uri = registry.add(kits.model(), "iris", "v1")
    registry.inject(faults.Redirect())
    lab.works(uri)
    registry.inject(faults.StoreRefusal(418), origin="elsewhere")
    result = lab.run(uri, patience=True).failed("the store refuses")
    queries = {entry.query for entry in registry.elsewhere.ledger if entry.query}
    shown = result.outcome.output + result.outcome.message
    if leaked := [query for query in queries if query.partition("=")[2] in shown]:
        raise Finding("it shows what signs an address", leaked)


@case("kit-initializer.page-named", level=MUST, since="0.1", ref=refs.INITIALIZER_OPERATE)
def test_page_named(lab: Lab) -> None:
    """A page in place of content is exit code 5, and the message has its host and its title.

    Single sign-on, captive portals and wrong ingress rules answer with a page; to push the kit again helps nobody.
    """
    registry = lab.registry()
    uri = registry.add(kits.large(), "iris", "v1")
    lab.works(uri)
    for kind in ("manifest", "blob"):
        registry.heal()
        page = b"<!doctype html><title>Sign in to go on</title>"
        registry.inject(faults.Text(200, page, "text/html"), kind=kind)
        result = lab.run(uri, patience=True).failed_with(5)
        for words in (registry.host, "Sign in to go on"):
            if words not in result.outcome.message:
                raise Finding(f"the message does not say {words!r}", [result.outcome.message])
