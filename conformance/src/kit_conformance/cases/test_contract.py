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
    from kit_conformance.result import Result


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


@case("contract.readable", level=MUST, since="0.1", ref=refs.KSERVE_INJECTOR, any_registry=True)
def test_readable(lab: Lab) -> None:
    """Every file can be read, and every folder entered, by any user, whatever modes were packed.

    The model server runs as another user than the initializer. A model packed as 0600 would be there and
    could not be loaded.
    """
    kit = kits.of(
        {"model/secret.bin": b"weights", "model/inner/x.bin": b"x"},
        path="model",
        modes={"model/secret.bin": 0o600, "model/inner": 0o700},
    )
    _all_readable(lab.run(lab.place(kit)).brought(kit))


@case("contract.umask", level=SHOULD, since="0.1", ref=refs.KSERVE_INJECTOR, any_registry=True)
def test_umask(lab: Lab) -> None:
    """A strict umask takes nothing away from the server's rights.

    Images and runtimes set umasks of 077; the server's user then could not read the model.
    """
    if lab.subject.confines:
        lab.does_not_apply("a container has the umask of its runtime")
    kit = kits.plain()
    _all_readable(lab.run(lab.place(kit), umask=0o077).brought(kit))


def _all_readable(result: Result) -> None:
    bad = [
        f"{path}: {node}"
        for path, node in result.tree.items()
        if path not in result.own and node.mode & (need := 0o555 if node.kind == "folder" else 0o444) != need
    ]
    if bad:
        raise Finding("another user cannot read what was brought", bad)


@case("contract.read-only-folders", level=MUST, since="0.1", ref=refs.KIT_UNPACK, any_registry=True)
def test_read_only_folders(lab: Lab) -> None:
    """A folder packed without write permission can be unpacked by a user who is not root.

    Files below it are written after it: whoever sets its mode first locks himself out.
    """
    kit = kits.of({"model/weights.bin": b"weights"}, path="model", modes={"model": 0o555})
    lab.run(lab.place(kit), uid=lab.some_uid).brought(kit)


@case("contract.any-uid", level=MUST, since="0.1", ref=refs.OPENSHIFT_UIDS, any_registry=True)
def test_any_uid(lab: Lab) -> None:
    """It runs as a user of whom the image knows nothing, in group 0, without a home and without capabilities.

    OpenShift gives every namespace a range of user ids of its own, and KServe can be told one, too.
    """
    kit = kits.plain()
    lab.run(lab.place(kit), uid=lab.some_uid, home=False, only_volumes=True).brought(kit)


@case("contract.no-home", level=MUST, since="0.1", ref=refs.OPENSHIFT_UIDS, any_registry=True)
def test_no_home(lab: Lab) -> None:
    """It needs no home: HOME may name a folder that cannot be written.

    A user that the image does not know has HOME=/, which is root's.
    """
    kit = kits.plain()
    lab.run(lab.place(kit), home=False, only_volumes=True).brought(kit)


@case("contract.read-only-root", level=MUST, since="0.1", ref=refs.K8S_RESTRICTED, any_registry=True)
def test_read_only_root(lab: Lab) -> None:
    """It writes nothing but the destination.

    With readOnlyRootFilesystem there is nothing else to write, not even /tmp: a ClusterStorageContainer cannot
    add a volume for it.
    """
    kit = kits.large()
    environment = {"TMPDIR": "/tmp"}  # noqa: S108  (where it must not write)
    lab.run(lab.place(kit), only_volumes=True, home=False, environment=environment).brought(kit)


@case("contract.nothing-else", level=MUST, since="0.1", ref=refs.KSERVE_CSC, any_registry=True)
def test_nothing_else(lab: Lab) -> None:
    """The destination holds the kit and nothing else: no caches, no temporary files, no links.

    Servers list the folder: KServe's sklearnserver refuses a second model file, and takes any subfolder for
    a model.
    """
    kit = kits.model()
    result = lab.run(lab.place(kit)).succeeded()
    odd = [
        f"{path} ({node})"
        for path, node in result.tree.items()
        if path not in {*kit.files, *result.own, "Kitfile"}
    ]
    if odd:
        raise Finding("there is more in the destination than the kit", odd)


@case("contract.harmless-environment", level=MUST, since="0.1", ref=refs.K8S_SERVICE_ENV, any_registry=True)
def test_harmless_environment(lab: Lab) -> None:
    """Variables that KServe, Kubernetes and cloud webhooks set for others do no harm.

    A Service called kit in the namespace sets KIT_PORT in every pod; storage secrets set AWS_* and AZURE_*.
    """
    kit = kits.plain()
    environment = {
        "KIT_PORT": "tcp://10.0.0.9:80",
        "KIT_SERVICE_HOST": "10.0.0.9",
        "KIT_SERVICE_PORT": "80",
        "KIT_PORT_80_TCP_ADDR": "10.0.0.9",
        "AWS_ACCESS_KEY_ID": "unused",
        "AWS_SECRET_ACCESS_KEY": "unused",
        "AWS_ENDPOINT_URL": "http://minio.invalid:9000",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "S3_ENDPOINT": "minio.invalid:9000",
        "S3_USE_HTTPS": "0",
        "AZURE_CLIENT_ID": "unused",
        "AZURE_TENANT_ID": "unused",
        "GOOGLE_APPLICATION_CREDENTIALS": "/var/secrets/gcloud-application-credentials.json",
        "HF_TOKEN": "unused",
        "STORAGE_CONFIG": '{"type": "s3", "access_key_id": "unused", "endpoint_url": "http://minio.invalid"}',
        "STORAGE_OVERRIDE_CONFIG": '{"type": "s3", "bucket": "models"}',
        "CONFIDENTIAL_ENABLED": "false",
        "CONFIDENTIAL_RESOURCE_ID": "",
    }
    lab.run(lab.place(kit), environment=environment).brought(kit)


@case("contract.cloud-identity", level=MUST, since="0.1", ref=refs.KIT_KSERVE, any_registry=True)
def test_cloud_identity(lab: Lab) -> None:
    """A cloud identity in the pod does not stand in the way of a registry that is not that cloud's.

    EKS puts AWS_ROLE_ARN into every container of a pod whose service account has a role. Whoever takes that
    for an order to log in to ECR cannot bring a public kit there.
    """
    kit = kits.plain()
    environment = {
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/models",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
        "AWS_REGION": "eu-central-1",
    }
    lab.run(lab.place(kit), environment=environment).brought(kit)


@case("contract.memory", level=MUST, since="0.1", ref=refs.KSERVE_CSC, any_registry=True)
def test_memory(lab: Lab) -> None:
    """Memory does not grow with the model: 192 MiB are brought within 128.

    KServe's own container has a limit of 1 GiB, whatever the model's size; what exceeds it is OOMKilled, and
    KServe does not even report that as a failure.
    """
    limit = 128 * kits.MIB
    folder = lab.scratch("large")
    source = folder / "weights.bin"
    with source.open("wb") as file:
        file.truncate(192 * kits.MIB)
    kit = kits.of({"weights.bin": source}, directory=lab.scratch("layers"))
    result = lab.run(lab.place(kit), memory=limit).brought(kit)
    if result.outcome.peak > limit:
        raise Finding(f"it held {result.outcome.peak // kits.MIB} MiB in memory")


@case("contract.allow-patterns", level=MUST, since="0.1", ref=refs.KSERVE_STORAGE, features={"patterns"})
def test_allow_patterns(lab: Lab) -> None:
    """STORAGE_ALLOW_PATTERNS brings only what matches.

    KServe's own initializer does so from 0.17 on, and users carry their manifests over.
    """
    kit = kits.plain()
    result = lab.run(lab.place(kit), environment={"STORAGE_ALLOW_PATTERNS": '["*.joblib", "docs/*"]'})
    result.brought({path: fact for path, fact in kit.files.items() if path in {kits.MODEL, "docs/README.md"}})


@case("contract.ignore-patterns", level=MUST, since="0.1", ref=refs.KSERVE_STORAGE, features={"patterns"})
def test_ignore_patterns(lab: Lab) -> None:
    """STORAGE_IGNORE_PATTERNS brings everything but what matches.

    KServe's own initializer does so from 0.17 on, and users carry their manifests over.
    """
    kit = kits.plain()
    result = lab.run(lab.place(kit), environment={"STORAGE_IGNORE_PATTERNS": "*.py,data/*"})
    result.brought({path: fact for path, fact in kit.files.items() if path in {kits.MODEL, "docs/README.md"}})


@case("contract.ca-bundle", level=MUST, since="0.1", ref=refs.KSERVE_CA, features={"ca-bundle"})
def test_ca_bundle(lab: Lab) -> None:
    """KServe's CA bundle is trusted.

    With caBundleConfigMapName set KServe mounts it into every initializer; a registry of the company has a
    certificate of the company's authority.
    """
    kit = kits.plain()
    registry = lab.registry(tls=True)
    uri = registry.add(kit, "iris", "v1")
    assert registry.tls is not None
    mount = lab.volume()
    (mount.host / "cabundle.crt").write_text(registry.tls.ca_pem, "ascii")
    environment = {
        "CA_BUNDLE_CONFIGMAP_NAME": "global-ca-bundle",
        "CA_BUNDLE_VOLUME_MOUNT_POINT": mount.inside,
    }
    lab.run(uri, trust=False, environment=environment).brought(kit)


@case("contract.ca-bundle-missing", level=MUST, since="0.1", ref=refs.KSERVE_STORAGE, any_registry=True)
def test_ca_bundle_missing(lab: Lab) -> None:
    """A CA bundle that is not there does not stand in the way of a registry that needs none.

    KServe's own initializer warns and goes on; the variables are set for all initializers of the cluster.
    """
    kit = kits.plain()
    environment = {
        "CA_BUNDLE_CONFIGMAP_NAME": "global-ca-bundle",
        "CA_BUNDLE_VOLUME_MOUNT_POINT": "/no/such/mount",
    }
    lab.run(lab.place(kit), environment=environment).brought(kit)


@case("contract.small-wrong-kit", level=MUST, since="0.1", ref=refs.KSERVE_ENTRYPOINT)
def test_small_wrong_kit(lab: Lab) -> None:
    """A layer that is no archive at all fails, and nothing is brought.

    Exit code 0 means to KServe that the model is there.
    """
    good = single(kits.harmless(), ".")
    registry = lab.registry()
    lab.works(registry.add(good, "good"))
    lab.run(registry.add(single(b"this is no tar" * 100, "."), "bad")).failed().brought_nothing()


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
