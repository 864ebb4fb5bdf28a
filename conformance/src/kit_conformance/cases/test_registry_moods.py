"""Registries on a bad day: busy, broken, silent, slow, and those that leave things out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.cases.steps import FEW, fails, heals, some
from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.result import Finding
from kit_conformance.testbed.registry import faults, refusing, silent

if TYPE_CHECKING:
    from kit_conformance.lab import Lab

# a bad day


@case("registry.busy", level=MUST, since="0.1", ref=refs.RFC_RETRY)
def test_busy(lab: Lab) -> None:
    """429 with Retry-After is waited for, and then the kit is brought.

    Docker Hub, ECR and GHCR limit rates; a rollout of fifty pods runs into that.
    """
    registry = lab.registry()
    kit = kits.plain()
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.Status(429, retry_after="1"), kind="blob", times=1)
    began = time.monotonic()
    lab.run(uri, patience=True).brought(kit)
    if time.monotonic() - began < 0.95:
        raise Finding("it did not wait for the second that the registry had asked for")


@case("registry.unavailable-twice", level=MUST, since="0.1", ref=refs.RFC_HTTP)
def test_unavailable_twice(lab: Lab) -> None:
    """503 twice is outlived.

    Registries restart and fail over; the pod's next try may be minutes away.
    """
    heals(lab, (faults.Status(503), {"kind": "blob", "times": 2}))


@case("registry.unavailable-manifest", level=MUST, since="0.1", ref=refs.RFC_HTTP)
def test_unavailable_manifest(lab: Lab) -> None:
    """500 for the manifest, once, is outlived.

    Load balancers send them while a backend goes away.
    """
    heals(lab, (faults.Status(500), {"kind": "manifest", "times": 1}))


@case("registry.unavailable-for-good", level=MUST, since="0.1", ref=refs.RFC_HTTP)
def test_unavailable_for_good(lab: Lab) -> None:
    """503 for good fails the run, after a number of tries that is bounded.

    The pod shall say why it does not start, not wait for ever and not bring the registry down for good.
    """
    registry = fails(lab, faults.Status(503), "the registry is unavailable", kind="blob")
    if len(registry.ledger) > FEW * 3:
        raise Finding(f"it asked {len(registry.ledger)} times", some(registry.ledger.requests()))


@case("registry.layer-cut", level=SHOULD, since="0.1", ref=refs.RFC_RANGE)
def test_layer_cut(lab: Lab) -> None:
    """A layer whose transfer breaks off is brought all the same.

    Hours into a download of a large model a connection breaks; to begin anew is to never end.
    """
    heals(lab, (faults.Cut(after=3 * kits.MIB), {"kind": "blob", "times": 1}), kit=kits.large())


@case("registry.layer-reset", level=SHOULD, since="0.1", ref=refs.RFC_RANGE)
def test_layer_reset(lab: Lab) -> None:
    """A layer whose connection is reset is brought all the same.

    Firewalls and NAT gateways reset what they have forgotten.
    """
    heals(lab, (faults.Reset(after=3 * kits.MIB), {"kind": "blob", "times": 1}), kit=kits.large())


@case("registry.small-layer-cut", level=SHOULD, since="0.1", ref=refs.RFC_RANGE)
def test_small_layer_cut(lab: Lab) -> None:
    """A layer of a few kilobytes whose transfer breaks off is brought all the same.

    Kits have many small layers, and each is a chance to fail.
    """
    heals(lab, (faults.Cut(after=500), {"kind": "blob", "times": 1}))


@case("registry.manifest-cut", level=SHOULD, since="0.1", ref=refs.RFC_LENGTH)
def test_manifest_cut(lab: Lab) -> None:
    """A manifest whose transfer breaks off is brought all the same.

    It has a Content-Length, so the break is no secret.
    """
    heals(lab, (faults.Cut(after=100), {"kind": "manifest", "method": "GET", "times": 1}))


@case("registry.resumes", level=SHOULD, since="0.1", ref=refs.RFC_RANGE)
def test_resumes(lab: Lab) -> None:
    """After a break the transfer goes on where it stopped.

    A registry that breaks off after every gigabyte would otherwise never deliver ten.
    """
    kit = kits.large()
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.Cut(after=3 * kits.MIB), kind="blob", times=1)
    lab.run(uri, patience=True).brought(kit)
    first, *later = registry.ledger.requests(kind="blob", method="GET")
    anew = [entry for entry in later if not entry.range or entry.range.startswith("bytes=0-")]
    if anew or not later:
        raise Finding("it began at the first byte again", some([first, *later]))


@case("registry.dropped", level=SHOULD, since="0.1", ref=refs.RFC_HTTP)
def test_dropped(lab: Lab) -> None:
    """A connection that is closed without an answer is outlived.

    Kept-alive connections are closed by the other side at any time; that is no error at all.
    """
    heals(lab, (faults.Drop(), {"kind": "blob", "times": 1}))


@case("registry.restarted", level=SHOULD, since="0.1", ref=refs.RFC_HTTP)
def test_restarted(lab: Lab) -> None:
    """A registry that restarts in the middle of a layer is outlived.

    A registry in the cluster is upgraded while pods start.
    """
    kit = kits.large()
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.Bandwidth(3_000_000), kind="blob")
    running = lab.start(uri)
    registry.ledger.wait_for(1, seconds=20.0, kind="blob")
    time.sleep(0.3)
    registry.stop()
    time.sleep(1.5)  # long enough that who tries again soon meets a closed port too, whatever its jitter
    registry.heal()
    registry.start()
    running.finish().brought(kit)


@case("registry.layer-stalls", level=SHOULD, since="0.1", ref=refs.K8S_INIT)
def test_layer_stalls(lab: Lab) -> None:
    """A layer whose bytes stop coming does not hold the pod up for ever.

    A lost route leaves a connection that looks alive. Nothing restarts an init container that waits.
    """
    registry = lab.registry()
    uri = registry.add(kits.large(), "iris", "v1")
    lab.works(uri)
    registry.inject(faults.Stall(after=3 * kits.MIB), kind="blob", times=1)
    registry.inject(faults.Stall(), kind="blob", skip=1)
    lab.run(uri, patience=True).failed("no byte comes any more").brought_nothing()


@case("registry.layer-stalls-once", level=SHOULD, since="0.1", ref=refs.K8S_INIT)
def test_layer_stalls_once(lab: Lab) -> None:
    """A layer that stands still once is brought by another connection.

    What stands still on one connection most often comes on the next.
    """
    heals(lab, (faults.Stall(after=3 * kits.MIB), {"kind": "blob", "times": 1}), kit=kits.large())


@case("registry.no-answer", level=SHOULD, since="0.1", ref=refs.K8S_INIT)
def test_no_answer(lab: Lab) -> None:
    """A registry that takes requests and never answers does not hold the pod up for ever.

    An overloaded registry does just that.
    """
    fails(lab, faults.Hang(), "there is no answer", kind="manifest")


@case("registry.silent", level=SHOULD, since="0.1", ref=refs.K8S_INIT)
def test_silent(lab: Lab) -> None:
    """An address that accepts connections and says nothing does not hold the pod up for ever.

    A load balancer without a backend, or a port that belongs to something else.
    """
    lab.works(lab.registry().add(kits.plain(), "iris", "v1"))
    host = lab.enter(silent(lab.subject.address))
    lab.run(f"kit://{host}/iris:v1", patience=True).failed("nobody speaks there").brought_nothing()


@case("registry.refused", level=MUST, since="0.1", ref=refs.K8S_INIT)
def test_refused(lab: Lab) -> None:
    """An address where nobody listens fails the run in time.

    A wrong port is a mistake that is to be told at once.
    """
    lab.works(lab.registry().add(kits.plain(), "iris", "v1"))
    host = lab.enter(refusing(lab.subject.address))
    lab.run(f"kit://{host}/iris:v1", patience=True).failed("nobody listens there").brought_nothing()


@case("registry.no-such-host", level=MUST, since="0.1", ref=refs.K8S_INIT)
def test_no_such_host(lab: Lab) -> None:
    """A host name that does not exist fails the run in time.

    Typing errors in names are as frequent as those in tags.
    """
    lab.works(lab.registry().add(kits.plain(), "iris", "v1"))
    result = lab.run("kit://no-such-registry.invalid/iris:v1", patience=True)
    result.failed("there is no such host").brought_nothing()


@case("registry.garbage", level=MUST, since="0.1", ref=refs.RFC_HTTP)
def test_garbage(lab: Lab) -> None:
    """An answer that is no HTTP fails the run, and nothing is brought.

    A TLS port that is spoken to in plain text answers like that.
    """
    fails(lab, faults.Garbage(), "that is no HTTP")


@case("registry.page-instead", level=MUST, since="0.1", ref=refs.OCI_MANIFESTS)
def test_page_instead(lab: Lab) -> None:
    """A page of HTML with status 200 in place of the manifest fails the run, and nothing is brought.

    Captive portals, single sign-on and wrong ingress rules answer everything with a page.
    """
    page = b"<!doctype html><title>Sign in</title>" + b" " * 2000
    fails(lab, faults.Replace(page), "that is a page and no manifest", kind="manifest")


# redirects


@case("registry.redirect", level=MUST, since="0.1", ref=refs.OCI_BLOBS)
def test_redirect(lab: Lab) -> None:
    """A layer that is at another origin is fetched there.

    Docker Hub, ECR, GHCR and GAR all redirect to object stores.
    """
    kit = kits.plain()
    registry = heals(lab, (faults.Redirect(), {}), kit=kit)
    if not registry.elsewhere.ledger.requests(method="GET"):
        raise Finding("nothing was fetched from the second origin")


@case("registry.redirect-relative", level=MUST, since="0.1", ref=refs.RFC_REDIRECT)
def test_redirect_relative(lab: Lab) -> None:
    """A relative Location is followed.

    "The field value consists of a single URI-reference": it may be relative.
    """
    heals(lab, (faults.Redirect(same=True, relative=True), {}))


@case("registry.redirect-large", level=SHOULD, since="0.1", ref=refs.RFC_REDIRECT)
def test_redirect_large(lab: Lab) -> None:
    """A break in the transfer from a second origin is outlived.

    The signed URL may have expired by then: the way begins at the registry again.
    """
    cut = (faults.Cut(after=3 * kits.MIB), {"kind": "blob", "origin": "elsewhere", "times": 1})
    heals(lab, (faults.Redirect(), {}), cut, kit=kits.large())


@case("registry.redirect-loop", level=MUST, since="0.1", ref=refs.RFC_REDIRECT)
def test_redirect_loop(lab: Lab) -> None:
    """A redirect to itself fails the run, after a number of steps that is bounded.

    "A client SHOULD detect and intervene in cyclical redirections".
    """
    registry = fails(lab, faults.RedirectLoop(), "the redirect leads to itself", kind="blob")
    if len(registry.ledger) > FEW * 3:
        raise Finding(f"it asked {len(registry.ledger)} times", some(registry.ledger.requests()))


@case("registry.redirect-to-file", level=MUST, since="0.1", ref=refs.RFC_REDIRECT)
def test_redirect_to_file(lab: Lab) -> None:
    """A redirect to a file of the machine fails the run.

    A registry must not be able to make a pod read its own files, or speak other protocols.
    """
    fails(lab, faults.RedirectTo("file:///etc/passwd"), "that is no place for a layer", kind="blob")


# at the same time


@case("registry.layers-at-once", level=SHOULD, since="0.1", ref=refs.KIT_UNPACK)
def test_layers_at_once(lab: Lab) -> None:
    """Several layers are fetched at the same time.

    Registries limit the speed of a connection, not that of a client: four layers of a model come in a
    quarter of the time.
    """
    kit = kits.many(4, size=200_000)
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.Latency(0.8), kind="blob", method="GET")
    lab.run(uri).brought(kit)
    times = sorted(entry.seconds for entry in registry.ledger.requests(kind="blob", method="GET"))
    if times[-1] - times[0] > 2.0:
        raise Finding("one layer was fetched after the other", some(registry.ledger.requests(kind="blob")))
