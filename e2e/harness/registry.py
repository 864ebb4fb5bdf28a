"""registry:2 as a container on kind's network, through testcontainers' core.

It outlives the process that starts it, because tests attach to it later; `remove` ends it. The reaper of
testcontainers is off for that reason (and its image would have to be pulled).
"""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from typing import TYPE_CHECKING, NamedTuple

import requests

from e2e.harness.shell import StepError
from e2e.harness.versions import IMAGES
from e2e.harness.waiting import NeverError, NotYetError, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docker.models.containers import Container

BLOBS = "/var/lib/registry/docker/registry/v2/blobs"
NETWORK = "kind"


class Registry(NamedTuple):
    """Where the registry is: for this machine (`host`), for pods (`cluster`), and its container's name."""

    host: str
    cluster: str
    container: str


class Private(NamedTuple):
    """A registry that asks for USER and PASSWORD, over TLS by the authority in `ca_file`.

    `host` is the same for this machine and for pods.
    """

    host: str
    container: str
    ca_file: str


# The one user of the private registry, which lives as long as a cluster of ours and is reached from nowhere else.
USER, PASSWORD = "reader", "e2e-reader-secret"
HTPASSWD = "reader:$2b$05$abcdefghijklmnopqrstuuKCmUISDVAbtQpSVO2nSN9YhMrCj05lG\n"  # bcrypt, of PASSWORD


def start(name: str) -> Registry:
    """Start a registry on kind's network, reachable from this machine on loopback alone."""
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
    os.environ |= {
        "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1",
        "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
    }
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - after the reaper is off
    from testcontainers.core.wait_strategies import HttpWaitStrategy  # noqa: PLC0415

    remove(name)
    ready = HttpWaitStrategy(5000, "/v2/").with_startup_timeout(60)
    container = DockerContainer(IMAGES["registry"]).with_name(name).waiting_for(ready)
    container.with_kwargs(network=NETWORK, labels={"app": "kit-e2e"})
    container.ports["5000/tcp"] = ("127.0.0.1", None)  # type: ignore[assignment]  # docker-py's form of 127.0.0.1::
    try:
        container.start()
    except TimeoutError as error:
        raise StepError(f"{IMAGES['registry']} does not answer: {str(error).splitlines()[0]}") from error
    wrapped = container.get_wrapped_container()
    wrapped.reload()
    address = wrapped.attrs["NetworkSettings"]["Networks"][NETWORK]["IPAddress"]
    port = container.get_exposed_port(5000)
    return Registry(f"127.0.0.1:{port}", f"{address}:5000", name)


def gateway() -> str:
    """Return this machine's address on kind's network: what listens there is reached by pods and by tests alike."""
    import docker  # noqa: PLC0415 - docker is imported where it is needed

    client = docker.from_env()
    try:
        pools = client.networks.get(NETWORK).attrs["IPAM"]["Config"]
    finally:
        client.close()
    return next(str(pool["Gateway"]) for pool in pools if "." in str(pool.get("Gateway", "")))


def start_private(name: str, folder: Path) -> Private:
    """Start a registry with TLS of an authority of its own, and one user; its authority is kept in `folder`."""
    import docker  # noqa: PLC0415 - docker is imported where it is needed
    import trustme  # noqa: PLC0415 - only bring-up makes certificates

    remove(name)
    address = gateway()
    authority = trustme.CA()
    leaf = authority.issue_cert(address)
    folder.mkdir(parents=True, exist_ok=True)
    ca_file = folder / "private-ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    files = {
        "tls.crt": b"".join(blob.bytes() for blob in leaf.cert_chain_pems),
        "tls.key": leaf.private_key_pem.bytes(),
        "htpasswd": HTPASSWD.encode(),
    }
    environ = {
        "REGISTRY_AUTH": "htpasswd",
        "REGISTRY_AUTH_HTPASSWD_REALM": "e2e",
        "REGISTRY_AUTH_HTPASSWD_PATH": "/private/htpasswd",
        "REGISTRY_HTTP_TLS_CERTIFICATE": "/private/tls.crt",
        "REGISTRY_HTTP_TLS_KEY": "/private/tls.key",
    }
    client = docker.from_env()
    try:
        container = client.containers.create(
            IMAGES["registry"],
            name=name,
            environment=environ,
            network=NETWORK,
            labels={"app": "kit-e2e"},
            ports={"5000/tcp": (address, None)},  # type: ignore[dict-item]  # docker-py's form of any port there
        )
        container.put_archive("/", _archive({f"private/{file}": data for file, data in files.items()}))
        container.start()
        container.reload()
        port = container.attrs["NetworkSettings"]["Ports"]["5000/tcp"][0]["HostPort"]
    finally:
        client.close()
    host = f"{address}:{port}"
    _wait_for(f"https://{host}/v2/", str(ca_file))
    return Private(host, name, str(ca_file))


def _archive(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _wait_for(url: str, ca_file: str) -> None:
    def look() -> None:
        try:
            answer = requests.get(url, verify=ca_file, timeout=5)
        except requests.RequestException as error:
            raise NotYetError(str(error)) from None
        if answer.status_code != 401:
            raise NeverError(f"{answer.status_code}, where credentials should be asked for")

    wait_until(f"the private registry at {url}", look, timeout=30)


def remove(name: str) -> None:
    """Remove the container of that name and its volume, if it is there."""
    from docker.errors import NotFound  # noqa: PLC0415 - docker is imported where it is needed

    with contextlib.suppress(NotFound), _container(name) as container:
        container.remove(force=True, v=True)


def corrupt(registry: Registry, digest: str) -> None:
    """Flip a bit in the middle of a stored blob, on the registry's own disk: its size stays as it is."""
    algorithm, value = digest.split(":")
    path = f"{BLOBS}/{algorithm}/{value[:2]}/{value}/data"
    with _container(registry.container) as container:
        stream, _ = container.get_archive(path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            member = archive.getmembers()[0]
            file = archive.extractfile(member)
            assert file is not None
            content = bytearray(file.read())
        content[len(content) // 2] ^= 0x10
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            archive.addfile(member, io.BytesIO(content))
        container.put_archive(path.rpartition("/")[0], out.getvalue())


@contextlib.contextmanager
def _container(name: str) -> Iterator[Container]:
    import docker  # noqa: PLC0415 - docker is imported where it is needed

    client = docker.from_env()
    try:
        yield client.containers.get(name)
    finally:
        client.close()
