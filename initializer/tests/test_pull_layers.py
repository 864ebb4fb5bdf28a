"""The layers of a run: what they hold in memory together while nobody reads."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING, Self

import pytest

from kit_conformance.testbed.kits import Noise, pack
from kit_initializer import modelkit
from kit_initializer.archive import Limits, Tree
from kit_initializer.pull.layers import Crew, Target, jobs_for
from kit_initializer.pull.resolve import Part
from kit_initializer.report import Progress, Reporter
from kit_initializer.tuning import SEGMENT_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from kit_conformance.testbed.registry import Registry as Server
    from kit_initializer.registry import Registry

SIZE = 20 * SEGMENT_BYTES


class Blocked:
    """A crew with so many layers whose readers wait, from their first byte on, until they are let go."""

    def __init__(self, server: Server, client: Registry, folder: Path, layers: int) -> None:
        parts = {f"part{number}": Noise(SIZE) for number in range(layers)}
        kitfile = {
            "manifestVersion": "1.0.0",
            "model": {"path": "part0", "parts": [{"path": name} for name in list(parts)[1:]]},
        }
        kit = pack(parts, kitfile)
        server.add(kit, "k", "v1")
        repository = client.repository(server.host, "k")
        manifest = modelkit.parse(kit.manifest)
        assert isinstance(manifest, modelkit.Manifest)
        self._go = threading.Event()
        self._root = os.open(folder, os.O_RDONLY)
        tree = Tree(self._root, Limits(), keep=lambda _: self._go.wait(20))
        targets = [
            Target(Part(repository, layer, "it"), tree, "there")
            for layer in modelkit.plan(manifest, kit.config, filters=()).layers
        ]
        self.lines: list[str] = []
        reporter = Reporter(self.lines.append, json_lines=True)
        crew = Crew(jobs_for(targets), client, Progress(reporter, layers * SIZE, every_s=0), 8)
        self._thread = threading.Thread(target=crew.run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._go.set()
        self._thread.join(20)
        os.close(self._root)
        assert not self._thread.is_alive()

    def held(self) -> int:
        """Return how many segments have landed when no more do."""
        done, deadline = -1, time.monotonic() + 20
        while not self.lines or (now := json.loads(self.lines[-1])["done"]) != done or not now:
            assert time.monotonic() < deadline
            done = json.loads(self.lines[-1])["done"] if self.lines else -1
            time.sleep(0.3)
        return int(done) // SEGMENT_BYTES


@pytest.mark.parametrize(("layers", "held"), [(1, 8), (2, 16), (4, 16)])
def test_few_layers_have_more_room_each(
    *, layers: int, held: int, registry: Server, client: Registry, tmp_path: Path
) -> None:
    """Two are under way at first: more are begun only when their readers wait for the network."""
    with Blocked(registry, client, tmp_path, layers) as crew:
        assert crew.held() == held
