"""HTTP/1.1 message by message, over a pair of sockets: what is read, what is refused, where a connection stands."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit_initializer.deadline import Deadline
from kit_initializer.http.wire import ClosedError, ProtocolError, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def answered(*pieces: bytes, close: bool = True) -> Iterator[Wire]:
    """Give a wire whose peer sends these pieces, one after the other, and closes."""
    near, far = socket.socketpair()

    def send() -> None:
        with contextlib.suppress(OSError):
            for piece in pieces:
                far.sendall(piece)
            if close:
                far.shutdown(socket.SHUT_WR)

    near.settimeout(5)
    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield Wire(near, Deadline(10), 10.0)
    finally:
        near.close()
        thread.join(5)
        far.close()


def body_of(wire: Wire, step: int = 7) -> bytes:
    body, view = b"", memoryview(bytearray(step))
    while count := wire.readinto(view):
        body += view[:count]
    return body


def test_a_body_of_a_known_length() -> None:
    with answered(
        b"HTTP/1.1 200 Very OK\r\nContent-Length: 11\r\nX:\r\nx-a: 1\r\nX-A:  2 \r\n\r\nhello world"
    ) as wire:
        status, reason, headers = wire.head()
        assert (status, reason, wire.left) == (200, "Very OK", 11)
        assert headers.get("CONTENT-LENGTH") == "11"
        assert (headers.get("x"), headers.get("none"), headers.get("X-a")) == ("", "", "2")
        assert headers.get_all("x-A") == ["1", "2"]
        assert headers.get_all("none") == []
        assert not wire.finished
        assert body_of(wire) == b"hello world"
        assert wire.finished


def test_two_answers_on_one_connection() -> None:
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
    with answered(one + b"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n" + one) as wire:
        assert wire.head()[0] == 200
        assert body_of(wire) == b"one"
        assert wire.head()[:2] == (404, "")
        assert wire.finished
        assert wire.head()[0] == 200
        assert body_of(wire) == b"one"
        with pytest.raises(ClosedError):
            wire.head()


def test_a_body_to_the_end_of_the_connection() -> None:
    with answered(b"HTTP/1.0 200 OK\r\n\r\nto the end") as wire:
        wire.head()
        assert wire.left is None
        assert body_of(wire) == b"to the end"
        assert not wire.finished


def test_a_chunked_body() -> None:
    chunks = b"5;name=value\r\nhello\r\n0006\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n"
    for pieces in ((head + chunks,), tuple(bytes([byte]) for byte in head + chunks)):
        with answered(*pieces, close=False) as wire:
            wire.head()
            assert wire.left is None
            assert body_of(wire) == b"hello world"
            assert wire.finished


@pytest.mark.parametrize(
    "chunks",
    [
        b"",
        b"5",
        b"5\r\nhel",
        b"5\r\nhello",
        b"5\r\nhelloX\r\n",
        b"x\r\n",
        b"\r\n",
        b"-5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"1_0\r\nhello\r\n",
        b"11111111111111111\r\n",
        b"5 " * 10_000,
        b"0\r\n",
        b"0\r\nTrailer",
    ],
)
def test_chunks_that_break_off(chunks: bytes) -> None:
    with answered(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunks) as wire:
        wire.head()
        with pytest.raises(ProtocolError):
            body_of(wire, 100)
        assert not wire.finished


@pytest.mark.parametrize("status", [204, 304])
def test_answers_that_have_no_body(status: int) -> None:
    with answered(b"HTTP/1.1 %d x\r\nContent-Length: 5\r\n\r\n" % status, close=False) as wire:
        wire.head()
        assert body_of(wire) == b""
        assert wire.finished


def test_an_answer_to_connect_has_no_body() -> None:
    with answered(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", close=False) as wire:
        wire.head(bodiless=True)
        assert (wire.left, wire.finished) == (0, True)


def test_interim_answers_are_passed_over() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    with answered(interim + b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n") as wire:
        status, _, headers = wire.head()
        assert (status, headers.get("link")) == (200, "")
        assert not wire.finished


def test_interim_answers_and_trailers_have_a_number() -> None:
    final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    with answered(5 * b"HTTP/1.1 103 X\r\n\r\n" + final + 4_000 * b"X: 1\r\n" + b"\r\n") as wire:
        assert wire.head()[0] == 200
        assert body_of(wire) == b""
    with answered(6 * b"HTTP/1.1 103 X\r\n\r\n") as wire, pytest.raises(ProtocolError, match="interim"):
        wire.head()
    with answered(final + 20_000 * b"X: 1\r\n") as wire:
        wire.head()
        with pytest.raises(ProtocolError, match="trailers"):
            body_of(wire)


@pytest.mark.parametrize(
    "head",
    [
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded: c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 20_000,
    ],
)
def test_heads_that_are_none(head: bytes) -> None:
    with answered(head) as wire, pytest.raises(ProtocolError):
        wire.head()


def test_what_is_sent() -> None:
    near, far = socket.socketpair()
    with near, far:
        wire = Wire(near, Deadline(10), 10.0)
        wire.send("GET", "/a?b=c", [("Host", "r.example"), ("X", "é☃")])
        assert far.recv(1000) == b"GET /a?b=c HTTP/1.1\r\nHost: r.example\r\nX: \xe9?\r\n\r\n"
        wire.send("POST", "/", [], b"body")
        assert far.recv(1000) == b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"
        for value in ("a\r\nb: c", "a\nb"):
            with pytest.raises(ValueError, match="line break"):
                wire.send("GET", "/", [("X", value)])
        far.setblocking(False)
        with pytest.raises(BlockingIOError):
            far.recv(1)
        wire.close()


@given(
    st.binary(max_size=2000),
    st.lists(st.integers(1, 400), max_size=20),
    st.lists(st.integers(1, 700), min_size=1, max_size=20),
    st.sampled_from(["length", "chunked", "close"]),
)
def test_bodies_come_whole_however_they_are_cut(
    body: bytes, chunks: list[int], cuts: list[int], framing: str
) -> None:
    if framing == "length":
        message = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    elif framing == "close":
        message = b"HTTP/1.1 200 OK\r\n\r\n" + body
    else:
        message, at = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0
        for size in [*chunks, 2000]:
            part = body[at : at + size]
            message += b"%x\r\n%b\r\n" % (len(part), part) if part else b""
            at += size
        message += b"0\r\n\r\n"
    pieces, at = [], 0
    for size in [*cuts, 10_000]:
        pieces.append(message[at : at + size])
        at += size
    with answered(*filter(None, pieces)) as wire:
        wire.head()
        assert body_of(wire, 64) == body
        assert wire.finished == (framing != "close")
