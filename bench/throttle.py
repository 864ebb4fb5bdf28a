"""A link as a pod in another zone has it: `python throttle.py HOST PORT BYTES_PER_SECOND SECONDS`.

Every connection is carried to HOST:PORT with its own rate on the way back and its own delay on the way there, once
more when it begins (the handshake of TCP). It prints the port that it listens on. Bytes are spliced within the kernel,
so that the front takes next to nothing of the processor that the measured process needs.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time

_PIPE_BYTES = 256 * 1024
_TICK_S = 0.004  # what may be sent in this time is sent at once


def pace(source: socket.socket, target: socket.socket, rate: float) -> None:
    """Carry bytes from a socket to another, at most so many a second, until the first ends."""
    reader, writer = os.pipe()
    portion = max(4096, min(_PIPE_BYTES, int(rate * _TICK_S)))
    due = time.monotonic()
    try:
        while count := os.splice(source.fileno(), writer, portion):
            # who was late may catch up by one tick, not by all that was missed
            due = max(due, time.monotonic() - _TICK_S) + count / rate
            time.sleep(max(0.0, due - time.monotonic()))
            left = count
            while left:
                left -= os.splice(reader, target.fileno(), left)
    except OSError:
        pass  # one of the two has left
    finally:
        os.close(reader)
        os.close(writer)
        _close(target)


def delay(source: socket.socket, target: socket.socket, seconds: float) -> None:
    """Carry requests from a socket to another, each after a while, until the first ends."""
    time.sleep(seconds)
    with contextlib.suppress(OSError):
        while data := source.recv(64 * 1024):
            time.sleep(seconds)
            target.sendall(data)
    _close(target)


def _close(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def serve(host: str, port: int, rate: float, seconds: float) -> None:
    """Accept connections for ever."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        origin = socket.create_connection((host, port), timeout=10)
        origin.settimeout(None)
        for sock in (client, origin):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=delay, args=(client, origin, seconds), daemon=True).start()
        threading.Thread(target=pace, args=(origin, client, rate), daemon=True).start()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
