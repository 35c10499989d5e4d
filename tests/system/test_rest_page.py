"""Every command of docs/rest.md, run against the embedded model, prints what the page says."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from system.process import PATIENCE_S, ServerProcess, environment

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "rest.md"
README = ROOT / "README.md"
ADDRESS_OF_THE_PAGE = "127.0.0.1:8501"


def commands(page: Path) -> Iterator[tuple[str, str]]:
    """Each command of curl with what the page exports before it, and what it prints."""
    exports: list[str] = []
    text = page.read_text()
    for block in re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for typed, printed in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            if typed.startswith("export "):
                exports.append(typed)
            elif typed.startswith("curl "):
                yield "\n".join((*exports, typed)), printed


def pattern(printed: str) -> str:
    """What matches the output that a page shows; three dots stand for anything."""
    return ".*".join(re.escape(part) for part in printed.strip().split("..."))


def run(command: str, server: ServerProcess) -> str:
    """What a command prints."""
    ended = subprocess.run(
        ["bash", "-c", command.replace(ADDRESS_OF_THE_PAGE, server.web)],  # noqa: S607 - the reader's
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env=environment(),
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("number", range(len(list(commands(PAGE)))))
def test_the_commands_of_the_page_print_what_it_says(embedded: ServerProcess, number: int) -> None:
    command, printed = list(commands(PAGE))[number]
    got = run(command, embedded).strip()
    assert re.fullmatch(pattern(printed), got, re.DOTALL), got


def test_the_command_of_the_readme_classifies_its_picture(embedded: ServerProcess) -> None:
    ((command, _),) = commands(README)
    assert '"label":"Ankle boot"' in run(command, embedded)
