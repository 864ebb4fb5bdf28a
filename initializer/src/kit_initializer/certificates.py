"""Certificates in PEM, found in whatever text surrounds them, as Go and OpenSSL find them in a file."""

from __future__ import annotations

_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


def only(text: bytes) -> str:
    """Return the certificates of a text, one after the other; "" when it has none.

    What stands between them is for people: comments in any encoding, a byte order mark, names of authorities.
    """
    found = []
    for part in text.split(_BEGIN)[1:]:
        body, end, _ = part.partition(_END)
        if end and body.isascii():
            found.append((_BEGIN + body + _END).decode("ascii").replace("\r\n", "\n") + "\n")
    return "".join(found)
