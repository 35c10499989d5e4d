"""Installing trusts the certificates of the system, such as that of a company's proxy."""

import re
import sys
from pathlib import Path

import pytest

from repo.checkout import ROOT, program, run, tracked_files

# As scripts, Makefile, Dockerfile and pages call it: .venv/bin/uv pip, "$uv" python, -m uv.
CALL = re.compile(r'(?:\buv"? (?:pip|venv|build|python) |-m uv\b)')
# Pages that spell out what make does, for those who have no make.
PAGES = ("CONTRIBUTING.md",)


def test_everything_that_calls_uv_lets_it_trust_the_system() -> None:
    callers = {path for path in _programs() if CALL.search(path.read_text())}

    assert {path.name for path in callers} == {
        *("Dockerfile", "Makefile", "generate", "make-venv", "test-pythons"),
    }
    assert [path for path in callers if not _sets_the_variable(path.read_text())] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_let_uv_trust_the_system(page: str) -> None:
    calls = [line for line in (ROOT / page).read_text().splitlines() if CALL.search(line)]

    assert calls
    assert [line for line in calls if "--system-certs" not in line] == []


@pytest.mark.parametrize(
    ("version", "configuration", "environment", "told"),
    [
        ("23.2.1", "", {}, True),
        ("24.2", "", {}, False),
        ("23.2.1", "global.cert='bundle.pem'", {}, False),
        ("23.2.1", "", {"REQUESTS_CA_BUNDLE": "bundle.pem"}, False),
    ],
)
def test_an_old_pip_is_told_where_the_certificates_are_unless_somebody_said_so(
    tmp_path: Path, version: str, configuration: str, environment: dict[str, str], *, told: bool
) -> None:
    venv = _recording_venv(tmp_path, version, configuration)
    bare = {"PIP_CERT": "", "REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": "", "UV_SYSTEM_CERTS": ""}

    run(
        [ROOT / "scripts" / "make-venv", "python3", venv, "requirements/cpu.txt"],
        environment={**bare, **environment},
    )

    assert (tmp_path / "pip").read_text().strip() == (f"{tmp_path}/system.pem" if told else "")
    assert (tmp_path / "uv").read_text().split() == ["1", "1"]


def _programs() -> list[Path]:
    """Every file that runs something and is not Python."""
    names = {"Makefile", "Dockerfile"}
    return [
        path
        for path in tracked_files()
        if path.name in names or (path.suffix != ".py" and path.read_bytes().startswith(b"#!"))
    ]


def _sets_the_variable(text: str) -> bool:
    line = r"^\s*(export )?UV_SYSTEM_CERTS( \?= 1|=1|=\$\{\S+:-1\})$"
    return re.search(line, text, re.MULTILINE) is not None


def _recording_venv(folder: Path, pip: str, configuration: str) -> Path:
    """An environment whose pip and uv install nothing and write down what they trust."""
    (folder / "pip.py").write_text(f'__version__ = "{pip}"\n')
    (folder / "system.pem").touch()
    programs = folder / "venv" / "bin"
    programs.mkdir(parents=True)
    asks_python = (
        f'PYTHONPATH={folder} SSL_CERT_FILE={folder}/system.pem exec {sys.executable} "$@"'
    )
    program(
        programs / "python",
        f"""case "$*" in
            "-m pip config list") echo "{configuration}" ;;
            "-m pip install"*) echo "$PIP_CERT" >{folder}/pip ;;
            *) {asks_python} ;;
        esac""",
    )
    program(programs / "uv", f'echo "$UV_SYSTEM_CERTS" >>{folder}/uv')
    return programs.parent
