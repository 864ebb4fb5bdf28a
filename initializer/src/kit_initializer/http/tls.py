"""What TLS is to be, and what its failures mean."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from kit_initializer.errors import TLSError

if TYPE_CHECKING:
    from kit_initializer.http.network import Network
    from kit_initializer.http.url import Origin


def context(network: Network) -> ssl.SSLContext:
    """Return the system's authorities with ours beside them, and our own certificate if there is one.

    Raises TLSError naming the file or variable that cannot be used.
    """
    made = ssl.create_default_context()
    if not network.tls_verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    for path in network.ca_files:
        try:
            made.load_verify_locations(cafile=path)
        except (OSError, ssl.SSLError) as error:
            raise TLSError(f"{path} is not a readable PEM file of certificates: {error}") from error
    if network.ca_pem:
        try:
            made.load_verify_locations(cadata=network.ca_pem)
        except (ValueError, ssl.SSLError) as error:
            raise TLSError("KIT_CA_CERT does not hold certificates in PEM form") from error
    if network.client_cert:
        try:
            made.load_cert_chain(network.client_cert, network.client_key or None)
        except (OSError, ssl.SSLError) as error:
            raise TLSError(f"the client certificate {network.client_cert} cannot be used: {error}") from error
    return made


def explain(origin: Origin, error: Exception) -> TLSError | None:
    """Return the TLSError that `error` amounts to; None for anything that another try may heal."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return TLSError(
            f"the certificate of {origin} is not trusted: {error.verify_message}",
            hint="give its CA by KIT_CA_CERT, --tls-cert or KServe's CA bundle",
        )
    if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return None
    reason = (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
    plain = any(words in reason for words in ("version number", "http request", "record layer"))
    hint = "for a registry without TLS set KIT_UNPACK_FLAGS=--plain-http" if plain else ""
    return TLSError(f"no TLS with {origin}: {reason}", hint=hint)
