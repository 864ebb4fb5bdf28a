"""Every environment variable that is read, in one table: the documentation is generated from it."""

from __future__ import annotations

from typing import NamedTuple


class Variable(NamedTuple):
    """One environment variable. `meaning` is Markdown; `group` says whose contract the name belongs to."""

    name: str
    default: str
    meaning: str
    group: str


OURS = "Ours"
IMAGE = "As in the KitOps image"
KSERVE = "As in KServe's own initializer"
CLOUDS = "As in the tools of clouds"
SYSTEM = "As in other tools"
GROUPS = (IMAGE, OURS, KSERVE, CLOUDS, SYSTEM)

VARIABLES: tuple[Variable, ...] = (
    Variable(
        "KIT_UNPACK_FLAGS",
        "",
        "Flags of `kit unpack`, split as a shell splits words; see [flags](flags.md).",
        IMAGE,
    ),
    Variable("KIT_USER", "", "User at the registry; without `KIT_PASSWORD` a usage error.", IMAGE),
    Variable("KIT_PASSWORD", "", "Password or token of `KIT_USER`; without it a usage error.", IMAGE),
    Variable(
        "DOCKER_CONFIG",
        "~/.docker",
        "Folder of a `config.json` in Docker's format with logins or credential helpers.",
        IMAGE,
    ),
    Variable(
        "COSIGN_KEY",
        "",
        "The public key that must have signed every kit, as PEM text or a file; see [signatures](signatures.md).",
        IMAGE,
    ),
    Variable(
        "COSIGN_CERT_IDENTITY",
        "",
        "The identity that must have signed every kit, with `COSIGN_CERT_OIDC_ISSUER`.",
        IMAGE,
    ),
    Variable(
        "COSIGN_CERT_OIDC_ISSUER",
        "",
        "Who vouches for `COSIGN_CERT_IDENTITY`; one without the other is a usage error.",
        IMAGE,
    ),
    Variable(
        "AWS_ROLE_ARN",
        "",
        "The role to take at Amazon, with `AWS_WEB_IDENTITY_TOKEN_FILE`. Read by botocore, as all that it "
        "knows, and only for hosts of Amazon ECR.",
        IMAGE,
    ),
    Variable("AWS_ECR_REGION", "the host's", "Region in which to ask for an Amazon ECR login.", IMAGE),
    Variable("GCP_WIF", "", "`true`: a login by Google is required at its registry hosts.", IMAGE),
    Variable(
        "GCP_GAR_LOCATION",
        "",
        "Accepted for compatibility and not needed: the host of the reference names the location.",
        IMAGE,
    ),
    Variable(
        "STORAGE_CONFIG",
        "",
        "A login per InferenceService as JSON, from KServe's `storage-config`; see [credentials](credentials.md).",
        KSERVE,
    ),
    Variable(
        "STORAGE_OVERRIDE_CONFIG",
        "",
        "`storage.parameters` of the InferenceService as JSON; `STORAGE_CONFIG` is read if `type` is `kit`.",
        KSERVE,
    ),
    Variable(
        "STORAGE_ALLOW_PATTERNS",
        "",
        "Only files whose path matches one of these: a JSON list or a comma-separated one, as of `fnmatch`.",
        KSERVE,
    ),
    Variable(
        "STORAGE_IGNORE_PATTERNS",
        "",
        "No files whose path matches one of these: a JSON list or a comma-separated one, as of `fnmatch`.",
        KSERVE,
    ),
    Variable(
        "CA_BUNDLE_CONFIGMAP_NAME",
        "",
        "When set, `cabundle.crt` in `CA_BUNDLE_VOLUME_MOUNT_POINT` is trusted besides the system's "
        "authorities. A bundle that is missing or broken is a warning.",
        KSERVE,
    ),
    Variable(
        "CA_BUNDLE_VOLUME_MOUNT_POINT",
        "/etc/ssl/custom-certs",
        "Folder in which KServe mounts its bundle of authorities.",
        KSERVE,
    ),
    Variable(
        "AWS_CA_BUNDLE",
        "",
        "File that takes the place of `cabundle.crt` in that folder; botocore trusts it as well.",
        KSERVE,
    ),
    Variable(
        "AWS_CA_BUNDLE_CONFIGMAP",
        "",
        "Stands in for `CA_BUNDLE_CONFIGMAP_NAME`.",
        KSERVE,
    ),
    Variable("KIT_ENGINE", "native", "`native`, or `kit` to let the Kit CLI fetch and unpack.", OURS),
    Variable(
        "KIT_REGISTRY",
        "",
        "The one registry, as `host[:port]`, that `KIT_USER` and `KIT_PASSWORD` are for.",
        OURS,
    ),
    Variable(
        "KIT_DOCKER_CONFIG_JSON",
        "",
        "The contents of a `config.json` in Docker's format, for a `secretKeyRef`.",
        OURS,
    ),
    Variable(
        "KIT_CA_CERT",
        "",
        "Authorities to trust besides the system's, as PEM text, for a `secretKeyRef`.",
        OURS,
    ),
    Variable(
        "KIT_CONCURRENCY",
        "8",
        "Connections at a time at most, 1 to 64; more than one a layer only where they bring more.",
        OURS,
    ),
    Variable("KIT_RETRIES", "5", "How often a request that can heal is repeated, 0 to 100.", OURS),
    Variable(
        "KIT_CONNECT_TIMEOUT",
        "10",
        "Seconds to wait for a connection: name lookup, proxy and TLS included.",
        OURS,
    ),
    Variable(
        "KIT_FIRST_BYTE_TIMEOUT",
        "30",
        "Seconds to wait for the status line and all headers of a response, or for a credential helper.",
        OURS,
    ),
    Variable("KIT_STALL_TIMEOUT", "30", "Seconds to wait for the next bytes of a response's body.", OURS),
    Variable(
        "KIT_PROGRESS_TIMEOUT",
        "60",
        "Fail a download that averages less than 1 KB/s over this many seconds, retries included. Also the limit "
        "for getting a login from a helper or a cloud, and for Kit to write nothing.",
        OURS,
    ),
    Variable(
        "KIT_LOCK_TIMEOUT",
        "3600",
        "Seconds to wait for another run that uses the same destination.",
        OURS,
    ),
    Variable(
        "KIT_TOTAL_TIMEOUT",
        "0",
        "Seconds for the whole run, up to the moment when files are published; 0 sets no limit.",
        OURS,
    ),
    Variable(
        "KIT_MAX_FILES",
        "2000000",
        "Fail a kit with more files and folders than this.",
        OURS,
    ),
    Variable(
        "KIT_MAX_BYTES",
        "0",
        "Fail a kit that unpacks to more bytes than this; 0 allows 64 GiB beyond the size of its layers.",
        OURS,
    ),
    Variable(
        "KIT_RECORD",
        "inside",
        "Where the [record](operate.md#the-record) of what was published is kept: `inside` the destination, in a "
        "folder outside of it (an absolute path), or `none`.",
        OURS,
    ),
    Variable(
        "KIT_SIGNATURE_POLICY",
        "",
        "Who must have signed which kits, as JSON or YAML text; see [signatures](signatures.md).",
        OURS,
    ),
    Variable(
        "KIT_SIGSTORE_TRUSTED_ROOT",
        "",
        "The `trusted_root.json` of the Sigstore instance that keyless signatures come from, as text or as a file; "
        "the public instance's without it.",
        OURS,
    ),
    Variable(
        "KIT_SIGNATURE_TIMEOUT",
        "120",
        "Seconds to fetch and to judge the signatures of one kit.",
        OURS,
    ),
    Variable("KIT_LOG_FORMAT", "text", "`text` or `json`.", OURS),
    Variable(
        "KIT_LOG_LEVEL", "info", "`debug`, `info`, `warn` or `error`; `--log-level` and `-v` win.", OURS
    ),
    Variable(
        "KIT_TERMINATION_LOG",
        "/dev/termination-log",
        "File for the termination message; the default is used only where it exists.",
        OURS,
    ),
    Variable(
        "GOOGLE_APPLICATION_CREDENTIALS",
        "",
        "File of a federated identity or of a service account's key; without it Google's metadata server is "
        "asked.",
        CLOUDS,
    ),
    Variable("AZURE_CLIENT_ID", "", "Client of the workload identity, set by its webhook.", CLOUDS),
    Variable("AZURE_TENANT_ID", "", "Tenant of the workload identity, set by its webhook.", CLOUDS),
    Variable(
        "AZURE_FEDERATED_TOKEN_FILE",
        "",
        "File of the service account's token, set by the webhook of workload identity.",
        CLOUDS,
    ),
    Variable(
        "AZURE_AUTHORITY_HOST",
        "https://login.microsoftonline.com/",
        "Entra's address in the cloud of the pod.",
        CLOUDS,
    ),
    Variable("GCE_METADATA_HOST", "169.254.169.254", "Google's metadata server, as `host[:port]`.", CLOUDS),
    Variable("KITOPS_CLIENT_CERT", "", "File with a client certificate; wins over `--cert`.", SYSTEM),
    Variable(
        "KITOPS_CLIENT_KEY", "", "File with the key of the client certificate; wins over `--key`.", SYSTEM
    ),
    Variable("HTTP_PROXY", "", "Proxy for plain HTTP; also in lower case.", SYSTEM),
    Variable("HTTPS_PROXY", "", "Proxy for HTTPS; also in lower case.", SYSTEM),
    Variable("NO_PROXY", "", "Hosts that are reached without a proxy; also in lower case.", SYSTEM),
    Variable("HOME", "", "Where `~` is. It need not be there, nor be writable.", SYSTEM),
    Variable("PATH", "the system's", "Where `kit` and credential helpers are.", SYSTEM),
    Variable(
        "SSL_CERT_FILE", "the system's", "File that takes the place of the system's authorities.", SYSTEM
    ),
    Variable(
        "SSL_CERT_DIR", "the system's", "Folder that takes the place of the system's authorities.", SYSTEM
    ),
)

DEFAULTS: dict[str, str] = {variable.name: variable.default for variable in VARIABLES}
