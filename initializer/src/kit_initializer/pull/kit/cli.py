"""The Kit CLI as a subprocess: `pull` (which verifies), then `unpack` from its store alone.

Measured with Kit 0.5.0 to 1.7.0: `kit unpack` of a remote kit checks no layer digest; without HOME or a Docker
configuration folder Kit gives up; each call asks api.github.com about releases unless a file in its home forbids that;
`kit login` writes the password as plain text beside what it pulled.

So `unpack` must never reach a registry. It is told to speak TLS and given no CA to trust: whatever it asks for beyond
its store fails.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from typing import IO, TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from kit_initializer import certificates, early_end
from kit_initializer.deadline import Deadline
from kit_initializer.errors import DestinationError, KitFailedError, UsageError
from kit_initializer.pull.kit import memory, store
from kit_initializer.secret import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kit_initializer.credentials import Login
    from kit_initializer.reference import Reference
    from kit_initializer.settings import Settings

OLDEST = (0, 5, 0)  # digests in a kit's configuration, and `unpack` as it is called here, begin there
_TICK = 0.5  # seconds between two looks at how much Kit has written
_KILLED_S = 10.0  # for what was killed to be gone
_LINE = 8192  # characters of a line of Kit's that are kept together
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_NOTHING = "/nonexistent"
# What Kit gets of our environment: nothing that holds a login.
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_PASSED_ON = (
    *("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("GODEBUG", "GOMAXPROCS", "GOMEMLIMIT", "GOGC"),
    *_PROXIES,
)


class EngineResult(NamedTuple):
    """What Kit pulled: the manifest's digest (`sha256:…`), and Kit's own version without a `v`."""

    digest: str
    kit_version: str


def bring(
    reference: Reference,
    staging: str,
    settings: Settings,
    deadline: Deadline,
    login: Login | None,
    *,
    parents: Sequence[Reference] = (),
    judged: frozenset[str] | None = None,
    on_line: Callable[[str], None] = lambda _: None,
) -> EngineResult:
    """Make the kit's tree in `staging`, an empty folder; its store is `staging + ".kit"`, gone at the end.

    `login` is used for the reference's own host only. `parents` are the kits that lend their models. `judged` are the
    manifests that a signature policy let in, None without one; `reference` is then the very manifest that was judged,
    no index. `on_line` is given each line that Kit prints. Raises UsageError (no Kit, too old a Kit, nowhere to keep a
    password), DestinationError (no place for the store), UnreachableError (the deadline) and KitFailedError with Kit's
    last line: those who know the registry may then look for the cause there.
    """
    kit = KitCLI(_find(settings.environ.get("PATH", os.defpath)), staging, settings, deadline, on_line)
    target = _target(reference, plain_http=settings.plain_http)
    try:
        kit.make_home()
        version = kit.version()
        with contextlib.ExitStack() as secrets:
            if login is not None:
                kit.log_in(target.split("/", 1)[0], login, secrets.enter_context(memory.folder()))
            digest = kit.pull(target)
            # Kit 1.7 keeps a parent that it pulls along under the name of the child, where its unpack finds none
            for parent in parents:
                kit.pull(_target(parent, plain_http=settings.plain_http))
        if judged is not None:
            store.check(kit.home, judged, str(reference))
        kit.unpack(target, labels=judged is None)
        return EngineResult(reference.digest or digest, version)
    except OSError as error:
        raise DestinationError(f"{kit.home}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(kit.home, ignore_errors=True)


_lock = threading.Lock()
_children: set[subprocess.Popen[str]] = set()
_stopping = threading.Event()


def terminate() -> None:
    """Kill whatever Kit is doing, let nothing of it start again, and remove its login. Safe in a signal handler."""
    _stopping.set()
    for child in tuple(_children):
        _kill(child)
    memory.remove_all()


early_end.register(terminate)


def _kill(child: subprocess.Popen[str]) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # it leads its own group; nothing of its work is kept


class KitCLI:
    """One Kit binary with a home of its own beside the staging folder."""

    def __init__(
        self,
        binary: str,
        staging: str,
        settings: Settings,
        deadline: Deadline,
        on_line: Callable[[str], None],
    ) -> None:
        self.binary = binary
        self.home = staging + ".kit"
        self._staging = staging
        self._settings = settings
        self._deadline = deadline
        self._on_line = on_line

    def version(self) -> str:
        """Return the version that Kit prints; builds that name none are taken as new enough."""
        words = " ".join(self._run("version")).split()
        version = words[words.index("Version:") + 1] if "Version:" in words[:-1] else ""
        if not version:
            raise KitFailedError(
                f"{self.binary} version: {printable(' '.join(words), 200) or 'it printed nothing'}"
            )
        parts = version.lstrip("v").split("-")[0].split(".")
        numbers = tuple(int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 9)
        if numbers and numbers < OLDEST:
            raise UsageError(
                f"KIT_ENGINE=kit cannot use Kit {version}",
                hint=f"this engine needs Kit {'.'.join(map(str, OLDEST))} or newer",
            )
        return version.lstrip("v")

    def make_home(self) -> None:
        """Make the store's folder such that Kit finds it complete and asks nobody for a newer release."""
        os.mkdir(self.home, 0o700)
        for name, content in (("disable-update-notifications", ""), ("ca.pem", self._bundle())):
            with open(os.path.join(self.home, name), "w", encoding="utf-8") as file:
                file.write(content)

    def log_in(self, host: str, login: Login, folder: str) -> None:
        """Log in at `host` with a configuration in `folder`, and let the store use it through a link."""
        secret = login.identity_token or login.password
        user = [] if login.identity_token else [f"--username={login.username}"]
        flags = (*user, "--password-stdin", f"--config={folder}", *self._network_flags())
        with open(os.path.join(folder, "disable-update-notifications"), "w", encoding="utf-8"):
            pass
        self._run("login", host, "--progress=none", *flags, secret=secret.reveal())
        os.symlink(os.path.join(folder, "credentials.json"), os.path.join(self.home, "credentials.json"))

    def pull(self, target: str) -> str:
        """Pull into the store, which checks each digest. Returns the manifest's digest, "" if Kit names none."""
        concurrency = f"--concurrency={self._settings.concurrency}"
        lines = self._run("pull", target, "--progress=none", *self._network_flags(), concurrency)
        return next((line.split()[-1] for line in lines if line.startswith("Pulled sha256:")), "")

    def unpack(self, target: str, *, labels: bool) -> None:
        """Unpack from the store; nothing that is not there can be fetched. `labels` pick a kit of an index."""
        alone = {"SSL_CERT_FILE": _NOTHING, "SSL_CERT_DIR": _NOTHING}
        given = [flag for flag in self._settings.kit_flags if labels or not flag.startswith("--label=")]
        flags = (*given, "--plain-http=false", "--tls-verify=true")
        self._run("unpack", target, f"--dir={self._staging}", "--progress=none", *flags, environ=alone)

    def _run(self, *words: str, secret: str = "", environ: Mapping[str, str] | None = None) -> list[str]:
        """Run a command to its end and return its last lines; KitFailedError when it fails or stands still."""
        what = f"kit {' '.join(words[:2])}"
        lines: deque[str] = deque(maxlen=50)
        with _lock:
            if _stopping.is_set():
                raise KitFailedError(f"{what}: stopped")
            try:
                child = subprocess.Popen(  # noqa: S603
                    [self.binary, *words],
                    env={**self._environment(), **(environ or {})},
                    cwd=self.home,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    encoding="utf-8",
                    errors="replace",
                    start_new_session=True,
                )
            except OSError as error:
                raise UsageError(
                    f"{self.binary} cannot be run: {error.strerror}", hint="use an image with a working Kit"
                ) from error
            _children.add(child)
        assert child.stdin is not None
        assert child.stdout is not None
        reader = threading.Thread(target=self._read, args=(child.stdout, lines), daemon=True)
        reader.start()
        try:
            if _stopping.is_set():  # since this was last asked
                _kill(child)
            with contextlib.suppress(BrokenPipeError), child.stdin:
                child.stdin.write(secret)
            self._watch(child, what)
        finally:
            _kill(child)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_KILLED_S)
            _children.discard(child)
            reader.join(_KILLED_S)
        if child.returncode != 0:
            raise KitFailedError(f"{what}: {_last_line(lines, child.returncode)}")
        return list(lines)

    def _read(self, stdout: IO[str], lines: deque[str]) -> None:
        with stdout:
            for raw in iter(lambda: stdout.readline(_LINE), ""):
                if line := raw.rstrip():
                    lines.append(line)
                    self._on_line(line)

    def _watch(self, child: subprocess.Popen[str], what: str) -> None:
        """Wait for the end, and for no longer than nothing is written: Kit itself would wait for ever."""
        limit = self._settings.progress_timeout
        changed, written = time.monotonic(), -1
        while True:
            try:
                child.wait(self._deadline.within(_TICK))
            except subprocess.TimeoutExpired:
                now = time.monotonic()
                before, written = written, _written(self.home) + _written(self._staging)
                if written != before:
                    changed = now
                if now - changed > limit:
                    hint = Deadline(limit, variable="KIT_PROGRESS_TIMEOUT").hint()
                    raise KitFailedError(f"{what}: no progress in {limit:g} s", hint=hint) from None
                self._deadline.check(what)
            else:
                return

    def _network_flags(self) -> list[str]:
        """Return how `login` and `pull` reach the registry; a proxy with a password is not for argv."""
        settings = self._settings
        flags = [f"--plain-http={_bool(settings.plain_http)}", f"--tls-verify={_bool(settings.tls_verify)}"]
        proxy = "" if "@" in settings.proxy else settings.proxy
        pairs = (("cert", settings.client_cert), ("key", settings.client_key), ("proxy", proxy))
        return flags + [f"--{name}={value}" for name, value in pairs if value]

    def _environment(self) -> dict[str, str]:
        """Return what Kit needs of the caller's environment, with the places that it insists on."""
        settings = self._settings
        environ = {name: settings.environ[name] for name in _PASSED_ON if name in settings.environ}
        environ |= {"HOME": self.home, "KITOPS_HOME": self.home, "DOCKER_CONFIG": self.home}
        if settings.ca_files or settings.ca_pem:
            environ["SSL_CERT_FILE"] = os.path.join(self.home, "ca.pem")
        if "@" in settings.proxy:
            for name in _PROXIES:
                environ.pop(name, None)
            url = settings.proxy if urlsplit(settings.proxy).scheme else f"http://{settings.proxy}"
            environ |= {"HTTP_PROXY": url, "HTTPS_PROXY": url}
        return environ

    def _bundle(self) -> str:
        """Return the system's certificates and ours: Go takes one file, in place of the system's."""
        settings = self._settings
        system = (settings.environ.get("SSL_CERT_FILE", ""), *_SYSTEM_BUNDLES)
        parts = [certificates.only(settings.ca_pem.encode(errors="surrogateescape"))]
        for path in (next(filter(os.path.exists, system), ""), *settings.ca_files):
            if path:
                with open(path, "rb") as file:
                    parts.append(certificates.only(file.read()))
        return "\n".join(parts)


def _find(path: str) -> str:
    found = shutil.which("kit", path=path)
    if found is None:
        raise UsageError("KIT_ENGINE=kit, but no `kit` is on the PATH", hint="use the image that carries Kit")
    return found


def _target(reference: Reference, *, plain_http: bool) -> str:
    """Return the reference as Kit reads it: tag or digest, and a registry's name with a dot or a port."""
    host = reference.host
    if host == "localhost":
        host = f"localhost:{80 if plain_http else 443}"
    mark = f"@{reference.digest}" if reference.digest else f":{reference.tag or 'latest'}"
    return f"{host}/{reference.repository}{mark}"


def _bool(value: bool) -> str:  # noqa: FBT001
    return "true" if value else "false"


def _written(folder: str) -> int:
    """Return a number of bytes that changes as files below `folder` do; what vanishes is not counted."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                status = os.lstat(os.path.join(parent, name))
                total += status.st_size + 512 * status.st_blocks
    return total


def _last_line(lines: deque[str], code: int | None) -> str:
    """Return the line that says why: Kit's last error, else a panic's first line, else the last one."""
    if code is None or code < 0:
        return f"killed by signal {-code}" if code else "it does not end"
    errors = [line for line in lines if line.startswith("[ERROR]")]
    panics = [line for line in lines if line.startswith("panic:")]
    chosen = (errors[-1:] or panics[:1] or list(lines)[-1:] or [f"exit code {code}"])[0]
    return printable(chosen.removeprefix("[ERROR]").strip(), 400)
