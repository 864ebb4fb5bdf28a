"""`kit://host[:port]/repository[:tag][@digest]` as a value.

Sources: the OCI distribution specification for repository, tag and digest; the OCI image specification for
the two registered digest algorithms; for the host what Kit accepts, except that nothing is ever guessed: a
first part that cannot be told from a folder of a repository is a usage error.
"""

from __future__ import annotations

import socket
from typing import NamedTuple

from kit_initializer.errors import UsageError

SCHEME = "kit://"
DEFAULT_TAG = "latest"
SHAPE = "kit://host[:port]/repository[:tag][@sha256:digest]"

_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_REPOSITORY_LIMIT = 255
_TAG_LIMIT = 128
_SHOWN = 200
# No regular expressions: each run would compile them, which takes longer than all the rest of reading a reference.
_NO_SEPARATORS = str.maketrans("", "", "._-")
_SLASHES = str.maketrans("._-", "///")


class Reference(NamedTuple):
    """Where a kit is: `host` is lower case and keeps its port ("r.example:5000", "[::1]:5000")."""

    host: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def target(self) -> str:
        """What to ask the registry for: the digest if there is one, else the tag, else `latest`."""
        return self.digest or self.tag or DEFAULT_TAG

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{SCHEME}{self.host}/{self.repository}{tag}{digest}"


def parse(text: str) -> Reference:
    """Read a storage URI of KServe.

    Raises UsageError, with a hint, for anything that is not a complete reference to one kit.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        _refuse_credentials(text)
        raise UsageError(f"{_shown(text)} is not a storage URI", hint=f"write {SHAPE}")
    if scheme != SCHEME[:-3]:
        raise _foreign(scheme)
    return parse_bare(rest)


def parse_bare(text: str) -> Reference:
    """Read a reference as the Kit CLI and Kitfiles write it, without a scheme.

    Raises UsageError, with a hint, for anything that is not a complete reference to one kit.
    """
    _refuse_credentials(text)
    if any(character.isspace() or not character.isprintable() for character in text):
        raise UsageError(f"{_shown(text)} holds a space or a control character", hint=f"write {SHAPE}")
    host, slash, path = text.partition("/")
    if not slash or not path:
        raise UsageError(
            f"{_shown(text) or 'nothing'} names no registry with a repository", hint=f"write {SHAPE}"
        )
    if "," in path:
        raise UsageError(
            f"{_shown(text)} names several tags", hint="name one; storageUris takes several kits"
        )
    host = _host(host, text)
    path, at, digest = path.partition("@")
    folder, slash, name = path.rpartition("/")
    name, colon, tag = name.partition(":")
    if at:
        _check_digest(digest)
    if colon:
        _check_tag(tag)
    return Reference(host, _repository(folder + slash + name), tag or None, digest or None)


def is_digest(text: str) -> bool:
    """Say whether the text is a sha256 or sha512 digest in the form `algorithm:hex`."""
    algorithm, _, value = text.partition(":")
    return len(value) == _HEX_LENGTH.get(algorithm, -1) and not value.strip("0123456789abcdef")


def _refuse_credentials(text: str) -> None:
    """Raise UsageError for `user:password@host`, before anything is said that would show the text.

    A slash may be part of the password: what follows the last "@" is a digest, without a slash, or a host.
    """
    before, at, rest = text.rpartition("@")
    host, slash, _ = before.partition("/")
    _, colon, port = host.rpartition("]")[2].partition(":")
    login = not slash or "/" in rest or (colon and not port.isdigit())
    if at and login and not rest.startswith(tuple(f"{algorithm}:" for algorithm in _HEX_LENGTH)):
        hint = "leave out what is before '@' and set KIT_USER and KIT_PASSWORD"
        raise UsageError("a reference holds no login", hint=hint)


def _foreign(scheme: str) -> UsageError:
    if scheme.lower() == SCHEME[:-3]:
        return UsageError(
            f"the scheme {_shown(scheme)} is not written kit", hint="write kit:// in lower case"
        )
    return UsageError(
        f"the scheme {_shown(scheme)}:// is not for this initializer, which brings kit:// only",
        hint="KServe gives all storageUris of a predictor to one initializer: pack those files into a kit, "
        "or leave kit:// out of the list",
    )


def _host(host: str, text: str) -> str:
    name, port = host, ""
    if host.startswith("["):
        name, bracket, port = host.partition("]")
        valid = bool(bracket) and _is_ipv6(name[1:]) and (not port or port.startswith(":"))
        port = port[1:] if len(port) != 1 else port
    else:
        name, colon, port = host.partition(":")
        valid = all(map(_is_label, name.split(".")))
        port = port or colon
        if valid and not port and "." not in name and name.lower() != "localhost":
            raise UsageError(
                f"{_shown(host)} in {_shown(text)} is not a registry: it has neither '.' nor ':'",
                hint=f"name the registry, as in kit://registry.example/{_shown(text)}",
            )
    if port:
        valid = valid and port.isdecimal() and port.isascii() and 0 < int(port[:6]) < 65536 and len(port) < 6
    if not valid:
        raise UsageError(f"{_shown(host)} is not the host of a registry", hint=f"write {SHAPE}")
    return host.lower()


def _is_ipv6(text: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        return False
    return True


def _is_name(text: str) -> bool:
    """Say whether the text is made of letters, digits, ".", "_" and "-", not of separators alone."""
    return text.isascii() and text.translate(_NO_SEPARATORS).isalnum()


def _is_label(text: str) -> bool:
    """Say whether the text is a part of a host's name: letters and digits, and between them "-" and "_"."""
    return _is_name(text) and "." not in text and text[0].isalnum() and text[-1].isalnum()


def _is_component(text: str) -> bool:
    """Say whether the text is a part of a repository's name (OCI distribution specification, "Pulling manifests").

    Lower case letters and digits; between them one ".", one or two "_", or any number of "-".
    """
    while "--" in text:
        text = text.replace("--", "-")
    words = text.replace("__", "_").translate(_SLASHES).split("/")
    return text.isascii() and text == text.lower() and all(word.isalnum() for word in words)


def _repository(path: str) -> str:
    if all(map(_is_component, path.split("/"))) and len(path) <= _REPOSITORY_LIMIT:
        return path
    if path != path.lower():
        hint = f"repositories are lower case: {_shown(path.lower())}"
    elif ":" in path:
        hint = "a tag ends the reference, and a path inside of a kit cannot be named"
    elif len(path) > _REPOSITORY_LIMIT:
        hint = f"the limit is {_REPOSITORY_LIMIT} characters"
    else:
        hint = (
            "lower case letters and digits, with '.', '_', '__' or '-' between them, in parts joined by '/'"
        )
    raise UsageError(f"{_shown(path)} is not the name of a repository", hint=hint)


def _check_tag(tag: str) -> None:
    # unlike a host or a repository, a tag may be of "_" alone
    if not (_is_name(tag.replace("_", "0")) and tag[0] not in ".-" and len(tag) <= _TAG_LIMIT):
        raise UsageError(
            f"{_shown(tag) or 'nothing'} is not a tag",
            hint="up to 128 letters, digits, '.', '_' and '-', the first neither '.' nor '-'",
        )


def _check_digest(digest: str) -> None:
    if not is_digest(digest):
        raise UsageError(
            f"{_shown(digest) or 'nothing'} is not a digest",
            hint="sha256: and 64, or sha512: and 128 digits of 0-9a-f",
        )


def _shown(text: str) -> str:
    """Return what of a text can be printed in one line."""
    line, query, _ = (text if text.isprintable() else ascii(text)).partition("?")
    line += "?…" if query else ""  # what follows may be a signature
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
