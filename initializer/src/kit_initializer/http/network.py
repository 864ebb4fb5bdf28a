"""How servers are reached: time limits, proxies, and whom to trust."""

from __future__ import annotations

from typing import NamedTuple


class Network(NamedTuple):
    """Timeouts are seconds; files are paths; "" is "not given".

    `proxy` is for every request; the other proxies and `no_proxy` are those of the environment. `tls_verify` off
    accepts any certificate.
    """

    connect_timeout: float = 10.0
    first_byte_timeout: float = 30.0
    stall_timeout: float = 30.0
    progress_timeout: float = 60.0
    proxy: str = ""
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    tls_verify: bool = True
    ca_files: tuple[str, ...] = ()
    ca_pem: str = ""
    client_cert: str = ""
    client_key: str = ""
