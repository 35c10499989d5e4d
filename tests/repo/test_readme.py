"""Every command of the README exists. `make demo` itself is run by tests/system."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path

from repo.checkout import BIN, ROOT, run

ONE_SCREEN_LINES = 80
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
# Programs of others that a reader may be asked to run.
OTHERS = {"cd", "curl", "docker", "git", "grpcurl", "pip", "source", "export", "sudo"}


def test_the_readme_fits_on_one_screen() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= ONE_SCREEN_LINES


def test_the_first_screen_has_the_two_commands() -> None:
    commands = list(_commands(ROOT / "README.md"))

    assert "make demo" in commands
    assert "make test" in commands


def test_every_command_of_the_pages_exists() -> None:
    faults = [
        f"{page.relative_to(ROOT)}: {command}: {fault}"
        for page in PAGES
        for command in _commands(page)
        for fault in _faults(command)
    ]

    assert faults == []


def test_every_relative_link_of_the_pages_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert broken == []


def test_planted_faults_are_found() -> None:
    for command in (
        "make tea",
        "batchproof juggle x.png",
        ".venv/bin/batchproof-server serve x --no-such-option",
        "batchproof-server tta juggle",
        "batchproof-server tta fit --no-such-option",
        "python3 no_such_file.py",
        "no-such-program",
    ):
        assert list(_faults(command)), command


def _commands(page: Path) -> Iterator[str]:
    """The lines behind ``$ `` in the ``console`` blocks, continuations joined."""
    for block in re.findall(r"^```console\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        for line in re.sub(r"\\\n\s*>?\s*", "", block).splitlines():
            if line.startswith("$ "):
                typed = line.removeprefix("$ ").split("  #")[0]
                yield from (part.strip() for part in re.split(r"&&|[|;]", typed))


def _faults(command: str) -> Iterator[str]:
    words = [word for word in shlex.split(command) if not re.match(r"[A-Z_]+=", word)]
    program = Path(words[0]).name if words else ""
    match program:
        case "make":
            yield from _unknown_targets(words[1:])
        case "batchproof" | "batchproof-server":
            yield from _unknown_options(program, words[1:])
        case "python" | "python3" | "uv" | "bash":
            yield from _missing_files(words[1:])
        case _ if program not in OTHERS and not _is_ours(words[0]):
            yield "nobody knows this program"


def _is_ours(program: str) -> bool:
    """A tool of the development environment, or a file of the repository."""
    installed = program.startswith(".venv/bin/") and (BIN / Path(program).name).is_file()
    return installed or (ROOT / program).is_file()


def _unknown_targets(targets: list[str]) -> Iterator[str]:
    makefile = (ROOT / "Makefile").read_text()
    for target in targets:
        if not re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE):
            yield f"the Makefile has no {target}"


def _unknown_options(program: str, words: list[str]) -> Iterator[str]:
    """Asks the command's own help whether it knows the subcommand and each option.

    The first two words, such as ``profile merge``, choose the help.
    """
    subcommand = list(takewhile(lambda word: not word.startswith("-"), words[:2]))
    shown = _help(program, *subcommand)
    if shown is not None and " ACTION ..." in shown:  # a command of commands, as tta
        subcommand = words[:2]
        shown = _help(program, *subcommand)
    if shown is None:
        yield f"{program} has no {' '.join(subcommand)}"
    for word in words:
        option = word.split("=")[0]
        if option.startswith("-") and not re.search(rf"(?<!\S){option}\b", shown or ""):
            yield f"{program} does not know {option}"


@cache
def _help(program: str, *subcommand: str) -> str | None:
    """What it prints; None where there is no such subcommand."""
    shown = run([BIN / program, *subcommand, "--help"], expected=None)
    return shown.stdout if shown.returncode == 0 else None


def _missing_files(words: list[str]) -> Iterator[str]:
    """Files of the repository that a command names: anything ending in .py, .txt or .toml."""
    for word in words:
        if re.search(r"\.(py|txt|toml|sh)$", word) and not (ROOT / word).exists():
            yield f"there is no {word}"
