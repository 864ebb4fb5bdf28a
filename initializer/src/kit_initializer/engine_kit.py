"""The other engine: the Kit CLI as a subprocess, `pull` (which verifies), then `unpack` from its store.

Measured with Kit 0.5.0 to 1.7.0: `kit unpack` of a remote kit checks no layer digest, so it is never asked to
do so; without HOME or a Docker configuration folder Kit gives up; each call asks api.github.com about releases
unless a file in its home forbids that; `kit login` writes the password as plain text beside what it pulled.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from typing import IO, TYPE_CHECKING, NamedTuple

from kit_initializer.deadline import NEVER, Deadline
from kit_initializer.errors import DestinationError, KitFailedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kit_initializer.credentials import Login
    from kit_initializer.reference import Reference
    from kit_initializer.settings import Settings

OLDEST = (0, 5, 0)  # digests in a kit's configuration, and `unpack` as it is called here, begin there
MEMORY = "/dev/shm"  # noqa: S108 - not a place for files: memory that goes away with the pod
_PREFIX = "kit-initializer-"
_TICK = 0.5  # seconds between two looks at how much Kit has written
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class EngineResult(NamedTuple):
    """What Kit brought: the manifest's digest (`sha256:…`), and Kit's own version without a `v`."""

    digest: str
    kit_version: str


def bring(
    reference: Reference,
    staging: str,
    settings: Settings,
    login: Login | None,
    on_line: Callable[[str], None] = lambda _: None,
    *,
    deadline: Deadline = NEVER,
) -> EngineResult:
    """Make the kit's tree in `staging`, an empty folder; its store is `staging + ".kit"`, gone at the end.

    `login` is used for the reference's own host only. `on_line` is given each line that Kit prints. Raises
    UsageError (no Kit, too old a Kit, nowhere to keep a password), DestinationError (no place for the store),
    UnreachableError (the deadline has passed) and KitFailedError with Kit's last line: whoever knows the registry may
    then look for the cause there.
    """
    kit = _Kit(_find(settings.environ.get("PATH", os.defpath)), staging, settings, on_line, deadline)
    target = _target(reference, plain_http=settings.plain_http)
    try:
        kit.make_home()
        version = kit.version()
        with contextlib.ExitStack() as secrets:
            if login is not None:
                kit.log_in(target.split("/", 1)[0], login, secrets.enter_context(_in_memory()))
            lines = kit.run(
                "pull", target, *_network_flags(settings), f"--concurrency={settings.concurrency}"
            )
        digest = next((line.split()[-1] for line in lines if line.startswith("Pulled sha256:")), "")
        kit.run("unpack", target, f"--dir={staging}", *settings.kit_flags)
        return EngineResult(reference.digest or digest, version)
    except OSError as error:
        raise DestinationError(f"{kit.home}: {error.strerror or error}") from error
    finally:
        kit.remove_home()


_lock = threading.Lock()
_children: set[subprocess.Popen[str]] = set()
_stopping = threading.Event()


def terminate() -> None:
    """Kill whatever Kit is doing, and let nothing of it start again. Safe in a signal handler."""
    _stopping.set()
    for child in tuple(_children):
        _kill(child)


def _kill(child: subprocess.Popen[str]) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # it leads its own group; nothing of its work is kept


class _Kit:
    """One Kit binary with a home of its own beside the staging folder."""

    def __init__(
        self,
        binary: str,
        staging: str,
        settings: Settings,
        on_line: Callable[[str], None],
        deadline: Deadline,
    ) -> None:
        self.binary = binary
        self.home = staging + ".kit"
        self._staging = staging
        self._settings = settings
        self._on_line = on_line
        self._deadline = deadline
        self._secret = ""

    def version(self) -> str:
        """Return the version that Kit prints; builds that name none are taken as new enough."""
        until = self._deadline.nearer("KIT_PROGRESS_TIMEOUT", self._settings.progress_timeout)
        what = f"{self.binary} version"
        try:
            done = subprocess.run(  # noqa: S603
                [self.binary, "version"],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=until.left(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            self._deadline.check(what)
            raise KitFailedError(
                f"{what}: gave no answer in {until.seconds:g} s", hint=until.hint()
            ) from None
        words = done.stdout.split()
        version = words[words.index("Version:") + 1] if "Version:" in words[:-1] else ""
        if not version:
            raise KitFailedError(f"{what}: {_last_line(done.stderr.splitlines(), done.returncode)}")
        numbers = tuple(int(part) for part in version.lstrip("v").split("-")[0].split(".") if part.isdigit())
        if numbers and numbers < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise UsageError(
                f"KIT_ENGINE=kit cannot use Kit {version}", hint=f"the oldest that it can is {oldest}"
            )
        return version.lstrip("v")

    def make_home(self) -> None:
        """Make the store's folder such that Kit finds it complete and asks nobody for a newer release."""
        os.mkdir(self.home, 0o700)
        for name, content in (("disable-update-notifications", ""), ("ca.pem", self._bundle())):
            with open(os.path.join(self.home, name), "w", encoding="utf-8") as file:
                file.write(content)

    def remove_home(self) -> None:
        import shutil  # noqa: PLC0415 - this engine alone needs it

        shutil.rmtree(self.home, ignore_errors=True)

    def log_in(self, host: str, login: Login, folder: str) -> None:
        """Log in at `host` with a configuration in `folder`, and let the store use it through a link."""
        secret = login.identity_token or login.password
        self._secret = secret.reveal()
        user = [] if login.identity_token else [f"--username={login.username}"]
        flags = (*user, "--password-stdin", f"--config={folder}", *_network_flags(self._settings))
        with open(os.path.join(folder, "disable-update-notifications"), "w", encoding="utf-8"):
            pass
        self.run("login", host, *flags, secret=self._secret)
        os.symlink(os.path.join(folder, "credentials.json"), os.path.join(self.home, "credentials.json"))

    def run(self, verb: str, target: str, *flags: str, secret: str = "") -> list[str]:
        """Run one verb to its end and return its last lines; KitFailedError when it fails or stands still."""
        lines: deque[str] = deque(maxlen=50)
        with _lock:
            if _stopping.is_set():
                raise KitFailedError(f"kit {verb} {target}: stopped")
            child = subprocess.Popen(  # noqa: S603
                [self.binary, verb, target, "--progress=none", *flags],
                env=self._environment(),
                cwd=self.home,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
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
            self._watch(child, f"kit {verb} {target}")
        finally:
            _kill(child)
            child.wait()
            _children.discard(child)
            reader.join(_TICK)  # a process that left the group may hold the pipe open for as long as it likes
            if not reader.is_alive():
                child.stdout.close()
        if child.returncode != 0:
            raise KitFailedError(f"kit {verb} {target}: {_last_line(lines, child.returncode)}")
        return list(lines)

    def _read(self, stdout: IO[str], lines: deque[str]) -> None:
        for raw in stdout:
            line = raw.rstrip().replace(self._secret, "***") if self._secret else raw.rstrip()
            if line:
                lines.append(line)
                self._on_line(line)

    def _watch(self, child: subprocess.Popen[str], what: str) -> None:
        """Wait for the end, and for no longer than nothing is written: Kit itself would wait for ever."""
        limit = self._settings.progress_timeout
        changed = time.monotonic()
        written = -1
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

    def _environment(self) -> Mapping[str, str]:
        """Return the caller's environment without what is ours, and with the places that Kit insists on."""
        environ = {k: v for k, v in self._settings.environ.items() if not k.startswith(("KIT_", "KITOPS_"))}
        environ |= {"HOME": self.home, "KITOPS_HOME": self.home, "DOCKER_CONFIG": self.home}
        if self._settings.ca_files or self._settings.ca_pem:
            environ["SSL_CERT_FILE"] = os.path.join(self.home, "ca.pem")
        return environ

    def _bundle(self) -> str:
        """Return the system's certificates and ours: Go takes one file, in place of the system's."""
        settings = self._settings
        system = (settings.environ.get("SSL_CERT_FILE", ""), *_SYSTEM_BUNDLES)
        parts = [settings.ca_pem]
        for path in (next(filter(os.path.exists, system), ""), *settings.ca_files):
            if path:
                with open(path, encoding="utf-8", errors="replace") as file:
                    parts.append(file.read())
        return "\n".join(parts)


def _find(path: str) -> str:
    import shutil  # noqa: PLC0415

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


def _network_flags(settings: Settings) -> list[str]:
    """Return what `login` and `pull` must agree on with `unpack`, whatever way it was configured."""
    flags = [f"--plain-http={_bool(settings.plain_http)}", f"--tls-verify={_bool(settings.tls_verify)}"]
    pairs = (("cert", settings.client_cert), ("key", settings.client_key), ("proxy", settings.proxy))
    return flags + [f"--{name}={value}" for name, value in pairs if value]


def _bool(value: bool) -> str:  # noqa: FBT001
    return "true" if value else "false"


@contextlib.contextmanager
def _in_memory() -> Iterator[str]:
    """Give a folder in memory that is gone afterwards; what a killed run left there goes as well."""
    import fcntl  # noqa: PLC0415
    import shutil  # noqa: PLC0415
    import tempfile  # noqa: PLC0415

    try:
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir=MEMORY)
    except OSError as error:
        hint = "mount a tmpfs there, or use KIT_ENGINE=native"
        raise UsageError(f"no place for credentials in {MEMORY}: {error.strerror}", hint=hint) from error
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        _sweep(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _sweep(own: str) -> None:
    """Remove folders like ours whose owner is no longer there to hold their lock."""
    import fcntl  # noqa: PLC0415
    import shutil  # noqa: PLC0415

    for entry in os.scandir(MEMORY):
        if not entry.name.startswith(_PREFIX) or entry.path == own or entry.is_symlink():
            continue
        with contextlib.suppress(OSError):
            handle = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(handle).st_mtime > 1:  # one just made is not locked yet
                    shutil.rmtree(entry.path, ignore_errors=True)
            finally:
                os.close(handle)


def _written(folder: str) -> int:
    """Return a number of bytes that changes as files below `folder` do; what vanishes is not counted."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                status = os.lstat(os.path.join(parent, name))
                total += status.st_size + 512 * status.st_blocks
    return total


def _last_line(lines: deque[str] | list[str], code: int) -> str:
    """Return the line that says why: Kit's last error, else a panic's first line, else the last one."""
    if code < 0:
        return f"killed by signal {-code}"
    errors = [line for line in lines if line.startswith("[ERROR]")]
    panics = [line for line in lines if line.startswith("panic:")]
    chosen = (errors[-1:] or panics[:1] or list(lines)[-1:] or [f"exit code {code}"])[0]
    return chosen.removeprefix("[ERROR]").strip()[:400]
