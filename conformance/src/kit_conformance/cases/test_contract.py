"""KServe's contract: arguments, exit code, the tree that is left, the user it runs as, what surrounds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.result import Finding
from kit_conformance.testbed.kits import Noise, single
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from kit_conformance.lab import Lab


@case("contract.pair", level=MUST, since="0.1", ref=refs.KSERVE_CSC, any_registry=True)
def test_pair(lab: Lab) -> None:
    """One pair of URI and folder brings exactly the kit's files into the folder.

    It is what every InferenceService with a storageUri asks for.
    """
    kit = kits.plain()
    lab.run(lab.place(kit)).brought(kit)


@case("contract.pairs", level=MUST, since="0.1", ref=refs.KSERVE_URIS, any_registry=True)
def test_pairs(lab: Lab) -> None:
    """Several pairs, as of storageUris, bring each kit into its own folder.

    KServe puts all URIs of an InferenceService into one container; a subject that takes only the first serves
    half a model, and one that refuses them cannot be used with storageUris.
    """
    first, second = kits.plain("first"), kits.plain("second")
    root = lab.destination()
    uris = lab.place(first, "first"), lab.place(second, "second")
    result = lab.run(*uris, to=[root / "a", root / "b"])
    result.brought(first, number=0).brought(second, number=1)


@case("contract.pairs-one-fails", level=MUST, since="0.1", ref=refs.KSERVE_ENTRYPOINT, any_registry=True)
def test_pairs_one_fails(lab: Lab) -> None:
    """When one of several pairs cannot be had, the whole run fails.

    Otherwise the pod starts and serves without one of its models.
    """
    root = lab.destination()
    there = lab.place(kits.plain())
    missing = there.replace("/iris:", "/no-such-kit:")
    lab.works(there, there, to=[root / "c", root / "d"])
    lab.run(there, missing, to=[root / "a", root / "b"]).failed("the second pair's kit does not exist")


@case("contract.pairs-nested", level=MUST, since="0.1", ref=refs.KSERVE_URIS, any_registry=True)
def test_pairs_nested(lab: Lab) -> None:
    """A folder of one pair may lie in the folder of another.

    KServe mounts one volume at the common parent, and /mnt/models with /mnt/models/adapter is a common layout.
    """
    outer, inner = kits.plain("outer"), kits.plain("inner")
    root = lab.destination()
    result = lab.run(lab.place(outer, "outer"), lab.place(inner, "inner"), to=[root, root / "adapter"])
    within = {f"adapter/{path}": fact for path, fact in inner.files.items()}
    tree = {
        path: node
        for path, node in result.succeeded().tree.items()
        if path not in {"adapter/Kitfile", *(f"adapter/{name}" for name in result.own)}
    }
    result.trees[0].clear()
    result.trees[0].update(tree)
    result.brought(outer, also=within)


@case("contract.pairs-one-folder", level=SHOULD, since="0.1", ref=refs.KSERVE_URIS, any_registry=True)
def test_pairs_one_folder(lab: Lab) -> None:
    """Two kits without common files may go into one folder.

    A model and its tokenizer are often two kits, and servers want them side by side.
    """
    first = kits.of({"weights.bin": Noise(900, 1)}, name="weights")
    second = kits.of({"tokens.json": b"{}"}, name="tokens")
    root = lab.destination()
    lab.run(lab.place(first, "w"), lab.place(second, "t"), to=[root, root]).brought(first, second)


@case("contract.same-pair-twice", level=SHOULD, since="0.1", ref=refs.KSERVE_URIS, any_registry=True)
def test_same_pair_twice(lab: Lab) -> None:
    """The same pair given twice is as good as given once.

    Templates render such lists; to fail on them is to fail for nothing.
    """
    kit = kits.plain()
    root = lab.destination()
    uri = lab.place(kit)
    lab.run(uri, uri, to=[root, root]).brought(kit)


@case("contract.folder-created", level=MUST, since="0.1", ref=refs.KSERVE_ENTRYPOINT, any_registry=True)
def test_folder_created(lab: Lab) -> None:
    """The folder is made when it is not there, with its parents.

    Of a mountPath below the common parent only the parent exists.
    """
    kit = kits.plain()
    lab.run(lab.place(kit), to=lab.destination() / "deep" / "below").brought(kit)


@case("contract.folder-as-given", level=MUST, since="0.1", ref=refs.KSERVE_URIS, any_registry=True)
def test_folder_as_given(lab: Lab) -> None:
    """The folder is taken as it is given, spaces and all.

    mountPath may be any absolute path; other tools than KServe use other folders than /mnt/models.
    """
    kit = kits.plain()
    lab.run(lab.place(kit), to=lab.destination() / "my models" / "v1.0 $HOME").brought(kit)


@case("contract.no-arguments", level=MUST, since="0.1", ref=refs.KSERVE_ENTRYPOINT, any_registry=True)
def test_no_arguments(lab: Lab) -> None:
    """Without arguments it fails.

    A container whose args were replaced (by a ClusterStorageContainer that sets them, for one) must not look
    as if it had brought a model.
    """
    lab.works(lab.place(kits.model()))
    lab.run(arguments=[]).failed("there is nothing to bring")


@case("contract.odd-arguments", level=MUST, since="0.1", ref=refs.KSERVE_ENTRYPOINT, any_registry=True)
def test_odd_arguments(lab: Lab) -> None:
    """A URI without its folder fails, and nothing is brought.

    The model would otherwise end up where no server looks for it.
    """
    uri = lab.place(kits.model())
    lab.works(uri)
    lab.run(arguments=[uri]).failed("the folder is missing").brought_nothing()


@case("contract.unknown-scheme", level=MUST, since="0.1", ref=refs.KSERVE_INJECTOR, any_registry=True)
def test_unknown_scheme(lab: Lab) -> None:
    """A URI of another scheme fails, and nothing is brought.

    With storageUris one container gets all URIs of an InferenceService, those of other schemes too.
    """
    uri = lab.place(kits.model())
    lab.works(uri)
    lab.run(uri.replace("kit://", "s3://")).failed("s3:// is none of ours").brought_nothing()


@case("contract.malformed-uri", level=MUST, since="0.1", ref=refs.KSERVE_INJECTOR, any_registry=True)
def test_malformed_uri(lab: Lab) -> None:
    """A URI that names no repository fails, and nothing is brought.

    The API server takes any text as storageUri, so typing errors come this far.
    """
    uri = lab.place(kits.model())
    lab.works(uri)
    host = uri.removeprefix("kit://").partition("/")[0]
    for broken in ("kit://", f"kit://{host}", f"kit://{host}/", f"kit://{host}/iris:v1:v2"):
        lab.run(broken).failed(f"{broken} names no kit").brought_nothing()


@case("contract.failure-says-why", level=MUST, since="0.1", ref=refs.KSERVE_STATUS, any_registry=True)
def test_failure_says_why(lab: Lab) -> None:
    """What KServe shows of a failure names the kit.

    The termination message, or the end of the log, becomes status.modelStatus.lastFailureInfo.message: for
    most users it is all that they can see.
    """
    uri = lab.place(kits.model())
    lab.works(uri)
    missing = uri.replace("/iris:", "/no-such-kit:")
    lab.run(missing).failed("there is no such kit").says("no-such-kit")


@case("contract.failure-is-short", level=SHOULD, since="0.1", ref=refs.K8S_TERMINATION, any_registry=True)
def test_failure_is_short(lab: Lab) -> None:
    """What is said of a failure fits into a termination message, and is no trace of a program's stack.

    Kubernetes cuts messages at 4,096 bytes, and a stack trace tells a user nothing.
    """
    uri = lab.place(kits.model())
    lab.works(uri)
    result = lab.run(uri.replace("/iris:", "/no-such-kit:")).failed()
    if len(result.outcome.message.encode()) > 4096:
        raise Finding(f"the termination message has {len(result.outcome.message.encode())} bytes")
    for sign in ("Traceback (most recent call last)", "goroutine 1 [running]"):
        if sign in result.outcome.output:
            raise Finding("it prints a stack trace", result.outcome.log.splitlines()[-4:])


@case("contract.failure-leaves-nothing", level=MUST, since="0.1", ref=refs.KSERVE_LOCALMODEL)
def test_failure_leaves_nothing(lab: Lab) -> None:
    """A transfer that breaks off for good leaves no half of a file where a server would load it.

    Volumes outlive containers: a LocalModelCache or a volume that is mounted elsewhere serves what is there.
    """
    registry = lab.registry()
    uri = registry.add(kits.large(), "iris", "v1")
    lab.works(uri)
    registry.inject(faults.Cut(after=4 * kits.MIB), kind="blob", times=1)
    registry.inject(faults.Status(404), kind="blob", skip=1)
    lab.run(uri, patience=True).failed("the layer broke off and then was gone").brought_nothing()


@case("contract.small-wrong-kit", level=MUST, since="0.1", ref=refs.KSERVE_ENTRYPOINT, any_registry=True)
def test_small_wrong_kit(lab: Lab) -> None:
    """A layer that is no archive at all fails, and nothing is brought.

    Exit code 0 means to KServe that the model is there.
    """
    good = single(kits.harmless(), ".")
    lab.works(lab.place(good, "good"))
    lab.run(lab.place(single(b"this is no tar" * 100, "."), "bad")).failed().brought_nothing()


@case(
    "contract.proxy",
    level=MUST,
    since="0.1",
    ref="https://github.com/kserve/kserve/issues/1348",
    features={"proxy"},
)
def test_proxy(lab: Lab) -> None:
    """HTTP_PROXY is used for a registry that is not exempt.

    In many clusters nothing leaves but by the proxy.
    """
    kit = kits.plain()
    registry = lab.registry()
    registry.add(kit, "iris", "v1")
    environment = {"HTTP_PROXY": registry.url, "NO_PROXY": "10.0.0.0/8,.svc"}
    result = lab.run("kit://registry.example.invalid:5000/iris:v1", environment=environment)
    result.brought(kit)


@case(
    "contract.no-proxy",
    level=MUST,
    since="0.1",
    ref="https://github.com/kserve/kserve/issues/1348",
    any_registry=True,
)
def test_no_proxy(lab: Lab) -> None:
    """NO_PROXY exempts a registry from the proxy.

    The registry in the cluster is reached directly, and the proxy knows nothing of it.
    """
    kit = kits.plain()
    uri = lab.place(kit)
    host = uri.removeprefix("kit://").rpartition("/")[0].partition(":")[0]
    dead = "http://127.0.0.1:9"
    environment = {"HTTP_PROXY": dead, "HTTPS_PROXY": dead, "NO_PROXY": f"localhost,{host}"}
    lab.run(uri, environment=environment).brought(kit)


@case("contract.asks-nobody-else", level=SHOULD, since="0.1", ref=refs.KIT_KSERVE, features={"proxy"})
def test_asks_nobody_else(lab: Lab) -> None:
    """It asks the registry for the kit, and nobody for anything else.

    Where nothing leaves the cluster, a look for updates is waited for in vain at every start of every pod;
    where everything that leaves is watched, somebody has to answer for it.
    """
    kit = kits.plain()
    registry, proxy = lab.registry(), lab.registry()
    uri = registry.add(kit, "iris", "v1")
    host = registry.host.partition(":")[0]
    environment = {"HTTP_PROXY": proxy.url, "HTTPS_PROXY": proxy.url, "NO_PROXY": host}
    lab.run(uri, environment=environment).brought(kit)
    if asked := proxy.ledger.requests():
        raise Finding("it asked others than the registry, by the proxy", [str(entry) for entry in asked])
