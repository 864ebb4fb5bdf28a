"""Certificates as the field makes them: what Go accepts is accepted, and what is refused has the right advice."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kit_conformance.testbed.kits import pack
from kit_conformance.testbed.registry import TLS, Registry
from kit_initializer import certificates

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command, Run

KIT = pack({"m": b"weights"}, {"manifestVersion": "1.0.0", "package": {}, "model": {"path": "m"}})
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
HOST = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def made(
    name: str, issuer: tuple[str, Any] | None, *extensions: x509.ExtensionType, start: int = -1, end: int = 1
) -> tuple[x509.Certificate, Any]:
    """Return a certificate with exactly these extensions, none critical, and its key; `start`, `end`: days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer[0] if issuer else name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + start * DAY)
        .not_valid_after(NOW + end * DAY)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


class Certified(TLS):
    """A server with a certificate that is made here, and the CA that signed it."""

    def __init__(self, folder: Path, *extensions: x509.ExtensionType, start: int = -1, end: int = 1) -> None:
        super().__init__()
        folder.mkdir(exist_ok=True)
        # as `openssl req -x509` makes it without a configuration: no keyUsage, no key identifiers
        ca, ca_key = made("a CA", None, x509.BasicConstraints(ca=True, path_length=None))
        leaf, key = made("a registry", ("a CA", ca_key), *extensions, start=start, end=end)
        pem = serialization.Encoding.PEM
        self.ca_file = folder / "made-ca.pem"
        self.ca_file.write_bytes(ca.public_bytes(pem))
        self._chain = folder / "made-server.pem"
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self._chain.write_bytes(private + leaf.public_bytes(pem))

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._chain)
        return context


def pulled(tls: TLS, initialize: Command, destination: Path, ca: str) -> Run:
    with Registry(tls=tls) as registry:
        uri = registry.add(KIT, "k", "v1")
        return initialize(uri, destination, KIT_UNPACK_FLAGS="", KIT_RETRIES="0", KIT_CA_CERT=ca)


def test_a_ca_without_key_usage_and_identifiers(
    tmp_path: Path, initialize: Command, destination: Path
) -> None:
    """As Harbor's guide makes them. Python 3.13 and newer refuse them unless they are told not to."""
    tls = Certified(tmp_path / "tls", HOST)
    run = pulled(tls, initialize, destination, tls.ca_pem)
    assert run.code == 0, run.lines


@pytest.mark.parametrize(
    ("extensions", "start", "end", "words", "advice"),
    [
        ((HOST,), -3, -1, "has expired", "renew the registry's certificate"),
        ((HOST,), 1, 3, "not yet valid", "check the clocks"),
        (
            (x509.SubjectAlternativeName([x509.DNSName("other.example")]),),
            -1,
            1,
            "127.0.0.1",
            "subjectAltName",
        ),
        ((), -1, 1, "127.0.0.1", "subjectAltName"),
        ((HOST, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])), -1, 1, "purpose", "for servers"),
    ],
    ids=["expired", "not yet", "other host", "no name", "purpose"],
)
def test_what_is_wrong_with_a_certificate(
    tmp_path: Path,
    initialize: Command,
    destination: Path,
    extensions: tuple[x509.ExtensionType, ...],
    start: int,
    end: int,
    words: str,
    advice: str,
) -> None:
    tls = Certified(tmp_path / "tls", *extensions, start=start, end=end)
    run = pulled(tls, initialize, destination, tls.ca_pem)
    assert run.code == 6, run.lines
    assert words in run.last
    assert advice in run.last
    assert "KIT_CA_CERT" not in run.last, "the CA was given, and is not the cause"


def test_a_ca_that_is_not_the_issuer(tmp_path: Path, initialize: Command, destination: Path) -> None:
    tls = Certified(tmp_path / "tls", HOST)
    run = pulled(tls, initialize, destination, TLS().ca_pem)
    assert run.code == 6
    assert "give the CA that issued it by KIT_CA_CERT" in run.last


@pytest.mark.parametrize(
    "around",
    [
        "# Zürich, Behörde für Zertifikate\n{}\n".encode(),
        "# Zürich\n{}\n".encode("latin-1"),
        b"\xef\xbb\xbf{}",
        b"subject=/CN=a CA\r\n{}\r\nand more text",
        b"\x00\xff{}\xff\x00",
    ],
    ids=["utf-8", "latin-1", "byte order mark", "text", "bytes"],
)
@pytest.mark.parametrize("way", ["contents", "flag", "bundle"])
def test_text_around_certificates(
    *, tmp_path: Path, initialize: Command, destination: Path, around: bytes, way: str
) -> None:
    tls = Certified(tmp_path / "tls", HOST)
    text = around.replace(b"{}", tls.ca_pem.encode())
    file = tmp_path / "cabundle.crt"
    file.write_bytes(text)
    environ = {"KIT_UNPACK_FLAGS": "", "KIT_RETRIES": "0"}
    if way == "contents":
        if b"\x00" in text:
            pytest.skip("no variable can hold it")
        environ["KIT_CA_CERT"] = text.decode(errors="surrogateescape")
    elif way == "flag":
        environ["KIT_UNPACK_FLAGS"] = f"--tls-cert {file}"
    else:
        environ |= {"CA_BUNDLE_CONFIGMAP_NAME": "x", "CA_BUNDLE_VOLUME_MOUNT_POINT": str(tmp_path)}
    with Registry(tls=tls) as registry:
        run = initialize(registry.add(KIT, "k", "v1"), destination, env=environ)
    assert run.code == 0, run.lines


def test_only_certificates_are_taken() -> None:
    pem = TLS().ca_pem
    key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    assert certificates.only(key + pem.encode() + b"x" + pem.encode()) == pem + pem
    assert certificates.only(key) == ""
    assert certificates.only(b"-----BEGIN CERTIFICATE-----" * 100_000) == "", "and in linear time"
