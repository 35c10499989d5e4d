"""The Makefile and the scripts behind it say what is wrong in one sentence."""

import re
from pathlib import Path

import pytest

from repo.checkout import BIN, ROOT, program, run

TARGETS = {
    "help",
    "demo",
    "test",
    "test-long",
    "check",
    "image-check",
    "pytest",
    "test-pythons",
    "test-grpcio-oldest",
    "test-browser",
    "fuzz",
    "soak",
    "stubs",
    "lock",
    "clean",
}


def test_make_alone_lists_the_jobs() -> None:
    listed = set(re.findall(r"^ {2}make ([a-z-]+) ", run(["make"]).stdout, re.MULTILINE))

    assert listed >= TARGETS


def test_make_test_runs_every_linter_and_then_pytest() -> None:
    planned = run(["make", "--dry-run", "test"]).stdout
    programs = (
        "ruff format",
        "ruff check",
        "mypy",
        "lint-imports",
        "buf lint",
        "hadolint",
        "pytest",
    )
    places = [planned.find(f"{BIN.name}/{program}") for program in programs[:-1]]

    assert -1 not in places
    assert places == sorted(places)
    assert "-m pytest" in planned.splitlines()[-1]


def test_coverage_is_measured_over_the_same_tests() -> None:
    plain, covered = (
        run(["make", "--dry-run", target]).stdout.splitlines()[-1].strip()
        for target in ("pytest", "coverage")
    )
    assert covered == f"{plain} --cov"


@pytest.mark.parametrize(
    ("version", "modules", "sentence"),
    [
        ("3.10", ("venv", "ensurepip"), "needs Python 3.11, 3.12 or 3.13"),
        ("3.14", ("venv", "ensurepip"), "needs Python 3.11, 3.12 or 3.13"),
        ("3.12", (), "has no venv module"),
    ],
)
def test_an_interpreter_that_will_not_do_is_refused_in_one_line(
    tmp_path: Path, version: str, modules: tuple[str, ...], sentence: str
) -> None:
    python = _interpreter(tmp_path, version, has_modules=bool(modules))

    refused = run([ROOT / "scripts" / "check-python", python], expected=1)

    assert sentence in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_an_interpreter_that_does_not_exist_is_refused_in_one_line() -> None:
    refused = run([ROOT / "scripts" / "check-python", "python-of-nobody"], expected=1)

    assert 'there is no "python-of-nobody"' in refused.stderr


def test_an_interpreter_that_will_do_passes_silently(tmp_path: Path) -> None:
    python = _interpreter(tmp_path, "3.13", has_modules=True)

    assert run([ROOT / "scripts" / "check-python", python]).stderr == ""


def test_without_compose_and_without_root_the_missing_package_is_named(tmp_path: Path) -> None:
    program(tmp_path / "bash", 'exec /bin/bash "$@"')
    program(tmp_path / "id", "echo 1000")

    refused = run(
        [ROOT / "scripts" / "install-system-packages"],
        environment={"PATH": str(tmp_path)},
        expected=1,
    )

    assert "apt-get install docker-compose" in refused.stderr


@pytest.mark.parametrize("minutes", ["", "an hour", "-1", "1.5"])
def test_fuzzing_for_no_number_of_minutes_is_refused_in_one_line(minutes: str) -> None:
    refused = run([ROOT / "scripts" / "fuzz", "python3", minutes], expected=1)

    assert f'MINUTES is "{minutes}", expected a whole number' in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_fuzzing_ends_with_the_round_that_has_a_finding(tmp_path: Path) -> None:
    python = program(tmp_path / "python", "echo tried; exit 1")

    ended = run([ROOT / "scripts" / "fuzz", python, "60"], expected=1)

    assert ended.stdout.count("tried") == 1
    assert "nothing found" not in ended.stdout


def _interpreter(folder: Path, version: str, *, has_modules: bool) -> Path:
    """A stand-in that answers the two questions the script asks an interpreter."""
    answer = (
        f'case "$2" in *version_info*) echo {version} ;; *) exit {int(not has_modules)} ;; esac'
    )
    return program(folder / "python", answer)
