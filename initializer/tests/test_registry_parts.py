"""The registry's smaller parts: addresses, challenges, proxies and patience."""

from __future__ import annotations

import threading
import time
from email.utils import formatdate
from threading import Event

import pytest

from kit_initializer.deadline import Deadline
from kit_initializer.errors import UnreachableError, UsageError
from kit_initializer.http import proxy
from kit_initializer.http.retry import (
    Pace,
    Patience,
    StoppedError,
    TransientError,
    retry_after,
    unreachable,
)
from kit_initializer.http.url import origin_of, split

# addresses


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("http://r.example/v2/", "r.example", "/v2/"),
        ("HTTPS://R.Example:443", "r.example", "/"),
        ("https://r.example:80/a?b#c", "r.example:80", "/a?b"),
        ("http://r.example?b", "r.example", "/?b"),
        ("http://ann:pw@r.example:5000/a", "r.example:5000", "/a"),
        ("https://[::1]/a", "[::1]", "/a"),
        ("https://[::1]:5000/a", "[::1]:5000", "/a"),
    ],
)
def test_addresses(url: str, origin: str, target: str) -> None:
    assert (str(split(url)[0]), split(url)[1]) == (origin, target)
    assert origin_of(url) == split(url)[0]


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin_of("http://r.example") == ("http", "r.example", 80)
    assert origin_of("http://r.example") != origin_of("https://r.example")
    assert origin_of("https://r.example:443/x") == origin_of("https://r.example/y")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/a",
        "r.example/a",
        "ftp://r.example",
        "http://",
        "http:///a",
        "http://:80",
        "http://r.example:0",
        "http://r.example:65536",
        "http://r.example:x",
        "http://r.example:\u00b2",
        "http://[::1",
        "http://[::1]x",
        "http://r.example/a b",
        "http://r.example/a\r\nX: y",
        "http://r.example/\x7f",
        "http://r.example/\u00e9",
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UnreachableError):
        split(url)


# proxies


@pytest.mark.parametrize(
    ("url", "host", "port", "login"),
    [
        ("http://p.example:3128", "p.example", 3128, None),
        ("http://p.example", "p.example", 80, None),
        ("p.example:3128", "p.example", 3128, None),
        ("http://ann@p.example", "p.example", 80, "Basic YW5uOg=="),
        ("http://ann:a%3Ab@[::1]:1/", "::1", 1, "Basic YW5uOmE6Yg=="),
    ],
)
def test_proxies(url: str, host: str, port: int, login: str | None) -> None:
    found = proxy.parse(url, "HTTP_PROXY")
    assert (found.host, found.port) == (host, port)
    assert (found.authorization.reveal() if found.authorization else None) == login


@pytest.mark.parametrize(
    "url", ["socks5://ann:secret@p.example", "https://ann:secret@p.example", "http://", "http://a:b:c"]
)
def test_what_is_no_proxy(url: str) -> None:
    with pytest.raises(UsageError, match=r"^--proxy is ") as caught:
        proxy.parse(url, "--proxy")
    assert "secret" not in caught.value.line()


@pytest.mark.parametrize(
    ("host", "port", "no_proxy", "bypassed"),
    [
        ("r.example", 443, "", False),
        ("r.example", 443, "*", True),
        ("r.example", 443, " , r.example", True),
        ("R.Example.", 443, "r.EXAMPLE", True),
        ("a.r.example", 443, "r.example", True),
        ("ar.example", 443, "r.example", False),
        ("r.example", 443, ".r.example", False),
        ("a.r.example", 443, ".r.example", True),
        ("a.r.example", 443, "*.r.example", True),
        ("r.example", 443, "*.r.example", False),
        ("r.example", 443, "r.example:443", True),
        ("r.example", 5000, "r.example:443", False),
        ("10.1.2.3", 443, "10.0.0.0/8", True),
        ("11.1.2.3", 443, "10.0.0.0/8", False),
        ("10.1.2.3", 443, "10.0.0.0/x", False),
        ("r.example", 443, "10.0.0.0/8", False),
        ("10.1.2.3", 443, "10.1.2.3", True),
        ("10.1.2.3", 443, "10.1.2.3:443", True),
        ("10.1.2.3", 80, "10.1.2.3:443", False),
        ("10.1.2.3", 443, "2.3", False),
        ("2001:db8::1", 443, "2001:db8::/32", True),
        ("2001:db8::1", 443, "[2001:db8:0::1]:443", True),
        ("2001:db8::1", 443, "[2001:db8:0::1]", True),
        ("2001:db8::1", 443, "2001:db8::1", True),
        ("10.1.2.3", 443, "fd00::/8", False),
        ("localhost", 443, "", True),
        ("127.8.8.8", 443, "", True),
        ("::1", 443, "", True),
    ],
)
def test_no_proxy(*, host: str, port: int, no_proxy: str, bypassed: bool) -> None:
    assert proxy.bypassed(host, port, no_proxy) is bypassed


# patience


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("0", 0, 0),
        (" 7 ", 7, 7),
        ("99999999999999", 999_999_999, 999_999_999),
    ],
)
def test_retry_after(value: str, least: float, most: float) -> None:
    seconds = retry_after(value)
    assert seconds is not None
    assert least <= seconds <= most


@pytest.mark.parametrize("usegmt", [False, True])
def test_retry_after_as_a_date(*, usegmt: bool) -> None:
    assert 40 <= (retry_after(formatdate(time.time() + 50, usegmt=usegmt)) or 0) <= 50
    assert retry_after(formatdate(time.time() - 50, usegmt=usegmt)) == 0


@pytest.mark.parametrize(
    "value", [None, "", "soon", "-1", "1.5", "\u00b2", "Mon, 99 Foo 2026 00:00:00 GMT", "0, 1"]
)
def test_a_retry_after_that_says_nothing(value: str | None) -> None:
    assert retry_after(value) is None


def ignored(_: str) -> None:
    """Take a warning that the test is not about."""


def test_patience_ends_after_so_many_failures_in_a_row() -> None:
    said: list[str] = []
    patience = Patience(attempts=2, pace=Pace(60), deadline=Deadline(), stop=Event(), warn=said.append)
    failure = unreachable("r.example", "down")
    patience.wait(failure)
    patience.moved(64 * 1024, "a layer")
    patience.wait(failure)
    patience.moved(64 * 1024 - 1, "a layer")
    patience.wait(failure)
    with pytest.raises(UnreachableError) as caught:
        patience.wait(failure)
    assert caught.value is failure.error
    assert len(said) == 3
    assert all(line.startswith("r.example: down: trying again in 0.") for line in said)


def wait_on(patience: Patience, failure: TransientError) -> None:
    while True:
        patience.wait(failure)


def test_patience_ends_when_nothing_moves() -> None:
    patience = Patience(attempts=None, pace=Pace(0.3), deadline=Deadline(), stop=Event(), warn=ignored)
    began = time.monotonic()
    with pytest.raises(UnreachableError):
        wait_on(patience, unreachable("r.example", "down"))
    assert time.monotonic() - began < 5


def test_a_slow_disk_is_not_counted_against_the_server() -> None:
    patience = Patience(attempts=None, pace=Pace(0.4), deadline=Deadline(), stop=Event(), warn=ignored)
    time.sleep(0.5)
    patience.pace.begin()
    patience.wait(unreachable("r.example", "down"))
    patience.moved(1024, "a layer")
    time.sleep(0.5)
    with pytest.raises(UnreachableError, match="a layer: only 1 bytes came"):
        patience.moved(1, "a layer")


@pytest.mark.parametrize(("after", "ends"), [(0.01, False), (119.0, False), (121.0, True)])
def test_a_server_is_waited_for_but_not_for_long(*, after: float, ends: bool) -> None:
    stop = Event()
    patience = Patience(attempts=None, pace=Pace(60), deadline=Deadline(), stop=stop, warn=ignored)
    threading.Timer(0.05, stop.set).start()
    failure = unreachable("r.example", "busy", retry_after_s=after)
    with pytest.raises(UnreachableError if ends else StoppedError):
        wait_on(patience, failure)


def test_a_run_that_is_called_off_waits_for_nothing() -> None:
    stop = Event()
    stop.set()
    with pytest.raises(StoppedError):
        Patience(attempts=None, pace=Pace(60), deadline=Deadline(), stop=stop, warn=ignored).wait(
            TransientError(UnreachableError("x"))
        )
