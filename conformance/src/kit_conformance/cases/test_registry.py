"""OCI registries: what is asked of them and how, and what happens when they have a bad day."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.result import Finding
from kit_conformance.testbed.registry import Registry, faults, refusing, silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit_conformance.lab import Lab
    from kit_conformance.testbed.kits import Kit
    from kit_conformance.testbed.registry import Entry

_FEW: Final = 40  # requests: more than any number of sensible retries of one thing makes


def _heals(lab: Lab, *injected: tuple[faults.Fault, dict[str, object]], kit: Kit | None = None) -> Registry:
    """Show that a kit is brought although the registry misbehaves in these ways."""
    kit = kit or kits.plain()
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    for fault, where in injected:
        registry.inject(fault, **where)  # type: ignore[arg-type]
    lab.run(uri, patience=True).brought(kit)
    return registry


def _fails(lab: Lab, fault: faults.Fault, why: str, kit: Kit | None = None, **where: object) -> Registry:
    """Show that a kit is brought, and that the run fails in time when the registry misbehaves in this way."""
    registry = lab.registry()
    uri = registry.add(kit or kits.plain(), "iris", "v1")
    lab.works(uri)
    registry.ledger.clear()
    registry.inject(fault, **where)  # type: ignore[arg-type]
    lab.run(uri, patience=True).failed(why).brought_nothing()
    return registry


def _some(entries: Sequence[Entry]) -> list[str]:
    return [str(entry) for entry in entries[:8]]


# references


@case("registry.digest", level=MUST, since="0.1", ref=refs.OCI_PULL, any_registry=True)
def test_digest(lab: Lab) -> None:
    """A reference by digest brings that kit, whatever the tags say by then.

    Only a digest names one model for ever; production should pin it.
    """
    kit, later = kits.plain(), kits.plain("later")
    uri = lab.place(kit)
    lab.place(later)
    lab.run(uri.replace(":v1", f"@{kit.digest}")).brought(kit)


@case("registry.tag-and-digest", level=SHOULD, since="0.1", ref=refs.OCI_PULL, any_registry=True)
def test_tag_and_digest(lab: Lab) -> None:
    """With a tag and a digest the digest decides.

    Tools that pin references write both: the tag for people, the digest for machines.
    """
    kit, later = kits.plain(), kits.plain("later")
    uri = lab.place(kit)
    lab.place(later)
    lab.run(f"{uri}@{kit.digest}").brought(kit)


@case("registry.no-tag", level=SHOULD, since="0.1", ref=refs.KIT_UNPACK, any_registry=True)
def test_no_tag(lab: Lab) -> None:
    """A reference without a tag means the tag latest.

    That is what Kit and every container tool take it for.
    """
    kit = kits.plain()
    lab.run(lab.place(kit, tag="latest").removesuffix(":latest")).brought(kit)


@case("registry.nested-repository", level=MUST, since="0.1", ref=refs.OCI_PULL, any_registry=True)
def test_nested_repository(lab: Lab) -> None:
    """A repository may have many parts.

    GitLab and Harbor put group and project before the name.
    """
    kit = kits.plain()
    lab.run(lab.place(kit, "group/sub-group/project_1/iris.classifier")).brought(kit)


@case("registry.long-tag", level=MUST, since="0.1", ref=refs.OCI_PULL, any_registry=True)
def test_long_tag(lab: Lab) -> None:
    """A tag may have 128 characters, capitals, dots, dashes and underscores.

    Tags are made of branches, dates and hashes.
    """
    kit = kits.plain()
    lab.run(lab.place(kit, tag="_Release-2026.11.21_" + "x" * 108)).brought(kit)


@case("registry.ipv6", level=SHOULD, since="0.1", ref=refs.RFC_HTTP)
def test_ipv6(lab: Lab) -> None:
    """A registry may have an IPv6 address.

    Clusters with IPv6 only exist, and registries in them without a name.
    """
    if lab.subject.address != "127.0.0.1":
        lab.does_not_apply("this kind of subject reaches the registry by IPv4 alone")
    kit = kits.plain()
    registry = lab.registry(address="::1")
    lab.run(registry.add(kit, "iris", "v1")).brought(kit)


# what is not there, or not ours


@case("registry.no-such-tag", level=MUST, since="0.1", ref=refs.OCI_ERRORS, any_registry=True)
def test_no_such_tag(lab: Lab) -> None:
    """A tag that does not exist fails, and nothing is brought.

    It is the most frequent mistake of all.
    """
    uri = lab.place(kits.plain())
    lab.works(uri)
    lab.run(uri.replace(":v1", ":v2")).failed("there is no such tag").brought_nothing()


@case("registry.no-such-digest", level=MUST, since="0.1", ref=refs.OCI_ERRORS, any_registry=True)
def test_no_such_digest(lab: Lab) -> None:
    """A digest that does not exist fails, and nothing is brought.

    Registries clean up what no tag points to.
    """
    uri = lab.place(kits.plain())
    lab.works(uri)
    lab.run(uri.replace(":v1", "@sha256:" + "0" * 64)).failed("there is no such manifest").brought_nothing()


@case("registry.layer-gone", level=MUST, since="0.1", ref=refs.OCI_ERRORS)
def test_layer_gone(lab: Lab) -> None:
    """A layer that the registry has lost fails the run, and nothing is brought.

    A clean-up that went too far leaves manifests whose layers are gone.
    """
    kit = kits.many(3)
    _fails(lab, faults.Status(404), "a layer is gone", kit, kind="blob", reference=kits.layer_of(kit, 2))


@case("registry.denied", level=MUST, since="0.1", ref=refs.OCI_ERRORS)
def test_denied(lab: Lab) -> None:
    """403 fails the run without a storm of repetitions.

    A user who may not pull is told so at once, and no account is locked for too many tries.
    """
    registry = _fails(lab, faults.Status(403), "access is denied")
    if len(registry.ledger) > _FEW:
        raise Finding(f"it asked {len(registry.ledger)} times", _some(registry.ledger.requests()))


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
    _heals(lab, (faults.Status(503), {"kind": "blob", "times": 2}))


@case("registry.unavailable-manifest", level=MUST, since="0.1", ref=refs.RFC_HTTP)
def test_unavailable_manifest(lab: Lab) -> None:
    """500 for the manifest, once, is outlived.

    Load balancers send them while a backend goes away.
    """
    _heals(lab, (faults.Status(500), {"kind": "manifest", "times": 1}))


@case("registry.unavailable-for-good", level=MUST, since="0.1", ref=refs.RFC_HTTP)
def test_unavailable_for_good(lab: Lab) -> None:
    """503 for good fails the run, after a number of tries that is bounded.

    The pod shall say why it does not start, not wait for ever and not bring the registry down for good.
    """
    registry = _fails(lab, faults.Status(503), "the registry is unavailable", kind="blob")
    if len(registry.ledger) > _FEW * 3:
        raise Finding(f"it asked {len(registry.ledger)} times", _some(registry.ledger.requests()))


@case("registry.layer-cut", level=SHOULD, since="0.1", ref=refs.RFC_RANGE)
def test_layer_cut(lab: Lab) -> None:
    """A layer whose transfer breaks off is brought all the same.

    Hours into a download of a large model a connection breaks; to begin anew is to never end.
    """
    _heals(lab, (faults.Cut(after=3 * kits.MIB), {"kind": "blob", "times": 1}), kit=kits.large())


@case("registry.layer-reset", level=SHOULD, since="0.1", ref=refs.RFC_RANGE)
def test_layer_reset(lab: Lab) -> None:
    """A layer whose connection is reset is brought all the same.

    Firewalls and NAT gateways reset what they have forgotten.
    """
    _heals(lab, (faults.Reset(after=3 * kits.MIB), {"kind": "blob", "times": 1}), kit=kits.large())


@case("registry.small-layer-cut", level=SHOULD, since="0.1", ref=refs.RFC_RANGE)
def test_small_layer_cut(lab: Lab) -> None:
    """A layer of a few kilobytes whose transfer breaks off is brought all the same.

    Kits have many small layers, and each is a chance to fail.
    """
    _heals(lab, (faults.Cut(after=500), {"kind": "blob", "times": 1}))


@case("registry.manifest-cut", level=SHOULD, since="0.1", ref=refs.RFC_LENGTH)
def test_manifest_cut(lab: Lab) -> None:
    """A manifest whose transfer breaks off is brought all the same.

    It has a Content-Length, so the break is no secret.
    """
    _heals(lab, (faults.Cut(after=100), {"kind": "manifest", "method": "GET", "times": 1}))


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
        raise Finding("it began at the first byte again", _some([first, *later]))


@case("registry.dropped", level=SHOULD, since="0.1", ref=refs.RFC_HTTP)
def test_dropped(lab: Lab) -> None:
    """A connection that is closed without an answer is outlived.

    Kept-alive connections are closed by the other side at any time; that is no error at all.
    """
    _heals(lab, (faults.Drop(), {"kind": "blob", "times": 1}))


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
    time.sleep(0.2)
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
    _heals(lab, (faults.Stall(after=3 * kits.MIB), {"kind": "blob", "times": 1}), kit=kits.large())


@case("registry.no-answer", level=SHOULD, since="0.1", ref=refs.K8S_INIT)
def test_no_answer(lab: Lab) -> None:
    """A registry that takes requests and never answers does not hold the pod up for ever.

    An overloaded registry does just that.
    """
    _fails(lab, faults.Hang(), "there is no answer", kind="manifest")


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
    _fails(lab, faults.Garbage(), "that is no HTTP")


@case("registry.page-instead", level=MUST, since="0.1", ref=refs.OCI_MANIFESTS)
def test_page_instead(lab: Lab) -> None:
    """A page of HTML with status 200 in place of the manifest fails the run, and nothing is brought.

    Captive portals, single sign-on and wrong ingress rules answer everything with a page.
    """
    page = b"<!doctype html><title>Sign in</title>" + b" " * 2000
    _fails(lab, faults.Replace(page), "that is a page and no manifest", kind="manifest")


# slow, but alive


@case("registry.slow-start", level=MUST, since="0.1", ref=refs.K8S_INIT)
def test_slow_start(lab: Lab) -> None:
    """A registry that takes three seconds to begin an answer is waited for.

    Pull-through caches fetch a layer before they send its first byte.
    """
    kit = kits.plain()
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.Latency(3.0), kind="blob", times=1)
    lab.run(uri).brought(kit)


@case("registry.slow-but-steady", level=MUST, since="0.1", ref=refs.K8S_INIT)
def test_slow_but_steady(lab: Lab) -> None:
    """A layer that takes longer than any single wait, but keeps coming, is brought.

    A limit on the whole transfer, instead of on standing still, makes large models impossible.
    """
    kit = kits.model(60_000, seed=5)
    registry = lab.registry()
    uri = registry.add(kit, "iris", "v1")
    registry.inject(faults.Bandwidth(15_000), kind="blob")
    lab.run(uri, patience=True).brought(kit)


@case("registry.tiny-pieces", level=MUST, since="0.1", ref=refs.RFC_LENGTH)
def test_tiny_pieces(lab: Lab) -> None:
    """Answers that come in pieces of seven bytes are put together.

    TCP promises nothing of the sizes in which bytes arrive.
    """
    _heals(lab, (faults.Slices(7, 0.0), {}), kit=kits.model(2000))


@case("registry.chunked", level=MUST, since="0.1", ref=refs.RFC_LENGTH)
def test_chunked(lab: Lab) -> None:
    """Answers in chunked encoding, without a Content-Length, are read.

    Proxies re-encode what passes through them.
    """
    _heals(
        lab, (faults.Chunked(), {"kind": "manifest", "method": "GET"}), (faults.Chunked(), {"kind": "config"})
    )


@case("registry.chunked-layers", level=SHOULD, since="0.1", ref=refs.RFC_LENGTH)
def test_chunked_layers(lab: Lab) -> None:
    """Layers in chunked encoding are read, too.

    Proxies re-encode what passes through them.
    """
    _heals(lab, (faults.Chunked(), {"kind": "blob", "method": "GET"}))


# what registries may leave out


@case("registry.no-head", level=SHOULD, since="0.1", ref=refs.OCI_MANIFESTS)
def test_no_head(lab: Lab) -> None:
    """A registry that does not know HEAD is good enough.

    Small registries and proxies answer it with 405.
    """
    _heals(lab, (faults.NoHead(), {}))


@case("registry.no-ranges", level=MUST, since="0.1", ref=refs.RFC_RANGE)
def test_no_ranges(lab: Lab) -> None:
    """A registry that answers ranges with the whole blob is good enough.

    "A server MAY ignore the Range header field".
    """
    _heals(lab, (faults.NoRange(), {}), kit=kits.large())


@case("registry.no-ranges-cut", level=SHOULD, since="0.1", ref=refs.RFC_RANGE)
def test_no_ranges_cut(lab: Lab) -> None:
    """A transfer that breaks off at a registry without ranges begins anew.

    The second answer starts at byte 0, and must not be glued to the first.
    """
    cut = (faults.Cut(after=3 * kits.MIB), {"kind": "blob", "times": 1})
    _heals(lab, (faults.NoRange(), {}), cut, kit=kits.large())


@case("registry.no-digest-header", level=MUST, since="0.1", ref=refs.OCI_MANIFESTS)
def test_no_digest_header(lab: Lab) -> None:
    """A registry that sends no Docker-Content-Digest is good enough.

    The specification has it as a SHOULD.
    """
    _heals(lab, (faults.no_digest_header(), {"kind": "manifest"}))


@case("registry.wrong-content-type", level=SHOULD, since="0.1", ref=refs.OCI_MANIFESTS)
def test_wrong_content_type(lab: Lab) -> None:
    """A layer with another Content-Type is taken: its digest says what it is.

    Object stores call everything application/octet-stream, or text/plain.
    """
    _heals(lab, (faults.Header("Content-Type", "text/plain"), {"kind": "blob"}))


@case("registry.length-too-large", level=MUST, since="0.1", ref=refs.RFC_LENGTH)
def test_length_too_large(lab: Lab) -> None:
    """A Content-Length that promises more than comes leads to the kit or to a failure, and to neither half.

    To the one it looks like a break in the transfer, to the other like another blob; both may be right.
    """
    registry = lab.registry()
    kit = kits.plain()
    uri = registry.add(kit, "iris", "v1")
    lab.works(uri)
    registry.inject(faults.WrongLength(by=1000), kind="blob", method="GET", times=1)
    result = lab.run(uri, patience=True).ended()
    if result.outcome.code == 0:
        result.brought(kit)
    else:
        result.brought_nothing()


@case("registry.length-too-small", level=MUST, since="0.1", ref=refs.RFC_LENGTH)
def test_length_too_small(lab: Lab) -> None:
    """A Content-Length that is too small for a layer never leads to half a layer.

    What is beyond it belongs to no answer.
    """
    registry = lab.registry()
    uri = registry.add(kits.plain(), "iris", "v1")
    lab.works(uri)
    registry.inject(faults.WrongLength(by=-1000), kind="blob", method="GET")
    lab.run(uri, patience=True).failed("the rest of the layer never comes").brought_nothing()


@case("registry.wrong-content-range", level=SHOULD, since="0.1", ref=refs.RFC_RANGE)
def test_wrong_content_range(lab: Lab) -> None:
    """A part that is another one than was asked for is never taken for it.

    Caches that mix up ranges exist; the digest would find it out, but a second try may heal it.
    """
    registry = lab.registry()
    kit = kits.large()
    uri = registry.add(kit, "iris", "v1")
    lab.works(uri)
    registry.inject(faults.Cut(after=3 * kits.MIB), kind="blob", times=1)
    registry.inject(faults.WrongContentRange(by=100), kind="blob", times=1)
    result = lab.run(uri, patience=True).ended()
    if result.outcome.code == 0:
        result.brought(kit)
    else:
        result.brought_nothing()


# redirects


@case("registry.redirect", level=MUST, since="0.1", ref=refs.OCI_BLOBS)
def test_redirect(lab: Lab) -> None:
    """A layer that is at another origin is fetched there.

    Docker Hub, ECR, GHCR and GAR all redirect to object stores.
    """
    kit = kits.plain()
    registry = _heals(lab, (faults.Redirect(), {}), kit=kit)
    if not registry.elsewhere.ledger.requests(method="GET"):
        raise Finding("nothing was fetched from the second origin")


@case("registry.redirect-relative", level=MUST, since="0.1", ref=refs.RFC_REDIRECT)
def test_redirect_relative(lab: Lab) -> None:
    """A relative Location is followed.

    "The field value consists of a single URI-reference": it may be relative.
    """
    _heals(lab, (faults.Redirect(same=True, relative=True), {}))


@case("registry.redirect-large", level=SHOULD, since="0.1", ref=refs.RFC_REDIRECT)
def test_redirect_large(lab: Lab) -> None:
    """A break in the transfer from a second origin is outlived.

    The signed URL may have expired by then: the way begins at the registry again.
    """
    cut = (faults.Cut(after=3 * kits.MIB), {"kind": "blob", "origin": "elsewhere", "times": 1})
    _heals(lab, (faults.Redirect(), {}), cut, kit=kits.large())


@case("registry.redirect-loop", level=MUST, since="0.1", ref=refs.RFC_REDIRECT)
def test_redirect_loop(lab: Lab) -> None:
    """A redirect to itself fails the run, after a number of steps that is bounded.

    "A client SHOULD detect and intervene in cyclical redirections".
    """
    registry = _fails(lab, faults.RedirectLoop(), "the redirect leads to itself", kind="blob")
    if len(registry.ledger) > _FEW * 3:
        raise Finding(f"it asked {len(registry.ledger)} times", _some(registry.ledger.requests()))


@case("registry.redirect-to-file", level=MUST, since="0.1", ref=refs.RFC_REDIRECT)
def test_redirect_to_file(lab: Lab) -> None:
    """A redirect to a file of the machine fails the run.

    A registry must not be able to make a pod read its own files, or speak other protocols.
    """
    _fails(lab, faults.RedirectTo("file:///etc/passwd"), "that is no place for a layer", kind="blob")


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
        raise Finding("one layer was fetched after the other", _some(registry.ledger.requests(kind="blob")))
