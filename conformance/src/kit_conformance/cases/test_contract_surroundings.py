"""The surroundings that KServe gives: users, modes, variables, proxies, authorities, memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_conformance import refs
from kit_conformance.cases import kits
from kit_conformance.catalog import MUST, SHOULD, case
from kit_conformance.result import Finding

if TYPE_CHECKING:
    from kit_conformance.lab import Lab
    from kit_conformance.result import Result


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

    Files below it are written after it: an initializer that sets its mode first can no longer write.
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
    result = lab.works(lab.place(kit))
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

    EKS puts AWS_ROLE_ARN into every container of a pod whose service account has a role. An initializer that takes that
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


@case(
    "contract.allow-patterns",
    level=MUST,
    since="0.1",
    ref=refs.KSERVE_STORAGE,
    features={"patterns"},
    any_registry=True,
)
def test_allow_patterns(lab: Lab) -> None:
    """STORAGE_ALLOW_PATTERNS brings only what matches.

    KServe's own initializer does so from 0.17 on, and users carry their manifests over.
    """
    kit = kits.plain()
    result = lab.run(lab.place(kit), environment={"STORAGE_ALLOW_PATTERNS": '["*.joblib", "docs/*"]'})
    result.brought({path: fact for path, fact in kit.files.items() if path in {kits.MODEL, "docs/README.md"}})


@case(
    "contract.ignore-patterns",
    level=MUST,
    since="0.1",
    ref=refs.KSERVE_STORAGE,
    features={"patterns"},
    any_registry=True,
)
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
