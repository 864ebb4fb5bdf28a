"""The fixture registry: an OCI registry on loopback that keeps a ledger and misbehaves on demand.

with Registry(auth=Bearer({"ann": "pw"})) as registry:
    uri = registry.add(kit, "iris", "v1")                   # kit://127.0.0.1:PORT/iris:v1
    registry.inject(faults.Cut(after=1000), kind="blob", times=1)
    ...
    assert len(registry.ledger.requests(kind="blob")) == 2
"""

from kit_conformance.testbed.registry import faults
from kit_conformance.testbed.registry.auth import Basic, Bearer
from kit_conformance.testbed.registry.faults import Fault
from kit_conformance.testbed.registry.ledger import Entry, Ledger
from kit_conformance.testbed.registry.nowhere import refusing, silent
from kit_conformance.testbed.registry.origin import Origin
from kit_conformance.testbed.registry.quirks import SPELLINGS, Harbor, Hiding, Spelled
from kit_conformance.testbed.registry.server import Injection, Registry
from kit_conformance.testbed.registry.storage import Artifact
from kit_conformance.testbed.registry.tls import TLS

__all__ = [
    "SPELLINGS",
    "TLS",
    "Artifact",
    "Basic",
    "Bearer",
    "Entry",
    "Fault",
    "Harbor",
    "Hiding",
    "Injection",
    "Ledger",
    "Origin",
    "Registry",
    "Spelled",
    "faults",
    "refusing",
    "silent",
]
