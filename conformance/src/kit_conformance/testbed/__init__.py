"""What tests of an initializer stand on: real sockets, real ModelKits, real Kits and a real model server.

* `registry`: an OCI registry on loopback that keeps a ledger of requests and misbehaves on demand
* `kits`: ModelKits without Kit, byte for byte as Kit packs them, and hostile ones
* `kitcli`: a Kit binary of a version, and a wrapper that runs it in isolation
* `serving`: a model server as KServe starts it, as a process

Needs no pytest, no Docker and no cluster.
"""
