"""Certificates for loopback, from an authority that lives as long as the registry."""

from __future__ import annotations

import shutil
import ssl
import tempfile
import weakref
from pathlib import Path


class TLS:
    """An authority, a server certificate for 127.0.0.1, ::1 and localhost, and a client certificate.

    `names` are put into the server's certificate instead of those (for a certificate of the wrong host). With
    `client_auth` the server demands the client's certificate. `server_pem` has the server's key and certificates, for
    servers that are other programs. Several registries may share it. Its files are removed by `close`, or when nobody
    refers to it any more.
    """

    def __init__(
        self, *, names: tuple[str, ...] = ("127.0.0.1", "::1", "localhost"), client_auth: bool = False
    ) -> None:
        import trustme  # noqa: PLC0415  (only those who want TLS need it)

        folder = Path(tempfile.mkdtemp(prefix="registry-tls-"))
        self._cleanup = weakref.finalize(self, shutil.rmtree, folder)
        self._client_auth = client_auth
        self._authority = trustme.CA()
        self._server = self._authority.issue_cert(*names)
        client = self._authority.issue_cert("client@example.com")
        self.ca_file = folder / "ca.pem"
        self.client_cert = folder / "client.pem"
        self.client_key = folder / "client-key.pem"
        self.server_pem = folder / "server.pem"
        self._authority.cert_pem.write_to_path(str(self.ca_file))
        client.private_key_pem.write_to_path(str(self.client_key))
        self._server.private_key_and_cert_chain_pem.write_to_path(str(self.server_pem))
        for number, blob in enumerate(client.cert_chain_pems):
            blob.write_to_path(str(self.client_cert), append=number > 0)

    @property
    def ca_pem(self) -> str:
        """Return the authority's certificate as text."""
        return self.ca_file.read_text(encoding="ascii")

    def server_context(self) -> ssl.SSLContext:
        """Return what a server wraps its sockets with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server.configure_cert(context)
        if self._client_auth:
            self._authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def close(self) -> None:
        """Remove the files."""
        self._cleanup()
