"""Manifests, indexes and configs nobody has written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from initializer.tests.fuzz.changes import altered, changed, dumped
from initializer.tests.fuzz.texts import refused
from kit_conformance.testbed.kits import index, pack
from kit_initializer import modelkit
from kit_initializer.errors import InitializerError

if TYPE_CHECKING:
    import random
    from pathlib import Path

_KIT = pack(
    {"model/w": b"1", "data/x.csv": b"2", "docs/a.md": b"3"},
    {
        "manifestVersion": "1.0.0",
        "package": {"name": "k", "version": "1", "authors": ["a"]},
        "model": {"path": "model", "parameters": {"a": [1, {"b": None}]}},
        "datasets": [{"name": "d", "path": "data/x.csv"}],
        "docs": [{"path": "docs"}],
    },
)
_MANIFESTS = [json.loads(_KIT.manifest), json.loads(index((_KIT, {"a": "b"})).manifest)]
_CONFIG = json.loads(_KIT.config)
_FILTERS = [(), ("model",), ("datasets:d,docs",), ("kitfile", "code:./x")]


def a_kit(dice: random.Random, _: Path) -> None:
    """Plan a kit of a manifest or an index and its config, the Kitfile included."""
    body = dumped(altered(dice.choice(_MANIFESTS), dice) if dice.random() < 0.6 else _MANIFESTS[0]).encode()
    config = dumped(altered(_CONFIG, dice) if dice.random() < 0.7 else _CONFIG).encode()
    if dice.random() < 0.3:
        body, config = changed(body, dice), changed(config, dice)
    try:
        manifest = modelkit.parse(body)
        if isinstance(manifest, modelkit.Index):
            manifest.choose((("a", "b"),))
            return
        plan = modelkit.plan(manifest, config, filters=dice.choice(_FILTERS), only_model=dice.random() < 0.2)
    except InitializerError as error:
        refused(error)
        return
    assert all(".." not in layer.directory.split("/") for layer in plan.layers)
    assert all(layer.size >= 0 for layer in plan.layers)
