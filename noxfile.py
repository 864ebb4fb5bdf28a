# /// script
# requires-python = ">=3.11"
# dependencies = ["nox>=2026.8.10"]
# ///
"""Every way to run anything: `nox -l` lists the sessions, CONTRIBUTING.md tells when to run which."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2026.8.10"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_external_run = True
nox.options.error_on_missing_interpreters = True

DISTRIBUTIONS = ("./initializer", "./conformance")
RESULTS = Path(os.environ.get("RESULTS", "results")).absolute()

# MLServer 1.7 is not for Python 3.13 and later (its own Requires-Python); the order is ours: newest first.
IMAGE_PYTHON = "3.13"
MLSERVER_PYTHONS = ("3.12", "3.11", "3.10")
MLSERVER_HINT = """MLServer needs a Python 3.12, 3.11 or 3.10 of its own. None runs here; nothing was fetched.
Install one (Debian 12: apt-get install python3; Fedora: dnf install python3.12; pyenv install 3.12),
or let nox bring one: .venv/bin/pip install 'nox[pbs]'. Then give the same command again"""


@cache
def version_of(path: str) -> str | None:
    """Ask an interpreter for its version by running it: a shim on the PATH may stand for none at all."""
    command = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def find_python(version: str) -> str | None:
    """Find an interpreter of that version: the one that runs nox, one on the PATH, one of pyenv's."""
    folders = os.get_exec_path()
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    places = [os.path.realpath(sys.executable)]
    places += [os.path.join(folder, name) for folder in folders for name in (f"python{version}", "python3")]
    places += [str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python3"), reverse=True)]
    return next((path for path in places if os.access(path, os.X_OK) and version_of(path) == version), None)


def mlserver_python() -> str | None:
    """Choose MLServer's Python: a path, a version for nox to download, or None where there is no way."""
    found = next(filter(None, map(find_python, MLSERVER_PYTHONS)), None)
    return found or (MLSERVER_PYTHONS[0] if find_spec("pbs_installer") else None)


def install(session: nox.Session, group: str, *distributions: str) -> None:
    """Install one group of locked packages, each checked against its hash, then our own distributions."""
    session.install("--require-hashes", "--no-deps", "-r", f"constraints/{group}.txt")
    if distributions:
        session.install("--no-deps", "--no-build-isolation", *distributions)


def pytest(session: nox.Session, *arguments: str, env: dict[str, str] | None = None) -> None:
    """Run pytest with the session's positional arguments; its JUnit report is named after the session."""
    report = RESULTS / f"{session.name}.xml"
    session.run("pytest", f"--junit-xml={report}", *arguments, *session.posargs, env=env)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, its formatter, mypy in strict mode and the direction of every import; all of them, then fail."""
    install(session, "lint")
    commands = [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["lint-imports"], ["mypy", "."]]
    # kits are in folders whose names are no module's, so each of their scripts is checked by itself
    commands += [["mypy", str(script)] for script in sorted(Path("fixtures").rglob("*.py"))]
    path = {"PYTHONPATH": os.pathsep.join(["initializer/src", "conformance/src", "."])}
    failed = []
    for command in commands:
        try:
            session.run(*command, env=path)
        except CommandFailed:
            failed.append(" ".join(command))
    if failed:
        session.error(f"failed: {', '.join(failed)}")


@nox.session
def tests(session: nox.Session) -> None:
    """Everything that needs only Python; reaches nothing but loopback."""
    install(session, "tests", *DISTRIBUTIONS)
    coverage = ["--cov", "--cov-report=term:skip-covered"] if os.environ.get("CI") else []
    pytest(session, "--numprocesses=logical", "--dist=worksteal", "-m", "not interop", *coverage)


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Random input for each parser, for a minute or `-- SECONDS`; the failure prints the number that repeats it."""
    seconds, *arguments = session.posargs or ["60"]
    install(session, "tests", *DISTRIBUTIONS)
    tests = ["initializer/tests/test_fuzz.py", "--numprocesses=logical", *arguments]
    report = f"--junit-xml={RESULTS / 'fuzz.xml'}"
    session.run("pytest", report, *tests, env={"FUZZ_SECONDS": seconds})


@nox.session(default=False, python=find_python(IMAGE_PYTHON) or IMAGE_PYTHON)
def tls(session: nox.Session) -> None:
    """Everything about TLS once more, on the image's Python, whose rules for certificates are stricter."""
    install(session, "tests", *DISTRIBUTIONS)
    files = ["test_http_tls", "test_pull_networks", "test_credentials_azure"]
    pytest(session, *(f"initializer/tests/{name}.py" for name in files), "--numprocesses=logical")


@nox.session(default=False)
def interop(session: nox.Session) -> None:
    """Against a real registry, Docker and Kit: fails where one is missing (or `-- --without NAME`)."""
    install(session, "tests", *DISTRIBUTIONS)
    pytest(session, "-m", "interop")


@nox.session(default=False, python=mlserver_python() or False)
def mlserver(session: nox.Session) -> None:
    """Build the environment of the model server that quickstart serves with."""
    if session.python is False:
        session.error(MLSERVER_HINT)
    install(session, "mlserver")


@nox.session(default=False, requires=["mlserver"])
def quickstart(session: nox.Session) -> None:
    """Pack, push, initialize, serve and predict, in processes alone: no Docker, no Kit, no cluster."""
    install(session, "quickstart", *DISTRIBUTIONS)
    server = Path(session.virtualenv.location).with_name("mlserver") / "bin" / "python"
    session.run("python", "-m", "e2e.quickstart", "--mlserver", str(server), *session.posargs)


@nox.session(default=False)
def conformance(session: nox.Session) -> None:
    """Run the conformance suite over our own initializer, or over any subject (`-- --subject image:…`)."""
    install(session, "tests", *DISTRIBUTIONS)
    ours = ["--subject", f"command:{session.bin}/kit-initializer", "--subject-config", "kit-initializer"]
    results = ["--results", str(RESULTS / session.name)]
    session.run("kit-conformance", "run", *results, *(session.posargs or [*ours, "--jobs", "2"]))


@nox.session(default=False)
def mutants(session: nox.Session) -> None:
    """Prove each case of the suite able to fail: mutants meet their profiles (`-- --all`: every case, for an hour)."""
    install(session, "tests", *DISTRIBUTIONS)
    results = ["--results", str(RESULTS / session.name)]
    session.run("python", "-m", "conformance.tests.mutants.run", *results, *session.posargs)


@nox.session(default=False)
def image(session: nox.Session) -> None:
    """Build the initializer's image, with Kit beside it where there is one (or `-- --kit VERSION|PATH`)."""
    install(session, "e2e", "./conformance")
    session.run("python", "-m", "e2e.harness", "image", *session.posargs)


@nox.session(default=False)
def image_size(session: nox.Session) -> None:
    """Weigh the image that `nox -s image` built, by part, and hold it to its budget (`-- [IMAGE] [--docs]`)."""
    install(session, "tests", "./conformance")
    session.run("python", "-m", "bench.image", *session.posargs)


@nox.session(default=False, python=False)
def manifests(session: nox.Session) -> None:
    """Write install.yaml and the Helm chart to dist/ (`-- --image REPOSITORY:TAG`): needs kubectl and helm."""
    session.run(sys.executable, "deploy/render.py", *session.posargs)


@nox.session(default=False)
def e2e(session: nox.Session) -> None:
    """Run the scenarios on a cluster brought up with kind: registry, image, KServe (`-- -m plain`: without)."""
    install(session, "e2e", "./conformance")
    report = f"--junit-xml={RESULTS / 'e2e.xml'}"
    session.run("python", "-m", "e2e.harness", "run", report, "--numprocesses=3", *session.posargs)


@nox.session(default=False)
def oras(session: nox.Session) -> None:
    """Build the environment of oras-py, a peer of the benchmark."""
    install(session, "oras")


@nox.session(default=False)
def kserve_storage(session: nox.Session) -> None:
    """Build the environment of KServe's own storage initializer, a peer of the benchmark."""
    install(session, "kserve-storage")


@nox.session(default=False, requires=["oras", "kserve_storage"])
def bench(session: nox.Session) -> None:
    """Measure speed beside peers: needs `docker-registry`; Kit by KIT (`-- --help`); bounded by 10 minutes or so."""
    measure(session)


@nox.session(default=False, requires=["oras", "kserve_storage"])
def release(session: nox.Session) -> None:
    """Hold the initializer to its budget of speed and memory; for a machine that does nothing else."""
    measure(session, "--enforce", "--growth=")


def measure(session: nox.Session, *arguments: str) -> None:
    """Run the benchmark on wheels that are compiled as the image's are, whatever this machine's settings."""
    install(session, "quickstart", *DISTRIBUTIONS)
    session.run("python", "-m", "compileall", "-q", "-o", "0", session.virtualenv.location, silent=True)
    environments = Path(session.virtualenv.location).parent
    python = {name: str(environments / name / "bin" / "python") for name in ("oras", "kserve_storage")}
    peers = ["--oras", python["oras"], "--kserve", python["kserve_storage"]]
    session.run("python", "-m", "bench", *peers, *arguments, *session.posargs)


@nox.session(default=False)
def e2e_matrix(session: nox.Session) -> None:
    """Run the scenarios with several versions (`-- --kserve v0.20.0,v0.16.0 --kit v1.7.0,v1.0.0`), in one table."""
    install(session, "e2e", "./conformance")
    session.run("python", "-m", "e2e.harness.matrix", "--numprocesses=3", *session.posargs)


@nox.session(default=False)
def workflows(session: nox.Session) -> None:
    """Check workflows and action.yml: zizmor for what may be abused, actionlint (on the PATH) for what cannot work."""
    install(session, "workflows")
    session.run("zizmor", "--offline", "--no-progress", ".github/workflows", "action.yml")
    if which("actionlint"):
        session.run("actionlint", external=True)
    else:
        session.warn("no actionlint here: go install github.com/rhysd/actionlint/cmd/actionlint@latest")


@nox.session(default=False)
def dist(session: nox.Session) -> None:
    """Build both distributions into dist/, with a list of what the image carries (SBOM, CycloneDX)."""
    install(session, "dist")
    for distribution in DISTRIBUTIONS:
        session.run("python", "-m", "build", "--no-isolation", "--outdir", "dist", distribution)
    # the image's are exact, but for those that initializer/image/assemble.py removes; the suite runs with whatever it
    # finds, at best with what it is tested with
    for name, packages in (
        ("initializer", "constraints/image.txt"),
        ("conformance", "constraints/tests.txt"),
    ):
        session.run(
            "cyclonedx-py",
            "requirements",
            packages,
            "--pyproject",
            f"{name}/pyproject.toml",
            "--output-file",
            f"dist/kit-{name}.cdx.json",
        )


@nox.session(default=False)
def kserve(session: nox.Session) -> None:
    """Render, install or uninstall KServe as deploy/kserve says (`-- install --set NAME=VALUE …`)."""
    install(session, "e2e", "./conformance")
    session.run("python", "-m", "e2e.harness.component", *session.posargs)


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Resolve the groups of pyproject.toml into constraints/ anew: with hashes, and without any host name."""
    install(session, "lock")
    ours = ("initializer/pyproject.toml", "conformance/pyproject.toml")
    # lint holds every package of the others but MLServer's, so they are resolved to the same versions
    lock_group(session, "lint", *ours, "--all-extras")
    image = ("--extra", "aws", "--extra", "gcp", "--extra", "sigstore")
    for group, extras in (("tests", image), ("e2e", ()), ("quickstart", ())):
        lock_group(session, group, *ours, *extras, "--constraints", "constraints/lint.txt")
    lock_group(session, "mlserver", python=MLSERVER_PYTHONS[-1])
    for group in ("oras", "kserve-storage", "lock"):
        lock_group(session, group)


def lock_group(session: nox.Session, group: str, *arguments: str, python: str = "3.11") -> None:
    """Resolve one group, for every platform and every Python from `python` on."""
    quiet = ("--quiet", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links")
    target = ("--universal", "--generate-hashes", "--upgrade", "--python-version", python)
    name = ("--group", f"pyproject.toml:{group}", "--output-file", f"constraints/{group}.txt")
    session.run("uv", "pip", "compile", *quiet, *target, *name, *arguments)
    if "://" in Path("constraints", f"{group}.txt").read_text(encoding="utf-8"):
        session.error(f"constraints/{group}.txt names a host")


if __name__ == "__main__":
    nox.main()
