"""Parsers of texts: what a user, an administrator or a volume gives. Each refuses by one of our own errors."""

from __future__ import annotations

import contextlib
import string
from threading import Event
from typing import TYPE_CHECKING

from initializer.tests.fuzz.changes import altered, changed, dumped
from kit_initializer import certificates, reference
from kit_initializer.credentials import Wanted, sources
from kit_initializer.deadline import Deadline
from kit_initializer.errors import InitializerError
from kit_initializer.http import Transport, proxy, retry_after, tls, url
from kit_initializer.publish import record
from kit_initializer.pull.run import network
from kit_initializer.secret import printable
from kit_initializer.settings import read
from kit_initializer.settings.variables import VARIABLES

if TYPE_CHECKING:
    import random
    from pathlib import Path

PIECES = [
    *(
        b"//",
        b"@",
        b":",
        b"?",
        b"#",
        b"%00",
        b"[",
        b"]",
        b"\\",
        b"\xff",
        b"\xed\xa0\x80",
        b"\x1b",
        b"\n",
        b" ",
        b",",
    ),
    *(
        b'"',
        b"'",
        b"=",
        b"--",
        b"-oi",
        b"sha256:" + b"0" * 64,
        b"9" * 40,
        b"\xef\xbb\xbf",
        "é".encode(),
        b"{",
        b"[[",
    ),
]
REFERENCES = [
    b"kit://r.example/team/iris:v1",
    b"kit://[::1]:5000/m@sha256:" + b"0" * 64,
    b"kit:/user:pw@host/m",
    b"localhost:1/a__b-c:latest@sha512:" + b"1" * 128,
]
VALUES = [
    *(
        b"",
        b"0",
        b"1.5",
        b"nan",
        b"inf",
        b"1e400",
        b"native",
        b"kit",
        b"debug",
        b"/mnt/x",
        b'["*.csv"]',
        b"a,b",
    ),
    *(
        b"--plain-http --filter=model:x",
        b"-oi -vv --label a=b",
        b"http://u:p@proxy:3128",
        b"--filter 'x",
        b"-",
    ),
]
CONFIGS = [
    {
        "auths": {
            "r.example": {"auth": "YW5uOnB3"},
            "https://index.docker.io/v1/": {"username": "a", "password": "b"},
        }
    },
    {"auths": {"*.example/team": {"auth": "YW5uOnB3Cg"}, "http://[r].ex?mple/v2/": {"username": "a"}}},
    {
        "auths": {"r.example": {"identitytoken": "x"}},
        "credHelpers": {"r.example": "none-here"},
        "credsStore": "",
    },
]
STORAGE = {"type": "kit", "username": "ann", "password": "pw", "registry": "r.example"}
PEM = b"-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUB\n-----END CERTIFICATE-----\n"
URLS = [
    b"https://r.example:5000/v2/x?a=b#c",
    b"http://[::1]/",
    b"//host/path",
    b"/v2/token?x=../..",
    b"?q",
    b"ftp://x",
]
HEAD = {
    "version": 2,
    "state": "published",
    "kits": [{"uri": "kit://r/x:1", "digest": "sha256:0", "selection": "", "files": 2, "bytes": 3}],
}
LINES = [["model/w", 9, "cbf43926"], ["R", 1, "8ffb8c2f", "adopted"], ["e/"], ["old"]]


def text(dice: random.Random, seeds: list[bytes]) -> str:
    """Return a changed seed as the environment gives it, with bytes that are not UTF-8 as half surrogates."""
    body = changed(dice.choice(seeds), dice, PIECES)
    return body.replace(b"\0", b"").decode(errors="surrogateescape")


def refused(error: InitializerError) -> None:
    """See that an error is one line that can be printed, and no bug of ours."""
    line = printable(error.line())
    assert error.exit_code != 70, line
    assert line.isprintable()
    assert len(line) < 20_000


def a_reference(dice: random.Random, _: Path) -> None:
    """Read references, from storageUri and from Kitfiles."""
    given = text(dice, REFERENCES)
    for parse in (reference.parse, reference.parse_bare):
        try:
            str(parse(given)).encode()
        except InitializerError as error:
            refused(error)


def environment(dice: random.Random, _: Path) -> None:
    """Read settings and flags, and ask each source of logins."""
    names = dice.sample([each.name for each in VARIABLES], 4)
    environ = {name: text(dice, VALUES) for name in names if name not in {"DOCKER_CONFIG", "HOME"}}
    if dice.random() < 0.5:
        environ["KIT_DOCKER_CONFIG_JSON"] = document(dice, dice.choice(CONFIGS))
    if dice.random() < 0.5:
        environ["STORAGE_CONFIG"] = document(dice, STORAGE)
    if dice.random() < 0.3:
        environ["KIT_CA_CERT"] = text(dice, [PEM, b"# comment\n" + PEM * 2])
    environ = {name: value.replace("\0", "") for name, value in environ.items()}
    try:
        settings = read(environ)
        if environ.get("KIT_CA_CERT"):
            tls.context(network(settings))
        transport = Transport(network(settings), Deadline(5), Event())
        for wanted in (Wanted("r.example", "team/iris"), Wanted("docker.io", "iris", parent=True)):
            sources.find(wanted, settings, transport, lambda _: None)
    except InitializerError as error:
        refused(error)


def document(dice: random.Random, seed: object) -> str:
    """Return a changed JSON document as a text of the environment."""
    body = dumped(altered(seed, dice))
    return (
        changed(body.encode(), dice, PIECES).decode(errors="surrogateescape") if dice.random() < 0.3 else body
    )


def addresses(dice: random.Random, _: Path) -> None:
    """Read URLs of redirects and realms, proxies, NO_PROXY, Retry-After and certificates."""
    one, two = text(dice, URLS), text(dice, URLS)
    for call in (url.split, lambda given: url.join(two, given), lambda given: proxy.parse(given, "--proxy")):
        try:
            call(one)
        except InitializerError as error:
            refused(error)
    assert printable(url.shown(one)).isprintable()
    proxy.bypassed(one, dice.choice([0, 443, 99_999]), text(dice, [b"10.0.0.0/8,.x,*.y:80,[::1]:5", b"*"]))
    waits = [b"120", b"Wed, 21 Oct 2026 07:28:00 GMT", b"99999999999999999999", b"-1"]
    waited = retry_after(text(dice, waits))
    assert waited is None or waited >= 0
    assert certificates.only(changed(PEM * 2, dice, PIECES)).isascii()


def a_record(dice: random.Random, folder: Path) -> None:
    """Read a record, which lies on a volume for anybody to change."""
    lines = [altered(line, dice) if dice.random() < 0.3 else line for line in LINES]
    head = altered(HEAD, dice) if dice.random() < 0.5 else HEAD
    body = dumped(head)[:-1] + ',"files":[\n' + "".join(f"{dumped(line)},\n" for line in lines) + "[]]}\n"
    raw = body.encode()
    (folder / "record").write_bytes(changed(raw, dice, PIECES) if dice.random() < 0.5 else raw)
    with (folder / "record").open("rb") as file:
        found = record.load(file)
        if found is None:
            return
        with contextlib.suppress(ValueError):
            for line in found.lines():
                assert not {"", ".", ".."}.intersection(line.path.rstrip("/").split("/")), line
        found.owned()
        found.folders()


def printed(dice: random.Random, _: Path) -> None:
    """Print what others say."""
    some = "".join(
        dice.choice(string.printable + "\x1b\x9b\u202e\ud800\ufeff") for _ in range(dice.randint(0, 300))
    )
    shown = printable(some, 100)
    assert shown.isprintable()
    assert len(shown) <= 100
