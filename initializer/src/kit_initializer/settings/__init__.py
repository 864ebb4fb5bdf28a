"""The environment, read once into one frozen value."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from kit_initializer import certificates
from kit_initializer.errors import UsageError
from kit_initializer.modelkit import selection
from kit_initializer.nearest import nearest
from kit_initializer.secret import printable
from kit_initializer.settings import flags
from kit_initializer.settings.variables import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENGINES = ("native", "kit")
_FORMATS = ("text", "json")
_LEVELS = ("debug", "info", "warn", "error")
_PROGRESS = ("none", "plain", "fancy")
_RECORDS = ("inside", "none")
_PATTERN_CHARACTERS = 4095  # PATH_MAX; what it costs to read one grows with the square of its length
_POLICY = (
    *("KIT_SIGNATURE_POLICY", "COSIGN_KEY", "COSIGN_CERT_IDENTITY", "COSIGN_CERT_OIDC_ISSUER"),
    "KIT_SIGSTORE_TRUSTED_ROOT",
)
# How the names of the variables end that the kubelet sets for each Service of a namespace.
_SERVICE = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_[A-Z]+(_[A-Z]+)?)?)\Z")
_POLICY_WORDS = ("COSIGN", "SIG", "POLICY")  # how what follows KIT_ begins where it is about signatures
_LIKE = 0.85  # KIT_RETRY is like KIT_RETRIES, and KIT_PORT, of a service named kit, like none
_SELECTORS = ("kitfile", "model", "code", "datasets", "docs")


class Settings(NamedTuple):
    """What a run is to do and how. Timeouts are seconds (0.0: none); files are paths; "" is "not given".

    `signatures` says that a policy is set; what it says is read by those who judge. `environ` is there for them and for
    the sources of credentials, and is never printed, nor is anything else by `repr`.
    """

    engine: str
    plain_http: bool
    tls_verify: bool
    ca_files: tuple[str, ...]
    ca_pem: str
    client_cert: str
    client_key: str
    proxy: str
    http_proxy: str
    https_proxy: str
    no_proxy: str
    concurrency: int
    retries: int
    connect_timeout: float
    first_byte_timeout: float
    stall_timeout: float
    progress_timeout: float
    total_timeout: float
    lock_timeout: float
    max_files: int
    max_bytes: int
    record: str
    signatures: bool
    signature_timeout: float
    filters: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]
    overwrite: bool
    ignore_existing: bool
    allow_patterns: tuple[str, ...]
    ignore_patterns: tuple[str, ...]
    log_format: str
    log_level: str
    progress: str
    kit_flags: tuple[str, ...]
    warnings: tuple[str, ...]
    environ: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Settings(engine={self.engine!r}, …)"


def read(environ: Mapping[str, str]) -> Settings:
    """Read the environment. Raises UsageError for a bad value; unknown names are ignored."""
    engine = _choice(environ, "KIT_ENGINE", _ENGINES)
    kit_flags, given = _flags(environ.get("KIT_UNPACK_FLAGS", ""), native=engine == "native")
    login(environ)
    client_cert, client_key = _client(environ, given)
    filters, ambiguous = _filters(given)
    ca_files, unusable = _authorities(environ, given)
    return Settings(
        engine=engine,
        plain_http=_switch(given, "plain-http"),
        tls_verify=_switch(given, "tls-verify", default=True),
        ca_files=ca_files,
        ca_pem=_ca_pem(environ),
        client_cert=client_cert,
        client_key=client_key,
        proxy=_last(given, "proxy"),
        http_proxy=_either(environ, "HTTP_PROXY"),
        https_proxy=_either(environ, "HTTPS_PROXY"),
        no_proxy=_either(environ, "NO_PROXY"),
        concurrency=_concurrency(environ, given),
        retries=_count("KIT_RETRIES", _value(environ, "KIT_RETRIES"), 0, 100),
        connect_timeout=_seconds(environ, "KIT_CONNECT_TIMEOUT"),
        first_byte_timeout=_seconds(environ, "KIT_FIRST_BYTE_TIMEOUT"),
        stall_timeout=_seconds(environ, "KIT_STALL_TIMEOUT"),
        progress_timeout=_seconds(environ, "KIT_PROGRESS_TIMEOUT"),
        total_timeout=_seconds(environ, "KIT_TOTAL_TIMEOUT", none=True),
        lock_timeout=_seconds(environ, "KIT_LOCK_TIMEOUT"),
        max_files=_count("KIT_MAX_FILES", _value(environ, "KIT_MAX_FILES"), 1, 10**9),
        max_bytes=_count("KIT_MAX_BYTES", _value(environ, "KIT_MAX_BYTES"), 0, 10**18),
        record=_record(environ),
        signatures=_signatures(environ),
        signature_timeout=_seconds(environ, "KIT_SIGNATURE_TIMEOUT"),
        filters=filters,
        labels=_labels(given),
        overwrite=_switch(given, "overwrite"),
        ignore_existing=_switch(given, "ignore-existing"),
        allow_patterns=_patterns(environ, "STORAGE_ALLOW_PATTERNS"),
        ignore_patterns=_patterns(environ, "STORAGE_IGNORE_PATTERNS"),
        log_format=_choice(environ, "KIT_LOG_FORMAT", _FORMATS),
        log_level=_log_level(environ, given),
        progress=_progress(given),
        kit_flags=kit_flags,
        warnings=(*ambiguous, *unusable, *_misspelt(environ)),
        environ=environ,
    )


def _flags(text: str, *, native: bool) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    if not text.strip():
        return (), {}
    given = flags.read(flags.split(text), native=native)
    return flags.for_unpack(given), given


def _value(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip() or DEFAULTS[name]


def _either(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.lower(), "")


def _last(given: Mapping[str, tuple[str, ...]], name: str) -> str:
    return given.get(name, ("",))[-1]


def _switch(given: Mapping[str, tuple[str, ...]], name: str, *, default: bool = False) -> bool:
    return given[name][-1] == "true" if name in given else default


def _choice(environ: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    return _one_of(name, _value(environ, name), choices)


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise UsageError(f"{name} is {value[:80]!r}", hint=f"write one of {', '.join(choices)}")
    return value


def _count(name: str, text: str, least: int, most: int) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    raise UsageError(f"{name} is {text[:80]!r}", hint=f"write a whole number from {least} to {most}")


def _record(environ: Mapping[str, str]) -> str:
    text = _value(environ, "KIT_RECORD")
    if text in _RECORDS or text.startswith("/"):
        return text
    raise UsageError(
        f"KIT_RECORD is {text[:80]!r}",
        hint=f"write {' or '.join(_RECORDS)}, or the absolute path of a folder outside of the destination",
    )


def _signatures(environ: Mapping[str, str]) -> bool:
    """Say whether a signature policy is set. Raises UsageError for a name that is nearly one of its variables.

    Elsewhere an unknown name is ignored; here that would be a policy that nobody applies. The variables that the
    kubelet makes of a Service called cosign or kit-signer are no mistake of anybody's.
    """
    for name in environ:
        upper = name.upper()
        about = upper.startswith("COSIGN") or (upper[:4] == "KIT_" and upper[4:].startswith(_POLICY_WORDS))
        known = name in _POLICY or name == "KIT_SIGNATURE_TIMEOUT"
        if about and not known and not _SERVICE.search(name):
            raise UsageError(
                f"{printable(name, 80)} is no variable of the initializer",
                hint=f"about signatures it knows {', '.join(_POLICY)} and KIT_SIGNATURE_TIMEOUT",
            )
    return any(name in environ for name in _POLICY)


def _misspelt(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return a warning for each name that looks like one of ours, but for those that Kubernetes makes of Services."""
    ours = [name for name in DEFAULTS if name.startswith("KIT_")]
    warnings = []
    for name in sorted(environ):
        if name[:4].upper() == "KIT_" and name not in DEFAULTS:
            near = nearest(name.upper(), ours, likeness=_LIKE)
            if near:
                warnings.append(f"the variable {printable(name, 80)} is not read; did you mean {near}?")
    return tuple(warnings)


def _concurrency(environ: Mapping[str, str], given: Mapping[str, tuple[str, ...]]) -> int:
    count = _count("KIT_CONCURRENCY", _value(environ, "KIT_CONCURRENCY"), 1, 64)
    flag = _last(given, "concurrency")
    return min(_count("--concurrency", flag, 1, 999_999), 64) if flag else count


def _seconds(environ: Mapping[str, str], name: str, *, none: bool = False) -> float:
    text = _value(environ, name)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if 0 < seconds <= 604_800 or (none and seconds == 0):
        return seconds
    least = "0 for no limit, or more" if none else "more than 0"
    raise UsageError(
        f"{name} is {text[:80]!r}", hint=f"write seconds as a number, {least} and at most 604800"
    )


def login(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return KIT_USER and KIT_PASSWORD, both "" for neither. Raises UsageError for one without the other.

    The newline that `echo` leaves at the end of a secret belongs to neither; Kit trims it as well.
    """
    user, password = (environ.get(name, "").rstrip("\r\n") for name in ("KIT_USER", "KIT_PASSWORD"))
    if bool(user) != bool(password):
        there, missing = ("KIT_USER", "KIT_PASSWORD") if user else ("KIT_PASSWORD", "KIT_USER")
        raise UsageError(
            f"{there} is set but {missing} is not", hint="set both, or neither for anonymous access"
        )
    return user, password


def _client(environ: Mapping[str, str], given: Mapping[str, tuple[str, ...]]) -> tuple[str, str]:
    cert = environ.get("KITOPS_CLIENT_CERT") or _last(given, "cert")
    key = environ.get("KITOPS_CLIENT_KEY") or _last(given, "key")
    if bool(cert) != bool(key):
        raise UsageError(
            "a client certificate needs its key, and the key its certificate",
            hint="give --cert and --key, or KITOPS_CLIENT_CERT and KITOPS_CLIENT_KEY",
        )
    return cert, key


def _ca_pem(environ: Mapping[str, str]) -> str:
    pem = environ.get("KIT_CA_CERT", "")
    if pem.strip() and "-----BEGIN CERTIFICATE-----" not in pem:
        raise UsageError(
            "KIT_CA_CERT holds no certificate", hint="give the PEM text itself, not the name of a file"
        )
    return pem if pem.strip() else ""


def _authorities(
    environ: Mapping[str, str], given: Mapping[str, tuple[str, ...]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the files to trust and the warnings: KServe's bundle may be missing."""
    files = given.get("tls-cert", ())
    if not (environ.get("CA_BUNDLE_CONFIGMAP_NAME") or environ.get("AWS_CA_BUNDLE_CONFIGMAP")):
        return files, ()
    mounted = os.path.join(_value(environ, "CA_BUNDLE_VOLUME_MOUNT_POINT"), "cabundle.crt")
    bundle = environ.get("AWS_CA_BUNDLE") or mounted
    problem = _problem(bundle)
    if problem:
        return files, (f"the CA bundle {bundle} is not used: {problem}",)
    return (*files, bundle), ()


def _problem(bundle: str) -> str:
    try:
        with open(bundle, "rb") as file:
            return "" if certificates.only(file.read()) else "it holds no certificate that can be read"
    except OSError as error:
        return error.strerror or "it cannot be read"


def _filters(given: Mapping[str, tuple[str, ...]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the filters and the warnings: Kits disagree on --model beside --filter, we follow the newest."""
    filters = given.get("filter", ())
    warnings: tuple[str, ...] = ()
    selectors = [name for name in _SELECTORS if _switch(given, name)]
    if selectors:
        if filters:
            warnings = (f"--{selectors[0]} makes --filter={filters[0]} void; give one of them",)
        filters = (",".join(selectors),)
    if filters:
        selection.parse(filters)
    return filters, warnings


def _labels(given: Mapping[str, tuple[str, ...]]) -> tuple[tuple[str, str], ...]:
    labels = []
    for text in given.get("label", ()):
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--label is {text[:80]!r}", hint="write --label key=value")
        labels.append((key, value))
    return tuple(labels)


def _patterns(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Read patterns as KServe does: a JSON list, a JSON value, or text with commas."""
    text = environ.get(name, "").strip()
    if not text:
        return ()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text.split(",")
    items = value if isinstance(value, list) else [value]
    patterns = tuple(stripped for item in items if (stripped := str(item).strip()))
    if any(len(pattern) > _PATTERN_CHARACTERS for pattern in patterns):
        raise UsageError(
            f"{name} holds a pattern of more than {_PATTERN_CHARACTERS} characters",
            hint="no path is that long",
        )
    return patterns


def _log_level(environ: Mapping[str, str], given: Mapping[str, tuple[str, ...]]) -> str:
    level = _choice(environ, "KIT_LOG_LEVEL", _LEVELS)
    flag = _last(given, "log-level")
    if flag:
        level = _one_of("--log-level", flag, ("trace", *_LEVELS)).replace("trace", "debug")
    times = sum(_count("--verbose", text or "1", 0, 99) for text in given.get("verbose", ()))
    return "debug" if times else level


def _progress(given: Mapping[str, tuple[str, ...]]) -> str:
    return _one_of("--progress", _last(given, "progress") or "fancy", _PROGRESS)
