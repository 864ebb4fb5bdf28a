"""A conformance suite for KServe storage initializers of ModelKits, and for Kit versions.

`kit_conformance.testbed` is what the cases stand on, and can be used alone: a registry with a ledger and
faults, a packer of ModelKits, Kit binaries by version, and a model server as a process.
"""

__version__ = "0.1.0"
