"""Bring-up and bring-down: what can be done side by side is, and each step says how long it took."""

from __future__ import annotations

import concurrent.futures
import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from e2e.harness import cluster, component, images, kserve, registry, state
from e2e.harness.objects import Cluster
from e2e.harness.shell import StepError
from e2e.harness.versions import IMAGES, KIT, KSERVE, NODE_IMAGE, controller_image
from e2e.harness.waiting import NotYetError, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "kit-e2e"


class Wanted(NamedTuple):
    """What a bring-up is asked for; "" is "not given"."""

    name: str = NAME
    kit: str = ""
    initializer: str = ""
    kserve: str = str(KSERVE["version"])
    manifests: str = ""
    plain: bool = False
    upstream: str = ""
    stand_ins: tuple[tuple[str, str], ...] = ()  # (runtime, image) in place of the release's


class _Steps:
    """Times each step and prints it when it is done."""

    def __init__(self) -> None:
        self.began_at = time.time()
        self._began = time.monotonic()
        self.timeline: list[tuple[str, float, float]] = []

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        now = time.monotonic()
        self.timeline.append((name, round(began - self._began, 1), round(now - self._began, 1)))
        print(f"e2e: {name}: {now - began:.1f} s", file=sys.stderr, flush=True)


def up(wanted: Wanted) -> state.State:
    """Bring up one cluster with all that the scenarios need, and return what was made.

    What cannot be had but is not needed by every scenario is left out and named in the state. Raises StepError or
    GaveUpError for what every scenario needs; what was made until then is removed again.
    """
    steps = _Steps()
    folder = state.folder(wanted.name)
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            made = _bring_up(wanted, steps, folder, pool)
    except BaseException:
        down(wanted.name)
        raise
    made.save()
    return made


def _bring_up(wanted: Wanted, steps: _Steps, folder: Path, pool: concurrent.futures.Executor) -> state.State:
    for image in (NODE_IMAGE, IMAGES["registry"]):
        how = images.obtain(image)
        if how.startswith(images.ABSENT):
            raise StepError(f"{image} is {how}")
    kind = cluster.kind_cluster(wanted.name, folder)

    def create() -> tuple[registry.Registry, registry.Private]:
        with steps.step("cluster"):
            cluster.create(kind)
        with steps.step("registries"):
            return (
                registry.start(f"{wanted.name}-registry"),
                registry.start_private(f"{wanted.name}-private", folder),
            )

    creating = pool.submit(create)
    kit = images.find_kit(wanted.kit)
    initializer = wanted.initializer or f"kit-initializer:{wanted.name}"
    had = _given(wanted)
    if not wanted.initializer:
        had[initializer] = "built"
        with steps.step("initializer's image"):
            images.build_initializer(kit, initializer)
    release = _Release(wanted)
    servers = list(dict.fromkeys([IMAGES["mlserver"], *release.runtimes.values()]))
    for image in [IMAGES["python"], *release.controller, *servers]:
        had[image] = images.obtain(image)
    here = [image for image, how in had.items() if not how.startswith(images.ABSENT)]
    made = creating.result()

    first = [image for image in here if image not in servers]
    with steps.step("images of the initializer and KServe"):
        cluster.load(wanted.name, *first)
    loading = pool.submit(_load_servers, steps, wanted.name, [image for image in here if image in servers])
    if release.controller and had[release.controller[0]].startswith(images.ABSENT):
        release.absent = f"{release.controller[0]} is {had[release.controller[0]]}"
    if not release.absent:
        with steps.step(f"KServe {wanted.kserve}"):
            release.install(str(kind.kubectl_path), folder / "kubeconfig")
    loading.result()
    with steps.step("node ready"):
        kubernetes = _wait_for_node(folder / "kubeconfig")
    return state.State(
        name=wanted.name,
        registry=made[0],
        private=made[1],
        run="",
        initializer=initializer,
        images=had,
        runtimes=release.runtimes,
        upstream=wanted.upstream,
        about={image: images.about(image) for image in (initializer, wanted.upstream) if image},
        kubernetes=kubernetes,
        kserve="" if release.absent else wanted.kserve,
        kserve_absent=release.absent,
        kit=kit.version if kit else "",
        kit_binary=kit.binary if kit else "",
        began=steps.began_at,
        timeline=steps.timeline,
    )


def _given(wanted: Wanted) -> dict[str, str]:
    """Return the images that were given, which all have to be there; StepError."""
    named = {wanted.initializer: "--initializer-image", wanted.upstream: "--upstream-image"}
    for image, option in named.items():
        if image and images.obtain(image).startswith(images.ABSENT):
            raise StepError(f"{option} {image} is neither in the local store nor can it be pulled")
    return {image: "given" for image in named if image}


def _load_servers(steps: _Steps, name: str, servers: list[str]) -> None:
    if servers:
        with steps.step("images of the model servers"):
            cluster.load(name, *servers)


class _Release:
    """KServe's release as far as it can be had; `absent` says why it cannot."""

    def __init__(self, wanted: Wanted) -> None:
        self.absent = "only the tier without KServe was asked for" if wanted.plain else ""
        self.controller: list[str] = []
        self.runtimes: dict[str, str] = {}
        self._version = wanted.kserve
        if wanted.plain:
            return
        given = wanted.manifests
        try:
            self._folder = kserve.manifests(wanted.kserve, Path(given) if given else None)
        except StepError as error:
            if given:
                raise
            self.absent = f"its manifests: {error}"
            return
        self.controller = [controller_image(wanted.kserve)]
        self.runtimes = kserve.runtimes(self._folder)
        strange = sorted({name for name, _ in wanted.stand_ins} - self.runtimes.keys())
        if strange:
            raise StepError(f"--runtime-image: no runtime {', '.join(strange)} in {', '.join(self.runtimes)}")
        self.runtimes.update(wanted.stand_ins)

    def install(self, kubectl: str, kubeconfig: Path) -> None:
        """Install it, and return when it answers."""
        given = {
            "kserve.version": self._version,
            "kserve.overlay": "small",
            "kserve.runtimes": ",".join(kserve.RUNTIMES),
            "kserve.certificate": "own",
            "kustomize.resources": str(self._folder),
        }
        documents = component.render(component.parameters(given))
        for document in documents:
            if document["kind"] == "ClusterServingRuntime":
                document["spec"]["containers"][0]["image"] = self.runtimes[document["metadata"]["name"]]
        kserve.apply(documents, [kubectl, f"--kubeconfig={kubeconfig}"], "kserve")


def _wait_for_node(kubeconfig: Path) -> str:
    """Return the version of Kubernetes, when its own pods run."""
    objects = Cluster(kubeconfig)

    def look() -> None:
        if not objects.get("v1", "ServiceAccount", "default", "default"):
            raise NotYetError("no service account default")
        pending = [
            p["metadata"]["name"] for p in objects.pods("kube-system") if p["status"]["phase"] != "Running"
        ]
        if pending:
            raise NotYetError(f"waiting for {', '.join(pending)}")

    try:
        wait_until("the cluster's own pods", look, timeout=120)
        return objects.version()
    finally:
        objects.close()


def down(name: str) -> None:
    """Remove the cluster, its registry and what was kept about them; nothing there is no error."""
    registry.remove(f"{name}-registry")
    registry.remove(f"{name}-private")
    cluster.delete(name, state.folder(name))


def describe(made: state.State) -> str:
    """Return the lines that `status` prints, and every run's report ends with."""
    kit = (
        f"{made.kit} ({made.kit_binary})"
        if made.kit
        else f"absent: no `kit` here and no {KIT['image']} to pull"
    )
    lines = [
        f"cluster      {made.name} (KUBECONFIG={made.kubeconfig})",
        f"registry     {made.registry.host} here, {made.registry.cluster} in the cluster",
        f"Kubernetes   {made.kubernetes}",
        f"KServe       {made.kserve or 'absent: ' + made.kserve_absent}",
        f"Kit          {kit}",
    ]
    lines += [f"image        {image}: {how}" for image, how in made.images.items()]
    lines += [f"{end:7.1f} s    {step}" for step, _, end in made.timeline]
    return "\n".join(lines)
