"""What TLS is to be, and what its failures mean."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from kit_initializer import certificates
from kit_initializer.errors import TLSError
from kit_initializer.secret import printable

if TYPE_CHECKING:
    from kit_initializer.http.network import Network
    from kit_initializer.http.url import Origin


def context(network: Network) -> ssl.SSLContext:
    """Return the system's CAs with ours beside them, and our own certificate if there is one.

    Raises TLSError naming the file or variable that cannot be used.
    """
    made = ssl.create_default_context()
    # Python 3.13 refuses CAs without keyUsage or key identifiers, as RFC 5280 wants them and `openssl req -x509` does
    # not make them; Go, curl and Kit accept those.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not network.tls_verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    for path in network.ca_files:
        try:
            with open(path, "rb") as file:
                found = certificates.only(file.read())
        except OSError as error:
            raise TLSError(f"the CA file {path} cannot be read: {error.strerror}") from error
        _trust(made, found, f"the CA file {path}")
    if network.ca_pem:
        _trust(made, certificates.only(network.ca_pem.encode(errors="surrogateescape")), "KIT_CA_CERT")
    if network.client_cert:
        try:
            made.load_cert_chain(network.client_cert, network.client_key or None)
        except (OSError, ssl.SSLError) as error:
            raise TLSError(f"the client certificate {network.client_cert} cannot be used: {error}") from error
    return made


def _trust(made: ssl.SSLContext, found: str, where: str) -> None:
    try:
        made.load_verify_locations(cadata=found)
    except (ValueError, ssl.SSLError) as error:
        raise TLSError(
            f"{where} holds no certificate that can be read", hint="give certificates in PEM form"
        ) from error


# OpenSSL's codes of a failed verification (x509_vfy.h), and what to do about each.
_NOT_YET_VALID, _EXPIRED = 9, 10
_WRONG_PURPOSE, _OTHER_HOST, _OTHER_ADDRESS = 26, 62, 64
_ADVICE = {
    _NOT_YET_VALID: "check the clocks of the node and of the registry, or wait until it is valid",
    _EXPIRED: "renew the registry's certificate",
    _WRONG_PURPOSE: "give the registry a certificate for servers",
    _OTHER_HOST: "use the name that the certificate has as a subjectAltName, or add this one to it",
    _OTHER_ADDRESS: "use the address that the certificate has as a subjectAltName, or add this one to it",
}


def explain(origin: Origin, error: Exception) -> TLSError | None:
    """Return the TLSError that `error` amounts to; None for anything that another try may heal."""
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "give the CA that issued it by KIT_CA_CERT, --tls-cert or KServe's CA bundle"
        return TLSError(
            f"the certificate of {origin} is not trusted: {printable(error.verify_message, 200)}",
            hint=_ADVICE.get(error.verify_code, hint),
        )
    if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return None
    reason = (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
    plain = any(words in reason for words in ("version number", "http request", "record layer"))
    hint = "for a registry without TLS set KIT_UNPACK_FLAGS=--plain-http" if plain else ""
    return TLSError(f"no TLS with {origin}: {reason}", hint=hint)
