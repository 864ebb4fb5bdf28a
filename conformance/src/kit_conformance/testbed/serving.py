"""A real model server as a process: MLServer, started as KServe's kserve-mlserver runtime starts it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

SKLEARN: Final = "mlserver_sklearn.SKLearnModel"
_POLL: Final = 0.05  # seconds between two questions whether the model is ready
_STOP: Final = 5.0  # seconds that a server may take to stop when asked
_REQUEST: Final = 30.0  # seconds that an answer may take
_TAIL: Final = 60  # lines of the log that an error shows
_IN_USE: Final = "address already in use"


class ServingError(RuntimeError):
    """A model server that did not start, stopped early, or refused a request."""


class MLServer:
    """MLServer with one model, for as long as the `with` block: `url` is where it listens.

    `python` is the interpreter of an environment that carries mlserver and mlserver-sklearn; `folder` is what
    an initializer has filled, `name` the model's. Enters when the V2 protocol says that the model is ready,
    or raises ServingError after `timeout` seconds, or at once when the process ends. It sees nothing of our
    environment but PATH.
    """

    def __init__(
        self,
        python: Path | str,
        folder: Path | str,
        name: str,
        *,
        implementation: str = SKLEARN,
        timeout: float = 60.0,
    ) -> None:
        self.name = name
        self._python = Path(python).absolute()
        self._folder = Path(folder).absolute()
        self._implementation = implementation
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._stack = contextlib.ExitStack()
        self._home = Path()
        self._port = 0

    @property
    def url(self) -> str:
        """Return where the HTTP protocols are served."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def log(self) -> str:
        """Return all that the server has said so far."""
        path = self._home / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start the process and wait until its model is ready."""
        executable = self._python.parent / "mlserver"
        if not executable.exists():
            raise ServingError(
                f"there is no mlserver beside {self._python}; install mlserver and mlserver-sklearn there"
            )
        self._home = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="mlserver-")))
        deadline = time.monotonic() + self._timeout
        for attempt in range(3):  # a free port may be somebody else's by the time the server binds it
            self._launch(executable)
            try:
                self._wait(deadline)
            except ServingError:
                in_use = _IN_USE in self.log.lower()
                self.stop()
                if attempt == 2 or not in_use:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                return

    def _launch(self, executable: Path) -> None:
        self._port, grpc, metrics = free_ports(3)
        environment = {
            "PATH": f"{self._python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(self._home),
            "MLSERVER_MODEL_NAME": self.name,
            "MLSERVER_MODEL_URI": str(self._folder),
            "MLSERVER_MODEL_IMPLEMENTATION": self._implementation,
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": str(self._port),
            "MLSERVER_GRPC_PORT": str(grpc),
            "MLSERVER_METRICS_PORT": str(metrics),
            "MLSERVER_PARALLEL_WORKERS": "0",
        }
        self._home.mkdir(exist_ok=True)
        with (self._home / "log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  (the caller's own environment)
                [str(executable), "start", str(self._folder)],
                env=environment,
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait(self, deadline: float) -> None:
        assert self._process is not None
        while True:
            if self._process.poll() is not None:
                raise ServingError(f"mlserver ended with {self._process.returncode}\n{self._tail()}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self._ask("GET", f"/v2/models/{self.name}/ready", None, 5.0)[0] == 200:
                    return
            if time.monotonic() > deadline:
                raise ServingError(f"{self.name} was not ready after {self._timeout:g} s\n{self._tail()}")
            time.sleep(_POLL)

    def stop(self) -> None:
        """Stop the process and whatever it has started."""
        process, self._process = self._process, None
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP)

    def predict_v2(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the V2 response to an inference request; ServingError when it is no 200."""
        try:
            status, body = self._ask("POST", f"/v2/models/{self.name}/infer", request, _REQUEST)
        except (OSError, http.client.HTTPException) as error:
            raise ServingError(f"mlserver does not answer: {error!r}\n{self._tail()}") from error
        if status != 200:
            raise ServingError(f"mlserver answered {status}: {body[:500].decode(errors='replace')}")
        answer: dict[str, Any] = json.loads(body)
        return answer

    def _ask(self, method: str, path: str, body: object, timeout: float) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _tail(self) -> str:
        return "\n".join(self.log.splitlines()[-_TAIL:])

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        self._stack.close()


def outputs(response: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the data of a V2 response's outputs by name, flat as the protocol has them."""
    return {str(output["name"]): list(output["data"]) for output in response["outputs"]}


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on right now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
