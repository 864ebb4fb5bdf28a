"""What is hashed of a command: the program, and not the few lines that pip wrote to start it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit_conformance.kit import identity, named
from kit_conformance.subject import Invocation, connect, load, own_name
from kit_conformance.subject.program import digest_of, identify

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def sha256(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a site-packages with a distribution `greeter` 1.2, whose script stands in ../bin, as pip makes them."""
    site, scripts = tmp_path / "site", tmp_path / "bin"
    package, info = site / "greeter", site / "greeter-1.2.dist-info"
    for folder in (package / "data", info, scripts):
        folder.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "cli.py").write_text("def entry():\n    print('hello')\n", "utf-8")
    (package / "data" / "words.txt").write_text("hello\n", "utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greeter\nVersion: 1.2\n", "utf-8")
    (info / "entry_points.txt").write_text("[console_scripts]\ngreet = greeter.cli:entry\n", "utf-8")
    lines = ["greeter/__init__.py", "greeter/cli.py", "greeter/data/words.txt", "../bin/greet"]
    (info / "RECORD").write_text("".join(f"{each},,\n" for each in lines), "utf-8")
    return site


def shim(site: Path, first: str = f"#!{sys.executable}\n") -> Path:
    path = site.parent / "bin" / "greet"
    path.write_text(f"{first}import sys\nfrom greeter.cli import entry\nsys.exit(entry())\n", "utf-8")
    path.chmod(0o755)
    return path


def program(path: Path, site: Path) -> tuple[str, str, str]:
    found = identify([str(path)], {**ENVIRONMENT, "PYTHONPATH": str(site)})
    return found.name, found.version, found.digest


def test_the_digest_of_a_console_script_is_that_of_its_package(installed: Path) -> None:
    files = ("__init__.py", "cli.py", "data/words.txt")
    wanted = digest_of({f"greeter/{name}": str(installed / "greeter" / name) for name in files})
    assert program(shim(installed), installed) == ("greet", "1.2", wanted)


@pytest.mark.parametrize(
    "first",
    [
        f"#!{sys.executable} -I\n",
        "#!/usr/bin/env python3\n",
        "#!/usr/bin/env -S python3 -u\n",
        f"#!/bin/sh\n'''exec' '{sys.executable}' \"$0\" \"$@\"\n' '''\n",
    ],
)
def test_the_shim_is_no_part_of_the_digest(installed: Path, first: str) -> None:
    wanted = program(shim(installed), installed)
    assert program(shim(installed, first), installed) == wanted


@pytest.mark.parametrize("name", ["cli.py", "data/words.txt", "data/new.txt"])
def test_a_changed_file_changes_the_digest(installed: Path, name: str) -> None:
    before = program(shim(installed), installed)
    (installed / "greeter" / name).write_text("# changed\n", "utf-8")
    after = program(shim(installed), installed)
    assert before[:2] == after[:2]
    assert before[2] != after[2]


def test_compiled_files_change_nothing(installed: Path) -> None:
    before = program(shim(installed), installed)
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(installed)], check=True)
    assert program(shim(installed), installed) == before


def test_a_module_and_its_script_are_the_same_program(installed: Path) -> None:
    environment = {**ENVIRONMENT, "PYTHONPATH": str(installed)}
    module = identify([sys.executable, "-X", "utf8", "-m", "greeter.cli"], environment)
    assert module.digest == program(shim(installed), installed)[2]
    assert (module.name, module.version) == ("greeter.cli", "1.2")


def test_sha256sum_says_the_same(installed: Path) -> None:
    """The digest can be made by hand: `sha256sum` over the files by name, and over what that prints."""
    files = sorted(str(path.relative_to(installed)) for path in (installed / "greeter").rglob("*.*"))
    names = [name for name in files if (installed / name).is_file()]
    lines = subprocess.run(["sha256sum", *names], cwd=installed, capture_output=True, check=True).stdout
    assert program(shim(installed), installed)[2] == "sha256:" + hashlib.sha256(lines).hexdigest()


def test_our_own_command_is_hashed_by_its_package() -> None:
    """Installed in place or as a wheel, the files are the same and so is the digest."""
    script = Path(sys.executable).with_name("kit-initializer")
    if not script.exists():
        pytest.skip("kit-initializer is not installed beside this Python")
    by_script = identify([str(script)], ENVIRONMENT)
    by_module = identify([sys.executable, "-m", "kit_initializer"], ENVIRONMENT)
    assert by_script.digest == by_module.digest
    assert by_script.details["distribution"] == "kit-initializer"
    assert by_script.digest not in {sha256(script), sha256(Path(sys.executable))}


def test_a_script_of_an_interpreter_is_hashed_and_not_the_interpreter(tmp_path: Path) -> None:
    script = tmp_path / "it"
    script.write_text("echo it\n", "utf-8")
    assert identify(["/bin/sh", str(script), "x"], ENVIRONMENT).digest == sha256(script)
    assert identify([sys.executable, "-I", str(script)], ENVIRONMENT).digest == sha256(script)


@pytest.mark.parametrize("text", ["#!/no/such/python3\n", "#!/bin/sh\n", "#!\n", "#!'\n", "\x7fELF"])
def test_anything_else_is_hashed_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "it"
    path.write_text(text, "utf-8")
    assert identify([str(path)], ENVIRONMENT).digest == sha256(path)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("command:/usr/local/bin/my-initializer --fast", "my-initializer"),
        ("command:python3.12 -I -m my_initializer", "my_initializer"),
        ("command:/usr/bin/python3 /opt/it.py", "it.py"),
        ("command:bash -e /opt/entry.sh", "entry.sh"),
        ("command:'open", "command:'open"),
        ("image:r.example:5000/group/my-initializer:1.2", "my-initializer"),
        ("pod:r.example/my-initializer@sha256:00", "my-initializer"),
    ],
)
def test_a_subject_without_a_configuration_has_its_own_name(spec: str, name: str) -> None:
    assert own_name(spec) == name


def test_a_kit_of_any_name_is_found_as_kit(tmp_path: Path) -> None:
    """Subjects look for `kit` on their PATH, whatever the file is called that --kit names."""
    binary = tmp_path / "kit-linux-amd64 of today"
    binary.write_text("#!/bin/sh\necho Version: 9.8.7\n", "utf-8")
    binary.chmod(0o755)
    path = named(str(binary))
    assert (Path(path).name, Path(path).resolve()) == ("kit", binary)
    assert identity(path) == {"version": "9.8.7", "path": str(binary), "digest": sha256(binary)}
    assert named("/opt/kit") == "/opt/kit"
    subject = connect("command:sh -c 'kit version'", load("bare"), kit=path)
    volume = subject.volume(tmp_path / "volume")
    (tmp_path / "run").mkdir()
    outcome = subject.start(Invocation((), {}, (volume,), tmp_path / "run")).wait(10)
    assert outcome.output == "Version: 9.8.7\n"
