"""What no file of the repository may hold, and what must agree with what."""

import re
from collections.abc import Iterator

import pytest

from repo.checkout import ROOT, project_table, run, tracked_files

# Registries are reached through the clients' own settings, so no file names their hosts.
REGISTRIES = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs\.org|(deb|security)\.debian\.org"
    r"|index-url[= ]\S+://|file:[/]{3}"
)
# A path that exists on the machine of one person only. KServe mounts every model at one path.
MACHINE_PATHS = re.compile(
    r"(?<![\w.$}~*-])(/(root|home|Users|work|mnt)/(?!models\b)\w|/opt/(?!batchproof)\w)"
)
LOCKS_THAT_NAME_HOSTS = {"uv.lock", "pylock.toml", "poetry.lock", "Pipfile.lock"}


def test_no_file_names_the_host_of_a_package_registry() -> None:
    assert list(_hits(REGISTRIES)) == []


def test_no_file_holds_a_path_of_somebodys_machine() -> None:
    assert list(_hits(MACHINE_PATHS)) == []


@pytest.mark.parametrize(
    "text",
    [
        "see https://files." + "pythonhosted" + ".org/x",
        "--extra-index-url " + "https://host/simple",
        "https://" + "deb.debian" + ".org/debian",
    ],
)
def test_a_planted_host_is_found(text: str) -> None:
    assert REGISTRIES.search(text)


@pytest.mark.parametrize("folder", ["root", "home", "work", "Users", "opt/wheels"])
def test_a_planted_path_is_found(folder: str) -> None:
    assert MACHINE_PATHS.search(f'"/{folder}/somebody/x"')


def test_no_lock_file_that_names_hosts_is_committed() -> None:
    assert LOCKS_THAT_NAME_HOSTS.isdisjoint(path.name for path in tracked_files())


def test_the_newest_entry_of_the_changelog_is_the_version_of_the_project() -> None:
    versions = re.findall(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert versions[0] == project_table()["project"]["version"]


def test_the_licence_is_the_one_that_the_project_declares() -> None:
    text = (ROOT / "LICENSE").read_text()

    assert project_table()["project"]["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_ci_runs_what_make_test_runs() -> None:
    commands = [
        line
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]

    assert commands == ["exec make --no-print-directory test"]


def test_scripts_are_executable_and_parse() -> None:
    scripts = [
        path
        for path in tracked_files()
        if path.read_bytes().startswith(b"#!") and path.suffix != ".py"
    ]

    assert {ROOT / ".ci" / "run", ROOT / "proto" / "generate"} <= set(scripts)
    assert [path for path in scripts if not path.stat().st_mode & 0o111] == []
    for script in scripts:
        run(["bash", "-n", script])


def _hits(pattern: re.Pattern[str]) -> Iterator[str]:
    for path in tracked_files():
        for number, line in enumerate(_text_lines(path.read_bytes()), start=1):
            if pattern.search(line):
                yield f"{path.relative_to(ROOT)}:{number}: {line.strip()}"


def _text_lines(content: bytes) -> list[str]:
    """Lines of a text file; none of a binary one."""
    return [] if b"\0" in content else content.decode("utf-8", "replace").splitlines()
