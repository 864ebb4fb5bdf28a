"""HTTP over networks as they are: sockets, TLS, proxies, limits, retries. It knows neither OCI nor settings."""

from kit_initializer.http.network import Network
from kit_initializer.http.retry import Pace, Patience, StoppedError, TransientError, retry_after, unreachable
from kit_initializer.http.transport import Response, Transport, speaks_tls
from kit_initializer.http.url import Origin, join, origin_of

__all__ = [
    "Network",
    "Origin",
    "Pace",
    "Patience",
    "Response",
    "StoppedError",
    "TransientError",
    "Transport",
    "join",
    "origin_of",
    "retry_after",
    "speaks_tls",
    "unreachable",
]
