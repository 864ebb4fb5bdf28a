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

from e2e.harness.shell import StepError
from e2e.harness.versions import IMAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker.models.containers import Container

BLOBS = "/var/lib/registry/docker/registry/v2/blobs"
NETWORK = "kind"


class Registry(NamedTuple):
    """Where the registry is: for this machine (`host`), for pods (`cluster`), and its container's name."""

    host: str
    cluster: str
    container: str


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
